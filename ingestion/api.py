"""Routes for agents and operators: propose, cancel, permits, receipts, halt, events, schemas.

In: HTTP requests. Out: calls of this stage's modules, one transaction each.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import APIRouter, Header, Query, Response
from sqlmodel import Session

from errata import protocol
from errata.errors import ErrataError, Malformed, TooLarge, TooMany
from errata.requests import Db, Reading
from ingestion import (
    access,
    beginnings,
    bodies,
    ending,
    halts,
    intake,
    keys,
    lessons,
    store,
    tables,
    tickets,
    waits,
)
from ingestion.access import Caller, IdempotencyKey, Known, Now
from ingestion.drafts import Draft

router = APIRouter(prefix="/v1")

A = TypeVar("A")
T = TypeVar("T")

Begin = Annotated[
    str | None,
    Header(
        alias="Errata-Begin",
        pattern=r"^sha256:[0-9a-f]{64} [0-9A-Za-z_-]{16,100}$",
        description="Where the policy approves this digest at once, use the permit too: the digest "
        "and a key, by which a repetition of the request is known.",
    ),
]


class BatchMistakes(Malformed):
    """Lines of a batch that were not taken; none of the batch was."""

    code = "malformed_batch"

    def __init__(self, mistakes: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(mistakes)} of the lines are not valid; nothing was taken")
        self.mistakes = mistakes

    def wire(self) -> dict[str, Any]:
        return {**super().wire(), "lines": self.mistakes}


class Mistakes:
    """What is wrong with the lines of a batch."""

    def __init__(self, before: "Mistakes | None" = None) -> None:
        self._found: dict[int, dict[str, Any]] = dict(before._found) if before else {}

    def catch(self, number: int, work: Callable[[A], T], value: A) -> T | None:
        """Do something with a line; None where it is wrong."""
        try:
            return work(value)
        except TooMany:
            raise  # the lines are well: the whole batch can come again
        except ErrataError as error:
            field = {"field": error.field} if error.field else {}
            self._found[number] = {"line": number, **field, "reason": error.detail}
            return None

    def check(self) -> None:
        """Refuse the batch if a line is wrong.

        Raises:
            BatchMistakes: Some are.
        """
        if self._found:
            raise BatchMistakes([self._found[number] for number in sorted(self._found)])


@router.post(
    "/proposals",
    status_code=202,
    response_model=None,
    responses={201: {"description": "The policy has decided at once."}},
    openapi_extra=bodies.described(protocol.Proposal),
)
def propose(
    sender: Known,
    body: bodies.Single,
    now: Now,
    idempotency_key: IdempotencyKey = None,
    begin: Begin = None,
) -> Response:
    """Take in a proposal: 201 when the policy decides at once, 202 when people will."""

    def answer(session: Session) -> Answered:
        caller = sender.principal(session)
        return _propose(session, caller, body, idempotency_key, begin, now)

    answered = access.commit(answer)
    return bodies.answer(answered.status_code, json.dumps(answered.answer))


class Answered(NamedTuple):
    """The answer to a proposal."""

    status_code: int
    answer: dict[str, Any]


def _propose(
    session: Session,
    caller: tables.Principal,
    body: bodies.Body,
    key: str | None,
    begin: str | None,
    now: datetime,
) -> Answered:
    wish = beginnings.Begin(*begin.split()) if begin is not None else None
    known = intake.repeated(session, caller, key, body.hash) if key is not None else None
    if known is not None:
        stored = store.proposal(session, known.proposal_id)
        answer = {**known.answer, "proposal": stored and stored.wire()}
        if wish is not None and beginnings.is_begun(session, known.proposal_id, wish):
            answer["begun"] = True
        return Answered(known.status_code, answer)
    proposal = bodies.parse(body.raw, protocol.Proposal)
    desk = intake.Intake(session, caller, now=now)
    taken = desk.admit(proposal, wish)
    desk.write()
    place = taken.place if isinstance(taken, Draft) else taken
    ticket = tickets.as_of(_ticket(session, taken), now)
    ticket = waits.with_wait(session, ticket, place, now)
    if wish is not None and not isinstance(taken, Draft):
        ticket = beginnings.again(session, ticket, wish, caller, now=now)
    answered = Answered(202 if ticket.decision is None else 201, {"reviews": [], **ticket.wire()})
    if key is not None:
        _remember(session, caller, key, body, answered)
    return answered


def _ticket(session: Session, taken: Draft | tables.Proposal) -> protocol.Ticket:
    if isinstance(taken, Draft):
        return taken.ticket
    return tickets.ticket(session, taken).model_copy(update={**tickets.links(taken.id)})


def _remember(
    session: Session,
    caller: tables.Principal,
    key: str,
    body: bodies.Body,
    answered: Answered,
) -> None:
    row = tables.Idempotency(
        principal_id=caller.id,
        key=key,
        body_hash=body.hash,
        proposal_id=answered.answer["id"],
        status_code=answered.status_code,
        # Who has begun it is not the answer's to say: the same may be asked with another key to begin.
        answer={
            name: value
            for name, value in answered.answer.items()
            if name not in {"proposal", "begun"}
        },
    )
    session.add(row)
    session.flush()


@router.post(
    "/proposals/batch",
    status_code=202,
    response_model=None,
    openapi_extra=bodies.LINES,
)
def propose_batch(caller: Caller, body: bodies.Batch, now: Now) -> Response:
    """Take in one proposal per line (NDJSON): all of them or none."""
    keys.require(caller, "agent")
    unread = Mistakes()
    lines = [
        (number, proposal)
        for number, line in _lines(body.raw)
        if (proposal := unread.catch(number, _parse_line, line)) is not None
    ]

    def take(session: Session) -> list[tuple[int, protocol.Ticket]]:
        mistakes = Mistakes(unread)
        desk = intake.Intake(session, caller, now=now)
        desk.expect([proposal for _, proposal in lines])
        taken = [
            (number, found)
            for number, proposal in lines
            if (found := mistakes.catch(number, desk.admit, proposal)) is not None
        ]
        mistakes.check()
        desk.write()
        return [(number, _ticket(session, found)) for number, found in taken]

    answers = (
        f'{{"line":{number},{ticket.model_dump_json(exclude_none=True)[1:]}'
        for number, ticket in access.commit(take)
    )
    return bodies.answer(202, f'{{"proposals":[{",".join(answers)}]}}')


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _parse_line(line: bytes) -> protocol.Proposal:
    if len(line) > bodies.LARGEST:
        raise TooLarge(f"over {bodies.LARGEST:,} bytes", field=bodies.largest(line))
    return bodies.parse(line, protocol.Proposal)


@router.post("/proposals/{proposal_id}/cancel", response_model=None)
def cancel(proposal_id: str, session: Db, caller: Caller, now: Now) -> dict[str, Any]:
    """Take a proposal back before it is decided."""
    row = ending.cancel(session, proposal_id, caller, now=now)
    return tickets.ticket(session, row).wire()


@router.get("/halt")
def halt_state(session: Reading, _caller: Caller) -> dict[str, Any]:
    """Whether the fleet is halted."""
    halt = halts.active(session)
    return {"halted": halt is not None, "since": halt and halt.since}


@router.post("/halt", status_code=201)
def start_halt(session: Db, caller: Caller, now: Now) -> dict[str, Any]:
    """Halt the fleet: nothing is routed automatically and no permit is used until it is lifted."""
    keys.require(caller, "supervisor", "admin")
    halt = halts.start(session, actor=caller.id, now=now)
    return {"halted": True, "since": halt.since}


@router.delete("/halt")
def lift_halt(session: Db, caller: Caller, now: Now) -> dict[str, Any]:
    """Let the fleet run again."""
    keys.require(caller, "supervisor", "admin")
    halts.lift(session, actor=caller.id, now=now)
    return {"halted": False}


@router.post("/lessons", openapi_extra=bodies.described(protocol.Proposal))
def recall(
    caller: Caller,
    body: bodies.Single,
    session: Reading,
    limit: Annotated[int, Query(ge=1, le=20)] = 5,
) -> dict[str, Any]:
    """Earlier corrections of cases like the proposal in the body, which is not taken in."""
    keys.require(caller, "agent", "analyst", "admin")
    case = bodies.parse(body.raw, protocol.Proposal)
    own = caller.id if "agent" in caller.roles else None
    if own is not None:
        keys.require_agent(caller, case.agent.id)
    found = lessons.recall(session, case, own, limit=limit)
    return {"lessons": [lesson._asdict() for lesson in found]}


@router.get("/schemas")
def schemas() -> dict[str, Any]:
    """The JSON Schemas (2020-12) of the protocol's values."""
    return protocol.schemas()
