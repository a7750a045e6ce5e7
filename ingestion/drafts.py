"""New proposals: their rows in memory, then written together.

In: a proposal and what the policy says to it. Out: rows of every table that tells of it, one
statement for each table however many proposals there are; a ticket without reading anything back.

Until the commit nobody else can see a new proposal, so it is written as it will stand, without
the compare-and-set that later changes need, and its coming is one line of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, SQLModel

from errata import protocol
from ingestion import asked, beginnings, decisions, dependencies, events, tables, tasks, tickets
from ingestion.beginnings import Begin
from ingestion.dependencies import Ground
from ingestion.lots import Drawn
from ingestion.waits import Place


@dataclass(slots=True)
class Draft:
    """A new proposal; `permit` is there once it is written."""

    proposal: protocol.Proposal
    columns: dict[str, Any]
    """Of `Proposal`, as it will stand."""
    drawn: Drawn | None = None
    """What the policy says; None: a shadow, which nobody is asked about."""
    decision: protocol.Decision | None = None
    """Where the policy decides at once."""
    undo_window_s: float = 0.0
    lost: Ground | None = None
    """What it depends on and will not run."""
    task: tasks.Sort | None = None
    """The work that it gives people although it is decided."""
    permit: protocol.Permit | None = None
    begin: Begin | None = None
    """What the agent runs at once if it may."""
    begun: bool = False
    """Whether it may, from the commit on."""

    @property
    def id(self) -> str:
        return self.columns["id"]

    @property
    def subject(self) -> decisions.Subject:
        """What a decision is about."""
        row = self.columns
        return decisions.Subject(
            row["id"], row["digest"], row["tool_schema"], row["policy_version"]
        )

    @property
    def place(self) -> Place:
        """Where it stands in the queue."""
        row = self.columns
        return Place(
            row["status"], row["source"], row["urgency"], row["received_at"], row["expires_at"]
        )

    @property
    def ticket(self) -> protocol.Ticket:
        """What is answered to the agent, with the places to go on from."""
        return protocol.Ticket(
            id=self.id,
            status=self.columns["status"],
            digest=self.columns["digest"],
            proposal=self.proposal,
            decision=self.decision,
            permit=self.permit,
            begun=self.begun or None,
            **tickets.links(self.id),
        )


_BLANK: dict[str, Any] = {
    **{column.name: None for column in SQLModel.metadata.tables["proposal"].columns},
    "source": "live",
    "status": "proposed",
    "version": 0,
    "round": 0,
}


def columns(
    proposal: protocol.Proposal,
    *,
    id_: str,
    content_hash: str,
    digest: str,
    policy_version: str,
    now: datetime,
) -> dict[str, Any]:
    """A proposal as received, before any routing, as columns of `Proposal`."""
    return {
        **_BLANK,
        "id": id_,
        "kind": proposal.kind,
        "mode": proposal.mode,
        "exclude": None if proposal.mode == "live" else proposal.mode,
        "agent_id": proposal.agent.id,
        "agent_version": proposal.agent.version,
        "model_id": proposal.agent.model,
        "requested_by": proposal.requested_by,
        "task_id": proposal.task_id,
        "group_id": proposal.group_id,
        "run_id": proposal.run_id,
        "parent_id": proposal.parent_id,
        "action_name": proposal.action.name if proposal.action else None,
        "risk_level": proposal.risk.level if proposal.risk else None,
        "urgency": proposal.urgency,
        "cost_usd": proposal.cost.usd if proposal.cost else None,
        "digest": digest,
        "content_hash": content_hash,
        "policy_version": policy_version,
        "created_at": proposal.created_at or now,
        "received_at": now,
    }


def write(session: Session, drafts: Sequence[Draft], *, actor: str, now: datetime) -> None:
    """Write new proposals with all that belongs to them.

    Args:
        session: A transaction.
        drafts: The proposals.
        actor: Id of the principal who proposed them.
        now: When.

    Raises:
        IntegrityError: Somebody took one of the ids in this moment.
    """
    session.flush()  # what they refer to may still wait to be written
    rows = _Rows()
    if any(_runs(one) for one in drafts):
        events.hold(session)  # a permit's fence is its place in the log
    for draft in drafts:
        rows.add(tables.Proposal, draft.columns)
        rows.add_text("proposal", draft.id, draft.proposal)
        routing = _routing(draft, now)
        if routing is not None:  # a shadow waits for nothing
            rows.add(tables.Routing, routing)
            rows.add(tables.Dependency, *dependencies.rows(draft.id, draft.proposal))
        _note(session, draft, routing or {}, actor, now)
        if draft.decision is not None:
            _decide(session, rows, draft, draft.decision, actor, now)
    rows.write(session)


class _Rows:
    """Rows of several tables, in the order in which they may refer to each other."""

    ORDER: tuple[type[SQLModel], ...] = (
        tables.Proposal,
        tables.Payload,
        tables.Routing,
        tables.Decision,
        tables.Permit,
        tables.Task,
        tables.Dependency,
    )
    INSERTS = tuple(insert(table) for table in ORDER)

    def __init__(self) -> None:
        self._rows: dict[type[SQLModel], list[dict[str, Any]]] = {one: [] for one in self.ORDER}

    def add(self, table: type[SQLModel], *rows: dict[str, Any]) -> None:
        self._rows[table] += rows

    def add_text(self, owner: str, proposal_id: str, value: protocol.Value) -> None:
        body = value.model_dump(mode="json", exclude_unset=True)
        self.add(
            tables.Payload,
            {"owner": owner, "id": proposal_id, "proposal_id": proposal_id, "body": body},
        )

    def write(self, session: Session) -> None:
        connection = session.connection()
        # In one order, so that two who write the same ids at once wait for each other in turn.
        self._rows[tables.Proposal].sort(key=itemgetter("id"))
        for rows, statement in zip(self._rows.values(), self.INSERTS, strict=True):
            if rows:
                connection.execute(statement, rows)


def _runs(draft: Draft) -> bool:
    return draft.columns["status"] == "permitted"


def _routing(draft: Draft, now: datetime) -> dict[str, Any] | None:
    """Where the policy sends it; None for a shadow."""
    if draft.drawn is None:
        return None
    row = draft.columns
    return asked.routing_values(
        row["id"], row["round"], row["policy_version"], draft.drawn.ruling, draft.drawn.lot, now
    )


def _note(
    session: Session, draft: Draft, routing: dict[str, Any], actor: str, now: datetime
) -> None:
    """Write it into the log: what came, where it was sent, and where that leaves it."""
    row = draft.columns
    events.append(
        session,
        "proposal.received",
        actor=actor,
        now=now,
        proposal_id=row["id"],
        digest=row["digest"],
        kind=row["kind"],
        policy_version=row["policy_version"],
        status=row["status"],
        **{name: routing[name] for name in ("route", "propensity") if name in routing},
    )
    if draft.lost is not None:
        dependencies.note(session, draft.id, draft.lost, "policy", now)


def _decide(
    session: Session,
    rows: _Rows,
    draft: Draft,
    decision: protocol.Decision,
    actor: str,
    now: datetime,
) -> None:
    rows.add(tables.Decision, decisions.values(draft.proposal, decision))
    rows.add_text("decision", draft.id, decision)
    if _runs(draft):
        permit = decisions.issue(session, draft.subject, decision, now, draft.undo_window_s)
        rows.add(tables.Permit, _begun(session, draft, permit, actor, now))
    decisions.note(session, decision, "policy", now)
    if draft.task is not None:
        rows.add(tables.Task, tasks.opened(session, draft.id, draft.task, now=now))


def _begun(
    session: Session, draft: Draft, permit: dict[str, Any], actor: str, now: datetime
) -> dict[str, Any]:
    """The permit's columns, used by now where the agent may run it at once."""
    value = protocol.Permit.model_validate(permit)
    wish = draft.begin
    draft.begun = wish is not None and beginnings.may(session, wish, draft.proposal, permit, now)
    draft.permit = value.model_copy(update={"status": "used"}) if draft.begun else value
    if wish is None or not draft.begun:
        return permit
    draft.columns["status"] = "executing"
    beginnings.note(session, draft.permit, actor, now)
    return permit | beginnings.used(wish, actor, now)
