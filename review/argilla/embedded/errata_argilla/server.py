"""The server process: Argilla's API and UI. In: an address. Out: it serves until SIGTERM.

Argilla's application is mounted whole; around it stand our lifespan, which sends webhooks, and
the hardening.
"""

import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from argilla_server import _app as argilla
from argilla_server.database import async_engine
from starlette.applications import Starlette
from starlette.routing import Mount

from errata_argilla import discretion, room, shortcuts
from errata_argilla.hardening import answers, logins, pages, sight
from errata_argilla.hardening.edge import Edge
from errata_argilla.looks import api as looks
from errata_argilla.search import engine, gone
from errata_argilla.webhooks import interception
from errata_argilla.webhooks.dispatcher import Dispatcher

SHUTDOWN_SECONDS = 5

FIRST_SCRIPT = Path(pages.__file__).with_name("inert.js")
LAST_SCRIPT = Path(looks.__file__).with_name("looks.js")


def build() -> Edge:
    """Put the application together."""
    discretion.keep()
    room.tell()
    engine.register()
    gone.leave_out()
    shortcuts.take()
    shortcuts.pack_lightly(argilla.app)
    # Argilla waits a minute for Redis and then gives up; reviewing needs no Redis.
    argilla.configure_redis = lambda: None
    logins.limit()
    answers.protect()
    sight.narrow()
    looks.offer()
    app = Starlette(routes=[Mount("/", app=argilla.app)], lifespan=_lifespan)
    folder = pages.find(argilla.app)
    pages.stay_home(folder)
    pages.add_scripts(folder, FIRST_SCRIPT, LAST_SCRIPT)
    return Edge(app, pages.write_policy(folder))


def run(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then exit with status 0."""
    server = uvicorn.Server(
        uvicorn.Config(
            build(),
            host=host,
            port=port,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    # uvicorn shuts down in order and then raises the signal again, for whoever is left to hear it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    sys.exit(0 if server.started else 1)


@contextlib.asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    dispatcher = Dispatcher()
    interception.install(dispatcher.send, dispatcher.wake)
    async with argilla.app_lifespan(argilla.app):
        await dispatcher.start()
        try:
            yield
        finally:
            await dispatcher.stop()
            await async_engine.dispose()
