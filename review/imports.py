"""Import files: review history, conversations, proposals.

In: JSON Lines files. Out: rows of ingestion and review, in batches of one transaction each, and an
account of what landed. A bad line costs nothing but itself; an import that was interrupted is
simply run again.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy.exc import DataError, IntegrityError
from sqlmodel import Session

from errata import protocol
from errata.db import Database
from errata.digest import NO_POLICY, fingerprint
from errata.errors import ErrataError, NotFound
from ingestion import decisions, events, intake, tables
from ingestion import imports as landing
from ingestion.sources import chat as conversations
from ingestion.sources import lines
from ingestion.sources import proposals as posts
from ingestion.sources import reviews as histories
from ingestion.sources.lines import Line, LineError, Read
from review import outcomes
from review.outcomes import Settled
from review.tables import Review, ReviewPayload

BATCH = 200
"""Lines per transaction."""

T = TypeVar("T")


class Landed(NamedTuple):
    """Proposals of one line."""

    new: int
    known: int


class Imported(NamedTuple):
    """What became of a file."""

    landed: int
    """Proposals that were not known."""
    known: int
    """Proposals that an earlier import had landed, with the same content."""
    errors: list[LineError]
    """In the order of the lines; one per line that did not land."""


Progress = Callable[[int], None]
"""Told after each batch how many bytes of the file are done."""


def reviews(
    database: Database, path: Path, *, now: datetime, progress: Progress | None = None
) -> Imported:
    """Import review history (`errata import reviews`).

    Args:
        database: Where to.
        path: One `{"proposal", "reviews", "decision"?, "receipts"?, "exclude"?}` per line.
        now: The time of the import.
        progress: Told how far it is.
    """
    return _run(
        database,
        path,
        lambda line: outcomes.settle(histories.parse(line.value), now),
        lambda session, settled: _land_history(session, settled, now),
        progress,
    )


def chat(
    database: Database, path: Path, *, now: datetime, progress: Progress | None = None
) -> Imported:
    """Import conversations (`errata import chat`): an undecided proposal per tool call.

    Args:
        database: Where to.
        path: One `{"messages", "tools"?, "id"?, ...}` per line.
        now: The time of the import.
        progress: Told how far it is.
    """
    return _run(
        database,
        path,
        lambda line: conversations.parse(line.value),
        lambda session, calls: _land_calls(session, calls, now),
        progress,
    )


def proposals(
    database: Database,
    path: Path,
    *,
    caller: str,
    now: datetime,
    progress: Progress | None = None,
) -> Imported:
    """Import proposals as if posted (`errata import proposals`): routed and queued.

    Args:
        database: Where to.
        path: One Proposal per line.
        caller: Id of the principal who posts them; its agent limits hold.
        now: The time of receipt.
        progress: Told how far it is.

    Raises:
        NotFound: There is no such principal.
        Unavailable: No policy is active.
    """
    with database.reading() as session:
        principal = session.get(tables.Principal, caller)
    if principal is None:
        raise NotFound(f"no principal {caller!r}")

    def land(session: Session, proposal: protocol.Proposal) -> Landed:
        known = intake.take(session, proposal, principal, now=now).known
        return Landed(new=int(not known), known=int(known))

    return _run(database, path, posts.parse, land, progress)


def _run(
    database: Database,
    path: Path,
    parse: Callable[[Line], T],
    land: Callable[[Session, T], Landed],
    progress: Progress | None,
) -> Imported:
    """Read, check and land a file, a batch at a time; checking holds no transaction."""
    total, known = 0, 0
    errors: list[LineError] = []
    for batch in _batches(lines.read(path)):
        checked = [_checked(one.line, parse) for one in batch]
        with database.transaction() as session:
            outcomes_ = [
                line if isinstance(line, LineError) else _land(session, line, land)
                for line in checked
            ]
        errors += [one for one in outcomes_ if isinstance(one, LineError)]
        landed = [one for one in outcomes_ if isinstance(one, Landed)]
        total += sum(one.new for one in landed)
        known += sum(one.known for one in landed)
        if progress is not None:
            progress(batch[-1].position)
    return Imported(total, known, errors)


def _batches(read: Iterator[Read]) -> Iterator[list[Read]]:
    while batch := list(islice(read, BATCH)):
        yield batch


class _Checked(NamedTuple, Generic[T]):
    number: int
    value: T


def _checked(line: Line | LineError, parse: Callable[[Line], T]) -> _Checked[T] | LineError:
    if isinstance(line, LineError):
        return line
    try:
        return _Checked(line.number, parse(line))
    except ErrataError as error:
        return LineError(line.number, error.field, error.detail)


def _land(
    session: Session, line: _Checked[T], land: Callable[[Session, T], Landed]
) -> Landed | LineError:
    try:
        with events.savepoint(session):
            return land(session, line.value)
    except ErrataError as error:
        if error.status >= 500:
            raise  # the platform is at fault: the next line would fare no better
        return LineError(line.number, error.field, error.detail)
    except (DataError, IntegrityError) as error:
        return LineError(line.number, None, f"the database refuses it: {error.orig}")


def _land_history(session: Session, settled: Settled, now: datetime) -> Landed:
    history, decision = settled.history, settled.decision
    if landing.known(session, history.id, history.content_hash):
        return Landed(new=0, known=1)
    ran = history.receipts[0].status if history.receipts else "decided"
    row = landing.proposal(
        session,
        history.proposal,
        id_=history.id,
        content_hash=history.content_hash,
        digest=history.digest,
        policy_version=history.policy_version,
        status="proposed" if decision is None else ran,
        exclude=history.exclude,
        now=now,
    )
    _keep_reviews(session, settled, now)
    if decision is not None:
        landing.receipts(session, row, decision, history.receipts, now=now)
        decisions.keep(session, row, history.proposal, decision, now=now)
    return Landed(new=1, known=0)


def _keep_reviews(session: Session, settled: Settled, now: datetime) -> None:
    history, decision = settled.history, settled.decision
    decided_at = now if decision is None else decision.decided_at
    for index, said in enumerate(history.said):
        review = said.review
        stored = Review(
            # Readers order reviews by time and id: the number keeps the order of the file.
            id=f"{history.id}.{index:04d}",
            proposal_id=history.id,
            round=0,
            digest=review.digest,
            verdict=review.verdict,
            reviewer=said.reviewer,
            reviewer_role=said.role,
            surface="import",
            accepted=True,
            counted=index in settled.counted,
            opened_at=review.opened_at,
            first_action_at=review.first_action_at,
            decided_at=review.decided_at,
            received_at=review.decided_at or decided_at,
        )
        session.add(stored)
        session.flush()
        body = review.model_dump(mode="json", exclude_unset=True)
        session.add(ReviewPayload(review_id=stored.id, proposal_id=history.id, body=body))
        events.append(
            session,
            "review.imported",
            actor="import",
            now=now,
            proposal_id=history.id,
            review=stored.id,
            verdict=review.verdict,
            digest=review.digest,
        )


def _land_calls(session: Session, calls: tuple[conversations.Call, ...], now: datetime) -> Landed:
    fresh = [call for call in calls if not landing.known(session, call.id, _hash(call))]
    for call in fresh:
        schema = decisions.tool_schema(None, call.proposal)
        landing.proposal(
            session,
            call.proposal,
            id_=call.id,
            content_hash=_hash(call),
            digest=decisions.asked_digest(call.proposal, schema, NO_POLICY),
            policy_version=NO_POLICY,
            status="proposed",
            exclude=None,
            now=now,
        )
    return Landed(new=len(fresh), known=len(calls) - len(fresh))


def _hash(call: conversations.Call) -> str:
    return fingerprint(call.proposal.wire())
