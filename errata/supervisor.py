"""Running several processes as one: started in order, restarted when they die, stopped together.

In: parts, each a command. Out: running processes with their logs in files.
"""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx2

from errata.errors import Unavailable

START_SECONDS = 90.0
STOP_SECONDS = 10.0
LARGEST_LOG = 10_000_000
"""Bytes; a longer log is set aside at the next start."""


class Part(NamedTuple):
    """One process."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    """Whether it does its work already."""


class Supervisor:
    """The processes of one `errata up`."""

    def __init__(self, logs: Path, changed: Callable[[dict[str, int]], None]) -> None:
        self._logs = logs
        self._changed = changed
        self._parts: list[Part] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._deaths: dict[str, list[float]] = {}
        self.stopping = False

    def start(self, part: Part) -> None:
        """Start a part and wait until it is ready; does nothing once everything is to stop.

        Raises:
            Unavailable: It ended, or was not ready in time; the message has its last words.
        """
        if self.stopping:
            return
        self._parts.append(part)
        self._launch(part)
        end = time.monotonic() + START_SECONDS
        while not part.ready():
            if self.stopping:
                return
            if self._running[part.name].poll() is not None:
                raise Unavailable(f"{part.name} ended at its start:\n{self._tail(part.name)}")
            if time.monotonic() > end:
                raise Unavailable(f"{part.name} was not ready in time:\n{self._tail(part.name)}")
            time.sleep(0.1)

    def _launch(self, part: Part) -> None:
        path = self._logs / f"{part.name}.log"
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            self._running[part.name] = subprocess.Popen(
                part.command,
                env={**os.environ, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the parts in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self._changed(self.pids())

    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        return {name: process.pid for name, process in self._running.items()}

    def watch(self, seconds: float = 0.2) -> None:
        """Restart what died; until `stopping` is set. A part that dies often waits longer."""
        while not self.stopping:
            time.sleep(seconds)
            for part in self._parts:
                if not self.stopping and self._running[part.name].poll() is not None:
                    self._restart(part)

    def _restart(self, part: Part) -> None:
        now = time.monotonic()
        recent = [moment for moment in self._deaths.get(part.name, []) if now - moment < 60]
        wait = 0.0 if len(recent) < 3 else min(2.0 ** (len(recent) - 2), 30.0)
        if recent and now - recent[-1] < wait:
            return
        self._deaths[part.name] = [*recent, now]
        self._launch(part)

    def stop(self) -> None:
        """Stop all parts, the last started first; what does not end in time is killed."""
        self.stopping = True
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        for process in reversed(self._running.values()):
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _tail(self, name: str) -> str:
        text = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])


_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Have the kernel end the part when the supervisor is killed: no port stays taken."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def answers(url: str) -> Callable[[], bool]:
    """A check that an HTTP server is ready."""

    def check() -> bool:
        try:
            return httpx2.get(url, timeout=2).is_success
        except httpx2.TransportError:
            return False

    return check


def accepts(port: int) -> Callable[[], bool]:
    """A check that something listens on a port of this machine."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return check


def is_free(host: str, port: int) -> bool:
    """Whether the port can be bound.

    Raises:
        OSError: Nothing can be bound at that address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
