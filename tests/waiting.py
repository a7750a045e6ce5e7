"""How long tests wait for what is sure to come, and the application served meanwhile.

In: an application, a condition. Out: an address, a value. Machines stand still at times, for 20 s
and more: a limit that is there only to end a broken test is `PATIENCE_S`. It costs nothing where
all is well, since nobody waits longer than it takes.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import uvicorn
from starlette.types import ASGIApp

Found = TypeVar("Found")

PATIENCE_S = 90.0
"""Longer than the longest long poll (60 s) and a standstill together."""
PROCESS_S = 300.0
"""For a program that a test starts, with all that it has to import."""


def until(what: Callable[[], Found | None], words: str, seconds: float = PATIENCE_S) -> Found:
    """Wait until something is true; its value.

    Raises:
        AssertionError: It has not become so in time.
    """
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {words}"
        time.sleep(0.05)
    return found


def server_of(app: ASGIApp, port: int = 0) -> uvicorn.Server:
    """A server that lets idle connections be: a client that stood still would find them closed."""
    config = uvicorn.Config(
        app, port=port, log_level="error", ws="none", timeout_keep_alive=int(PATIENCE_S)
    )
    return uvicorn.Server(config)


class Serving:
    """An application behind uvicorn in a thread, at an address of its own."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._server = server_of(app, port)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive(), "the server's start")
        assert self._server.started, "the server ended at its start"
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self, grace_s: int | None = None) -> None:
        """End it, and every connection; requests that are not answered by then are dropped."""
        self._server.config.timeout_graceful_shutdown = grace_s
        self._server.should_exit = True
        self._thread.join()


@contextmanager
def serving(app: ASGIApp) -> Generator[str]:
    """Serve while the block runs; the address."""
    running = Serving(app)
    try:
        yield running.url
    finally:
        running.stop()
