"""The SDK for agents: propose, wait, and run a tool only under its own permit.

In: proposals as values or keywords. Out: tickets, decisions, permits, receipts.
Needs pydantic and an HTTP client, nothing of the server.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from errata import calls, errors
from errata.gate import Gate, dress, receipt
from errata.protocol import Agent, Effective, Permit, Proposal, Receipt, Ticket
from errata.receipts import Behind
from errata.runs import Run, opening
from errata.states import LEASE_S, Framework, Parked, Saved

Function = TypeVar("Function", bound=Callable[..., Any])

log = logging.getLogger("errata")


class Client(calls.Base):
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
        patience: float = calls.PATIENCE,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience)
        self._http = httpx2.Client(base_url=self.url, transport=transport)
        self._behind = Behind(self._send)

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
        """Close the connections, once all is reported."""
        self._behind.close()
        self._http.close()

    def _send(self, call: calls.Call) -> Any:
        patience = calls.Patience(self.patience)
        pause: float | None = 0.0
        while pause is not None:
            if pause:
                time.sleep(pause)
            try:
                response = self._http.request(call.method, call.path, **self.options(call))
            except httpx2.TransportError:
                pause = patience.pause()
                continue
            if response.is_success:
                return response.json()
            pause = patience.after(call, response)
        raise errors.Unavailable(f"{self.url} did not answer within {self.patience:.0f} s")

    def send(self, call: calls.Call) -> Any:
        """Make one call of the protocol, as adapters do, and return its answer's JSON."""
        return self._send(call)

    def propose(
        self, proposal: Proposal | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> Ticket:
        """Ask; the ticket says whether the policy decided at once.

        Args:
            proposal: The proposal; or give its fields by keyword.
            idempotency_key: The same key and proposal give the same ticket; made up when absent.
            fields: Fields of the proposal.
        """
        call = calls.proposing(calls.proposal_of(proposal, fields), idempotency_key)
        return Ticket.model_validate(self._send(call))

    def get(self, ticket: Ticket | str) -> Ticket:
        """The ticket as it stands now."""
        return Ticket.model_validate(self._send(calls.polling(calls.id_of(ticket), 0)))

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
            left = (
                calls.LONGEST_POLL
                if end is None
                else min(calls.LONGEST_POLL, end - time.monotonic())
            )
            found = Ticket.model_validate(
                self._send(calls.polling(calls.id_of(ticket), max(left, 0)))
            )
            if found.decision is not None:
                return found
            if end is not None and time.monotonic() >= end:
                raise errors.StillOpen(f"proposal {found.id} is not decided yet")

    def ask(
        self,
        question: str,
        options: calls.Options = None,
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
        return calls.answered(
            self.wait(self.propose(calls.question_of(question, options, agent, extra)), timeout)
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
            return self._send(calls.Call(method, path, json, timeout=timeout))

        return Run(send, send("POST", "/v1/runs", opening(agent, goal, task_id), 30.0))

    def lessons(
        self, proposal: Proposal | None = None, *, limit: int = 5, **fields: Any
    ) -> list[str]:
        """Earlier corrections of cases like one that is about to be proposed.

        Args:
            proposal: The case, which is not proposed; or give its fields by keyword.
            limit: At most so many.
            fields: Fields of the proposal.

        Returns:
            Prompts for the agent's context, of the most similar case first.
        """
        found = self._send(calls.recalling(calls.proposal_of(proposal, fields), limit))
        return [lesson["prompt"] for lesson in found["lessons"]]

    def park(
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
        """Have the server keep where a framework stopped, sealed, until people have decided.

        Args:
            content: The framework's own state: a JSON object or array, never a pickle.
            agent: Whose; with its version, to see at the resume whether it was deployed anew.
            framework: What wrote the content.
            proposals: What the run waits for; made with this key.
            tools: Digest of each tool's schema (`errata.digest.schema_digest`), None where unknown.
            expires_at: When it is forgotten; in 30 days where nothing is said.
            replaces: The state from which this run was resumed; it is done from then on.
            idempotency_key: The same key keeps the same state once; made up when absent.

        Raises:
            Malformed: The content is no JSON, or a proposal is none of this key's.
            TooLarge: It is over eight megabytes.
            Conflict: Another process has taken what it replaces.
        """
        fields = {
            "content": content,
            "agent": agent,
            "framework": framework,
            "proposals": [calls.id_of(one) for one in proposals],
            "tools": tools,
            "expires_at": expires_at,
        }
        call = calls.parking(fields, replaces, idempotency_key)
        return Parked.model_validate(self._send(call))

    def parked(
        self, agent: str | None = None, *, ready: bool | None = True, limit: int = 100
    ) -> list[Parked]:
        """The states kept with this key, the oldest first.

        Args:
            agent: Only this agent's.
            ready: True: all is decided and no process holds it; False: people still think; None: all.
            limit: At most so many, up to 500.
        """
        found = self._send(calls.listing(agent, ready, limit))
        return [Parked.model_validate(one) for one in found["states"]]

    def resume(self, state: Parked | str, *, lease_s: float = LEASE_S) -> Saved:
        """Take a state; for so many seconds no other process gets it.

        Where the framework, a tool or the agent has another version than the state names, do not
        guess: propose anew and `park` with `replaces`, or `finish` it.

        Raises:
            Taken: Another process has it; says when to come again.
            Conflict: It is done.
            Gone: Its time is over, it was erased, or (`Tampered`) changed in the database.
            NotFound: There is none for this key.
        """
        return Saved.model_validate(self._send(calls.resuming(state, lease_s)))

    def finish(self, saved: Saved) -> None:
        """Say that a resumed run is over; its content is erased.

        Raises:
            Conflict: Another process has taken the state since.
        """
        self._send(calls.finishing(saved))

    def cancel(self, ticket: Ticket | str) -> Ticket:
        """Take a proposal back."""
        path = f"/v1/proposals/{calls.id_of(ticket)}/cancel"
        return Ticket.model_validate(self._send(calls.Call("POST", path)))

    def consume(self, permit: Permit, computed: str) -> Permit:
        """Use a permit for the bytes with this digest; see `run_digest`.

        Raises:
            DigestMismatch, PermitUsed, PermitExpired, PermitRevoked, Halted: Do not run it.
            Interrupted: Its run is interrupted; the permit can be used once that is handed back.
            TooEarly: It can still be undone, or (`WaitingFor`) what it depends on has not run;
                come back in `retry_after_s`; `run` and `gate` do.
        """
        call = calls.consuming(permit, computed, uuid.uuid4().hex)
        return Permit.model_validate(self._send(call))

    def report(self, told: Receipt) -> None:
        """Say what came of a run."""
        self._send(calls.reporting(told))

    def report_behind(self, told: Receipt) -> None:
        """Say what came of a run while the caller goes on; `close` waits until it is said.

        A process that is killed before leaves the run `unknown`, as it does while the tool runs.
        """
        self._behind.put(told)

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
        permit = calls.approved(ticket)
        assert ticket.decision is not None
        assert ticket.proposal is not None
        version = ticket.decision.effective
        self._consume_in_time(permit, calls.run_digest(ticket.proposal, version, permit))
        return self._report_run(permit, lambda: tool(version))

    def _consume_in_time(self, permit: Permit, computed: str) -> None:
        """Use a permit, where patience lasts as soon as it may be used."""
        end = time.monotonic() + self.patience
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
                permit = calls.approved(ticket)
                assert ticket.decision is not None
                arguments = gate.arguments(gate.version(ticket.decision))
                self._consume_in_time(permit, gate.digest(arguments, permit))
                return self._report_run(permit, lambda: function(**arguments))

            return dress(function, call)

        return decorate
