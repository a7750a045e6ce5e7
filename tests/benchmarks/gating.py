"""What the gate costs a tool call that the policy lets run at once.

In: an API on SQLite of its own and the bare endpoint of `bare`, each in a process of its own. Out:
milliseconds that the gate adds to a call, and of a request to the bare endpoint, both in a row and
with the pauses of an agent that thinks; their ratios. The goal is for calls in a row; after a pause
it is mostly the machine that is timed, whose idle processor has to wake. All from one run, taking
turns. Run by `make bench-kernel`.
"""

import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx2

from errata import Client
from errata.agents.functions import gated
from errata.db import Database
from ingestion import policies
from tests.benchmarks.throughput import say, serving
from tests.e2e.running import free_ports
from tests.people import NOW, settle_in

CALLS = 400
ROUNDS = 3
THINKING_SECONDS = 0.05
"""Between two calls of an agent; a model takes longer."""
AUTO = "version: 1\ndefault: {route: auto}\n"
GOAL_MS = 5.0


def milliseconds(call: Callable[[int], object], count: int, pause: float = 0.0) -> float:
    """The median of so many calls."""
    taken: list[float] = []
    for number in range(count):
        time.sleep(pause)
        begun = time.perf_counter()
        call(number)
        taken.append(time.perf_counter() - begun)
    return 1000 * sorted(taken)[count // 2]


def measure(client: Client, bare: httpx2.Client) -> None:
    """Measure and print."""

    def look_up(name: str, number: int) -> str:
        """Find an account."""
        return f"{name} {number}"

    tool = gated(client, "desk", thread=uuid.uuid4().hex)(look_up)
    tool("warm", -1)
    offset = iter(range(1_000_000_000))
    body = {"name": "bob", "arguments": {"number": 1}}

    def store(_: int) -> None:
        bare.post("/rows", json=body).raise_for_status()

    def call(_: int) -> None:
        tool("bob", next(offset))

    plain = milliseconds(lambda number: look_up("bob", number), CALLS)
    for words, pause in (("calls in a row", 0.0), ("an agent that thinks", THINKING_SECONDS)):
        count = CALLS // 4 if pause else CALLS
        rounds = [
            (milliseconds(store, count, pause), milliseconds(call, count, pause) - plain)
            for _ in range(ROUNDS)
        ]
        stored, over = sorted(rounds, key=lambda one: one[1])[ROUNDS // 2]
        goal = "" if pause else f", goal {GOAL_MS:.0f} ms"
        say(f"{words}: the gate adds {over:6.2f} ms{goal}")
        say(f"    a request that stores one row takes {stored:6.2f} ms; {over / stored:.2f} of it")


def main() -> None:
    """Start both servers and measure."""
    folder = Path(tempfile.mkdtemp())
    port, bare_port = free_ports(2)
    url = f"sqlite:///{folder / 'errata.db'}"
    database = Database(url)
    database.migrate()
    with database.transaction() as session:
        agent = settle_in(session).agent
        policies.apply(session, AUTO, actor="test", now=NOW)
    database.close()
    api = [sys.executable, "-m", "errata", "api", "--home", str(folder), "--port", str(port)]
    plain = [
        *(sys.executable, "-m", "uvicorn", "tests.benchmarks.bare:app", "--no-access-log"),
        *("--port", str(bare_port), "--log-level", "error"),
    ]
    with (
        serving(api, port, "/healthz", ERRATA_DATABASE_URL=url),
        serving(plain, bare_port, "/docs", BARE_DATABASE=str(folder / "bare.db")),
        Client(f"http://127.0.0.1:{port}", agent.secret) as client,
        httpx2.Client(base_url=f"http://127.0.0.1:{bare_port}") as bare,
    ):
        measure(client, bare)


if __name__ == "__main__":
    main()
