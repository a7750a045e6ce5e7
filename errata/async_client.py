"""The SDK for agents that run in an event loop; the methods are those of `errata.client`.

In: proposals as values or keywords. Out: tickets, decisions, permits, receipts.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from errata import calls, errors, receipts
from errata.gate import Gate, dress, receipt
from errata.protocol import Agent, Effective, Permit, Proposal, Receipt, Ticket
from errata.runs import AsyncRun, opening
from errata.states import LEASE_S, Framework, Parked, Saved

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger("errata")

LAST_WORD_S = 5.0
"""Seconds for which the end of a loop is held up by a receipt."""


class AsyncClient(calls.Base):
    """The asynchronous client; the arguments are those of `Client`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: float = calls.PATIENCE,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience)
        self._http = httpx2.AsyncClient(base_url=self.url, transport=transport)
        self._behind: set[asyncio.Task[None]] = set()
        self._untold: list[Receipt] = []
        self._teller: asyncio.Task[None] | None = None
        """Gathers what is untold."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, once all is reported."""
        await asyncio.gather(*self._behind)
        await self._http.aclose()

    async def _send(self, call: calls.Call) -> Any:
        patience = calls.Patience(self.patience)
        pause: float | None = 0.0
        while pause is not None:
            if pause:
                await asyncio.sleep(pause)
            try:
                response = await self._http.request(call.method, call.path, **self.options(call))
            except httpx2.TransportError:
                pause = patience.pause()
                continue
            if response.is_success:
                return response.json()
            pause = patience.after(call, response)
        raise errors.Unavailable(f"{self.url} did not answer within {self.patience:.0f} s")

    async def send(self, call: calls.Call) -> Any:
        """Make one call of the protocol, as adapters do, and return its answer's JSON."""
        return await self._send(call)

    async def propose(
        self, proposal: Proposal | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> Ticket:
        """Ask; see `Client.propose`."""
        call = calls.proposing(calls.proposal_of(proposal, fields), idempotency_key)
        return Ticket.model_validate(await self._send(call))

    async def get(self, ticket: Ticket | str) -> Ticket:
        """The ticket as it stands now."""
        return Ticket.model_validate(await self._send(calls.polling(calls.id_of(ticket), 0)))

    async def wait(self, ticket: Ticket | str, timeout: float | None = None) -> Ticket:
        """Wait for the decision; see `Client.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = (
                calls.LONGEST_POLL
                if end is None
                else min(calls.LONGEST_POLL, end - time.monotonic())
            )
            found = Ticket.model_validate(
                await self._send(calls.polling(calls.id_of(ticket), max(left, 0)))
            )
            if found.decision is not None:
                return found
            if end is not None and time.monotonic() >= end:
                raise errors.StillOpen(f"proposal {found.id} is not decided yet")

    async def ask(
        self,
        question: str,
        options: calls.Options = None,
        *,
        agent: str | Agent,
        timeout: float | None = None,
        **extra: Any,
    ) -> Any:
        """Ask a person, and wait for the answer; see `Client.ask`."""
        ticket = await self.propose(calls.question_of(question, options, agent, extra))
        return calls.answered(await self.wait(ticket, timeout))

    def begin(
        self, agent: str | Agent, *, goal: str | None = None, task_id: str | None = None
    ) -> AsyncRun:
        """A run that begins with its `async with` block; see `Client.begin`."""

        async def send(method: str, path: str, json: Any, timeout: float) -> Any:
            return await self._send(calls.Call(method, path, json, timeout=timeout))

        return AsyncRun(send, opening(agent, goal, task_id))

    async def lessons(
        self, proposal: Proposal | None = None, *, limit: int = 5, **fields: Any
    ) -> list[str]:
        """Earlier corrections of like cases; see `Client.lessons`."""
        found = await self._send(calls.recalling(calls.proposal_of(proposal, fields), limit))
        return [lesson["prompt"] for lesson in found["lessons"]]

    async def park(
        self,
        content: Any,
        *,
        agent: str | Agent,
        framework: Framework,
        proposals: Sequence[Ticket | str],
        tools: Mapping[str, str | None] | None = None,
        expires_at: datetime | None = None,
        replaces: Saved | None = None,
        idempotency_key: str | None = None,
    ) -> Parked:
        """Have the server keep where a framework stopped; see `Client.park`."""
        fields = {
            "content": content,
            "agent": agent,
            "framework": framework,
            "proposals": [calls.id_of(one) for one in proposals],
            "tools": tools,
            "expires_at": expires_at,
        }
        call = calls.parking(fields, replaces, idempotency_key)
        return Parked.model_validate(await self._send(call))

    async def parked(
        self, agent: str | None = None, *, ready: bool | None = True, limit: int = 100
    ) -> list[Parked]:
        """The states kept with this key; see `Client.parked`."""
        found = await self._send(calls.listing(agent, ready, limit))
        return [Parked.model_validate(one) for one in found["states"]]

    async def resume(self, state: Parked | str, *, lease_s: float = LEASE_S) -> Saved:
        """Take a state; see `Client.resume`."""
        return Saved.model_validate(await self._send(calls.resuming(state, lease_s)))

    async def finish(self, saved: Saved) -> None:
        """Say that a resumed run is over; see `Client.finish`."""
        await self._send(calls.finishing(saved))

    async def cancel(self, ticket: Ticket | str) -> Ticket:
        """Take a proposal back."""
        path = f"/v1/proposals/{calls.id_of(ticket)}/cancel"
        return Ticket.model_validate(await self._send(calls.Call("POST", path)))

    async def consume(self, permit: Permit, computed: str) -> Permit:
        """Use a permit; see `Client.consume`."""
        call = calls.consuming(permit, computed, uuid.uuid4().hex)
        return Permit.model_validate(await self._send(call))

    async def report(self, told: Receipt) -> None:
        """Say what came of a run."""
        await self._send(calls.reporting(told))

    def report_behind(self, told: Receipt) -> None:
        """Say what came of a run while the caller goes on; see `Client.report_behind`."""
        self._untold.append(told)
        # One that ended with its loop before it began has left its receipts to the next.
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._report_soon())
            self._behind.add(self._teller)
            self._teller.add_done_callback(self._behind.discard)

    async def _report_soon(self) -> None:
        told: list[Receipt] = []
        try:
            try:
                await asyncio.sleep(receipts.GATHER_S)
            finally:
                told, self._untold, self._teller = self._untold, [], None
            await self._report_all(told)
        except asyncio.CancelledError:
            # The loop ends, and nobody has closed the client: said once more, it is the same.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._report_all(told), LAST_WORD_S)
            raise

    async def _report_all(self, told: Sequence[Receipt]) -> None:
        for part in receipts.parts(told):
            try:
                receipts.answered(await self._send(calls.reporting_all(part)))
            except errors.ErrataError as error:
                receipts.not_taken(part, error)

    async def run(self, ticket: Ticket, tool: Callable[[Effective], Awaitable[Any]]) -> Any:
        """Run what was decided, once; see `Client.run`."""
        permit = calls.approved(ticket)
        assert ticket.decision is not None
        assert ticket.proposal is not None
        version = ticket.decision.effective
        await self._consume_in_time(permit, calls.run_digest(ticket.proposal, version, permit))
        return await self._report_run(permit, lambda: tool(version))

    async def _consume_in_time(self, permit: Permit, computed: str) -> None:
        """Use a permit, where patience lasts as soon as it may be used."""
        end = time.monotonic() + self.patience
        while True:
            try:
                await self.consume(permit, computed)
            except errors.TooEarly as early:
                if time.monotonic() + early.retry_after_s > end:
                    raise
                await asyncio.sleep(early.retry_after_s)
            else:
                return

    async def _report_run(self, permit: Permit, body: Callable[[], Awaitable[Any]]) -> Any:
        started = datetime.now(UTC)
        try:
            result = await body()
        except Exception as error:
            await self.report(receipt(permit, started, None, error))
            raise
        await self.report(receipt(permit, started, result, None))
        return result

    def gate(
        self, agent: str | Agent, *, timeout: float | None = None, **extra: Any
    ) -> Callable[[Function], Function]:
        """Let an async tool function run only under its own permit; see `Client.gate`."""

        def decorate(function: Function) -> Function:
            gate = Gate.around(function, agent, extra)

            async def call(*args: Any, **kwargs: Any) -> Any:
                proposal = gate.ask(args, kwargs)
                ticket = await self.wait(await self.propose(proposal), timeout)
                permit = calls.approved(ticket)
                assert ticket.decision is not None
                arguments = gate.arguments(gate.version(ticket.decision))
                await self._consume_in_time(permit, gate.digest(arguments, permit))
                return await self._report_run(permit, lambda: function(**arguments))

            return dress(function, call)

        return decorate
