"""What all adapters share: one proposal for one call of a tool, and what to do about it.

In: calls as frameworks tell of them. Out: tickets, and from a ticket whether the call waits, may
run, or is answered without running. No network here: `errata.agents.driving` sends.
"""

import uuid
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from errata import calls, errors
from errata.agents.standing import JSON, SETTLED, Done, Ready, Standing, standing, told
from errata.digest import action_body, digest, fingerprint, schema_digest, stated_schema
from errata.protocol import Action, Agent, Proposal, Receipt, Ticket

T = TypeVar("T")
Step = calls.Call | float
"""A request, or seconds to let pass."""
Flow = Generator[Step, Any, T]
"""Steps that yield what is to be done, are sent the answers, and return something."""

LAPSED = (errors.PermitExpired, errors.PermitRevoked)
"""What says that a permit is not good any more: the call is asked for anew."""
BUSY_S = 10.0
"""Seconds for which a call waits for another process that runs it."""
LOOK_AGAIN = 0.2
"""Seconds between two looks at a run of another process."""
RECORD = "errata"
"""The key of a proposal's metadata under which the call is described."""


class Called(NamedTuple):
    """A call of a tool, as a framework tells of it."""

    name: str
    arguments: dict[str, Any]
    """As JSON, the way the tool will get them."""
    id: str
    """The framework's own id of the call; it may come again in another turn."""
    thread: str
    """What is saved and resumed under one name: a conversation, a run."""
    turn: str = ""
    """What the user last said in it: the same call in another turn is another wish. Empty where
    the framework does not tell; a call that comes again under another id is then another wish."""
    schema: dict[str, Any] | None = None
    description: str | None = None
    fields: Mapping[str, Any] = {}
    """Further fields of the proposal, such as `prompt` and `run_id`."""


class Desk:
    """Where the calls of one agent are asked for.

    Args:
        agent: Who asks. Its version is part of every question: after a deployment open questions
            are asked again.
        fields: Fields of every proposal, such as `risk` or `requested_by`.
    """

    def __init__(self, agent: str | Agent, **fields: Any) -> None:
        self.agent = Agent(id=agent) if isinstance(agent, str) else agent
        self._fields = fields
        self._terms: dict[str, tuple[str | None, str]] = {}
        self._lapsed: set[str] = set()

    def settle(
        self, call: Called, *, at_once: bool = False, busy_s: float = BUSY_S
    ) -> Flow[Standing]:
        """Ask for a call, and say what is to be done about it; the model hears what it did wrong.

        Args:
            call: The call.
            at_once: Whether the caller runs what may run, come what may: where the policy approves
                at once, asking and using the permit are then one request.
            busy_s: Seconds for which it waits until another process that runs it says what came
                of it.
        """
        try:
            ticket = yield from self.ask(call, at_once=at_once)
        except errors.Malformed as error:
            return Done(f"Not run: {error.detail}. Mend the call and make it again.", ok=False)
        if ticket.status == "executing" and not ticket.begun:
            return (yield from self._await_receipt(ticket.id, busy_s))
        return standing(ticket, call.name)

    def ask(self, call: Called, *, at_once: bool = False) -> Flow[Ticket]:
        """The ticket of a call: the same for the same call, whoever asks, however often.

        A call that comes again under another id in the same turn, after people refused or changed
        it, gets the old ticket: they are not asked twice. A permit that has lapsed is not used, nor
        one that was given to another version of the agent or for another schema of the tool: the
        call is asked for anew. What has run, or may have, is never asked for again.

        Raises:
            Malformed: The arguments are nothing that JSON can carry exactly.
        """
        stem = self._stem(call)
        for attempt in count():
            proposal = self._proposal(call, f"{stem}-{attempt}")
            begin = self._expected(proposal) if at_once else None
            ticket = yield from self._ticket(proposal, begin)
            if _is_of(ticket, call):
                if _is_over(ticket) or (
                    self._is_current(ticket, call) and not self._has_lapsed(ticket)
                ):
                    return ticket
            elif call.turn and _was_turned_down(ticket):
                return ticket
        raise AssertionError

    def _ticket(self, proposal: Proposal, begin: str | None) -> Flow[Ticket]:
        """What there is under the proposal's id, which it makes if there is nothing."""
        assert proposal.id is not None
        assert proposal.action is not None
        try:
            ticket = Ticket.model_validate((yield calls.proposing_once(proposal, begin)))
        except errors.Conflict as error:
            if error.field != "id":
                raise
            ticket = yield from self.look(proposal.id)
        if ticket.permit is not None:
            terms = (ticket.permit.tool_schema, ticket.permit.policy_version)
            self._terms[proposal.action.name] = terms
        return ticket

    def _is_current(self, ticket: Ticket, call: Called) -> bool:
        """Whether a question was asked by this version of the agent, for this schema."""
        proposal = ticket.proposal
        if proposal is None:
            return True
        stated = schema_digest(stated_schema(proposal, call.name))
        return (proposal.agent.version, stated) == (
            self.agent.version,
            schema_digest(_schema(call)),
        )

    def _has_lapsed(self, ticket: Ticket) -> bool:
        if ticket.id in self._lapsed:
            return True
        return ticket.permit is not None and ticket.permit.status in {"expired", "revoked"}

    def _expected(self, proposal: Proposal) -> str | None:
        """The digest that a permit would have under the terms of the last one for this tool."""
        assert proposal.action is not None
        terms = self._terms.get(proposal.action.name)
        return None if terms is None else self._digest(proposal.action, *terms)

    def look(self, ticket_id: str) -> Flow[Ticket]:
        """The ticket as it stands now."""
        return Ticket.model_validate((yield calls.polling(ticket_id, 0)))

    def _proposal(self, call: Called, id_: str) -> Proposal:
        function = {"name": call.name, "parameters": _schema(call)}
        if call.description:
            function["description"] = call.description
        stated: dict[str, Any] = {**self._fields, **call.fields}
        record = {"call": call.id, "thread": call.thread, "turn": call.turn}
        try:
            return Proposal(
                hap="1",
                id=id_,
                kind="action",
                agent=self.agent,
                action=Action(name=call.name, arguments=call.arguments),
                tools=({"type": "function", "function": function},),
                metadata={**stated.pop("metadata", {}), RECORD: record},
                **stated,
            )
        except ValidationError as error:
            raise errors.Malformed(
                f"the call of {call.name!r} cannot be proposed: {error}"
            ) from error

    def _stem(self, call: Called) -> str:
        """What makes two calls the same; other arguments are another call."""
        named = [call.thread, call.turn or call.id, self.agent.id, call.name, call.arguments]
        try:
            print_ = fingerprint(named)
        except ValueError as error:
            raise errors.Malformed(
                f"the arguments of {call.name!r} are no JSON: {error}"
            ) from error
        return f"call-{print_.removeprefix('sha256:')}"

    def begin(self, ready: Ready, arguments: dict[str, Any], patience: float) -> Flow[Done | None]:
        """Use the permit for what the tool's body has got.

        Args:
            ready: The call.
            arguments: As the body has them.
            patience: Seconds for which it waits until the permit may be used.

        Returns:
            None: run the body now, once. Else what came of the run of another process.

        Raises:
            DigestMismatch: These are not the approved arguments; nothing runs.
            PermitExpired, PermitRevoked: Ask anew.
            Halted, Interrupted, TooEarly: Later.
        """
        passed = Action(name=ready.action.name, arguments=JSON.dump_python(arguments, mode="json"))
        terms = ready.permit.tool_schema, ready.permit.policy_version
        computed = self._digest(passed, *terms)
        if ready.begun is None:
            return (yield from self._consume(ready, computed, patience))
        if not ready.begun.take():
            return (yield from self._await_receipt(ready.ticket.id, patience))
        if computed == ready.permit.digest:
            return None
        yield from self._report_not_run(ready)
        raise errors.DigestMismatch("these are not the approved arguments; nothing has run")

    def _consume(self, ready: Ready, computed: str, patience: float) -> Flow[Done | None]:
        key = uuid.uuid4().hex
        while True:
            try:
                yield calls.consuming(ready.permit, computed, key)
            except errors.PermitUsed:
                return (yield from self._await_receipt(ready.ticket.id, patience))
            except LAPSED:
                self._lapsed.add(ready.ticket.id)  # its ticket may not say so yet
                raise
            except errors.TooEarly as early:
                if early.retry_after_s > patience:
                    raise
                patience -= early.retry_after_s
                yield early.retry_after_s
            else:
                return None

    def abandon(self, ready: Ready) -> Flow[None]:
        """Say of a call that was begun and has not come to its body that it will not run."""
        if ready.begun is not None and ready.begun.take():
            yield from self._report_not_run(ready)

    def _report_not_run(self, ready: Ready) -> Flow[None]:
        now = datetime.now(UTC)
        receipt = Receipt(
            permit_id=ready.permit.id,
            status="failed",
            error="did not run: its body was not reached with the approved arguments",
            started_at=now,
            finished_at=now,
        )
        yield calls.reporting(receipt)

    def _digest(self, action: Action, tool_schema: str | None, policy_version: str) -> str:
        return digest(
            agent=self.agent.id,
            kind="action",
            body=action_body(action),
            tool_schema=tool_schema,
            policy_version=policy_version,
        )

    def _await_receipt(self, ticket_id: str, patience: float) -> Flow[Done]:
        """What comes of a run that another process has begun."""
        while True:
            ticket = yield from self.look(ticket_id)
            if ticket.status in SETTLED or patience <= 0:
                return told(ticket)
            patience -= LOOK_AGAIN
            yield LOOK_AGAIN


def _schema(call: Called) -> dict[str, Any]:
    return call.schema or {"type": "object"}


def _is_over(ticket: Ticket) -> bool:
    """Whether it has run, may have, or was decided not to."""
    if ticket.status in SETTLED or ticket.status == "executing":
        return True
    return ticket.decision is not None and ticket.permit is None


def _is_of(ticket: Ticket, call: Called) -> bool:
    """Whether a ticket is this very call's; one whose texts were erased counts as that."""
    if ticket.proposal is None:
        return True
    return ticket.proposal.metadata.get(RECORD, {}).get("call") == call.id


def _was_turned_down(ticket: Ticket) -> bool:
    return ticket.decision is not None and ticket.decision.outcome != "approve"
