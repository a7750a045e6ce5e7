"""What is wrong with a call, an interrupt or an answer is said by name, and nothing runs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from ag_ui.core import FunctionCall, Message, ResumeEntry, RunAgentInput, ToolCall, UserMessage
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Interrupt

from errata import AsyncClient, Client, errors
from errata.agents import ag_ui
from errata.agents.functions import gated
from errata.agents.langchain import ErrataMiddleware
from errata.agents.langgraph_forms import read
from tests.agents.effects import Call, World
from tests.agents.office import LAX, Office
from tests.agents.rig_langgraph import ScriptedModel, config, tools

PAY = {"action": "transfer", "args": {"to": "bob", "amount": 10.0}}


def _batch(*allowed: str) -> dict[str, Any]:
    return {
        "action_requests": [{"name": "transfer", "args": {"to": "bob"}}],
        "review_configs": [{"action_name": "transfer", "allowed_decisions": list(allowed)}],
    }


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("are you sure?", "value"),
        ({"question": "are you sure?"}, "value"),
        ({"action_request": {"action": "transfer", "args": "bob"}, "config": {}}, "value"),
        (_batch("approve", "edit"), "allowed_decisions"),
        ({"action_request": PAY, "config": {"allow_accept": True}}, "allowed_decisions"),
    ],
)
def test_an_interrupt_that_cannot_be_answered_is_named(value: Any, field: str) -> None:
    with pytest.raises(errors.Malformed, match="interrupt i-7") as raised:
        read(Interrupt(value, id="i-7"))
    assert raised.value.field == field


def test_an_edit_for_the_agent_inbox_keeps_the_types_of_what_was_asked() -> None:
    (question,) = read(
        Interrupt({"action_request": PAY, "config": {"allow_ignore": True}})
    ).questions
    assert question.schema["properties"] == {"to": {"type": "string"}, "amount": {"type": "number"}}


def _settled(world: World, arguments: str, *entries: ResumeEntry) -> Any:
    async def settle() -> Any:
        async with AsyncClient(world.url, world.key) as client:
            gate = ag_ui.Gate(client, "cfo", [world.transfer])
            said: list[Message] = [UserMessage(id="u", role="user", content="pay")]
            given = RunAgentInput(thread_id="t", run_id="r", messages=said, resume=[*entries])
            if entries:
                return await gate.resume(given)
            call = FunctionCall(name="transfer", arguments=arguments)
            return await gate.call(given, ToolCall(id="c", type="function", function=call))

    return asyncio.run(settle())


@pytest.mark.parametrize(
    "arguments", ["", "[]", "bob", '{"to": "bob", "amount": NaN}', '{"to": 1}']
)
def test_arguments_that_are_none_are_told_to_the_model(world: World, arguments: str) -> None:
    message = _settled(world, arguments).message
    assert message.error.startswith("Not run")
    assert world.ledger == []


def test_a_resume_of_a_question_that_there_is_not_is_refused(world: World) -> None:
    with pytest.raises(errors.NotFound):
        _settled(world, "", ResumeEntry(interrupt_id="made-up", status="resolved"))


def test_a_question_of_another_thread_is_not_resumed(world: World, office: Office) -> None:
    with Client(world.url, world.key) as client:
        tool = gated(client, "cfo", thread="another", timeout=0)(world.transfer)
        with pytest.raises(errors.StillOpen):
            tool("bob", 10.0)
    (id_,) = office.ids()
    office.say(id_, "approve")
    with pytest.raises(errors.NotFound, match="in thread 't'") as raised:
        _settled(world, "", ResumeEntry(interrupt_id=id_, status="resolved"))
    assert raised.value.field == "resume"
    assert world.ledger == []


def test_a_call_over_the_limit_is_refused_with_its_field(world: World) -> None:
    with Client(world.url, world.key) as client:
        tool = gated(client, "cfo", thread="t", timeout=0)(world.transfer)
        with pytest.raises(errors.TooLarge) as raised:
            tool("b" * 9_000_000, 10.0)
    assert raised.value.field == "action.arguments.to"


def test_a_client_of_the_wrong_kind_is_named(world: World) -> None:
    middleware = ErrataMiddleware(AsyncClient(world.url, world.key), "cfo")
    with pytest.raises(TypeError, match=r"ErrataMiddleware\(errata.Client"):
        middleware.wrap_tool_call(None, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="coroutine functions"):
        gated(AsyncClient(world.url, world.key), "cfo", thread="t")(world.transfer)


class Cached(AgentMiddleware[Any, Any, Any]):
    """Answers in the tool's place."""

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> ToolMessage:
        return ToolMessage("from the cache", tool_call_id=request.tool_call["id"])


def test_a_call_that_something_else_answers_is_reported_as_not_run(
    world: World, office: Office
) -> None:
    """With the terms known, the permit is used before anybody sees that the tool is not reached."""
    office.apply(LAX)
    script = [[Call("look_up", {"name": n}, n)] for n in ("bob", "eve")]
    with Client(world.url, world.key) as client:
        agent = create_agent(
            ScriptedModel(script=[*script, "found"]),
            tools(world),
            middleware=[ErrataMiddleware(client, "cfo"), Cached()],
            checkpointer=InMemorySaver(),
        )
        agent.invoke({"messages": [{"role": "user", "content": "look"}]}, config("t"))
    assert world.ledger == []
    states = [office.ticket(one) for one in office.ids()]
    assert [one["status"] for one in states] == ["permitted", "failed"]
    assert "did not run" in states[1]["receipt"]["error"]


class Stubborn(AgentMiddleware[Any, Any, Any]):
    """Makes every call twice, as a retry does after an error."""

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        with suppress(Exception):
            handler(request)
        return handler(request)


def test_a_wrapper_that_calls_twice_runs_what_was_begun_once(world: World, office: Office) -> None:
    office.apply(LAX)
    script = [[Call("look_up", {"name": n}, n)] for n in ("bob", "eve")]
    with Client(world.url, world.key) as client:
        agent = create_agent(
            ScriptedModel(script=[*script, "found"]),
            tools(world),
            middleware=[ErrataMiddleware(client, "cfo"), Stubborn()],
            checkpointer=InMemorySaver(),
        )
        agent.invoke({"messages": [{"role": "user", "content": "look"}]}, config("t"))
    assert [one["name"] for one in world.ledger] == ["bob", "eve"]
