"""The data folder: what one installation keeps on this machine.

In: a path. Out: credentials made at the first start and kept with mode 0600, the starting policy,
the lock that keeps a second `errata up` away.
"""

import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from errata.errors import Conflict, Malformed, NotFound

STATE_KEYS = "state.keys"
"""The file of the keys that seal saved states, one a line, the one that seals first."""


class Api(NamedTuple):
    """Where the API is, and two keys for it."""

    url: str
    admin_key: str
    agent_key: str


class Argilla(NamedTuple):
    """Where Argilla is, and its first user."""

    url: str
    username: str
    password: str
    api_key: str


class Credentials(NamedTuple):
    """What `credentials.json` holds."""

    api: Api
    argilla: Argilla


class Running(NamedTuple):
    """A running `errata up`."""

    pid: int
    api: str
    argilla: str | None
    children: dict[str, int]
    """Process ids by part."""


class Home:
    """A data folder; made, readable by its owner only, when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.policy = self.path / "policy.yaml"
        self.logs = self.path / "logs"
        self.argilla = self.path / "argilla"
        self._credentials = self.path / "credentials.json"
        self._state_keys = self.path / STATE_KEYS
        self._running = self.path / "running.json"

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.logs, self.argilla):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self) -> FileLock:
        """Take the folder for one `errata up`.

        Raises:
            Conflict: Another one runs on it.
        """
        lock = FileLock(self.path / "up.lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise Conflict(self._taken()) from error
        return lock

    def _taken(self) -> str:
        running = self.running()
        if running is None:
            return f"errata is starting or stopping on {self.path}; try again"
        addresses = f"API {running.api}" + (
            f", Argilla {running.argilla}" if running.argilla else ""
        )
        return (
            f"errata runs on {self.path} already (process {running.pid}: {addresses}); "
            "nothing was changed"
        )

    def running(self) -> Running | None:
        """What runs on this folder, as it said itself."""
        try:
            return Running(**json.loads(self._running.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def say_running(self, running: Running | None) -> None:
        """Write down what runs, or that nothing does."""
        if running is None:
            self._running.unlink(missing_ok=True)
        else:
            _write(self._running, running._asdict())

    def has_credentials(self) -> bool:
        """Whether a first start has been."""
        return self._credentials.exists()

    def credentials(self) -> Credentials:
        """The credentials.

        Raises:
            NotFound: There has been no first start.
            Malformed: The file was damaged.
        """
        try:
            found = json.loads(self._credentials.read_text(encoding="utf-8"))
            return Credentials(Api(**found["api"]), Argilla(**found["argilla"]))
        except FileNotFoundError as error:
            raise NotFound(
                f"{self.path} is no data folder yet; run `errata up` or give --home"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(
                f"{self._credentials} is damaged; put back a copy of it ({error!r})"
            ) from error

    def keep_credentials(self, credentials: Credentials) -> None:
        """Write the credentials."""
        _write(
            self._credentials,
            {"api": credentials.api._asdict(), "argilla": credentials.argilla._asdict()},
        )

    def secret(self, name: str) -> str:
        """A secret of this installation that no person needs; made at its first use."""
        path = self.argilla / f"{name}.secret"
        if not path.exists():
            _write_text(path, secrets.token_hex(32))
        return path.read_text(encoding="utf-8")

    def state_keys(self) -> str | None:
        """The keys that seal saved states, as they are written down; None: there are none here."""
        try:
            return self._state_keys.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def keep_state_keys(self, keys: str) -> None:
        """Write the keys that seal saved states."""
        _write_text(self._state_keys, keys + "\n")


def _write(path: Path, value: object) -> None:
    _write_text(path, json.dumps(value, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Write whole or not at all, for the owner's eyes only."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
