"""The SDK for agents: propose, wait, and run a tool only under its own permit.

In: proposals as values or keywords. Out: tickets, decisions, permits, receipts.
Needs pydantic and an HTTP client, nothing of the server.
"""

import asyncio
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import httpx2
from pydantic import ValidationError

from errata import errors
from errata.digest import digest, version_body
from errata.gate import Gate, dress, receipt
from errata.protocol import Agent, Effective, Option, Permit, Proposal, Receipt, Ticket
from errata.runs import AsyncRun, Run, opening

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8400"
LONGEST_POLL = 30.0
"""Seconds that one long poll is held; a wait is made of as many as it takes."""
PATIENCE = 120.0
"""Seconds for which a request is repeated while the server cannot be reached, or says that the
agent sends too much."""


class _Call(NamedTuple):
    """One HTTP call."""

    method: str
    path: str
    json: Any = None
    key: str | None = None
    """Idempotency key: makes a repetition harmless."""
    timeout: float = 30.0


_ERRORS: dict[str, type[errors.ErrataError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ErrataError)
}


def _error(response: httpx2.Response) -> errors.ErrataError:
    """The error that the server answered with, as the class that the server raised."""
    try:
        answer: dict[str, Any] = response.json()
        code, detail, field = answer["error"], answer["detail"], answer.get("field")
    except (ValueError, KeyError, TypeError):
        code, detail, field = "internal", f"HTTP {response.status_code} without an answer", None
    kind = _ERRORS.get(code, errors.ErrataError)
    if issubclass(kind, errors.TooEarly):
        return kind(detail, _retry_after(response))
    if kind is errors.TooMany:
        return errors.TooMany(detail, _retry_after(response))
    return _plain(kind)(detail, field)


def _plain(kind: type[errors.ErrataError]) -> type[errors.ErrataError]:
    """Errors with a constructor of their own do not come over the wire as such."""
    return kind if kind.__init__ is errors.ErrataError.__init__ else errors.ErrataError


def _retry_after(response: httpx2.Response) -> float:
    return float(response.headers.get("Retry-After", 1))


def _retryable(call: _Call, response: httpx2.Response) -> bool:
    """Whether the server may answer otherwise in a moment; reading again is always harmless."""
    if call.method == "GET" and response.status_code >= 500:
        return True
    return response.status_code in {429, 502, 503, 504}


class _Patience:
    """Pauses between attempts: doubling with jitter (AWS, 'full jitter'), until it ends."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._ceiling = 0.1

    def pause(self, at_least: float = 0.0) -> float | None:
        """Seconds to wait before the next attempt; None where there is to be none."""
        wanted = max(random.uniform(0.02, self._ceiling), at_least)  # jitter, no secret
        if self._left <= 0 or at_least > self._left:
            return None
        self._left -= wanted
        self._ceiling = min(self._ceiling * 2, 5.0)
        return wanted

    def after(self, call: _Call, response: httpx2.Response) -> float | None:
        """Seconds to wait after an answer that is no success.

        Raises:
            ErrataError: What was answered, where another attempt would not help, or where the
                server says to come back after this patience ends.
        """
        if not _retryable(call, response):
            raise _error(response)
        if response.status_code != 429:
            return self.pause()
        pause = self.pause(_retry_after(response))
        if pause is None:
            raise _error(response)
        return pause


def _propose_call(proposal: Proposal, key: str | None) -> _Call:
    return _Call("POST", "/v1/proposals", proposal.wire(), key or uuid.uuid4().hex)


def _poll_call(ticket_id: str, seconds: float) -> _Call:
    path = f"/v1/proposals/{ticket_id}?wait={seconds:.3f}"
    return _Call("GET", path, timeout=seconds + 15)


def _consume_call(permit: Permit, computed: str, key: str) -> _Call:
    return _Call("POST", f"/v1/permits/{permit.id}/consume", {"digest": computed}, key)


def _receipt_call(told: Receipt) -> _Call:
    return _Call("POST", f"/v1/permits/{told.permit_id}/receipt", told.wire())


def _id(ticket: Ticket | str) -> str:
    return ticket if isinstance(ticket, str) else ticket.id


def approved(ticket: Ticket) -> Permit:
    """The permit of a decided proposal.

    Raises:
        Refused: People or the policy did not let it run; carries the decision.
    """
    decision = ticket.decision
    if decision is None:
        raise errors.StillOpen(f"proposal {ticket.id} is not decided yet")
    if ticket.permit is None:
        raise errors.Refused(f"{decision.outcome}: {decision.reason}", decision)
    return ticket.permit


def run_digest(proposal: Proposal, version: Effective, permit: Permit) -> str:
    """The digest of what is about to run, computed from what is really there.

    Args:
        proposal: What was asked.
        version: What will run, as the caller holds it.
        permit: Names the tool schema and policy version that were in force.
    """
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=version_body(proposal, version),
        tool_schema=permit.tool_schema,
        policy_version=permit.policy_version,
    )


class _Base:
    """What both clients share: where the server is and how to say who calls."""

    def __init__(self, url: str | None, key: str | None, patience: float) -> None:
        self.url = (url or os.environ.get("ERRATA_URL") or DEFAULT_URL).rstrip("/")
        self._key = key or os.environ.get("ERRATA_KEY")
        self._patience = patience
        if not self._key:
            raise errors.Unauthorized("no key: pass key=… or set ERRATA_KEY")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r})"

    def _options(self, call: _Call) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return {"json": call.json, "headers": headers, "timeout": call.timeout}


def _proposal(proposal: Proposal | None, fields: dict[str, Any]) -> Proposal:
    if proposal is not None:
        return proposal
    try:
        return Proposal.model_validate({"hap": "1", **fields})
    except ValidationError as error:
        raise errors.Malformed(str(error)) from error


Options = dict[str, str] | list[str] | None


def _question(
    question: str, options: Options, agent: str | Agent, extra: dict[str, Any]
) -> Proposal:
    labels = dict.fromkeys(options) if isinstance(options, list) else options or {}
    offered = [Option(id=id_, label=label or id_) for id_, label in labels.items()]
    named = Agent(id=agent) if isinstance(agent, str) else agent
    fields = {"kind": "question", "agent": named, "message": question, **extra}
    return _proposal(None, {**fields, "options": offered} if offered else fields)


def answered(ticket: Ticket) -> Any:
    """The response to a decided question.

    Raises:
        Refused: There is none; carries the decision.
    """
    decision = ticket.decision
    assert decision is not None
    if decision.outcome != "respond":
        raise errors.Refused(f"{decision.outcome}: {decision.reason}", decision)
    return decision.effective.response


class Client(_Base):
    """The synchronous client.

    Args:
        url: The server; else the environment's ERRATA_URL, else this machine's port 8400.
        key: An agent's key; else the environment's ERRATA_KEY.
        patience: Seconds for which a request is repeated while the server cannot be reached.
        transport: For tests: another way to the server.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience)
        self._http = httpx2.Client(base_url=self.url, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: _Call) -> Any:
        patience = _Patience(self._patience)
        pause: float | None = 0.0
        while pause is not None:
            time.sleep(pause)
            try:
                response = self._http.request(call.method, call.path, **self._options(call))
            except httpx2.TransportError:
                pause = patience.pause()
                continue
            if response.is_success:
                return response.json()
            pause = patience.after(call, response)
        raise errors.Unavailable(f"{self.url} did not answer within {self._patience:.0f} s")

    def propose(
        self, proposal: Proposal | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> Ticket:
        """Ask; the ticket says whether the policy decided at once.

        Args:
            proposal: The proposal; or give its fields by keyword.
            idempotency_key: The same key and proposal give the same ticket; made up when absent.
            fields: Fields of the proposal.
        """
        call = _propose_call(_proposal(proposal, fields), idempotency_key)
        return Ticket.model_validate(self._send(call))

    def get(self, ticket: Ticket | str) -> Ticket:
        """The ticket as it stands now."""
        return Ticket.model_validate(self._send(_poll_call(_id(ticket), 0)))

    def wait(self, ticket: Ticket | str, timeout: float | None = None) -> Ticket:
        """Wait for the decision; survives restarts of the server.

        Args:
            ticket: What to wait for; an id from another process will do.
            timeout: Seconds; None: until the proposal's own deadline decides it.

        Raises:
            StillOpen: The time is over and nobody has decided.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST_POLL if end is None else min(LONGEST_POLL, end - time.monotonic())
            found = Ticket.model_validate(self._send(_poll_call(_id(ticket), max(left, 0))))
            if found.decision is not None:
                return found
            if end is not None and time.monotonic() >= end:
                raise errors.StillOpen(f"proposal {found.id} is not decided yet")

    def ask(
        self,
        question: str,
        options: Options = None,
        *,
        agent: str | Agent,
        timeout: float | None = None,
        **extra: Any,
    ) -> Any:
        """Ask a person, and wait for the answer.

        Args:
            question: What to ask.
            options: One-click answers: labels by id, or labels that are their own ids.
            agent: Who asks.
            timeout: Seconds to wait.
            extra: Further fields of the proposal, such as `response_schema` or `run_id`.

        Returns:
            The id of the chosen option, or what fits the response schema.

        Raises:
            Refused: The person gave no answer; carries the decision.
            StillOpen: Nobody has answered in time.
        """
        return answered(
            self.wait(self.propose(_question(question, options, agent, extra)), timeout)
        )

    def begin(
        self, agent: str | Agent, *, goal: str | None = None, task_id: str | None = None
    ) -> Run:
        """Begin a run that people can watch and interrupt; for a `with` block.

        Args:
            agent: Whose run.
            goal: What for; shown to people.
            task_id: The task that it belongs to.
        """

        def send(method: str, path: str, json: Any, timeout: float) -> Any:
            return self._send(_Call(method, path, json, timeout=timeout))

        return Run(send, send("POST", "/v1/runs", opening(agent, goal, task_id), 30.0))

    def cancel(self, ticket: Ticket | str) -> Ticket:
        """Take a proposal back."""
        path = f"/v1/proposals/{_id(ticket)}/cancel"
        return Ticket.model_validate(self._send(_Call("POST", path)))

    def consume(self, permit: Permit, computed: str) -> Permit:
        """Use a permit for the bytes with this digest; see `run_digest`.

        Raises:
            DigestMismatch, PermitUsed, PermitExpired, PermitRevoked, Halted: Do not run it.
            Interrupted: Its run is interrupted; the permit can be used once that is handed back.
            TooEarly: It can still be undone, or (`WaitingFor`) what it depends on has not run;
                come back in `retry_after_s`; `run` and `gate` do.
        """
        call = _consume_call(permit, computed, uuid.uuid4().hex)
        return Permit.model_validate(self._send(call))

    def report(self, told: Receipt) -> None:
        """Say what came of a run."""
        self._send(_receipt_call(told))

    def run(self, ticket: Ticket, tool: Callable[[Effective], Any]) -> Any:
        """Run what was decided, once, and report it.

        Args:
            ticket: A decided ticket.
            tool: Gets what counts (the person's version, if there is one).

        Returns:
            The tool's result.

        Raises:
            Refused: It may not run.
        """
        permit = approved(ticket)
        assert ticket.decision is not None
        assert ticket.proposal is not None
        version = ticket.decision.effective
        self._consume_in_time(permit, run_digest(ticket.proposal, version, permit))
        return self._report_run(permit, lambda: tool(version))

    def _consume_in_time(self, permit: Permit, computed: str) -> None:
        """Use a permit, where patience lasts as soon as it may be used."""
        end = time.monotonic() + self._patience
        while True:
            try:
                self.consume(permit, computed)
            except errors.TooEarly as early:
                if time.monotonic() + early.retry_after_s > end:
                    raise
                time.sleep(early.retry_after_s)
            else:
                return

    def _report_run(self, permit: Permit, body: Callable[[], Any]) -> Any:
        started = datetime.now(UTC)
        try:
            result = body()
        except Exception as error:
            self.report(receipt(permit, started, None, error))
            raise
        self.report(receipt(permit, started, result, None))
        return result

    def gate(
        self, agent: str | Agent, *, timeout: float | None = None, **extra: Any
    ) -> Callable[[Function], Function]:
        """Let a tool function run only under its own permit.

        A call proposes, waits, and runs the function with the arguments that were approved, which
        may be a person's version of them.

        Args:
            agent: Who calls.
            timeout: Seconds to wait for the decision.
            extra: Fields for every proposal, such as `risk` or `reasoning`.

        Raises:
            Refused: From the call, when it may not run; carries the decision.
        """

        def decorate(function: Function) -> Function:
            gate = Gate.around(function, agent, extra)

            def call(*args: Any, **kwargs: Any) -> Any:
                proposal = gate.ask(args, kwargs)
                ticket = self.wait(self.propose(proposal), timeout)
                permit = approved(ticket)
                assert ticket.decision is not None
                arguments = gate.arguments(gate.version(ticket.decision))
                self._consume_in_time(permit, gate.digest(arguments, permit))
                return self._report_run(permit, lambda: function(**arguments))

            return dress(function, call)

        return decorate


class AsyncClient(_Base):
    """The asynchronous client; the arguments are those of `Client`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: float = PATIENCE,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience)
        self._http = httpx2.AsyncClient(base_url=self.url, transport=transport)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: _Call) -> Any:
        patience = _Patience(self._patience)
        pause: float | None = 0.0
        while pause is not None:
            await asyncio.sleep(pause)
            try:
                response = await self._http.request(call.method, call.path, **self._options(call))
            except httpx2.TransportError:
                pause = patience.pause()
                continue
            if response.is_success:
                return response.json()
            pause = patience.after(call, response)
        raise errors.Unavailable(f"{self.url} did not answer within {self._patience:.0f} s")

    async def propose(
        self, proposal: Proposal | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> Ticket:
        """Ask; see `Client.propose`."""
        call = _propose_call(_proposal(proposal, fields), idempotency_key)
        return Ticket.model_validate(await self._send(call))

    async def get(self, ticket: Ticket | str) -> Ticket:
        """The ticket as it stands now."""
        return Ticket.model_validate(await self._send(_poll_call(_id(ticket), 0)))

    async def wait(self, ticket: Ticket | str, timeout: float | None = None) -> Ticket:
        """Wait for the decision; see `Client.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST_POLL if end is None else min(LONGEST_POLL, end - time.monotonic())
            found = Ticket.model_validate(await self._send(_poll_call(_id(ticket), max(left, 0))))
            if found.decision is not None:
                return found
            if end is not None and time.monotonic() >= end:
                raise errors.StillOpen(f"proposal {found.id} is not decided yet")

    async def ask(
        self,
        question: str,
        options: Options = None,
        *,
        agent: str | Agent,
        timeout: float | None = None,
        **extra: Any,
    ) -> Any:
        """Ask a person, and wait for the answer; see `Client.ask`."""
        ticket = await self.propose(_question(question, options, agent, extra))
        return answered(await self.wait(ticket, timeout))

    def begin(
        self, agent: str | Agent, *, goal: str | None = None, task_id: str | None = None
    ) -> AsyncRun:
        """A run that begins with its `async with` block; see `Client.begin`."""

        async def send(method: str, path: str, json: Any, timeout: float) -> Any:
            return await self._send(_Call(method, path, json, timeout=timeout))

        return AsyncRun(send, opening(agent, goal, task_id))

    async def cancel(self, ticket: Ticket | str) -> Ticket:
        """Take a proposal back."""
        path = f"/v1/proposals/{_id(ticket)}/cancel"
        return Ticket.model_validate(await self._send(_Call("POST", path)))

    async def consume(self, permit: Permit, computed: str) -> Permit:
        """Use a permit; see `Client.consume`."""
        call = _consume_call(permit, computed, uuid.uuid4().hex)
        return Permit.model_validate(await self._send(call))

    async def report(self, told: Receipt) -> None:
        """Say what came of a run."""
        await self._send(_receipt_call(told))

    async def run(self, ticket: Ticket, tool: Callable[[Effective], Awaitable[Any]]) -> Any:
        """Run what was decided, once; see `Client.run`."""
        permit = approved(ticket)
        assert ticket.decision is not None
        assert ticket.proposal is not None
        version = ticket.decision.effective
        await self._consume_in_time(permit, run_digest(ticket.proposal, version, permit))
        return await self._report_run(permit, lambda: tool(version))

    async def _consume_in_time(self, permit: Permit, computed: str) -> None:
        """Use a permit, where patience lasts as soon as it may be used."""
        end = time.monotonic() + self._patience
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
                permit = approved(ticket)
                assert ticket.decision is not None
                arguments = gate.arguments(gate.version(ticket.decision))
                await self._consume_in_time(permit, gate.digest(arguments, permit))
                return await self._report_run(permit, lambda: function(**arguments))

            return dress(function, call)

        return decorate
