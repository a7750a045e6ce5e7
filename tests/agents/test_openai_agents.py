"""The OpenAI Agents SDK's own ways around an approval, and its own kinds of tools."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from agents import Agent as SdkAgent
from agents import FunctionTool, Runner, WebSearchTool, function_tool, handoff
from openai.types.responses import ResponseFunctionToolCall

from errata import AsyncClient
from errata.agents.openai_agents import Gate
from errata.agents.parking import Ran
from errata.errors import StillOpen, Unauthorized
from tests.agents import rig_openai_agents as rig
from tests.agents.effects import Call, Turn, World
from tests.agents.office import Office
from tests.agents.rig_openai_agents import OPTIONS, RIG, ScriptedModel

PAY = Call("transfer", {"to": "bob", "amount": 10.0})
SCRIPT: list[Turn] = [[PAY], "paid"]


def begin(world: World, held: list[Any], script: list[Turn] = SCRIPT) -> Ran[Any]:
    """Run an agent that holds these tools."""

    async def story() -> Ran[Any]:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            agent = SdkAgent(name="cfo", tools=gate.tools(held), model=ScriptedModel(script))
            return await gate.run(agent, "pay", thread="t1", **OPTIONS)

    return asyncio.run(story())


def test_an_approval_for_good_in_the_state_stops_the_run_with_what_to_do(world: World) -> None:
    RIG.run(world, SCRIPT)
    with pytest.raises(StillOpen, match=r"resume it with gate\.resume"):
        RIG.forge(world, SCRIPT)
    assert world.ledger == []


def test_changed_arguments_are_another_question_where_the_sdk_takes_them(
    world: World, office: Office
) -> None:
    waiting = RIG.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    RIG.mutate(world, {"to": "mallory", "amount": 9999.0})
    again = RIG.resume(world, SCRIPT).waiting
    assert again != waiting
    assert office.ticket(again[0])["proposal"]["action"]["arguments"]["to"] == "mallory"
    assert world.ledger == []


def test_a_changed_thread_in_the_state_is_another_question(world: World, office: Office) -> None:
    waiting = RIG.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    path = Path(world.folder, "t1.json")
    path.write_text(path.read_text("utf-8").replace('"thread": "t1"', '"thread": "t2"'), "utf-8")
    assert RIG.resume(world, SCRIPT).waiting != waiting
    assert world.ledger == []


def test_a_tool_that_is_gone_at_the_resume_runs_nothing(world: World, office: Office) -> None:
    waiting = RIG.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    path = Path(world.folder, "t1.json")
    path.write_text(path.read_text("utf-8").replace("transfer", "transfer_v0"), "utf-8")
    assert RIG.survive(lambda: RIG.resume(world, SCRIPT)) is None
    assert world.ledger == []


def test_a_call_of_an_agent_that_was_handed_to_gets_its_answer(
    world: World, office: Office
) -> None:
    async def story() -> None:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            below = SdkAgent(
                name="payer",
                tools=gate.tools(rig.tools(world)),
                model=ScriptedModel([[Call("transfer_to_payer", {})], [PAY], "paid"]),
            )
            first: list[Turn] = [[Call("transfer_to_payer", {}, "call_0")]]
            top = SdkAgent(name="desk", handoffs=[handoff(below)], model=ScriptedModel(first))
            ran = await gate.run(top, "pay", thread="t1", **OPTIONS)
            office.say(ran.waits[0], "approve")
            ended = await gate.resume(top, ran.saved or "", **OPTIONS)
            assert ended.result.final_output == "paid"

    asyncio.run(story())
    assert world.sent == [("bob", 10.0)]


def test_a_failure_is_reported_and_told_in_the_tools_own_words(
    world: World, office: Office
) -> None:
    @function_tool(failure_error_function=lambda _context, error: f"sorry: {error}")
    def look_up(name: str) -> str:
        """Find an account."""
        raise KeyError(name)

    ran = begin(world, [look_up], [[Call("look_up", {"name": "bob"})], "none"])
    assert rig.outcome(ran).told == ["sorry: 'bob'"]
    (id_,) = office.ids()
    assert office.ticket(id_)["status"] == "failed"


def test_a_failure_that_the_tool_does_not_tell_ends_the_run(world: World, office: Office) -> None:
    async def fail(_context: Any, _text: str) -> str:
        raise KeyError("bob")

    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    bare = FunctionTool("look_up", "Find.", schema, fail, strict_json_schema=False)
    with pytest.raises(Exception, match="bob"):
        begin(world, [bare], [[Call("look_up", {"name": "bob"})], "none"])
    (id_,) = office.ids()
    assert office.ticket(id_)["status"] == "failed"


def test_arguments_that_do_not_fit_are_told_and_asked_of_nobody(
    world: World, office: Office
) -> None:
    wrong = Call("transfer", {"to": "bob", "amount": "much"})
    (told,) = rig.outcome(begin(world, rig.tools(world), [[wrong], "sorry"])).told
    assert "Mend the call" in told
    assert office.count() == 0


def test_arguments_that_are_no_json_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = rig.spoken(PAY).model_copy(update={"arguments": "{to:"})

    def speak(_call: Call) -> ResponseFunctionToolCall:
        return broken

    monkeypatch.setattr(rig, "spoken", speak)
    (told,) = rig.outcome(begin(world, rig.tools(world))).told
    assert "no JSON object" in told
    assert world.ledger == []


def test_the_tools_own_approval_is_replaced_by_the_gate(world: World, office: Office) -> None:
    @function_tool(needs_approval=True)
    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    ran = begin(world, [look_up], [[Call("look_up", {"name": "bob"})], "found"])
    assert ran.result.final_output == "found"


def test_a_tool_that_waits_for_others_is_named(world: World) -> None:
    @function_tool(needs_approval=True)
    def look_up(name: str) -> str:
        """Find an account."""
        return world.look_up(name)

    async def story() -> None:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            script: list[Turn] = [[Call("look_up", {"name": "bob"})], "found"]
            agent = SdkAgent(name="cfo", tools=[look_up], model=ScriptedModel(script))
            await gate.run(agent, "pay", thread="t1", **OPTIONS)

    with pytest.raises(TypeError, match=r"'look_up' .* gate\.tools"):
        asyncio.run(story())
    assert world.ledger == []


def test_a_tool_of_the_provider_cannot_be_gated(world: World) -> None:
    with pytest.raises(TypeError, match="WebSearchTool"):
        begin(world, [WebSearchTool()])


def test_a_gated_tool_does_not_run_without_the_gate(world: World) -> None:
    async def story() -> None:
        async with AsyncClient(world.url, world.key) as client:
            agent = rig.agent(rig.gated(client, world), world, SCRIPT)
            await Runner.run(agent, "pay", **OPTIONS)

    with pytest.raises(Exception, match=r"begin the run with gate\.run"):
        asyncio.run(story())
    assert world.ledger == []


def test_our_errors_come_out_as_they_are(world: World) -> None:
    async def story() -> None:
        async with AsyncClient(world.url, "errata_nobody") as client:
            gate = Gate(client, "cfo")
            agent = rig.agent(gate, world, SCRIPT)
            await gate.run(agent, "pay", thread="t1", **OPTIONS)

    with pytest.raises(Unauthorized):
        asyncio.run(story())


def test_the_state_names_what_wrote_it(world: World) -> None:
    RIG.run(world, SCRIPT)
    kept = json.loads(Path(world.folder, "t1.json").read_text("utf-8"))
    assert kept["framework"] == {"name": "openai-agents", "version": "0.24.0"}
    assert kept["agent"] == {"id": "cfo", "version": "1"}
    assert list(kept["tools"]) == ["transfer"]
    assert kept["tools"]["transfer"].startswith("sha256:")
