"""What Argilla reads while it is imported. In: os.environ. Out: os.environ, complete and closed.

Nothing here imports Argilla: its settings objects are built once, at import, from what they find.
"""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

SEARCH_ENGINE = "sql"
"""Name under which our engine is registered with Argilla."""

PUBLISHED_SECRETS = frozenset({"1234", "12345678", "argilla.apikey"})
"""Passwords and keys that stand in Argilla's own documentation and compose file."""

SHORTEST_SECRET = 32
"""Characters of the key that signs log-ins; Argilla's own default has as many."""


class Misconfigured(Exception):
    """The environment does not say what is needed, or says something unsafe."""


class Owner(NamedTuple):
    """The first person, who may do everything, and where records go."""

    username: str
    password: str
    api_key: str
    workspace: str


def complete() -> None:
    """Set what the supervisor left open to the safe value, and refuse what is unsafe."""
    # Everything Argilla and SQLite write belongs to this user alone.
    os.umask(0o077)
    os.environ["ARGILLA_SEARCH_ENGINE"] = SEARCH_ENGINE
    # Argilla reports every request, with user id and role, unless this is set.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.pop("ARGILLA_ENABLE_TELEMETRY", None)
    os.environ.setdefault("ARGILLA_CORS_ORIGINS", "[]")
    os.environ.setdefault("ARGILLA_SHOW_HUGGINGFACE_SPACE_PERSISTENT_STORAGE_WARNING", "false")
    # SQLite has one writer: a labeler may have to wait for a large push, but should not fail.
    os.environ.setdefault("ARGILLA_DATABASE_SQLITE_TIMEOUT", "30")
    # Argilla makes whoever signs in under this name an owner; a shell may have set it by chance.
    os.environ.pop("USERNAME", None)
    if len(os.environ.get("ARGILLA_AUTH_SECRET_KEY", "")) < SHORTEST_SECRET:
        raise Misconfigured(
            f"ARGILLA_AUTH_SECRET_KEY must be set, to at least {SHORTEST_SECRET} characters; "
            "without it every restart signs everyone out"
        )


def home() -> Path:
    """Return the folder for Argilla's files; its own default where none is named."""
    return Path(os.environ.get("ARGILLA_HOME_PATH") or Path.home() / ".argilla")


def without_pages() -> None:
    """Let Argilla be imported without its web application.

    `import argilla_server` builds the whole application and copies its pages, 14 MB, into a new
    temporary folder each time. Programs that serve nothing leave both out.
    """
    stand_in = ModuleType("argilla_server._app")
    stand_in.app = None
    sys.modules[stand_in.__name__] = stand_in


def owner() -> Owner:
    """Read the first person's credentials; there are no defaults."""
    found = Owner(
        username=_required("ERRATA_ARGILLA_USERNAME"),
        password=_required("ERRATA_ARGILLA_PASSWORD"),
        api_key=_required("ERRATA_ARGILLA_API_KEY"),
        workspace=_required("ERRATA_ARGILLA_WORKSPACE"),
    )
    if PUBLISHED_SECRETS & {found.password, found.api_key}:
        raise Misconfigured("the owner's password and API key must not be Argilla's published ones")
    return found


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise Misconfigured(f"{name} must be set")
    return value
