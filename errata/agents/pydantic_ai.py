"""pydantic-ai: tool calls wait as deferred requests and run under their permit.

In: a client, an agent's tools, a run. Out: the run's result, or its history kept by the server until
people have decided. Approvals that a run is given are never believed: only the server's word counts.

    gate = Gate(client, "cfo")
    agent = Agent(model, tools=[transfer, look_up], capabilities=[gate])
    ran = await gate.run(agent, "Pay Bob 10.", thread="t1")

and when what it waits for is decided, in whatever process:

    for state in await client.parked("cfo"):
        ran = await gate.resume(agent, state)
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_ai import Agent as FrameworkAgent
from pydantic_ai import (
    AgentRunResult,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    RunContext,
    Tool,
)
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.toolsets import AbstractToolset

from errata.agents import parking, versions
from errata.agents.desk import RECORD, Desk
from errata.agents.driving import AsyncDriver
from errata.agents.parking import Ran
from errata.agents.pydantic_tools import THROUGH, GatedToolset
from errata.async_client import AsyncClient
from errata.protocol import Agent
from errata.states import LEASE_S, Parked, Saved

FRAMEWORK = "pydantic-ai-slim"
versions.require(FRAMEWORK)

Stopped = dict[str, Any]
"""`messages`, and `open`: what is known of each call that waits, by its id."""


class Gate(AbstractCapability[Any]):
    """Lets every tool of an agent run only as the policy and people allow.

    Put it last among the capabilities: what stands before it may change a call, and people see the
    changed one.

    Args:
        client: Of an agent's key.
        agent: Who calls. Its version is part of every question: after a deployment open questions
            are asked again.
        fields: Fields of every proposal, such as `risk` or `requested_by`.
    """

    def __init__(self, client: AsyncClient, agent: str | Agent, **fields: Any) -> None:
        self.client = client
        self.desk = Desk(agent, **fields)
        self.driver = AsyncDriver(client)

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """See `AbstractCapability.get_wrapper_toolset`."""
        return GatedToolset(toolset, self.desk, self.driver)

    async def run(
        self, agent: FrameworkAgent[Any, Any], prompt: Any, *, thread: str, **options: Any
    ) -> Ran[AgentRunResult[Any]]:
        """Begin a run; returns when it is over, or waits for people.

        Args:
            agent: With this gate among its capabilities. One with output validators needs
                `DeferredToolRequests` among its output types.
            prompt: As `Agent.run` takes it.
            thread: Names the conversation; it becomes the `conversation_id`.
            options: Of `Agent.run`; what is given there has to be given again at the resume.
        """
        result = await agent.run(
            prompt, conversation_id=thread, output_type=_outputs(agent), **options
        )
        return await self._keep(result, None)

    async def resume(
        self,
        agent: FrameworkAgent[Any, Any],
        state: Parked | str,
        *,
        lease_s: float = LEASE_S,
        **options: Any,
    ) -> Ran[AgentRunResult[Any]]:
        """Go on from a kept state, as far as decisions allow.

        Args:
            agent: Made as it was at the beginning; its tools may have changed since, and what they
                are open for is asked again.
            state: Or its id.
            lease_s: Seconds for which no other process gets the state.
            options: Of `Agent.run`.

        Raises:
            Taken: Another process is at it; says when to come again.
            Malformed: It was written by a version that this adapter cannot read.
            Conflict, Gone, NotFound: There is nothing to resume.
        """
        saved = await self.client.resume(state, lease_s=lease_s)
        parking.check(saved, FRAMEWORK)
        return await self._keep(await _resumed(agent, saved.content, options), saved)

    def delegate(
        self, agent: FrameworkAgent[Any, Any], name: str, description: str, **options: Any
    ) -> Tool[Any]:
        """A tool that lets another agent do a task; while a tool of that one waits, this waits too.

        Args:
            agent: With a gate of its own, of the same key.
            name: Of the tool.
            description: Of the tool.
            options: Of the other agent's `run`.
        """

        async def hand_over(ctx: RunContext[Any], task: str) -> Any:
            given: dict[str, Any] = {"deps": ctx.deps, "usage": ctx.usage, **options}
            if ctx.tool_call_approved and ctx.tool_call_metadata:
                result = await _resumed(agent, ctx.tool_call_metadata, given)
            else:
                thread = f"{ctx.conversation_id}|{ctx.tool_call_id}"
                result = await agent.run(
                    task, conversation_id=thread, output_type=_outputs(agent), **given
                )
            below = _stopped(result)
            if below is not None:
                raise ApprovalRequired(metadata={RECORD: {"below": below}})
            return result.output

        mark = {RECORD: THROUGH}
        return Tool(hand_over, name=name, description=description, metadata=mark)

    async def _keep(
        self, result: AgentRunResult[Any], before: Saved | None
    ) -> Ran[AgentRunResult[Any]]:
        stopped = _stopped(result)
        if stopped is None:
            await parking.end(self.client, before)
            return Ran(result)
        leaves = list(_leaves(stopped))
        waits = tuple(one["proposal"] for one in leaves)
        stop = parking.Stop(stopped, waits, {one["tool"]: one["schema"] for one in leaves})
        parked = await parking.keep(self.client, self.desk.agent, FRAMEWORK, stop, before)
        return Ran(result, waits, parked)


def _outputs(agent: FrameworkAgent[Any, Any]) -> Any:
    """The agent's output types and the requests that a run stops with; None: it has both."""
    stated = agent.output_type
    kinds: list[Any] = list(stated) if isinstance(stated, Sequence) else [stated]
    return None if DeferredToolRequests in kinds else [*kinds, DeferredToolRequests]


async def _resumed(
    agent: FrameworkAgent[Any, Any], stopped: Stopped, options: dict[str, Any]
) -> AgentRunResult[Any]:
    """Go on with a history: all that waited is called again, and asks the server where it stands."""
    below = {id_: one["below"] for id_, one in stopped["open"].items() if "below" in one}
    return await agent.run(
        message_history=ModelMessagesTypeAdapter.validate_python(stopped["messages"]),
        deferred_tool_results=DeferredToolResults(
            approvals=dict.fromkeys(stopped["open"], True), metadata=below
        ),
        output_type=_outputs(agent),
        **options,
    )


def _stopped(result: AgentRunResult[Any]) -> Stopped | None:
    """What a run that waits leaves behind; None where it is over.

    Raises:
        TypeError: It waits for what is not decided here.
    """
    requests = result.output
    if not isinstance(requests, DeferredToolRequests):
        return None
    open_: dict[str, Any] = {}
    for call in [*requests.calls, *requests.approvals]:
        known = requests.metadata.get(call.tool_call_id, {}).get(RECORD)
        if known is None:
            raise TypeError(
                f"the call of {call.tool_name!r} was deferred by the tool itself, not by the gate: "
                "only what the gate asks for can wait for people here"
            )
        open_[call.tool_call_id] = known
    messages = ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json")
    return {"messages": messages, "open": open_}


def _leaves(stopped: Stopped) -> Iterator[dict[str, Any]]:
    """What is known of the calls that wait, also of those of agents below."""
    for known in stopped["open"].values():
        if "below" in known:
            yield from _leaves(known["below"])
        else:
            yield known
