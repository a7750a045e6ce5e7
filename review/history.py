"""The decided work with everything said about it, for the stages that learn and count.

In: the rows of ingestion and review. Out: episodes, streamed in the order of their decisions.

Rows and values in an episode are light: they have the attributes of the tables and of the protocol,
those that these stages read, and nothing else. A million of them are read in one go, so they are
structs of msgspec: to make one and to read its fields takes less than with a named tuple.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, cast

from msgspec import Struct, defstruct
from sqlalchemy import ColumnElement, Text, bindparam, select, union
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlmodel import Session, col

from errata import protocol
from ingestion import store, tables
from review import stored
from review.extent import ORDER, Span, chosen
from review.tables import Review, ReviewPayload

DERIVED = "imported: "
"""How the reason of a decision begins that an imported file does not state."""


class Heard(Struct, frozen=True, gc=False):
    """A review: its row, and its text unless erased."""

    row: Review
    review: protocol.Review | None


class Episode(Struct, frozen=True, gc=False):
    """One decided proposal."""

    row: tables.Proposal
    proposal: protocol.Proposal | None
    """None when erased. Its `tools` are JSON yet, see `stored.reader`."""
    decision_row: tables.Decision
    decision: protocol.Decision
    reviews: tuple[Heard, ...]
    """Accepted reviews, oldest first; those with `row.counted` made the decision."""


Column = InstrumentedAttribute[Any]


def _columns(table: type[Any], *names: str) -> list[Column]:
    return [getattr(table, name) for name in names]


def _row(name: str, columns: Sequence[Column]) -> Any:
    """A type of light rows; `cast` says which table's attributes they have."""
    return defstruct(name, [column.key for column in columns], frozen=True, gc=False)


_PROPOSAL = _columns(
    tables.Proposal,
    *("id", "kind", "mode", "source", "exclude", "agent_id", "agent_version", "model_id"),
    *("task_id", "group_id", "parent_id", "created_at"),
)
_DECISION = _columns(
    tables.Decision,
    *("proposal_id", "outcome", "by", "digest", "policy_version", "needed", "got"),
    *("edit_distance", "decided_at"),
)
_REVIEW = _columns(
    Review,
    *("id", "proposal_id", "digest", "verdict", "reviewer", "reviewer_role", "surface"),
    *("void", "counted", "opened_at", "decided_at", "received_at"),
)
_PARENT = [column.key for column in _PROPOSAL].index("parent_id")
_OF, _AGE = (
    [column.key for column in _REVIEW].index("proposal_id"),
    itemgetter(*([column.key for column in _REVIEW].index(key) for key in ("received_at", "id"))),
)
_ProposalRow = _row("_ProposalRow", _PROPOSAL)
_DecisionRow = _row("_DecisionRow", _DECISION)
_ReviewRow = _row("_ReviewRow", _REVIEW)

_proposal = stored.reader(protocol.Proposal, unread=frozenset({"tools"}))
_decision = stored.reader(protocol.Decision)
_review = stored.reader(protocol.Review)

_Stated, _Decided = aliased(tables.Payload), aliased(tables.Payload)


def read(
    session: Session,
    *,
    since: datetime | None = None,
    after: int | None = None,
    until: int | None = None,
    span: Span | None = None,
    telling: bool = False,
    but: ColumnElement[bool] | None = None,
    parents: "Parents | None" = None,
    batch: int = 1000,
) -> Iterator[Episode]:
    """Stream decided proposals.

    Args:
        session: A reading transaction.
        since: Only decisions at or after this time.
        after: Only decisions that the log tells of after this event.
        until: Only those that it does not tell of after this event.
        span: Only decisions of this span.
        telling: Only what tells of its reviewers: planted work, rated candidates, imported work.
        but: Decisions to pass over, by the rows of decisions and proposals.
        parents: Is told beforehand what will be asked of it.
        batch: Episodes whose rows are held in memory at a time.

    Yields:
        Episodes in the order of (decided_at, id); in none where they only tell of their reviewers,
        which would cost more than all else.
    """
    wanted = chosen(since=since, after=after, until=until, span=span)
    if but is not None:
        wanted.append(~but)
    if telling:
        statement = _decisions().where(*wanted, _telling())
    else:
        statement = _decisions().where(*wanted).order_by(*ORDER)
    found = session.connection().execute(statement, execution_options={"yield_per": batch})
    for page in found.partitions(batch):
        if parents is None:
            yield from _assemble(session, page)
            continue
        parents.prepare((row[_PARENT] for row in page), coming={row[0] for row in page})
        for episode in _assemble(session, page):
            parents.meet(episode)
            yield episode


def many(session: Session, ids: Iterable[str]) -> dict[str, Episode]:
    """Decided proposals by id; those undecided or not there are left out."""
    found: dict[str, Episode] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), 500):
        few = {"ids": wanted[start : start + 500]}
        page = session.connection().execute(_named(), few).all()
        found |= {episode.row.id: episode for episode in _assemble(session, page)}
    return found


def one(session: Session, proposal_id: str) -> Episode | None:
    """One decided proposal; None while undecided or where there is none."""
    return many(session, [proposal_id]).get(proposal_id)


class Parents:
    """Finds what a retry is the retry of, for many at a time.

    Called with an id it answers as `one`; what was fetched or met costs no query.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, Episode | None] = {}
        self._awaited: set[str] = set()

    def prepare(self, ids: Iterable[str | None], coming: Set[str] = frozenset()) -> None:
        """Fetch these and all that they go back to, and forget what was fetched before.

        Args:
            ids: What will be asked for.
            coming: What `meet` will be called with, mostly before it is asked for.
        """
        missing = {id_ for id_ in ids if id_ is not None}
        self._known, self._awaited = {}, missing & coming
        missing -= coming
        while missing:
            found = many(self._session, missing)
            self._known |= {id_: found.get(id_) for id_ in missing}
            further = {episode.row.parent_id for episode in found.values()}
            missing = {id_ for id_ in further if id_ is not None and id_ not in self._known}

    def meet(self, episode: Episode) -> None:
        """Keep an episode that is going to be asked for."""
        if episode.row.id in self._awaited:
            self._known[episode.row.id] = episode

    def __call__(self, proposal_id: str) -> Episode | None:
        """One decided proposal; None while undecided or where there is none."""
        if proposal_id not in self._known:
            self._known[proposal_id] = one(self._session, proposal_id)
        return self._known[proposal_id]


def _telling() -> ColumnElement[bool]:
    # Three lists and not one condition of three: each table is walked once, alone.
    planted = select(col(tables.Proposal.id)).where(col(tables.Proposal.exclude) == "honeypot")
    brought = select(col(tables.Decision.proposal_id)).where(col(tables.Decision.by) == "import")
    rating = (
        select(col(Review.id))
        .join(ReviewPayload)
        .where(
            col(Review.proposal_id) == col(tables.Proposal.id),
            sql_cast(ReviewPayload.body, Text).contains('"ratings"'),
        )
    )
    rated = select(col(tables.Proposal.id)).where(
        col(tables.Proposal.kind) == "candidates", rating.exists()
    )
    return col(tables.Decision.proposal_id).in_(union(planted, brought, rated))


# A statement is made once: SQLAlchemy looks at every column of a new one before it knows it again.
@cache
def _decisions() -> Any:
    """Decisions with their proposals and both texts, which stay text."""
    stated, decided = (sql_cast(each.body, Text) for each in (_Stated, _Decided))
    return (
        select(*_PROPOSAL, *_DECISION, stated, decided)
        .select_from(tables.Decision)
        .join(tables.Proposal)
        .outerjoin(
            _Stated,
            (col(_Stated.owner) == "proposal") & (col(_Stated.id) == col(tables.Proposal.id)),
        )
        .outerjoin(
            _Decided,
            (col(_Decided.owner) == "decision") & (col(_Decided.id) == col(tables.Proposal.id)),
        )
    )


@cache
def _named() -> Any:
    """The decisions of some proposals, whose ids are given when it is run."""
    return _decisions().where(
        col(tables.Decision.proposal_id).in_(bindparam("ids", expanding=True))
    )


def _assemble(session: Session, page: Sequence[Any]) -> Iterator[Episode]:
    """The episodes of some rows; each is made when it is asked for, so that few are in memory."""
    ids = [row[0] for row in page]
    heard = _reviews(session, ids)
    here, there = len(_PROPOSAL), len(_PROPOSAL) + len(_DECISION)
    for row in page:
        id_, stated, decided = row[0], row[there], row[there + 1]
        decision_row = cast(tables.Decision, _DecisionRow(*row[here:there]))
        yield Episode(
            cast(tables.Proposal, _ProposalRow(*row[:here])),
            None if stated is None else _proposal(stated),
            decision_row,
            store.decision_value(decision_row, None) if decided is None else _decision(decided),
            tuple(map(_said, heard.get(id_, ()))),
        )


@cache
def _heard() -> Any:
    """The accepted reviews of some proposals, whose ids are given when it is run."""
    return (
        select(*_REVIEW, sql_cast(ReviewPayload.body, Text))
        .select_from(Review)
        .join(ReviewPayload, isouter=True)
        .where(col(Review.proposal_id).in_(bindparam("ids", expanding=True)), col(Review.accepted))
    )


def _reviews(session: Session, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Reviews by proposal, oldest first."""
    found: dict[str, list[Any]] = {}
    for row in session.connection().execute(_heard(), {"ids": ids}).all():
        found.setdefault(row[_OF], []).append(row)
    for rows in found.values():
        if len(rows) > 1:  # cheaper than to have all reviews of a page sorted
            rows.sort(key=_AGE)
    return found


def _said(row: Any) -> Heard:
    body = row[-1]
    return Heard(cast(Review, _ReviewRow(*row[:-1])), None if body is None else _review(body))
