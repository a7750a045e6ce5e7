"""The bridge at the command line, its words, and what only AMQP has."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from errata.broker.cursor import Cursor
from errata.broker.messages import LONGEST_TICKET, Incoming, Names, Parked, Told
from errata.cli import app
from errata.db import Database
from errata.protocol import Decision, Effective, Tally, Ticket
from tests.brokers import RABBIT, Seen, Server, need_rabbit, running, side
from tests.contract.test_brokers import body, draft, proposals, until
from tests.e2e.running import ERRATA
from tests.people import People, action, proposal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def api(database: Database, people: People) -> Iterator[Server]:
    with Server(database) as server:
        yield server


@pytest.fixture
def rabbit() -> None:
    need_rabbit()


def ticket(agent: str, content: str = "Hi") -> Ticket:
    digest = "sha256:" + "0" * 64
    decision = Decision(
        proposal_id="p-1",
        outcome="approve",
        by="policy",
        effective=Effective(),
        digest=digest,
        policy_version=digest,
        reason="",
        reviews=Tally(needed=0, got=0),
        decided_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    asked = proposal(agent={"id": agent}, content=content)
    return Ticket(id="p-1", status="decided", digest=digest, proposal=asked, decision=decision)


@pytest.mark.parametrize(
    ("agent", "key"),
    [("desk", "desk.approve"), ("eu.desk #1*", "eu_desk__1_.approve"), ("ü", "_.approve")],
)
def test_no_agent_can_name_itself_out_of_its_place_in_a_routing_key(agent: str, key: str) -> None:
    assert Told(ticket(agent), 7).routing_key == key


def test_a_ticket_too_long_for_brokers_is_told_without_its_proposal() -> None:
    short = Told(ticket("desk"), 7)
    long = Told(ticket("desk", "x" * LONGEST_TICKET), 7)
    assert json.loads(short.body)["proposal"]["content"] == "Hi"
    assert "proposal" not in json.loads(long.body)
    assert json.loads(long.body)["decision"]["outcome"] == "approve"
    assert short.id == long.id == "p-1:7"


def test_ids_that_no_header_can_carry_still_tell_messages_apart() -> None:
    odd = ["a b", "a b ", "ü", "x" * 300, "x" * 301, "\ud800", ""]
    found = {Incoming(b"{}", id_, None).key for id_ in odd}
    assert len(found) == len(odd)
    assert all(key.isascii() and " " not in key and 0 < len(key) <= 200 for key in found)
    assert Incoming(b"{}", "m-1", None).key == "m-1"
    assert Incoming(b"{}", None, None).key == Incoming(b"{}", None, None).key
    assert Incoming(b"{}", None, None).key != Incoming(b"[]", None, None).key


def test_a_reason_is_cut_to_what_a_header_holds() -> None:
    sent = datetime(2026, 3, 1, tzinfo=UTC)
    headers = Parked(Incoming(b"{}", None, sent), "malformed", "x" * 5000, None).headers
    assert len(headers["reason"]) == 1000
    assert headers["first-seen"] == "2026-03-01T00:00:00+00:00"
    assert (headers["field"], headers["message-id"]) == ("", "")


def test_a_cursor_is_there_again_after_a_restart(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    assert cursor.seq == 0
    cursor.move(41)
    cursor.move(42)
    assert Cursor(tmp_path / "cursor").seq == 42
    assert [file.name for file in tmp_path.iterdir()] == ["cursor"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.rabbit
@pytest.mark.usefixtures("rabbit")
def test_whoever_asks_for_an_answer_gets_the_ticket_or_the_error(
    server: str, people: People
) -> None:
    async def work() -> list[Seen]:
        async with side("rabbit") as other, running(other, server, people.agent.secret):
            await other.send(body(action("transfer", amount=5)), "m-1", correlation_id="c-1")
            await other.replies()
            await other.send(b"{", "m-2", correlation_id="c-2")
            return await other.replies(2)

    taken, refused = asyncio.run(work())
    assert taken.headers["correlation-id"] == "c-1"
    assert json.loads(taken.body)["decision"]["outcome"] == "approve"
    assert refused.headers["correlation-id"] == "c-2"
    assert json.loads(refused.body)["field"] == "body"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_equal_messages_without_an_id_are_one_proposal(
    server: str, people: People, database: Database
) -> None:
    async def work() -> None:  # on Kafka's: the libraries for AMQP make up ids
        async with side("fake kafka") as other, running(other, server, people.agent.secret):
            await other.send(body(draft("one")))
            await other.send(body(draft("one")))
            await other.send(body(draft("two")))
            await other.send(b"the end")
            await other.parked()
            await until(lambda: len(proposals(database)) == 2)

    asyncio.run(work())
    assert len(proposals(database)) == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.rabbit
@pytest.mark.usefixtures("rabbit")
def test_two_bridges_share_the_work(server: str, people: People, database: Database) -> None:
    names = Names(f"test-{uuid.uuid4().hex[:12]}")

    async def work() -> None:
        key = people.agent.secret
        async with side("rabbit", names) as one, side("rabbit", names) as two:
            async with running(one, server, key), running(two, server, key):
                await asyncio.gather(*(one.send(body(draft()), f"m-{n}") for n in range(60)))
                await until(lambda: len(proposals(database)) == 60)
            assert await one.parked(0) == []

    asyncio.run(work())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.rabbit
@pytest.mark.usefixtures("rabbit")
def test_the_example_of_the_docs_runs(
    api: Server, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "howto" / "brokers.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    names = Names(f"test-{uuid.uuid4().hex[:12]}")
    code = code.replace("amqp://guest:guest@127.0.0.1:5672/", RABBIT)
    code = code.replace("desk.decisions", f"{names.prefix}.listener")
    code = code.replace('"errata.', f'"{names.prefix}.')
    command = [*ERRATA, "broker", "--prefix", names.prefix, "--cursor", str(tmp_path / "cursor")]
    environment = {
        **os.environ,
        "ERRATA_BROKER_URL": RABBIT,
        "ERRATA_URL": api.url,
        "ERRATA_KEY": people.agent.secret,
    }

    async def clean() -> None:
        async with side("rabbit", names):
            pass

    with subprocess.Popen(command, env=environment) as process:
        try:
            exec(code, {})
        finally:
            process.terminate()
    asyncio.run(clean())
    assert process.returncode == 0
    assert "refund-A-1001 approve\n" in capsys.readouterr().out
    assert Cursor(tmp_path / "cursor").seq > 0


def invoke(*arguments: str, **environment: str) -> tuple[int, str]:
    """The command in this process: exit status and what it said or raised."""
    done = CliRunner().invoke(app, ["broker", *arguments], env={"ERRATA_KEY": "k", **environment})
    return done.exit_code, f"{done.output} {done.exception}"


def test_an_address_of_another_kind_is_wrong_usage() -> None:
    code, said = invoke("--url", "redis://localhost")
    assert code == 2
    assert "kafka://" in said


def test_without_a_key_the_bridge_says_where_it_goes() -> None:
    code, said = invoke("--url", RABBIT, ERRATA_KEY="")
    assert code == 1
    assert "ERRATA_KEY" in said


@pytest.mark.parametrize("scheme", ["amqp", "kafka"])
def test_where_no_broker_answers_the_place_is_named_and_no_password(scheme: str) -> None:
    user = "bob:secret@" if scheme == "amqp" else ""
    code, said = invoke("--url", f"{scheme}://{user}127.0.0.1:9")
    assert code == 1
    assert "127.0.0.1" in said
    assert "secret" not in said


@pytest.mark.rabbit
@pytest.mark.usefixtures("rabbit")
def test_a_wrong_password_is_said_and_not_shown() -> None:
    place = RABBIT.rpartition("@")[2]
    code, said = invoke("--url", f"amqp://bob:secret@{place}")
    assert code == 1
    assert "bob" in said or "refused" in said.lower()
    assert "secret" not in said


def test_a_file_that_is_no_cursor_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("Dear diary")
    code, said = invoke("--url", RABBIT, "--cursor", str(file))
    assert code == 1
    assert "--cursor" in said
    assert file.read_text() == "Dear diary"


def test_without_the_extra_the_command_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['faststream'] = None; from errata.cli import main; "
        "sys.argv = ['errata', 'broker', '--url', 'amqp://x']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ERRATA_KEY": "k"},
    )
    assert done.returncode == 1
    assert "errata[broker]" in done.stderr
    assert "Traceback" not in done.stderr
