"""How much one API process takes in, and how many agents can wait at it.

In: an API on SQLite of its own, and the bare endpoint of `bare`, each in a process of its own.
Out: proposals a second singly and in batches, the bare endpoint's requests a second, the ratio of
the two, and what became of ten thousand long polls; all from one run. Run by `make bench-kernel`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from errata.db import Database
from tests.e2e.running import free_ports
from tests.people import Person, settle_in

SINGLE = 2_000
CALLERS = 16
"""Connections that send one after the other; more would measure the client."""
BATCHES, LINES = 5, 2_000
WAITERS = int(os.environ.get("ERRATA_WAITERS", "10000"))
ANSWERED = 200
"""So many of those waited for are decided; the others' polls must end empty, without an error."""
ROUNDS = 3
"""Ours and the bare one take turns, so that a busy moment of the machine hits both."""


class Server(NamedTuple):
    """A running server."""

    port: int
    headers: dict[str, str]


@contextmanager
def serving(command: list[str], port: int, path: str, **variables: str) -> Generator[None]:
    """Run a server until the block ends."""
    process = subprocess.Popen(command, env={**os.environ, **variables})
    try:
        end = time.monotonic() + 30
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=2)
                break
            except httpx2.TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def proposal(number: int) -> bytes:
    """A proposal as an agent sends it; a person has to decide on it."""
    return json.dumps(
        {
            "hap": "1",
            "kind": "action",
            "agent": {"id": "desk", "version": "1"},
            "action": {"name": "refund", "arguments": {"amount": number, "to": "bob"}},
            "reasoning": {"goal": f"refund order {number}"},
            "metadata": {"order": number},
        }
    ).encode()


def request(server: Server, method: str, path: str, body: bytes = b"") -> bytes:
    """An HTTP/1.1 request, written out: a client library would cost more than the server."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *(f"{name}: {value}" for name, value in server.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**26))

    async def call(self, sent: bytes) -> tuple[int, bytes]:
        """Send one request; status and body of the answer."""
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        return int(lines[0].split()[1]), await self._reader.readexactly(size)

    def close(self) -> None:
        self._writer.close()


async def rate(server: Server, path: str, bodies: list[bytes]) -> float:
    """Requests a second over all callers; every one must be taken."""
    left = iter([request(server, "POST", path, body) for body in bodies])

    async def caller() -> None:
        connection = await Connection.open(server.port)
        for sent in left:
            status, answer = await connection.call(sent)
            assert status in {201, 202}, answer[:300]
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return len(bodies) / (time.perf_counter() - began)


async def batch_rate(server: Server) -> float:
    """Proposals a second in batches, one after the other."""
    connection = await Connection.open(server.port)
    bodies: list[bytes] = []
    for number in range(BATCHES):
        first = 10**6 + number * LINES
        lines = b"\n".join(proposal(first + line) for line in range(LINES))
        bodies.append(request(server, "POST", "/v1/proposals/batch", lines))
    began = time.perf_counter()
    for sent in bodies:
        status, answer = await connection.call(sent)
        assert status == 202, answer[:300]
    connection.close()
    return BATCHES * LINES / (time.perf_counter() - began)


async def wait_for_all(server: Server, reviewer: Server) -> dict[str, Any]:
    """Ten thousand long polls at once, of which some are answered while they wait."""
    lines = b"\n".join(proposal(10**7 + number) for number in range(WAITERS))
    connection = await Connection.open(server.port)
    _, answer = await connection.call(request(server, "POST", "/v1/proposals/batch", lines))
    asked = json.loads(answer)["proposals"]
    found: Counter[str] = Counter()
    woken: list[float] = []
    answered: dict[str, float] = {}

    async def waiter(ticket: dict[str, Any]) -> None:
        try:
            own = await Connection.open(server.port)
            path = f"/v1/proposals/{ticket['id']}?wait=60"
            status, raw = await own.call(request(server, "GET", path))
            own.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            found[type(error).__name__] += 1
            return
        decided = status == 200 and b'"decision"' in raw
        found[f"{status}, {'decided' if decided else 'not yet'}"] += 1
        if decided:
            woken.append(time.perf_counter() - answered[ticket["id"]])

    waiting = [asyncio.create_task(waiter(ticket)) for ticket in asked]
    connection.close()
    await asyncio.sleep(25)
    connection = await Connection.open(server.port)
    for ticket in asked[:: WAITERS // ANSWERED]:
        said = {"proposal_id": ticket["id"], "digest": ticket["digest"], "verdict": "approve"}
        path = f"/v1/proposals/{ticket['id']}/reviews"
        answered[ticket["id"]] = time.perf_counter()
        sent = request(reviewer, "POST", path, json.dumps(said).encode())
        status, raw = await connection.call(sent)
        assert status == 201, raw[:300]
    await asyncio.gather(*waiting)
    woken.sort()
    return {"answers": dict(found), "woken p50 s": woken[len(woken) // 2] if woken else None}


Step = Callable[[], Awaitable[float]]


async def measure(ours: Server, bare: Server, reviewer: Server) -> None:
    """Measure and print."""
    ratios: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        bodies = [proposal(number * SINGLE + one) for one in range(SINGLE)]
        plain = await rate(bare, "/rows", bodies)
        own = await rate(ours, "/v1/proposals", bodies)
        ratios.append((own, plain))
    own, plain = sorted(ratios, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    say(f"single proposals a second      {own:7.0f}")
    say(f"the bare endpoint              {plain:7.0f}   ratio {own / plain:.2f}, goal 0.40")
    say(f"proposals a second in batches  {await batch_rate(ours):7.0f}   goal 5,000")
    say(f"{WAITERS:,} long polls at once: {await wait_for_all(ours, reviewer)}")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Start both servers and measure."""
    folder = Path(tempfile.mkdtemp())
    port, bare_port = free_ports(2)
    database = Database(f"sqlite:///{folder / 'errata.db'}")
    database.migrate()
    with database.transaction() as session:
        people = settle_in(session)
    database.close()

    def server(person: Person) -> Server:
        return Server(port, person.headers)

    api = [sys.executable, "-m", "errata", "api", "--home", str(folder), "--port", str(port)]
    plain = [
        *(sys.executable, "-m", "uvicorn", "tests.benchmarks.bare:app", "--no-access-log"),
        *("--port", str(bare_port), "--log-level", "error"),
    ]
    url = f"sqlite:///{folder / 'errata.db'}"
    with (
        serving(api, port, "/healthz", ERRATA_DATABASE_URL=url),
        serving(plain, bare_port, "/docs", BARE_DATABASE=str(folder / "bare.db")),
    ):
        asyncio.run(measure(server(people.agent), Server(bare_port, {}), server(people.ann)))


if __name__ == "__main__":
    main()
