"""Ten thousand proposals through one bridge on a real RabbitMQ, while it is killed five times.

Nothing is lost, nothing is decided twice. `ERRATA_MESSAGES` sets how many there are; `make broker`
runs ten thousand and prints the figures.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from sqlalchemy import text

from errata.broker.messages import Names
from errata.db import Database
from review import audit
from tests.brokers import RABBIT, need_rabbit
from tests.e2e.running import ERRATA, Installation
from tests.e2e.test_fleet import is_up
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.slow, pytest.mark.rabbit, pytest.mark.timeout(900)]

MESSAGES = int(os.environ.get("ERRATA_MESSAGES", "1000"))
KILLS = 5
POLICY = """\
version: 1
default: {route: queue, quorum: 1, expires_in: 24h, on_timeout: reject}
rules:
  - {name: by itself, when: {action: note}, route: auto}
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    need_rabbit()
    home = Installation(tmp_path / "home")
    home.home.mkdir()
    (home.home / "policy.yaml").write_text(POLICY)
    home.launch("up", "--no-argilla")
    try:
        until(lambda: "api" in home.children() and is_up(home), "the API")
        yield home
    finally:
        home.stop()


class Bridge:
    """The process of `errata broker`, to be killed."""

    def __init__(self, home: Installation, names: Names) -> None:
        self._home = home
        self._log = home.home.parent / "bridge.log"
        cursor = home.home.parent / "cursor"
        self._command = [*ERRATA, "broker", "--prefix", names.prefix, "--cursor", str(cursor)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            "ERRATA_BROKER_URL": RABBIT,
            "ERRATA_URL": self._home.api,
            "ERRATA_KEY": self._home.credentials["api"]["agent_key"],
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stderr=log, env={**os.environ, **environment}
            )

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """SIGTERM, and the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    @property
    def repeated(self) -> int:
        """Messages that came again."""
        return self._log.read_text().count("comes again")


def proposal(number: int) -> bytes:
    value: dict[str, Any] = {
        "hap": "1",
        "kind": "action",
        "agent": {"id": f"agent-{number % 20}"},
        "action": {"name": "note", "arguments": {"number": number}},
    }
    return json.dumps(value).encode()


async def soon(what: Callable[[], bool], words: str) -> None:
    end = time.monotonic() + 600
    while not what():
        assert time.monotonic() < end, words
        await asyncio.sleep(0.25)


async def drill(
    bridge: Bridge, names: Names, count: Callable[[], int], told: Counter[str]
) -> dict[str, float]:
    """Send everything, kill the bridge again and again, wait for every decision."""
    async with await aio_pika.connect(RABBIT) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(names.decisions, "topic", durable=True)
        proposals = await channel.declare_queue(names.proposals, durable=True)
        parked = await channel.declare_queue(names.parked, durable=True)
        listener = await channel.declare_queue(f"{names.prefix}.listener", durable=True)
        await listener.bind(exchange, "#")

        async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            told[str(message.message_id)] += 1

        try:
            for first in range(0, MESSAGES, 500):
                some = range(first, min(first + 500, MESSAGES))
                await asyncio.gather(
                    *(
                        channel.default_exchange.publish(
                            aio_pika.Message(
                                proposal(number),
                                message_id=f"m-{number}",
                                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                            ),
                            names.proposals,
                        )
                        for number in some
                    )
                )
            await listener.consume(note, no_ack=True)
            began = time.monotonic()
            bridge.start()
            for kill in range(1, KILLS + 1):
                goal = MESSAGES * kill // (KILLS + 1)
                await soon(lambda goal=goal: count() >= goal, f"{goal} proposals")
                bridge.kill()
                bridge.start()
            await soon(lambda: count() >= MESSAGES, "every proposal")
            taken = time.monotonic()
            await soon(lambda: len(told) >= MESSAGES, "every decision")
            over = time.monotonic()
            assert bridge.end() == 0
            for queue in (proposals, parked):
                left = await channel.declare_queue(queue.name, passive=True)
                assert left.declaration_result.message_count == 0, queue.name
            return {"taken": taken - began, "told": over - began}
        finally:
            for queue in (proposals, parked, listener):
                await queue.delete(if_unused=False, if_empty=False)
            await channel.exchange_delete(names.decisions)


def test_every_message_is_decided_once_through_five_kills_of_the_bridge(
    home: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    names = Names(f"test-{uuid.uuid4().hex[:12]}")
    bridge = Bridge(home, names)
    database = Database(f"sqlite:///{home.home / 'errata.db'}")

    def query(statement: str) -> list[Any]:
        with database.reading() as session:
            return list(session.connection().execute(text(statement)).all())

    told: Counter[str] = Counter()
    seconds = asyncio.run(
        drill(bridge, names, lambda: query("SELECT count(*) FROM decision")[0][0], told)
    )
    proposed = {id_ for (id_,) in query("SELECT id FROM proposal")}
    decided = query(
        "SELECT proposal_id, seq FROM event WHERE type = 'proposal.decided' ORDER BY seq"
    )
    assert len(proposed) == MESSAGES
    assert len(decided) == MESSAGES
    assert {id_ for id_, _ in decided} == proposed
    assert set(told) == {f"{id_}:{seq}" for id_, seq in decided}
    with database.reading() as session:
        assert audit.verify(session).faults == []
    database.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{MESSAGES:,} messages, the bridge killed {KILLS} times: "
            f"{len(proposed):,} proposals, {len(decided):,} decisions; "
            f"{bridge.repeated} deliveries repeated, {told.total() - len(told)} decisions told again; "
            f"{MESSAGES / seconds['taken']:,.0f} proposals/s taken in, "
            f"{MESSAGES / seconds['told']:,.0f} decisions/s told\n"
        )
