"""A really running installation, for the tests of this folder.

In: a folder. Out: a process of `errata`, its addresses and log-ins; always stopped at the end.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.waiting import PATIENCE_S, PROCESS_S, until

START_SECONDS = 300
"""The first start on a machine installs the Argilla server."""
ERRATA = (sys.executable, "-P", "-m", "errata")


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Installation:
    """One data folder and the process that runs on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.argilla_port = free_ports(2)
        self.process: subprocess.Popen[str] | None = None

    def launch(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start `errata COMMAND` on this folder and these ports."""
        ports = ("--port", str(self.port), "--argilla-port", str(self.argilla_port))
        with (self.home.parent / f"{command[0]}.err").open("a") as errors:
            self.process = subprocess.Popen(
                [*ERRATA, *command, "--home", str(self.home), *ports],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **environment},
            )
        return self.process

    def up(self) -> None:
        """Start `errata up` and wait for every part."""
        self.launch("up")
        until(self._is_up, "errata up", START_SECONDS)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors("up")
        parts = self.children()
        if "worker" not in parts:
            return False
        try:
            return httpx2.get(f"{self.api}/readyz", timeout=2).is_success
        except httpx2.TransportError:
            return False

    def errors(self, command: str) -> str:
        return (self.home.parent / f"{command}.err").read_text()

    def children(self) -> dict[str, int]:
        """Process ids of the parts, as `errata` says itself."""
        try:
            return json.loads((self.home / "running.json").read_text())["children"]
        except (OSError, ValueError):
            return {}

    def kill(self, part: str) -> None:
        """kill -9."""
        os.kill(self.children()[part], signal.SIGKILL)

    def stop(self) -> int | None:
        """Ctrl-C, and the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def argilla(self) -> str:
        return f"http://127.0.0.1:{self.argilla_port}"

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        return json.loads((self.home / "credentials.json").read_text())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run an `errata` command on this folder to its end."""
        return subprocess.run(
            [*ERRATA, *command, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROCESS_S,
        )

    def reviewer(self, name: str) -> str:
        """Make a reviewer; its Argilla password."""
        done = self.run("key", "create", "--role", "reviewer", "--name", name, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["password"]
