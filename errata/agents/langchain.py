"""LangChain's `create_agent`: every tool call goes through the policy.

In: a client. Out: a middleware.

    agent = create_agent(model, tools, checkpointer=…, middleware=[ErrataMiddleware(client, "cfo")])

Put it last, next to the tools: what stands before it may change a call, and people see the changed
one. What stands after it cannot change anything: the body compares what it got.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest

from errata.agents import versions
from errata.agents.langgraph import Answer, AsyncGate, Gate, go_on
from errata.async_client import AsyncClient
from errata.client import Client
from errata.protocol import Agent

__all__ = ["ErrataMiddleware", "go_on"]

versions.require("langchain")


class ErrataMiddleware(AgentMiddleware[Any, Any, Any]):
    """Every tool call waits for the policy and people, and runs once, as approved.

    Args:
        client: Of an agent's key; an `AsyncClient` for agents that run in an event loop.
        agent: Who calls.
        fields: `through`: names of tools that hand work to other agents and do nothing themselves;
            fields of every proposal, such as `risk` or `requested_by`.
    """

    def __init__(self, client: Client | AsyncClient, agent: str | Agent, **fields: Any) -> None:
        super().__init__()
        self._gate = Gate(client, agent, **fields) if isinstance(client, Client) else None
        self._agate = None if isinstance(client, Client) else AsyncGate(client, agent, **fields)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]
    ) -> Answer:
        """See `errata.agents.langgraph.Gate`."""
        if self._gate is None:
            raise TypeError("agent.invoke needs ErrataMiddleware(errata.Client(…), …)")
        return self._gate.wrap_tool_call(request, handler)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """See `errata.agents.langgraph.AsyncGate`."""
        if self._agate is None:
            raise TypeError("agent.ainvoke needs ErrataMiddleware(errata.AsyncClient(…), …)")
        return await self._agate.awrap_tool_call(request, handler)
