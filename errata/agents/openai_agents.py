"""OpenAI Agents SDK: tool calls wait in interruptions and run under their permit.

In: a client, tools, a run. Out: the run's result, or its state kept by the server until people have
decided. What the run's state says of approvals is never believed: only the server's word counts.

    gate = Gate(client, "cfo")
    agent = Agent(name="cfo", tools=gate.tools([transfer, look_up]))
    ran = await gate.run(agent, "Pay Bob 10.", thread="t1")

and when what it waits for is decided, in whatever process:

    for state in await client.parked("cfo"):
        ran = await gate.resume(agent, state)
"""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from agents import Agent as SdkAgent
from agents import Runner, RunResult, RunState
from agents.items import ToolApprovalItem
from agents.tool import Tool

from errata.agents import openai_tools, parking, versions
from errata.agents.desk import Desk
from errata.agents.driving import AsyncDriver
from errata.agents.parking import Ran
from errata.agents.standing import Waiting
from errata.async_client import AsyncClient
from errata.digest import schema_digest
from errata.protocol import Agent
from errata.states import LEASE_S, Parked, Saved

SDK = "openai-agents"
versions.require(SDK)


class Gate:
    """Lets tools run only as the policy and people allow.

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

    def tools(self, tools: Sequence[Tool]) -> list[Tool]:
        """Copies of tools that ask before they run.

        Agents as tools stay as they are: they do nothing themselves, and their own tools ask.

        Raises:
            TypeError: A tool runs where no permit can be asked for, such as at the model's provider.
        """
        return [openai_tools.gated(self.desk, self.driver, one) for one in tools]

    async def run(
        self, agent: SdkAgent[Any], input: str | list[Any], *, thread: str, **options: Any
    ) -> Ran[RunResult]:
        """Begin a run; returns when it is over, or waits for people.

        Args:
            agent: Whose tools are this gate's.
            input: As `Runner.run` takes it.
            thread: Names the conversation.
            options: Of `Runner.run`. A `context` that is no mapping is not kept: give it again at
                the resume.
        """
        run = openai_tools.Run(thread, uuid.uuid4().hex, {})
        return await self._go_on(agent, input, run, None, options)

    async def resume(
        self,
        agent: SdkAgent[Any],
        state: Parked | str,
        *,
        lease_s: float = LEASE_S,
        **options: Any,
    ) -> Ran[RunResult]:
        """Go on from a kept state, as far as decisions allow.

        Args:
            agent: Made as it was at the beginning; its tools may have changed since, and what they
                are open for is asked again.
            state: Or its id.
            lease_s: Seconds for which no other process gets the state.
            options: Of `Runner.run`.

        Raises:
            Taken: Another process is at it; says when to come again.
            Malformed: It was written by a version that this adapter cannot read.
            Conflict, Gone, NotFound: There is nothing to resume.
        """
        saved = await self.client.resume(state, lease_s=lease_s)
        parking.check(saved, SDK)
        run = openai_tools.Run(saved.content["thread"], saved.content["turn"], {})
        restored = await RunState.from_json(
            agent, saved.content["state"], context_deserializer=lambda _given: None
        )
        return await self._go_on(agent, restored, run, saved, options)

    async def _go_on(
        self,
        agent: SdkAgent[Any],
        given: str | list[Any] | RunState[Any],
        run: openai_tools.Run,
        before: Saved | None,
        options: dict[str, Any],
    ) -> Ran[RunResult]:
        options["run_config"] = openai_tools.noting(run, options.get("run_config"))
        with openai_tools.within(run):
            if isinstance(given, RunState):
                await _release(given)
            result = await Runner.run(agent, given, **options)
            while result.interruptions:
                state = result.to_state()
                open_ = await _release(state)
                if len(open_) == len(result.interruptions):
                    return Ran(result, *await self._keep(state, run, open_, before))
                result = await Runner.run(agent, state, **options)
        await parking.end(self.client, before)
        return Ran(result)

    async def _keep(
        self,
        state: RunState[Any],
        run: openai_tools.Run,
        open_: list["_Open"],
        before: Saved | None,
    ) -> tuple[tuple[str, ...], Parked]:
        waits = tuple(one.proposal for one in open_)
        written = state.to_json(context_serializer=lambda _given: {})
        content = {"thread": run.thread, "turn": run.turn, "state": written}
        tools = {one.tool: one.schema for one in open_}
        stop = parking.Stop(content, waits, tools)
        return waits, await parking.keep(self.client, self.desk.agent, SDK, stop, before)


class _Open(NamedTuple):
    """An interruption that people have not decided."""

    proposal: str
    tool: str
    schema: str | None


async def _release(state: RunState[Any]) -> list[_Open]:
    """Let go on what is decided; what was decided its tool learns from the server when it is called.

    Returns:
        What still waits.
    """
    found: list[_Open] = []
    for item in state.get_interruptions():
        tool = _tool_of(item)
        call = tool.called(item.call_id or "", item.arguments or "")
        now = None if call is None else await tool.settle(call)
        if isinstance(now, Waiting):
            found.append(_Open(now.ticket.id, tool.name, schema_digest(tool.schema)))
        else:
            state.approve(item)
    return found


def _tool_of(item: ToolApprovalItem) -> openai_tools.Gated:
    for tool in openai_tools.held_by(item.agent):
        if tool.name == item.tool_name:
            return tool
    raise TypeError(
        f"{item.tool_name!r} waits for an approval, and is no tool of gate.tools([…]) of the agent "
        f"{item.agent.name!r}: only those can wait for people here"
    )
