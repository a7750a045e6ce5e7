"""Looking at every part of an installation, and saying what to do about what is wrong.

In: settings and a data folder. Out: findings, in the order in which one depends on the other.
"""

import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import httpx2
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from errata.db import Database
from errata.errors import ErrataError
from errata.home import Home
from errata.schema import migrations_folder
from errata.settings import Settings
from ingestion import alarms, parked, policies, sealing
from ingestion.policy_file import parse
from review.argilla import environment
from review.tables import ArgillaRecord, ArgillaWebhook

Grade = Literal["good", "warning", "fault"]
LEAST_FREE = 1_000_000_000
"""Bytes of disk below which a warning is due."""

EXTERNAL = (
    "an Argilla of your own: records are pushed inert, but errata cannot give it a "
    "Content-Security-Policy, keep owners from rewriting answers, keep labelers from reading each "
    "other's answers, limit log-in attempts, or measure when a record was opened"
)


class Finding(NamedTuple):
    """What one look found."""

    part: str
    grade: Grade
    words: str


def examine(settings: Settings, home: Home) -> Iterator[Finding]:
    """Look at every part; one that cannot be looked at is a fault, not an error.

    Args:
        settings: In force.
        home: The data folder.
    """
    if not home.has_credentials():
        yield Finding("data folder", "fault", f"{home.path} is none yet; run `errata up`")
        return
    yield from _folder(home)
    yield from _guard("database", lambda: _database(settings, home))
    yield from _guard("API", lambda: _api(home))
    yield from _guard("Argilla", lambda: _argilla(settings, home))


def _guard(part: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from list(look())
    except (ErrataError, OSError, SQLAlchemyError, httpx2.HTTPError) as error:
        yield Finding(part, "fault", f"could not be looked at: {type(error).__name__}: {error}")


def _folder(home: Home) -> Iterator[Finding]:
    open_to_others = [
        path.name
        for path in (home.path, *home.path.iterdir())
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        yield Finding(
            "data folder",
            "fault",
            f"others can read {', '.join(open_to_others)}; chmod -R go= {home.path}",
        )
    else:
        yield Finding("data folder", "good", f"{home.path}, readable by its owner only")
    free = shutil.disk_usage(home.path).free
    grade: Grade = "good" if free >= LEAST_FREE else "warning"
    yield Finding("disk", grade, f"{free / 1e9:.1f} GB free")


def _database(settings: Settings, home: Home) -> Iterator[Finding]:
    database = Database(settings.database)
    try:
        with database.engine.connect() as connection:
            now = MigrationContext.configure(connection).get_current_revision()
        newest = ScriptDirectory(str(migrations_folder())).get_current_head()
        if now != newest:
            yield Finding(
                "database",
                "fault",
                f"at revision {now}, needs {newest}; any errata command mends it",
            )
            return
        yield Finding("database", "good", f"at revision {now}")
        yield from _rows(database, home)
        yield from _states(database, settings, home)
    finally:
        database.close()


def _rows(database: Database, home: Home) -> Iterator[Finding]:
    with database.reading() as session:
        active = policies.in_force(session).version
        stuck = session.exec(
            select(ArgillaRecord.external_id, ArgillaRecord.error).where(
                col(ArgillaRecord.removed_at).is_(None), col(ArgillaRecord.error).is_not(None)
            )
        ).all()
        ringing = len(alarms.listed(session))
    file = parse(home.policy.read_text(encoding="utf-8")).version if home.policy.exists() else None
    if file in {None, active}:
        yield Finding("policy", "good", f"version {active} is active")
    else:
        yield Finding(
            "policy",
            "warning",
            f"{home.policy} differs from the active version; `errata policy apply` it, or it does "
            "nothing",
        )
    if stuck:
        yield Finding("outbox", "warning", f"{len(stuck)} records wait for Argilla: {stuck[0][1]}")
    else:
        yield Finding("outbox", "good", "nothing waits for Argilla in vain")
    if ringing:
        yield Finding("alarms", "warning", f"{ringing} are open; see `errata alarms`")
    else:
        yield Finding("alarms", "good", "none is open")


def _states(database: Database, settings: Settings, home: Home) -> Iterator[Finding]:
    """Whether every saved state can be opened, and which keys are needed for it."""
    given = settings.state_keys.get_secret_value() if settings.state_keys else None
    ring = sealing.ring(given, home.state_keys())
    with database.reading() as session:
        used = parked.keys_in_use(session)
    lost = {key: count for key, count in used.items() if key not in ring.fingerprints}
    if lost:
        said = ", ".join(f"{count} with key {key}" for key, count in lost.items())
        words = f"cannot be opened: {said}; add the key to {sealing.SETTING}"
        yield Finding("saved states", "fault", words)
    elif not ring.fingerprints:
        words = f"cannot be kept: there is no key; set {sealing.SETTING} or run `errata up`"
        yield Finding("saved states", "warning", words)
    else:
        said = ", ".join(f"{count} with key {key}" for key, count in used.items()) or "none"
        words = f"sealed: {said}; new ones are sealed with {ring.fingerprints[0]}"
        yield Finding("saved states", "good", words)


def _api(home: Home) -> Iterator[Finding]:
    running = home.running()
    if running is None:
        yield Finding("API", "warning", "nothing runs on this folder; `errata up` starts it")
        return
    answer = httpx2.get(f"{running.api}/readyz", timeout=5)
    if answer.is_success:
        yield Finding("API", "good", running.api)
    else:
        yield Finding(
            "API", "fault", f"{running.api} answers {answer.status_code}; see logs/api.log"
        )


def _argilla(settings: Settings, home: Home) -> Iterator[Finding]:
    running = home.running()
    own = settings.argilla_url
    url = own or (running.argilla if running is not None else None)
    if own is None:
        built = (environment.folder() / ".complete").exists()
        words = str(environment.folder()) if built else "made at the next `errata up`"
        yield Finding("Argilla's environment", "good" if built else "warning", words)
    else:
        yield Finding("Argilla", "warning", EXTERNAL)
    if url is None:
        return
    key = home.credentials().argilla.api_key
    if settings.argilla_api_key is not None:
        key = settings.argilla_api_key.get_secret_value()
    me = httpx2.get(f"{url}/api/v1/me", headers={"X-Argilla-Api-Key": key}, timeout=10)
    if me.status_code == 401:
        yield Finding(
            "Argilla", "fault", f"{url} does not take the key; set ERRATA_ARGILLA_API_KEY"
        )
    elif not me.is_success:
        yield Finding("Argilla", "fault", f"{url} answers {me.status_code}; see logs/argilla.log")
    elif me.json()["role"] != "owner":
        yield Finding("Argilla", "fault", "the key is no owner's; errata needs an owner's")
    else:
        yield Finding("Argilla", "good", url)
        yield from _webhook(settings, url, key)


def _webhook(settings: Settings, url: str, key: str) -> Iterator[Finding]:
    answer = httpx2.get(f"{url}/api/v1/webhooks", headers={"X-Argilla-Api-Key": key}, timeout=10)
    there = {hook["id"] for hook in answer.json()["items"] if hook["enabled"]}
    database = Database(settings.database)
    try:
        with database.reading() as session:
            ours = set(session.exec(select(ArgillaWebhook.id)))
    finally:
        database.close()
    if there & ours:
        yield Finding("webhook", "good", "Argilla tells us of answers at once")
    else:
        yield Finding(
            "webhook", "warning", "Argilla does not call us: answers come by polling only"
        )
