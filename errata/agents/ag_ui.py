"""AG-UI 1.0: tool calls end a run in interrupts, and the run that resumes it goes on from them.

In: `RunAgentInput`, functions as tools. Out: tool messages, interrupts, the event that ends a run.
The client holds the conversation, so nothing in it counts: a resume names proposals, and what runs
is what stands in the server's record of them.

    gate = Gate(client, "cfo", [transfer])
    settled = await gate.resume(input)                   # when a run begins
    settled += [await gate.call(input, call)]            # for each call that the model makes
    yield finished(input, settled)                       # when it ends
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from ag_ui.core import (
    Interrupt,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    ToolCall,
    ToolMessage,
)

from errata import errors
from errata import gate as gates
from errata.agents import versions
from errata.agents.desk import LAPSED, RECORD, Called, Desk
from errata.agents.driving import AsyncDriver
from errata.agents.standing import JSON, Done, Ready, Waiting, as_text
from errata.async_client import AsyncClient
from errata.protocol import Agent, Ticket

versions.require("ag-ui-protocol")

REASON = "errata:approval"


class Settled(NamedTuple):
    """What became of one call: a message for the model, or an interrupt for the client."""

    message: ToolMessage | None = None
    interrupt: Interrupt | None = None


class Gate:
    """The tools of an agent that speaks AG-UI.

    Args:
        client: Of an agent's key.
        agent: Who calls.
        tools: Functions with named and typed parameters; coroutine functions are awaited.
        fields: Fields of every proposal.
    """

    def __init__(
        self,
        client: AsyncClient,
        agent: str | Agent,
        tools: Iterable[Callable[..., Any]],
        **fields: Any,
    ) -> None:
        self._desk = Desk(agent, **fields)
        self._driver = AsyncDriver(client)
        around = [gates.Gate.around(one, self._desk.agent, {}) for one in tools]
        self._tools = {one.name: one for one in around}

    async def call(self, input: RunAgentInput, call: ToolCall) -> Settled:
        """Settle a call that the model has just made: run it, ask for it, or answer it.

        Args:
            input: The run's.
            call: As AG-UI writes it, with its arguments as JSON text.
        """
        said = [one for one in input.messages if one.role == "user"]
        turn = f"{len(said)}:{said[-1].id}" if said else ""
        name = call.function.name
        try:
            arguments = JSON.validate_json(call.function.arguments)
        except ValueError:
            text = "Not run: the arguments are no JSON object. Mend the call and make it again."
            return _answered(call.id, Done(text, ok=False))
        return await self._settle(name, arguments, call.id, input.thread_id, turn)

    async def resume(self, input: RunAgentInput) -> list[Settled]:
        """Settle the calls that the client names as it resumes a thread.

        An entry says which question is meant, never how it was answered; one that is cancelled
        takes its question back. One that is open still is interrupted again.

        Raises:
            NotFound: There is no such question in this thread.
        """
        return [
            await self._resume(one.interrupt_id, one.status == "cancelled", input.thread_id)
            for one in input.resume or ()
        ]

    async def _resume(self, id_: str, is_cancelled: bool, thread: str) -> Settled:
        ticket = await self._driver.client.get(id_)
        proposal = ticket.proposal
        record = {} if proposal is None else proposal.metadata.get(RECORD, {})
        if proposal is None or proposal.action is None or record.get("thread") != thread:
            raise errors.NotFound(f"no question {id_!r} in thread {thread!r}", "resume")
        if is_cancelled and ticket.decision is None:
            await self._driver.client.cancel(ticket)
        action = proposal.action
        return await self._settle(
            action.name, action.arguments, record["call"], thread, record["turn"]
        )

    async def _settle(
        self, name: str, arguments: dict[str, Any], id_: str, thread: str, turn: str
    ) -> Settled:
        tool = self._tools.get(name)
        if tool is None:
            return _answered(id_, Done(f"Not run: there is no tool {name!r}.", ok=False))
        call = Called(
            name=name,
            arguments=arguments,
            id=id_,
            thread=thread,
            turn=turn,
            schema=tool.schema,
            description=inspect.getdoc(tool.function),
        )
        while True:
            now = await self._driver.drive(self._desk.settle(call, at_once=True))
            if isinstance(now, Waiting):
                return Settled(interrupt=asked(now.ticket, call))
            if isinstance(now, Done):
                return _answered(id_, now)
            try:
                return _answered(id_, await self._run(tool, now))
            except LAPSED:
                continue

    async def _run(self, tool: gates.Gate, ready: Ready) -> Done:
        try:
            given = tool.arguments(ready.action)
        except errors.Malformed as error:
            await self._driver.drive(self._desk.abandon(ready))
            return Done(f"Not run: {error.detail}", ok=False)
        passed = JSON.dump_python(given, mode="json")
        body = partial(_awaited, tool.function, given)
        try:
            result = await self._driver.run(self._desk, ready, passed, body)
        except errors.ErrataError:
            raise
        except Exception as error:
            return Done(f"It ran and failed: {type(error).__name__}: {error}", ok=False)
        if isinstance(result, Done):
            return result
        note = f"{ready.note}\n" if ready.note else ""
        return Done(note + as_text(result), ok=True)


async def _awaited(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    result = function(**given)
    return await result if inspect.isawaitable(result) else result


def _answered(call_id: str, done: Done) -> Settled:
    error = None if done.ok else done.text
    message = ToolMessage(
        id=f"{call_id}-result",
        role="tool",
        content=done.text,
        tool_call_id=call_id,
        error=error,
    )
    return Settled(message=message)


def asked(ticket: Ticket, call: Called) -> Interrupt:
    """The interrupt of a call; its id is the proposal's."""
    return Interrupt(
        id=ticket.id,
        reason=REASON,
        message=f"{call.name} waits for approval",
        tool_call_id=call.id,
        metadata={"hap": {"digest": ticket.digest, "status": ticket.status}},
    )


def finished(input: RunAgentInput, settled: Iterable[Settled]) -> RunFinishedEvent:
    """The event that ends a run: interrupted as long as a call waits."""
    waiting = [one.interrupt for one in settled if one.interrupt is not None]
    outcome = (
        RunFinishedInterruptOutcome(interrupts=waiting) if waiting else RunFinishedSuccessOutcome()
    )
    return RunFinishedEvent(thread_id=input.thread_id, run_id=input.run_id, outcome=outcome)
