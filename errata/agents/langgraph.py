"""LangGraph: tool calls wait in an interrupt and run under their permit.

In: a client, and the tool calls of a `ToolNode`. Out: interrupts that carry
the proposal's id; results. What a resume says is never believed: only the server's word counts.

    node = ToolNode(tools, **tool_wrappers(client, "cfo"))

Agents of `create_agent` take the middleware of `errata.agents.langchain`, which is made of this.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command, interrupt
from pydantic import ValidationError

from errata.agents import langchain_tools, versions
from errata.agents.desk import LAPSED, Called, Desk
from errata.agents.driving import AsyncDriver, Driver
from errata.agents.standing import Done, Ready, Waiting, as_text
from errata.async_client import AsyncClient
from errata.client import Client
from errata.protocol import Agent, Ticket

versions.require("langgraph")

Answer = ToolMessage | Command[Any]
Handler = Callable[[ToolCallRequest], Answer]
AsyncHandler = Callable[[ToolCallRequest], Awaitable[Answer]]
REASON = "errata:approval"
"""The `reason` of our interrupts, by which a client knows them."""


def tool_wrappers(
    client: Client | AsyncClient, agent: str | Agent, **fields: Any
) -> dict[str, Callable[..., Any]]:
    """For `ToolNode(tools, **tool_wrappers(client, "cfo"))`.

    Args:
        client: Of an agent's key. An `AsyncClient` for graphs that run in an event loop.
        agent: Who calls.
        fields: `through`, see `Gate`; fields of every proposal, such as `risk` or `requested_by`.
    """
    if isinstance(client, Client):
        return {"wrap_tool_call": Gate(client, agent, **fields).wrap_tool_call}
    return {"awrap_tool_call": AsyncGate(client, agent, **fields).awrap_tool_call}


def go_on(graph: Any, config: RunnableConfig) -> Command[Any] | None:
    """What to invoke a thread with, so that it goes on as far as decisions allow.

    Args:
        graph: A compiled graph with a checkpointer.
        config: Names the thread.
    """
    pending = graph.get_state(config).interrupts
    return Command(resume={one.id: one.value for one in pending}) if pending else None


class Gate:
    """Goes around the tool calls of graphs that run in threads.

    Args:
        client: Of an agent's key.
        agent: Who calls.
        through: Tools that hand work to other agents and do nothing themselves: they go through
            without a question, since they may stop in the middle when those agents ask.
        fields: Fields of every proposal.
    """

    def __init__(
        self, client: Client, agent: str | Agent, through: Collection[str] = (), **fields: Any
    ) -> None:
        self._desk = Desk(agent, **fields)
        self._driver = Driver(client)
        self._through = through

    def wrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> Answer:
        """Ask for a call, wait in an interrupt, run the tool once and as approved."""
        if request.tool_call["name"] in self._through:
            return handler(request)
        call = called(request)
        if call is None:
            return handler(_shut(request))
        return self._gated(call, request, handler)

    def _gated(self, call: Called, request: ToolCallRequest, handler: Handler) -> Answer:
        while True:
            now = self._driver.drive(self._desk.settle(call, at_once=True))
            if isinstance(now, Waiting):
                interrupt(asked(now.ticket, call))
                continue
            if isinstance(now, Done):
                return told(now, call)
            try:
                return noted(handler(self._guarded(request, now)), now)
            except _SettledElsewhere as settled:
                if settled.done is not None:
                    return told(settled.done, call)
            finally:  # where another wrapper answered, or the framework did
                self._driver.drive(self._desk.abandon(now))

    def _guarded(self, request: ToolCallRequest, ready: Ready) -> ToolCallRequest:
        def around(arguments: dict[str, Any], body: Callable[[], Any]) -> Any:
            try:
                result = self._driver.run(self._desk, ready, arguments, body)
            except LAPSED as error:
                raise _SettledElsewhere(None) from error
            return _own(result)

        assert request.tool is not None
        tool = langchain_tools.guard(request.tool, ready.action.arguments, around)
        return _approved(request, tool, ready)


class AsyncGate:
    """Goes around the tool calls of graphs that run in an event loop; see `Gate`."""

    def __init__(
        self, client: AsyncClient, agent: str | Agent, through: Collection[str] = (), **fields: Any
    ) -> None:
        self._desk = Desk(agent, **fields)
        self._driver = AsyncDriver(client)
        self._through = through

    async def awrap_tool_call(self, request: ToolCallRequest, handler: AsyncHandler) -> Answer:
        """Ask for a call, wait in an interrupt, run the tool once and as approved."""
        if request.tool_call["name"] in self._through:
            return await handler(request)
        call = called(request)
        if call is None:
            return await handler(_shut(request))
        return await self._gated(call, request, handler)

    async def _gated(self, call: Called, request: ToolCallRequest, handler: AsyncHandler) -> Answer:
        while True:
            now = await self._driver.drive(self._desk.settle(call, at_once=True))
            if isinstance(now, Waiting):
                interrupt(asked(now.ticket, call))
                continue
            if isinstance(now, Done):
                return told(now, call)
            try:
                return noted(await handler(self._guarded(request, now)), now)
            except _SettledElsewhere as settled:
                if settled.done is not None:
                    return told(settled.done, call)
            finally:  # where another wrapper answered, or the framework did
                await self._driver.drive(self._desk.abandon(now))

    def _guarded(self, request: ToolCallRequest, ready: Ready) -> ToolCallRequest:
        async def around(arguments: dict[str, Any], body: Callable[[], Awaitable[Any]]) -> Any:
            try:
                result = await self._driver.run(self._desk, ready, arguments, body)
            except LAPSED as error:
                raise _SettledElsewhere(None) from error
            return _own(result)

        assert request.tool is not None
        tool = langchain_tools.aguard(request.tool, ready.action.arguments, around)
        return _approved(request, tool, ready)


class _SettledElsewhere(GraphBubbleUp):
    """The body is not to run here: it ran in another process, or its permit has lapsed.

    Of a kind that no handler of tool errors takes for an error of the tool.
    """

    def __init__(self, done: Done | None) -> None:
        super().__init__()
        self.done = done


def _own(result: Any) -> Any:
    if isinstance(result, Done):
        raise _SettledElsewhere(result)
    return result


def _shut(request: ToolCallRequest) -> ToolCallRequest:
    """A request that the framework itself will answer: there is no such tool, or argument."""
    if request.tool is None:
        return request
    return replace(request, tool=langchain_tools.shut(request.tool))


def _approved(request: ToolCallRequest, tool: BaseTool, ready: Ready) -> ToolCallRequest:
    call: ToolCall = {**request.tool_call, "args": ready.action.arguments}
    return replace(request, tool_call=call, tool=tool)


def called(request: ToolCallRequest) -> Called | None:
    """The call of a request; None where the framework itself will answer that it cannot be made."""
    call, tool = request.tool_call, request.tool
    if tool is None:
        return None
    try:
        arguments = langchain_tools.arguments(tool, call["args"])
    except ValidationError:
        return None
    messages = messages_of(request.state)
    return Called(
        name=call["name"],
        arguments=arguments,
        id=call["id"] or "",
        thread=_thread(request.runtime.config),
        turn=turn_of(messages),
        schema=langchain_tools.schema(tool),
        description=tool.description,
        fields={"prompt": _prompt(messages)},
    )


def messages_of(state: Any) -> list[BaseMessage]:
    """The conversation in a graph's state, as far as it holds one."""
    if isinstance(state, list):
        return state
    return state.get("messages", []) if isinstance(state, dict) else getattr(state, "messages", [])


def _thread(config: RunnableConfig) -> str:
    """The thread, and the subgraph in it; without a thread nothing is ever resumed."""
    where = config.get("configurable", {})
    if "thread_id" not in where:
        return f"once-{uuid.uuid4().hex}"
    outer, _, _ = str(where.get("checkpoint_ns", "")).rpartition("|")
    return f"{where['thread_id']}|{outer}"


def turn_of(messages: list[BaseMessage]) -> str:
    """What the user said last, as far as the conversation tells."""
    said = [one for one in messages if isinstance(one, HumanMessage)]
    return f"{len(said)}:{said[-1].id}" if said else ""


def _prompt(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    """What came before the call, in the OpenAI chat shape."""
    before = messages
    while before and not isinstance(before[-1], AIMessage):
        before = before[:-1]  # results of calls of the same turn
    return [_plain(one) for one in convert_to_openai_messages(before[:-1])]


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its text alone, of the fields that a proposal keeps."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text", f"[{part.get('type')}]") for part in content]
        content = "\n".join(parts)
    kept = {
        name: message[name] for name in ("role", "tool_calls", "tool_call_id") if name in message
    }
    return {**kept, "content": content}


def asked(ticket: Ticket, call: Called) -> dict[str, Any]:
    """The value of an interrupt, in the form of AG-UI 1.0: what is asked, and of whom to learn."""
    expires = ticket.proposal.expires_at if ticket.proposal else None
    return {
        "id": ticket.id,
        "reason": REASON,
        "message": f"{call.name} waits for approval",
        "toolCallId": call.id,
        **({"expiresAt": expires.isoformat()} if expires else {}),
        "metadata": {"hap": {"digest": ticket.digest, "status": ticket.status}},
    }


def told(done: Done, call: Called) -> ToolMessage:
    """What the model reads in place of a result."""
    return ToolMessage(
        done.text,
        name=call.name,
        tool_call_id=call.id,
        status="success" if done.ok else "error",
    )


def noted(answer: Answer, ready: Ready) -> Answer:
    """A result, with what the model must know of it before."""
    if ready.note is None or not isinstance(answer, ToolMessage):
        return answer
    return answer.model_copy(update={"content": f"{ready.note}\n{as_text(answer.content)}"})
