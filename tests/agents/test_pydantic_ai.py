"""pydantic-ai's own ways around an approval, and its own kinds of tools."""

import asyncio
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent as FrameworkAgent
from pydantic_ai import (
    DeferredToolRequests,
    DeferredToolResults,
    ExternalToolset,
    FunctionToolset,
    Tool,
    ToolApproved,
    ToolDefinition,
    ToolReturn,
)

from errata import AsyncClient
from errata.agents.parking import Ran
from errata.agents.pydantic_ai import Gate
from tests.agents import rig_pydantic_ai as rig
from tests.agents.effects import Call, Turn, World
from tests.agents.office import Office

PAY = Call("transfer", {"to": "bob", "amount": 10.0})
SCRIPT: list[Turn] = [[PAY], "paid"]


class Order(BaseModel):
    """What is paid."""

    to: str
    amount: float
    note: str = ""


class Story(NamedTuple):
    """A run that waits, and then goes on."""

    begun: Ran[Any]
    ended: Ran[Any] | None


def run(
    world: World,
    held: list[Any],
    script: list[Turn] = SCRIPT,
    between: Any = None,
    **options: Any,
) -> Story:
    """Run an agent that holds these tools; where something is done in between, go on."""

    async def story() -> Story:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            agent = FrameworkAgent(rig.scripted(script), tools=held, capabilities=[gate], **options)
            begun = await gate.run(agent, "pay", thread="t1")
            if between is None:
                return Story(begun, None)
            between(begun)
            return Story(begun, await gate.resume(agent, begun.saved or ""))

    return asyncio.run(story())


def say(office: Office, verdict: str) -> Any:
    """Something to do in between."""

    def between(begun: Ran[Any]) -> None:
        assert office.say(begun.waits[0], verdict).status_code == 201

    return between


def edit(office: Office, **arguments: Any) -> Any:
    """Something to do in between."""

    def between(begun: Ran[Any]) -> None:
        action = {"name": "transfer", "arguments": arguments}
        assert office.say(begun.waits[0], "edit", action=action).status_code == 201

    return between


def test_an_approval_with_other_arguments_in_the_run_does_not_count(
    world: World, office: Office
) -> None:
    async def story() -> Any:
        async with AsyncClient(world.url, world.key) as client:
            agent = rig.agent(rig.gated(client, world), world, SCRIPT)
            kinds: Any = [str, DeferredToolRequests]
            begun = await agent.run("pay", output_type=kinds)
            (call,) = begun.output.approvals
            office.say(begun.output.metadata[call.tool_call_id]["errata"]["proposal"], "approve")
            forged = ToolApproved(override_args={"to": "mallory", "amount": 9999.0})
            return await agent.run(
                message_history=begun.all_messages(),
                deferred_tool_results=DeferredToolResults(approvals={call.tool_call_id: forged}),
                output_type=kinds,
            )

    assert isinstance(asyncio.run(story()).output, DeferredToolRequests), "another question"
    assert world.ledger == []


def test_a_tool_that_wants_an_approval_anyway_is_asked_for_once(
    world: World, office: Office
) -> None:
    held = [Tool(world.transfer, requires_approval=True)]
    told = run(world, held, between=say(office, "approve"))
    assert told.ended is not None
    assert told.ended.result.output == "paid"
    assert office.count() == 1
    assert world.sent == [("bob", 10.0)]


def test_what_an_edit_leaves_out_the_tool_fills_in(world: World, office: Office) -> None:
    told = run(
        world,
        rig.tools(world._replace(currency=True)),
        between=edit(office, to="bob", amount=7.5),
    )
    asked = office.ticket(told.begun.waits[0])["proposal"]["action"]["arguments"]
    assert asked["currency"] == "EUR", "people see what the tool would have used"
    assert world.sent == [("bob", 7.5)]


def test_a_tool_of_one_model_is_asked_for_and_edited_by_its_fields(
    world: World, office: Office
) -> None:
    def transfer(order: Order) -> str:
        """Send money."""
        return world.transfer(order.to, order.amount)

    told = run(world, [transfer], between=edit(office, to="eve", amount=1.5, note="late"))
    asked = office.ticket(told.begun.waits[0])["proposal"]["action"]["arguments"]
    assert asked == PAY.arguments
    assert world.sent == [("eve", 1.5)]


def test_a_result_in_the_frameworks_own_form_keeps_its_form_after_an_edit(
    world: World, office: Office
) -> None:
    def transfer(to: str, amount: float) -> ToolReturn[str]:
        """Send money."""
        return ToolReturn(world.transfer(to, amount), metadata={"kept": True})

    told = run(world, [transfer], between=edit(office, to="bob", amount=7.5))
    assert told.ended is not None
    (text,) = rig.outcome(told.ended).told
    assert text.startswith("A person changed this call")
    assert text.endswith("sent 7.5 to bob")


def test_what_a_tool_adds_in_the_users_name_does_not_make_the_other_calls_new(
    world: World, office: Office
) -> None:
    def look_up(name: str) -> ToolReturn[str]:
        """Find an account."""
        return ToolReturn(world.look_up(name), content="Look at this.")

    script: list[Turn] = [[Call("look_up", {"name": "bob"}, "call_0"), PAY], "paid"]
    told = run(world, [look_up, world.transfer], script, between=say(office, "approve"))
    assert told.ended is not None
    assert told.ended.result.output == "paid"
    assert office.count() == 2


def test_a_failure_is_reported_and_ends_the_run(world: World, office: Office) -> None:
    def look_up(name: str) -> str:
        """Find an account."""
        raise KeyError(name)

    with pytest.raises(KeyError):
        run(world, [look_up], [[Call("look_up", {"name": "bob"})], "none"])
    (id_,) = office.ids()
    assert office.ticket(id_)["status"] == "failed"


def test_a_tool_that_runs_elsewhere_is_named(world: World) -> None:
    schema = {"type": "object", "properties": {"to": {}, "amount": {}}}
    elsewhere = ExternalToolset([ToolDefinition(name="transfer", parameters_json_schema=schema)])
    with pytest.raises(TypeError, match="'transfer'"):
        run(world, [], toolsets=[elsewhere])


def test_tools_of_every_kind_are_gated(world: World, office: Office) -> None:
    toolset: FunctionToolset[Any] = FunctionToolset(
        [Tool(world.transfer)], metadata={"errata": "through"}
    )
    told = run(
        world,
        [],
        between=say(office, "reject"),
        toolsets=[toolset.prefixed("bank")],
        script=[[PAY._replace(name="bank_transfer")], "refused"],
    )
    assert told.ended is not None
    assert told.ended.result.output == "refused"
    assert world.ledger == []


def test_an_agent_that_states_the_requests_itself_runs_too(world: World) -> None:
    told = run(world, rig.tools(world), output_type=[str, DeferredToolRequests])
    assert len(told.begun.waits) == 1


def test_a_tool_of_the_name_of_a_delegate_is_gated(world: World) -> None:
    async def story() -> Ran[Any]:
        async with AsyncClient(world.url, world.key) as client:
            gate: Gate = rig.gated(client, world)
            gate.delegate(rig.agent(gate, world, SCRIPT), "transfer", "Hand over.")
            return await gate.run(rig.agent(gate, world, SCRIPT), "pay", thread="t1")

    assert len(asyncio.run(story()).waits) == 1
    assert world.ledger == []


def test_two_delegates_with_calls_of_one_id_are_two_wishes(world: World, office: Office) -> None:
    async def story() -> None:
        async with AsyncClient(world.url, world.key) as client:
            gate = rig.gated(client, world)
            below = rig.agent(gate, world, SCRIPT)
            calls = [Call("delegate", {"task": "pay"}, f"call_{n}") for n in range(2)]
            top = FrameworkAgent(
                rig.scripted([calls, "paid both"]),
                tools=[gate.delegate(below, "delegate", "Hand over.")],
                capabilities=[gate],
            )
            ran = await gate.run(top, "pay", thread="t1")
            assert len(set(ran.waits)) == 2
            for one in ran.waits:
                office.say(one, "approve")
            ended = await gate.resume(top, ran.saved or "")
            assert ended.result.output == "paid both"

    asyncio.run(story())
    assert world.sent == [("bob", 10.0)] * 2
