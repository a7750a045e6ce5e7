"""Shadows: the silent answers of an agent beside the work that people decide.

In: proposals of mode shadow, decisions of people on the live work that they name. Out: how often
both come to the same. A shadow is stored and never routed, asked about or permitted.
"""

from collections import defaultdict
from typing import Any, NamedTuple

from sqlmodel import Session, col, or_, select

from errata import protocol
from errata.digest import body, canonical, version_body
from errata.errors import Conflict, Malformed
from ingestion import tables

SOURCE = "shadow"
"""What the rows of shadows say in `source`: whatever asks people or counts looks at `live`."""
NEWEST = 5_000
"""So many shadows are compared."""
CARRIED = ("approve", "edit")
REFUSED = ("reject", "regenerate")


def check_linked(proposal: protocol.Proposal) -> None:
    """Refuse a shadow of nothing.

    Raises:
        Malformed: It names no work that people decide on.
    """
    if not (proposal.parent_id or proposal.task_id or proposal.group_id):
        raise Malformed(
            "a shadow names the live work beside it: parent_id, task_id or group_id",
            field="parent_id",
        )


def check_none(row: tables.Proposal) -> None:
    """Refuse to decide on a shadow.

    Raises:
        Conflict: It is one.
    """
    if row.source == SOURCE:
        raise Conflict(f"proposal {row.id} is a shadow: nobody is asked, and it never runs")


class Difference(NamedTuple):
    """A shadow that is not what people decided."""

    shadow: str
    live: tuple[str, ...]
    """The decided proposals that it was compared with."""


class Agreement(NamedTuple):
    """How shadows compare with what people decided."""

    n: int
    agreeing: int
    differing: list[Difference]
    waiting: int
    """Shadows of work that people have not decided, or not so that it can be compared."""

    def wire(self) -> dict[str, Any]:
        """As it goes over HTTP."""
        return {
            "n": self.n,
            "agreeing": self.agreeing,
            "agreement": self.agreeing / self.n if self.n else None,
            "differing": [one._asdict() for one in self.differing],
            "waiting": self.waiting,
        }


class _Decided(NamedTuple):
    """What people decided on live work."""

    id: str
    body: bytes
    carried: bool
    """It may run, or has; else it was refused."""


def compare(session: Session, agent_id: str | None = None) -> Agreement:
    """Compare the newest shadows with what people decided on the same work.

    A shadow agrees where its body, in canonical JSON, is the body of what people let run: of its
    parent, else of any proposal of its kind in the same task, else in the same group. It differs
    where they let something else run, or refused just that. Anything else cannot be compared yet.

    Args:
        session: A reading transaction.
        agent_id: Only the shadows of this agent.
    """
    statement = select(tables.Proposal).where(tables.Proposal.source == SOURCE)
    if agent_id is not None:
        statement = statement.where(tables.Proposal.agent_id == agent_id)
    newest = statement.order_by(col(tables.Proposal.received_at).desc()).limit(NEWEST)
    rows = list(session.exec(newest))
    bodies = _bodies(session, [row.id for row in rows])
    live = _live(session, rows)
    agreeing, waiting, differing = 0, 0, list[Difference]()
    for row in rows:
        beside = live.get(_link(row), [])
        agrees = _agrees(bodies[row.id], beside) if row.id in bodies else None
        if agrees is None:
            waiting += 1
        elif agrees:
            agreeing += 1
        else:
            differing.append(Difference(row.id, tuple(one.id for one in beside)))
    return Agreement(agreeing + len(differing), agreeing, differing, waiting)


def _agrees(shadow: bytes, beside: list[_Decided]) -> bool | None:
    """Whether a shadow is what people decided; None where that cannot be said."""
    carried = {one.body for one in beside if one.carried}
    if carried:
        return shadow in carried
    return False if shadow in {one.body for one in beside} else None


def _link(row: tables.Proposal) -> tuple[str, ...]:
    """What a shadow is compared by."""
    if row.parent_id:
        return "parent", row.parent_id
    return (
        ("task", row.task_id, row.kind) if row.task_id else ("group", row.group_id or "", row.kind)
    )


def _bodies(session: Session, ids: list[str]) -> dict[str, bytes]:
    """The canonical bodies of proposals; of what is erased there is none."""
    statement = select(tables.Payload.id, tables.Payload.body).where(
        tables.Payload.owner == "proposal", col(tables.Payload.id).in_(ids)
    )
    return {
        id_: canonical(body(protocol.Proposal.model_validate(text)))
        for id_, text in session.exec(statement)
    }


def _live(
    session: Session, shadows: list[tables.Proposal]
) -> dict[tuple[str, ...], list[_Decided]]:
    """What people decided on the work beside these shadows, by the ways to name it."""
    row = tables.Proposal
    statement = (
        select(row, tables.Decision.outcome)
        .join(tables.Decision, col(tables.Decision.proposal_id) == row.id)
        .where(
            row.source == "live",
            col(row.exclude).is_(None),
            tables.Decision.by == "people",
            col(tables.Decision.outcome).in_((*CARRIED, *REFUSED)),
            or_(
                col(row.id).in_({one.parent_id for one in shadows if one.parent_id}),
                col(row.task_id).in_({one.task_id for one in shadows if one.task_id}),
                col(row.group_id).in_({one.group_id for one in shadows if one.group_id}),
            ),
        )
        .order_by(col(row.received_at), col(row.id))
    )
    rows = list(session.exec(statement))
    texts = _texts(session, [one.id for one, _ in rows])
    found: dict[tuple[str, ...], list[_Decided]] = defaultdict(list)
    for one, outcome in rows:
        if ("proposal", one.id) not in texts or ("decision", one.id) not in texts:
            continue  # erased
        proposal = protocol.Proposal.model_validate(texts["proposal", one.id])
        decision = protocol.Decision.model_validate(texts["decision", one.id])
        what = canonical(version_body(proposal, decision.effective))
        decided = _Decided(one.id, what, carried=outcome in CARRIED)
        found["parent", one.id].append(decided)
        found["task", one.task_id or "", one.kind].append(decided)
        found["group", one.group_id or "", one.kind].append(decided)
    return found


def _texts(session: Session, ids: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    statement = select(tables.Payload.owner, tables.Payload.id, tables.Payload.body).where(
        col(tables.Payload.owner).in_(("proposal", "decision")), col(tables.Payload.id).in_(ids)
    )
    return {(owner, id_): dict(text) for owner, id_, text in session.exec(statement)}
