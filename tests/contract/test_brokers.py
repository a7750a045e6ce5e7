"""One contract for every broker: FastStream's fakes of RabbitMQ and Kafka, and a real RabbitMQ."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from errata.broker.cursor import Cursor
from errata.db import Database
from errata.errors import Forbidden, Unauthorized
from ingestion import keys, tables
from tests.brokers import FAKES, PATIENCE_S, REAL, Seen, Server, Side, need_rabbit, running, side
from tests.people import NOW, People, action

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SMALL = action("transfer", amount=5, to="bob")


def draft(content: str = "Dear Bob, …") -> dict[str, Any]:
    return {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": content}


@pytest.fixture(params=[*FAKES, REAL])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "rabbit":
        need_rabbit()
    return request.param


@pytest.fixture
def api(database: Database, people: People) -> Iterator[Server]:
    with Server(database) as server:
        yield server


class Bridged:
    """A bridge that a test runs things through."""

    def __init__(self, kind: str, api: Server, key: str) -> None:
        self.kind = kind
        self.api = api
        self.key = key

    def __call__(self, work: Callable[[Side], Awaitable[Any]], cursor: Path | None = None) -> Any:
        async def run() -> Any:
            async with (
                side(self.kind) as other,
                running(other, self.api.url, self.key, cursor),
            ):
                return await work(other)

        return asyncio.run(run())


@pytest.fixture
def bridged(kind: str, api: Server, people: People) -> Bridged:
    return Bridged(kind, api, people.agent.secret)


def body(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def proposals(database: Database) -> list[tables.Proposal]:
    with database.reading() as session:
        return list(session.exec(select(tables.Proposal).order_by(col(tables.Proposal.id))))


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.02)


def test_a_message_that_comes_again_is_one_proposal(bridged: Bridged, database: Database) -> None:
    async def work(other: Side) -> None:
        for _ in range(3):
            await other.send(body(draft()), "m-1")
        await other.send(body(draft()), "m-2")
        await until(lambda: len(proposals(database)) == 2)
        await other.send(b"the end", "m-3")
        assert [one.id for one in await other.parked()] in (["m-3"], [None])

    bridged(work)
    assert len(proposals(database)) == 2


def test_what_cannot_be_read_is_parked_with_reason_and_field(
    bridged: Bridged, database: Database
) -> None:
    poison = {
        "not JSON": (b"{", "body"),
        "not UTF-8": (b"\xff\xfe", "body"),
        "nothing": (b"", "body"),
        "NaN": (body(action(amount=float("nan"))), "action.arguments.amount"),
        "a key twice": (b'{"hap": "1", "hap": "1"}', "body"),
        "a kind that is none": (body({**draft(), "kind": "dance"}), "kind"),
        "no content": (body({**draft(), "content": None}), "content"),
        "ten megabytes": (body({**draft(), "content": "x" * 10_000_000}), "content"),
    }

    async def work(other: Side) -> list[Seen]:
        for name, (raw, _) in poison.items():
            await other.send(raw, name)
        seen = await other.parked(len(poison))
        assert await other.left() == 0
        return seen

    parked = {seen.headers["message-id"]: seen for seen in bridged(work)}
    assert {name: seen.headers["field"] for name, seen in parked.items()} == {
        name: field for name, (_, field) in poison.items()
    }
    assert {name: seen.body for name, seen in parked.items()} == {
        name: raw for name, (raw, _) in poison.items()
    }
    assert "kind" in parked["a kind that is none"].headers["reason"]
    assert parked["ten megabytes"].headers["code"] == "too_large"
    assert parked["NaN"].headers["first-seen"]
    assert proposals(database) == []


def test_an_id_used_for_another_proposal_is_parked(bridged: Bridged, database: Database) -> None:
    async def work(other: Side) -> Seen:
        await other.send(body(draft("one")), "m-1")
        await until(lambda: len(proposals(database)) == 1)
        await other.send(body(draft("two")), "m-1")
        return (await other.parked())[0]

    assert bridged(work).headers["code"] == "idempotency_conflict"
    assert len(proposals(database)) == 1


def test_what_the_key_may_not_say_for_another_agent_is_parked_and_the_rest_goes_on(
    kind: str, api: Server, database: Database, people: People
) -> None:
    with database.transaction() as session:
        made = keys.create(session, "agent", "narrow", agents=["desk*"], actor="test", now=NOW)

    async def work(other: Side) -> Seen:
        await other.send(body({**draft(), "agent": {"id": "cfo"}}), "theirs")
        await other.send(body({**draft(), "agent": {"id": "desk-2"}}), "ours")
        await until(lambda: len(proposals(database)) == 1)
        return (await other.parked())[0]

    parked = Bridged(kind, api, made.secret)(work)
    assert (parked.headers["message-id"], parked.headers["field"]) == ("theirs", "agent.id")
    assert [one.agent_id for one in proposals(database)] == ["desk-2"]


@pytest.mark.parametrize("wrong", ["unknown", "a reviewer's"])
def test_a_bridge_with_a_bad_key_stops_and_parks_nothing(
    kind: str, api: Server, people: People, database: Database, wrong: str
) -> None:
    key = "errata_unknown" if wrong == "unknown" else people.ann.secret

    async def work() -> None:
        async with side(kind) as other, running(other, api.url, key) as task:
            sending = asyncio.create_task(other.send(body(draft()), "m-1"))
            with pytest.raises((Unauthorized, Forbidden), match="ERRATA_KEY"):
                await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            assert await other.parked(0) == []

    asyncio.run(work())
    assert proposals(database) == []


def test_what_comes_while_the_server_is_down_is_taken_in_when_it_is_back(
    bridged: Bridged, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    bridged.api.stop()

    async def work(other: Side) -> None:
        sending = [
            asyncio.create_task(other.send(body(draft(f"text {number}")), f"m-{number}"))
            for number in range(5)
        ]
        await until(lambda: caplog.text.count("goes back") >= 5)
        await asyncio.to_thread(bridged.api.start)
        await until(lambda: len(proposals(database)) == 5)
        await asyncio.gather(*sending)
        assert await other.parked(0) == []

    bridged(work)


def test_a_proposal_waits_for_the_one_that_it_depends_on(
    bridged: Bridged, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("errata.broker.bridge.TRIES", 10_000)

    async def work(other: Side) -> None:
        first = {**draft("one"), "id": "first"}
        second = {**draft("two"), "id": "second", "depends_on": ["first"]}
        sending = asyncio.create_task(other.send(body(second), "m-2"))
        await asyncio.sleep(0.02)
        await other.send(body(first), "m-1")
        await sending
        await until(lambda: len(proposals(database)) == 2)
        monkeypatch.setattr("errata.broker.bridge.TRIES", 2)
        third = {**draft("three"), "depends_on": ["never"]}
        await other.send(body(third), "m-3")
        parked = (await other.parked())[0]
        assert (parked.headers["message-id"], parked.headers["field"]) == ("m-3", "depends_on")

    bridged(work)


def test_decisions_are_told_in_order_and_go_on_from_the_cursor(
    kind: str, api: Server, people: People, database: Database, tmp_path: Path
) -> None:
    cursor = tmp_path / "cursor"

    async def told(first: int) -> list[Seen]:
        async with side(kind) as other, running(other, api.url, people.agent.secret, cursor):
            for number in range(first, first + 3):
                proposal = {**SMALL, "id": f"p-{number}"}
                await other.send(body(proposal), f"m-{number}")
                await until(lambda number=number: len(proposals(database)) == number + 1)
            await other.send(body({**action("drop_table"), "id": f"q-{first}"}), f"q-{first}")
            seen = await other.decisions(4)
            await until(lambda: Cursor(cursor).seq >= int(str(seen[-1].id).rpartition(":")[2]))
            return seen

    before = asyncio.run(told(0))
    with database.transaction() as session:
        for row in session.exec(select(tables.Proposal).where(tables.Proposal.id == "q-0")):
            assert row.status == "decided"
    after = asyncio.run(told(4))
    for seen, ids in (
        (before, ["p-0", "p-1", "p-2", "q-0"]),
        (after, ["p-4", "p-5", "p-6", "q-4"]),
    ):
        tickets = [json.loads(one.body) for one in seen]
        assert [ticket["id"] for ticket in tickets] == ids
        assert [ticket["decision"]["outcome"] for ticket in tickets] == ["approve"] * 3 + [
            "blocked"
        ]
        assert all(ticket["permit"] for ticket in tickets[:3])
        assert len({one.id for one in seen}) == 4
        assert all(str(one.id).startswith(id_) for one, id_ in zip(seen, ids, strict=True))
        keys_ = ids if "kafka" in kind else ["desk.approve"] * 3 + ["desk.blocked"]
        assert [one.key for one in seen] == keys_


def test_a_lost_cursor_tells_the_same_decisions_again(
    kind: str, api: Server, people: People, database: Database, tmp_path: Path
) -> None:
    async def told(cursor: Path, send: bool) -> list[str | None]:
        async with side(kind) as other, running(other, api.url, people.agent.secret, cursor):
            if send:
                await other.send(body(SMALL), "m-1")
            return [one.id for one in await other.decisions()]

    first = asyncio.run(told(tmp_path / "one", True))
    assert asyncio.run(told(tmp_path / "two", False)) == first


def test_a_bridge_without_a_cursor_tells_no_decision(bridged: Bridged, database: Database) -> None:
    async def work(other: Side) -> None:
        await other.send(body(SMALL), "m-1")
        await until(lambda: len(proposals(database)) == 1)
        await asyncio.sleep(0.1)
        assert await other.decisions(0) == []

    bridged(work)
