"""The MCP server with which any agent asks: what its tools answer, and that one question is one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import mcp
import pytest
from mcp_types import CallToolResult, TextContent

from errata import AsyncClient
from errata.agents.mcp_server import server
from tests.agents.effects import World
from tests.agents.office import LAX, Office

PAY = {"name": "transfer", "arguments": {"to": "bob", "amount": 10.0}}
ASKED = {"reason": "rent", "action": PAY, "thread": "t1"}


@asynccontextmanager
async def host(world: World) -> AsyncGenerator[mcp.Client]:
    async with (
        AsyncClient(world.url, world.key, patience=0.5) as client,
        mcp.Client(server(client, "cfo")) as made,
    ):
        yield made


async def use(world: World, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers to a host that has just been started."""
    async with host(world) as made:
        result = await made.call_tool(tool, arguments)
    assert not result.is_error, words(result)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refusal(world: World, tool: str, **arguments: Any) -> str:
    async with host(world) as made:
        result = await made.call_tool(tool, arguments)
    assert result.is_error
    return words(result)


def words(result: CallToolResult) -> str:
    return "\n".join(one.text for one in result.content if isinstance(one, TextContent))


def test_an_approved_action_is_used_once_as_it_counts_and_reported(
    world: World, office: Office
) -> None:
    async def scene() -> None:
        asked = await use(world, "request_approval", **ASKED)
        id_ = asked["id"]
        assert "not approved" in asked["says"]
        assert "not decided yet" in await refusal(world, "use_permit", id=id_, action=PAY)
        version = {"name": "transfer", "arguments": {"to": "bob", "amount": 7.5}}
        office.say(id_, "edit", action=version)
        decided = await use(world, "await_decision", id=id_)
        assert decided["counts"] == {"action": version}
        assert "A person changed it" in decided["says"]
        assert "digest" in await refusal(world, "use_permit", id=id_, action=PAY)
        used = await use(world, "use_permit", id=id_, action=version)
        assert used["status"] == "executing"
        assert "has been used" in await refusal(world, "use_permit", id=id_, action=version)
        done = await use(world, "report_outcome", id=id_, status="executed", result="sent")
        assert done["status"] == "executed"
        assert office.ticket(id_)["receipt"]["result"] == "sent"

    asyncio.run(scene())


@pytest.mark.parametrize("given", [{"action": PAY}, {"draft": "Dear Bob"}], ids=["action", "draft"])
def test_the_same_request_in_a_thread_is_the_same_question(
    world: World, office: Office, given: dict[str, Any]
) -> None:
    async def scene() -> list[str]:
        threads = ("t1", "t1", "t2", "", "")
        asked = [
            await use(world, "request_approval", reason=f"reason {n}", thread=thread, **given)
            for n, thread in enumerate(threads)
        ]
        return [one["id"] for one in asked]

    first, again, other, *without = asyncio.run(scene())
    assert first == again != other
    assert len({first, other, *without}) == office.count() == 4, "two hosts are two sessions"


def test_a_question_is_answered_with_one_of_its_options(world: World, office: Office) -> None:
    async def scene() -> None:
        asked = await use(world, "ask_human", question="Which?", options=["red", "blue"])
        office.say(asked["id"], "respond", response="blue")
        answer = await use(world, "await_decision", id=asked["id"], wait_s=1)
        assert answer["counts"] == {"response": "blue"}
        assert (answer["outcome"], answer["status"]) == ("respond", "decided")

    asyncio.run(scene())


def test_what_the_policy_decides_is_answered_at_once(world: World, office: Office) -> None:
    async def scene() -> None:
        banned = {**ASKED, "action": {"name": "drop_table", "arguments": {}}}
        blocked = await use(world, "request_approval", **banned)
        assert blocked["outcome"] == "blocked"
        assert "The policy forbids it" in blocked["says"]
        office.apply(LAX)
        assert (await use(world, "request_approval", **ASKED))["outcome"] == "approve"

    asyncio.run(scene())


def test_every_end_is_told_in_true_words(world: World, office: Office) -> None:
    async def asked(thread: str) -> str:
        return (await use(world, "request_approval", **{**ASKED, "thread": thread}))["id"]

    async def says(id_: str) -> str:
        return (await use(world, "await_decision", id=id_))["says"]

    async def scene() -> None:
        rejected, lapsed, expired = await asked("1"), await asked("2"), await asked("3")
        office.say(rejected, "reject", rationale={"code": "wrong", "text": "bob has left"})
        office.say(lapsed, "approve")
        office.let_pass(hours=25)
        assert "bob has left" in await says(rejected)
        assert "Nobody answered in time, so it is not approved" in await says(expired)
        assert "its permit is expired. Do not run it" in await says(lapsed)
        used = await asked("4")
        office.say(used, "approve")
        await use(world, "use_permit", id=used, action=PAY)
        assert "Do not run it again" in await says(used)
        await use(world, "report_outcome", id=used, status="failed", error="no funds")
        assert "no funds" in await says(used)

    asyncio.run(scene())


def test_a_mistaken_request_is_told_so(world: World, office: Office) -> None:
    async def scene() -> None:
        both = await refusal(world, "request_approval", reason="r", action=PAY, draft="d")
        assert "give either action or draft" in both
        huge = {"name": "transfer", "arguments": {"to": "bob", "amount": 2**60}}
        assert "2**53" in await refusal(world, "request_approval", reason="r", action=huge)
        assert "nothing" in await refusal(world, "await_decision", id="nothing")
        wrong = world._replace(key="errata_secret_that_is_wrong")
        refused = await refusal(wrong, "request_approval", **ASKED)
        assert "secret_that_is_wrong" not in refused

    asyncio.run(scene())
    assert office.count() == 0


def test_it_says_that_it_cannot_hold_back_what_the_host_does(world: World) -> None:
    async def scene() -> None:
        async with host(world) as made:
            tools = {one.name: one for one in (await made.list_tools()).tools}
            assert sorted(tools) == [
                "ask_human",
                "await_decision",
                "report_outcome",
                "request_approval",
                "use_permit",
            ]
            assert "no permission" in (tools["request_approval"].description or "")
            assert world.key not in "".join(one.model_dump_json() for one in tools.values())

    asyncio.run(scene())
