"""A gateway: an MCP server whose tools are another's, each call of them asked for first.

In: `tools/call` from a host. Out: the result of the other server's tool, run once and under a
permit; or, at once, under which id the call waits for people. Nothing holds a connection meanwhile:
the call is made again, or `errata_await_decision` is called with the id, in this session or another.

    async with opened(["bank-server"]) as upstream, AsyncClient() as client:
        await Gateway(upstream, client, "cfo", name="bank").serve()

Which calls are the same is told in `errata.agents.mcp_calls`. A call that timed out or was cancelled
at the client was not answered: made again, it gets the result of the run that it began.
"""

import asyncio
from typing import Any

from mcp import MCPError, stdio_server
from mcp.server import Server, ServerRequestContext
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errata import calls, errors
from errata.agents import versions
from errata.agents.desk import LAPSED, Called, Desk
from errata.agents.driving import AsyncDriver
from errata.agents.mcp_calls import Calls
from errata.agents.mcp_results import AWAIT, UNKNOWN, keepable, kept, noted, text_of, told, waits
from errata.agents.mcp_upstream import Upstream
from errata.agents.standing import Done, Ready, Waiting, standing
from errata.async_client import AsyncClient
from errata.protocol import Agent, Id, Ticket

versions.require("mcp")

LONGEST_WAIT = 20.0
"""Seconds; hosts give a tool a minute or so."""
ENDING_S = 10.0
"""Seconds for which the gateway waits, at its end, for tools that run."""
REPORTED_S = 60.0
"""Seconds for which a result is kept that the server may not have been told of yet."""
INSTRUCTIONS = (
    "Calls of these tools may need the approval of people. A result that says that a call waits is "
    f"no failure: go on with other work or end your turn, and later call {AWAIT} with the id that "
    "it names. Do not look for another way to do what waits or was refused."
)


class Awaited(BaseModel):
    """Arguments of the tool that the gateway adds."""

    model_config = ConfigDict(extra="forbid", title=AWAIT)

    id: Id = Field(description="The id under which a call waits.")
    wait_s: float = Field(
        0, ge=0, le=LONGEST_WAIT, description="Seconds to wait while nobody has decided."
    )
    ask_again: bool = Field(
        False,
        description="True only where people refused or changed the call, or nobody answered, and "
        "something has changed since: they are asked anew.",
    )


TOOL = Tool(
    name=AWAIT,
    description="Where a call stands that waits for people. Once they have approved it, this runs "
    "it, once and as approved, and returns its result; after that it returns the same result "
    "again. People may take days: do not call it in a loop.",
    input_schema=Awaited.model_json_schema(),
)


class Gateway:
    """Stands before one MCP server, for one connection.

    Args:
        upstream: The server whose tools it offers.
        client: Of an agent's key. Its patience should be shorter than a host waits for a tool.
        agent: Who calls.
        name: What policies and people know that server by; never taken from the server itself.
        fields: Fields of every proposal, such as `requested_by`.
    """

    def __init__(
        self,
        upstream: Upstream,
        client: AsyncClient,
        agent: str | Agent,
        name: str = "mcp",
        **fields: Any,
    ) -> None:
        self._upstream = upstream
        self._driver = AsyncDriver(client)
        self._desk = Desk(agent, **fields)
        self._calls = Calls(name)
        self._runs: dict[str, asyncio.Task[CallToolResult | Done]] = {}
        """What runs now or has just run, by the ticket's id; it goes on when the client does not
        wait for it."""
        said = (INSTRUCTIONS, upstream.instructions)
        self.server: Server[Any] = Server(
            name,
            instructions="\n\n".join(one for one in said if one),
            on_list_tools=self._list,
            on_call_tool=self._answer,
        )

    async def serve(self) -> None:
        """Serve on stdin and stdout until the host closes them."""
        async with stdio_server() as (read, write):
            await self.server.run(read, write, self.server.create_initialization_options())
        if self._runs:
            await asyncio.wait(self._runs.values(), timeout=ENDING_S)

    async def _list(
        self, _: ServerRequestContext[Any], __: PaginatedRequestParams | None
    ) -> ListToolsResult:
        try:
            offered = await self._upstream.tools()
        except errors.Unavailable as error:
            raise MCPError(INTERNAL_ERROR, error.detail) from error
        offered.pop(AWAIT, None)  # the name is ours: nobody else says what people decided
        return ListToolsResult(tools=[*offered.values(), TOOL])

    async def _answer(
        self, _: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        try:
            if params.name == AWAIT:
                return await self._await(Awaited.model_validate(params.arguments or {}))
            return await self._settle(self._calls.read(params))
        except errors.TooEarly as early:
            return told(f"Not run yet: {early.detail}. Call again in {early.retry_after_s:.0f} s.")
        except errors.ErrataError as error:
            return told(f"Not run: {error.detail}.")
        except ValidationError as error:
            return told(f"Not run: {AWAIT} does not take this: {error}")

    async def _await(self, asked: Awaited) -> CallToolResult:
        """Where a call stands; run it if it may."""
        found = await self._driver.client.send(calls.polling(asked.id, asked.wait_s))
        ticket = Ticket.model_validate(found)
        proposal = ticket.proposal
        if proposal is None or proposal.action is None or not self._calls.owns(proposal):
            return told(f"{asked.id} is no call that this gateway can make.", ticket)
        if ticket.decision is None:
            return waits(ticket)
        called, now = self._calls.again(proposal), standing(ticket, proposal.action.name)
        if asked.ask_again and _may_be_anew(ticket):
            return await self._settle(self._calls.anew(called))
        if isinstance(now, Done):  # over, whatever the tool is like by now
            return await self._end(now, called, promised=False)
        return await self._settle(called)

    async def _settle(self, called: Called) -> CallToolResult:
        """Ask for a call, and answer it: it waits, it runs, or it is over."""
        tool = (await self._upstream.tools()).get(called.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {called.name}")
        stated = self._calls.stated(called, tool)
        while True:
            now = await self._driver.drive(self._desk.settle(stated, busy_s=0))
            if isinstance(now, Waiting):
                return waits(now.ticket)
            try:
                return await self._end(now, called, promised=tool.output_schema is not None)
            except LAPSED:
                continue

    async def _end(self, now: Ready | Done, called: Called, *, promised: bool) -> CallToolResult:
        try:
            came = await self._come(now)
        except errors.OutcomeUnknown as error:
            return told(f"Whether it took effect is not known: {error.detail}. {UNKNOWN}")
        if _is_over(came, now):
            self._calls.end(called)
        return kept(came, promised) if isinstance(came, Done) else came

    async def _come(self, now: Ready | Done) -> CallToolResult | Done:
        """What comes of a call: of its run, which a client that gives up does not end."""
        run = self._runs.get(now.ticket.id) if now.ticket else None
        if isinstance(now, Done) and (run is None or (run.done() and not _is_running(now))):
            return now
        if run is None:
            assert isinstance(now, Ready)
            run = self._begin(now)
        return await asyncio.shield(run)

    def _begin(self, ready: Ready) -> asyncio.Task[CallToolResult | Done]:
        run = self._runs[ready.ticket.id] = asyncio.create_task(self._run(ready))
        run.add_done_callback(lambda task: self._ended(ready.ticket.id, task))
        return run

    def _ended(self, ticket_id: str, task: asyncio.Task[CallToolResult | Done]) -> None:
        """Keep a result until the server has it: who asks there meanwhile hears that it runs."""
        # Reading the error tells asyncio that it was seen: nobody may be left to hear of it.
        if task.cancelled() or task.exception() is not None or isinstance(task.result(), Done):
            del self._runs[ticket_id]
        else:
            asyncio.get_running_loop().call_later(REPORTED_S, self._runs.pop, ticket_id, None)

    async def _run(self, ready: Ready) -> CallToolResult | Done:
        """Call the tool behind, under the permit.

        Raises:
            MCPError: The server behind says that it did not work.
            OutcomeUnknown: Nobody can say whether it did.
            ErrataError: Nothing has run.
        """
        one = OneCall(self._upstream, ready)
        done: Any = None
        try:
            done = await self._driver.run(self._desk, ready, ready.action.arguments, one.body)
        except ToolFailed:
            pass
        except errors.ErrataError as error:
            if not one.begun or isinstance(error, errors.OutcomeUnknown):
                raise
            if one.result is None:  # and its receipt was not taken
                raise errors.OutcomeUnknown(error.detail) from error
        if isinstance(done, Done):
            return done
        assert one.result is not None
        return noted(one.result, ready.note)


class OneCall:
    """One call of a tool behind, and how far it came."""

    def __init__(self, upstream: Upstream, ready: Ready) -> None:
        self._upstream = upstream
        self._action = ready.action
        self.begun = False
        self.result: CallToolResult | None = None

    async def body(self) -> dict[str, Any] | None:
        """Make the call; what it returns goes into the receipt."""
        self.begun = True
        self.result = await self._upstream.call(self._action.name, self._action.arguments)
        if self.result.is_error:
            raise ToolFailed(text_of(self.result))
        return keepable(self.result)


class ToolFailed(Exception):
    """The tool ran and says that it failed; the words are its own."""


def _may_be_anew(ticket: Ticket) -> bool:
    """Whether people may be asked again: not about what they approved, nor what may have run."""
    return (
        ticket.decision is not None
        and ticket.decision.outcome != "approve"
        and ticket.status not in {"executing", "unknown"}
    )


def _is_running(now: Done) -> bool:
    """Whether the server has not heard what came of a run."""
    return now.ticket is not None and now.ticket.status == "executing"


def _is_over(came: CallToolResult | Done, now: Ready | Done) -> bool:
    """Whether a call has run as it was asked for: made again, it is meant again."""
    ticket = came.ticket if isinstance(came, Done) else now.ticket
    if ticket is None or ticket.decision is None or ticket.decision.outcome != "approve":
        return False
    return not isinstance(came, Done) or ticket.status in {"executed", "failed"}
