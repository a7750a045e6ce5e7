"""Runs whose state the server keeps: the OpenAI Agents SDK and pydantic-ai.

What the conformance tests cannot show, since there the client holds the state.
"""

import asyncio
import base64
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic_ai import BinaryContent

from errata import AsyncClient
from errata.agents.parking import Ran
from errata.db import Database
from errata.errors import Conflict, Malformed, Taken, TooLarge
from errata.states import Framework
from tests.agents import rig_openai_agents, rig_pydantic_ai
from tests.agents.effects import Call, Turn, World
from tests.agents.office import Office

PAY = Call("transfer", {"to": "bob", "amount": 10.0})
SCRIPT: list[Turn] = [[PAY], "paid"]
DISTRIBUTIONS = {rig_openai_agents: "openai-agents", rig_pydantic_ai: "pydantic-ai-slim"}
pytestmark = pytest.mark.parametrize("rig", DISTRIBUTIONS, ids=["OpenAI Agents SDK", "pydantic-ai"])


async def begin(
    rig: ModuleType,
    world: World,
    script: list[Turn] = SCRIPT,
    thread: str = "t1",
    prompt: Any = "pay",
    **options: Any,
) -> Ran[Any]:
    async with AsyncClient(world.url, world.key) as client:
        gate = rig.gated(client, world)
        agent = rig.agent(gate, world, script)
        return await gate.run(agent, prompt, thread=thread, **rig.OPTIONS, **options)


async def go_on(
    rig: ModuleType, world: World, state: Any, script: list[Turn] = SCRIPT, **options: Any
) -> Ran[Any]:
    async with AsyncClient(world.url, world.key) as client:
        gate = rig.gated(client, world)
        return await gate.resume(rig.agent(gate, world, script), state, **rig.OPTIONS, **options)


def saying(rig: ModuleType, text: str) -> dict[str, Any]:
    """Options that put a text into the state and into no proposal."""
    if rig is rig_openai_agents:
        return {"context": {"note": text}}
    return {"prompt": ["pay", BinaryContent(text.encode(), media_type="text/plain")]}


def test_a_run_is_found_when_it_is_decided_and_gone_when_it_is_over(
    rig: ModuleType, world: World, office: Office
) -> None:
    async def story() -> None:
        ran = await begin(rig, world)
        async with AsyncClient(world.url, world.key) as client:
            assert await client.parked("cfo") == []
            office.say(ran.waits[0], "approve")
            (found,) = await client.parked("cfo")
            assert found.proposals == ran.waits
            assert rig.outcome(await go_on(rig, world, found)).said == "paid"
            assert await client.parked("cfo", ready=None) == []
        with pytest.raises(Conflict, match="is done"):
            await go_on(rig, world, found)

    asyncio.run(story())
    assert world.sent == [("bob", 10.0)]


def test_a_state_is_given_to_one_of_two_at_once(
    rig: ModuleType, world: World, office: Office
) -> None:
    async def story() -> list[Any]:
        ran = await begin(rig, world)
        office.say(ran.waits[0], "approve")
        both = [go_on(rig, world, ran.saved) for _ in range(2)]
        return await asyncio.gather(*both, return_exceptions=True)

    kinds = {type(one) for one in asyncio.run(story())}
    assert kinds in ({Ran, Taken}, {Ran, Conflict}), "taken, or done by then"
    assert world.sent == [("bob", 10.0)]


def test_a_resume_that_finds_nothing_decided_is_kept_anew(
    rig: ModuleType, world: World, office: Office
) -> None:
    async def story() -> Ran[Any]:
        ran = await begin(rig, world)
        again = await go_on(rig, world, ran.saved)
        assert again.waits == ran.waits
        office.say(ran.waits[0], "approve")
        return await go_on(rig, world, again.saved)

    assert rig.outcome(asyncio.run(story())).said == "paid"


@pytest.mark.parametrize("change", [{"version": "2"}, {"currency": True}], ids=["agent", "schema"])
def test_what_was_approved_before_a_deployment_is_asked_anew(
    rig: ModuleType, world: World, office: Office, change: dict[str, Any]
) -> None:
    deployed = world._replace(**change)

    async def story() -> Ran[Any]:
        ran = await begin(rig, world)
        office.say(ran.waits[0], "approve")
        again = await go_on(rig, deployed, ran.saved)
        assert world.ledger == [], "an approval of other code runs nothing"
        assert again.waits
        assert again.waits != ran.waits
        office.say(again.waits[0], "approve")
        return await go_on(rig, deployed, again.saved)

    assert rig.outcome(asyncio.run(story())).said == "paid"
    assert world.sent == [("bob", 10.0)]


@pytest.mark.parametrize("field", ["version", "name"])
def test_a_state_of_another_framework_is_refused_by_name_and_field(
    rig: ModuleType, world: World, field: str
) -> None:
    written = {"name": DISTRIBUTIONS[rig], "version": "9.9.1", field: "9.9.1"}

    async def story() -> None:
        ran = await begin(rig, world)
        async with AsyncClient(world.url, world.key) as client:
            other = await client.park(
                {"whatever": 1}, agent="cfo", framework=Framework(**written), proposals=ran.waits
            )
        with pytest.raises(Malformed, match=r"9\.9\.1") as caught:
            await go_on(rig, world, other)
        assert caught.value.field == f"framework.{field}"

    asyncio.run(story())


def test_a_state_that_is_too_large_is_said_at_once(rig: ModuleType, world: World) -> None:
    with pytest.raises(TooLarge):
        asyncio.run(begin(rig, world, **saying(rig, "x" * 9_000_000)))


def test_the_text_of_a_state_is_not_on_the_disk(
    rig: ModuleType, world: World, sqlite_database: Database
) -> None:
    word = "swordfish-4711-swordfish"
    asyncio.run(begin(rig, world, **saying(rig, word)))
    path = Path(str(sqlite_database.engine.url.database))
    held = b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    assert b"state.parked" in held
    for spelled in (word.encode(), base64.b64encode(word.encode())):
        assert spelled not in held


def test_two_threads_at_once_in_one_process_do_not_mix(
    rig: ModuleType, world: World, office: Office
) -> None:
    async def story() -> list[Ran[Any]]:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            agent = rig.agent(gate, world, SCRIPT)
            threads = ["t1", "t2", "t3"]
            begun = [gate.run(agent, "pay", thread=one, **rig.OPTIONS) for one in threads]
            ran = await asyncio.gather(*begun)
            assert len({one.waits for one in ran}) == 3
            office.say(ran[1].waits[0], "approve")
            resumed = [gate.resume(agent, one.saved, **rig.OPTIONS) for one in ran]
            return await asyncio.gather(*resumed)

    ended = asyncio.run(story())
    assert [rig.outcome(one).said for one in ended] == [None, "paid", None]
    assert world.sent == [("bob", 10.0)]


def test_the_same_words_said_again_are_another_wish(
    rig: ModuleType, world: World, office: Office
) -> None:
    async def story() -> None:
        first = await begin(rig, world)
        second = await begin(rig, world)
        assert first.waits != second.waits
        for one in (first, second):
            office.say(one.waits[0], "approve")
            await go_on(rig, world, one.saved)

    asyncio.run(story())
    assert world.sent == [("bob", 10.0)] * 2


def test_people_see_what_the_model_was_told_before_its_call(
    rig: ModuleType, world: World, office: Office
) -> None:
    script: list[Turn] = [[Call("look_up", {"name": "bob"}, "call_0")], [PAY], "paid"]
    ran = asyncio.run(begin(rig, world, script))
    said = office.ticket(ran.waits[0])["proposal"]["prompt"]
    assert [one["role"] for one in said] == ["user", "assistant", "tool"]
    assert said[0]["content"] == "pay"
    assert said[1]["tool_calls"][0]["function"]["name"] == "look_up"
    assert said[2]["content"] == "bob has account 7"


def test_an_edit_is_run_and_told(rig: ModuleType, world: World, office: Office) -> None:
    async def story() -> Ran[Any]:
        ran = await begin(rig, world)
        version = {"name": "transfer", "arguments": {"to": "bob", "amount": 7.5}}
        office.say(ran.waits[0], "edit", action=version)
        return await go_on(rig, world, ran.saved)

    (told,) = rig.outcome(asyncio.run(story())).told
    assert "A person changed this call" in told
    assert told.endswith("sent 7.5 to bob")
