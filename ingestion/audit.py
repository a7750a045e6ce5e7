"""The check that nobody changed what happened.

In: the hash-chained log, and the rows whose making it tells of. Out: every fault, by name.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from sqlmodel import Session, select

from ingestion import events
from ingestion.tables import ChainHead, Decision, Event, Permit, Proposal


class Audit(NamedTuple):
    """The result of checking the log."""

    events: int
    head: str
    """Hash of the newest event: keep it elsewhere to prove later that nothing was cut off."""
    faults: list[str]


class Book(Protocol):
    """What the log says of one sort of rows, to be compared with them at the end."""

    def note(self, entry: Event) -> None:
        """Read one event."""
        ...

    def faults(self, session: Session) -> Iterator[str]:
        """Where the rows differ from what was read."""
        ...


def verify(session: Session, others: Sequence[Book] = (), batch: int = 1000) -> Audit:
    """Check every hash, the unbroken order, and that the rows are those of the log.

    Args:
        session: A reading transaction.
        others: Books of later stages.
        batch: Events held in memory at a time.
    """
    books: list[Book] = [Decisions(), Permits(), *others]
    faults: list[str] = []
    previous, seq = events.GENESIS, 0
    for entry in _read(session, batch):
        seq += 1
        if entry.seq != seq:
            faults.append(f"event {seq} is missing; event {entry.seq} follows")
            seq = entry.seq or seq
        if entry.previous != previous:
            faults.append(f"event {entry.seq} does not follow on the one before it")
        if events.seal(entry) != entry.hash:
            faults.append(f"event {entry.seq} ({entry.type}) was changed")
        for book in books:
            book.note(entry)
        previous = entry.hash
    head = session.exec(select(ChainHead).where(ChainHead.id == 1)).one()
    if (head.seq, head.hash) != (seq, previous):
        faults.append(f"the log ends at event {seq}, its head says {head.seq}")
    for book in books:
        faults += book.faults(session)
    return Audit(events=seq, head=previous, faults=faults)


def _read(session: Session, batch: int) -> Iterator[Event]:
    after = 0
    while True:
        page = events.read(session, after, batch)
        yield from page
        if len(page) < batch:
            return
        after = page[-1].seq or after
        session.expunge_all()


class Decisions:
    """Outcome and digest of every decision."""

    def __init__(self) -> None:
        self._logged: dict[str, tuple[Any, Any]] = {}

    def note(self, entry: Event) -> None:
        if entry.type == "proposal.decided" and entry.proposal_id:
            self._logged[entry.proposal_id] = entry.data.get("outcome"), entry.data.get("digest")

    def faults(self, session: Session) -> Iterator[str]:
        statement = select(Decision.proposal_id, Decision.outcome, Decision.digest)
        for proposal_id, outcome, digest in session.exec(statement):
            logged = self._logged.pop(proposal_id, None)
            if logged is None:
                yield f"decision on {proposal_id} is not in the log"
            elif logged != (outcome, digest):
                yield f"decision on {proposal_id} differs from the log"
        for proposal_id in self._logged:
            yield f"decision on {proposal_id} is gone"


class Permits:
    """Which permits were issued, for which bytes, and which were used."""

    def __init__(self) -> None:
        self._issued: dict[str, Any] = {}
        self._used: set[str] = set()

    def note(self, entry: Event) -> None:
        if entry.type == "permit.issued":
            self._issued[entry.data["permit"]] = entry.data.get("digest")
        elif entry.type == "permit.used":
            self._used.add(entry.data["permit"])

    def faults(self, session: Session) -> Iterator[str]:
        statement = (
            select(Permit.id, Permit.digest, Permit.status)
            .join(Proposal)
            .where(Proposal.source == "live")  # a file's permits were issued elsewhere
        )
        for id_, digest, status in session.exec(statement):
            if id_ not in self._issued:
                yield f"permit {id_} is not in the log"
            elif self._issued.pop(id_) != digest:
                yield f"permit {id_} is for other bytes than the log says"
            if (status == "used") != (id_ in self._used):
                yield f"permit {id_} is {status}; the log says otherwise"
        for id_ in self._issued:
            yield f"permit {id_} is gone"
