"""One installation on one machine: its first start, and the parts that `errata up` runs.

In: settings and a data folder. Out: credentials, an applied policy, running processes.
"""

import os
import secrets
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from errata import supervisor
from errata.db import Database
from errata.errors import Conflict, Unavailable
from errata.home import Api, Argilla, Credentials, Home, Running
from errata.settings import Settings
from errata.supervisor import Part, Supervisor
from ingestion import keys, policies, sealing
from ingestion.policy_file import STARTING_POLICY
from review.argilla import environment

OWNER = "owner"
"""The first person: keeps the installation and may review."""


class Plan(NamedTuple):
    """What `up` was asked to run."""

    settings: Settings
    home: Home
    argilla: bool
    """Whether to run an Argilla here."""


class Started(NamedTuple):
    """A running installation."""

    credentials: Credentials
    first: bool
    """Whether this was the first start, so that the log-in is shown."""


def check_ports(plan: Plan) -> None:
    """Refuse ports that somebody else has.

    Raises:
        Conflict: Names the port and the option.
        Unavailable: This machine has no such address, or does not let us listen there.
    """
    wanted = [(plan.settings.port, "--port")]
    if plan.argilla:
        wanted.append((plan.settings.argilla_port, "--argilla-port"))
    for port, option in wanted:
        try:
            free = supervisor.is_free(plan.settings.host, port)
        except OSError as error:
            raise Unavailable(
                f"cannot listen at {plan.settings.host} port {port}: {error.strerror}"
            ) from error
        if not free:
            raise Conflict(f"port {port} is taken by another program; choose one with {option}")


def prepare(plan: Plan, database: Database, now: datetime) -> Started:
    """Make what a first start needs: keys, log-in, policy. Later starts only renew addresses.

    Args:
        plan: What will run.
        database: Opened; migrated here.
        now: When.
    """
    database.migrate()
    first = not plan.home.has_credentials()
    credentials = _first_credentials(plan, database, now) if first else _readdress(plan)
    plan.home.keep_credentials(credentials)
    if not plan.settings.state_keys and plan.home.state_keys() is None:
        plan.home.keep_state_keys(sealing.new_key())
    return Started(credentials, first)


def _urls(plan: Plan) -> tuple[str, str]:
    settings = plan.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    here = f"http://{host}:{settings.argilla_port}"
    return f"http://{host}:{settings.port}", settings.argilla_url or here


def _first_credentials(plan: Plan, database: Database, now: datetime) -> Credentials:
    api_url, argilla_url = _urls(plan)
    if not plan.home.policy.exists():
        plan.home.policy.write_text(STARTING_POLICY, encoding="utf-8")
    text = plan.home.policy.read_text(encoding="utf-8")
    with database.transaction() as session:
        policies.apply(session, text, actor=OWNER, now=now)
        admin = keys.create(session, "admin", OWNER, actor=OWNER, now=now)
        keys.create(session, "reviewer", OWNER, actor=OWNER, now=now)
        agent = keys.create(session, "agent", "agent", actor=OWNER, now=now)
    own = plan.settings.argilla_api_key
    return Credentials(
        Api(api_url, admin.secret, agent.secret),
        Argilla(
            argilla_url,
            OWNER,
            secrets.token_urlsafe(12),
            own.get_secret_value() if own else secrets.token_urlsafe(32),
        ),
    )


def _readdress(plan: Plan) -> Credentials:
    """The credentials, with the addresses of this start."""
    api_url, argilla_url = _urls(plan)
    known = plan.home.credentials()
    return Credentials(known.api._replace(url=api_url), known.argilla._replace(url=argilla_url))


def start(
    plan: Plan, credentials: Credentials, parts: Supervisor, say: Callable[[str], None]
) -> None:
    """Start every part, in order.

    Args:
        plan: What to run.
        credentials: Of this installation.
        parts: Runs them.
        say: Told what takes long.

    Raises:
        Unavailable: A part did not start.
    """
    if plan.argilla:
        python = environment.build(say)
        say("Starting Argilla …")
        for part in _argilla_parts(plan, credentials, python):
            parts.start(part)
    say("Starting the API and the worker …")
    for part in _own_parts(plan, credentials):
        parts.start(part)


def _argilla_parts(plan: Plan, credentials: Credentials, python: Path) -> list[Part]:
    redis_port = supervisor.free_port()
    variables = {
        "PYTHONPATH": str(environment.EMBEDDED),
        "ARGILLA_HOME_PATH": str(plan.home.argilla),
        "ARGILLA_AUTH_SECRET_KEY": plan.home.secret("sign-in"),
        "ARGILLA_REDIS_URL": (f"redis://:{plan.home.secret('redis')}@127.0.0.1:{redis_port}/0"),
    }
    owner = {
        "ERRATA_ARGILLA_USERNAME": credentials.argilla.username,
        "ERRATA_ARGILLA_PASSWORD": credentials.argilla.password,
        "ERRATA_ARGILLA_API_KEY": credentials.argilla.api_key,
        "ERRATA_ARGILLA_WORKSPACE": plan.settings.argilla_workspace,
    }
    host, port = plan.settings.host, plan.settings.argilla_port
    run = (str(python), "-m", "errata_argilla")
    redis = (*run, "redis", "--dir", str(plan.home.argilla / "redis"), "--port", str(redis_port))
    serve = (*run, "serve", "--host", host, "--port", str(port))
    # The owner is made by the same command as the server, before it: a restart repeats it.
    chain = ("sh", "-c", '"$0" -m errata_argilla bootstrap && exec "$@"', run[0], *serve)
    ready = supervisor.answers(f"{credentials.argilla.url}/api/v1/version")
    return [
        Part("redis", redis, variables, supervisor.accepts(redis_port)),
        Part("argilla", chain, {**variables, **owner}, ready),
        Part("argilla-worker", (*run, "worker"), variables, lambda: True),
    ]


def _own_parts(plan: Plan, credentials: Credentials) -> list[Part]:
    settings = plan.settings
    variables = {
        "ERRATA_HOME": str(plan.home.path),
        "ERRATA_HOST": settings.host,
        "ERRATA_PORT": str(settings.port),
        "ERRATA_POLL_SECONDS": str(settings.poll_seconds),
        "ERRATA_EXECUTION_LIMIT": str(settings.execution_limit),
        "ERRATA_ARGILLA_WORKSPACE": settings.argilla_workspace,
    }
    if settings.database_url is not None:
        variables["ERRATA_DATABASE_URL"] = settings.database_url
    if plan.argilla or settings.argilla_url is not None:
        variables["ERRATA_ARGILLA_URL"] = credentials.argilla.url
        variables["ERRATA_ARGILLA_API_KEY"] = credentials.argilla.api_key
    # -P: modules that lie in the folder where a user happens to be are not ours to import.
    run = (sys.executable, "-P", "-m", "errata")
    ready = supervisor.answers(f"{credentials.api.url}/readyz")
    return [
        Part("api", (*run, "api"), variables, ready),
        Part("worker", (*run, "worker"), variables, lambda: True),
    ]


class Opened(NamedTuple):
    """A prepared installation whose parts can be started."""

    plan: Plan
    started: Started
    parts: Supervisor


@contextmanager
def opened(plan: Plan) -> Generator[Opened]:
    """Hold the data folder, prepared, for one `errata up`; stops the parts at the end.

    Raises:
        Conflict: The folder is in use, or a port is taken; nothing was changed.
    """
    os.umask(0o077)  # everything written from here on belongs to this user alone
    plan.home.make()
    with plan.home.lock():
        check_ports(plan)
        database = Database(plan.settings.database)
        started = prepare(plan, database, datetime.now(UTC))
        database.close()
        addresses = started.credentials

        def changed(children: dict[str, int]) -> None:
            argilla = addresses.argilla.url if plan.argilla else None
            plan.home.say_running(Running(os.getpid(), addresses.api.url, argilla, children))

        parts = Supervisor(plan.home.logs, changed)
        try:
            yield Opened(plan, started, parts)
        finally:
            parts.stop()
            plan.home.say_running(None)
