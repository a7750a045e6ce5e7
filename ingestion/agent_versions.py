"""Versions of agents: where they come from, and how much of what they do people look at.

In: versions that were registered. Out: their stage, and rulings with the looks that it asks for.

A version begins as a learner: of what the policy would let run at once people are asked about nine
tenths. A supervisor is asked about in one case of twenty; of what an auditor does one in a hundred
is looked at afterwards. Stages only add looks: what the policy sends to people goes there anyway.
A version that nobody registered has none.
"""

from datetime import datetime
from typing import Literal, cast

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from errata.errors import Conflict, NotFound
from ingestion import events
from ingestion.ruling import Ruling, Shares
from ingestion.tables import AgentVersion

Stage = Literal["learner", "supervisor", "auditor"]
LOOKS: dict[Stage, Shares] = {
    "learner": Shares(review=0.9),
    "supervisor": Shares(review=0.05),
    "auditor": Shares(audit=0.01),
}
"""The least shares of what would run at once."""


def register(
    session: Session,
    agent_id: str,
    version: str,
    *,
    parent: str | None = None,
    model: str | None = None,
    data: str | None = None,
    actor: str,
    now: datetime,
) -> AgentVersion:
    """Note a new version, as a learner.

    Args:
        session: A transaction.
        agent_id: Whose version it is.
        version: As its proposals will state it.
        parent: The version that it was made from.
        model: What it runs on.
        data: Digest of the bundle that it was trained on.
        actor: Who registers it.
        now: When.

    Raises:
        Conflict: It is known, and was made from something else.
    """
    events.hold(session)  # of two at once, one makes it
    known = session.get(AgentVersion, (agent_id, version))
    if known is not None:
        if (known.parent, known.model, known.data) == (parent, model, data):
            return known
        raise Conflict(
            f"version {version!r} of {agent_id!r} is registered; give the new one a name"
        )
    made = AgentVersion(
        agent_id=agent_id,
        version=version,
        stage="learner",
        parent=parent,
        model=model,
        data=data,
        registered_at=now,
        staged_at=now,
        staged_by=actor,
    )
    session.add(made)
    session.flush()
    _note(session, "agent.registered", made, actor, now)
    return made


def move(
    session: Session, agent_id: str, version: str, stage: Stage, *, actor: str, now: datetime
) -> AgentVersion:
    """Move a version to a stage, up or down; what it has asked already stays as it was asked.

    Raises:
        NotFound: It is not registered.
    """
    events.hold(session)
    row = session.get(AgentVersion, (agent_id, version))
    if row is None:
        raise NotFound(
            f"version {version!r} of {agent_id!r} is not registered; "
            f"run `errata agent register {agent_id} {version}`"
        )
    if row.stage != stage:
        row.stage, row.staged_at, row.staged_by = stage, now, actor
        session.add(row)
        session.flush()
        _note(session, "agent.staged", row, actor, now)
    return row


def listed(session: Session, agent_id: str | None = None) -> list[AgentVersion]:
    """Registered versions, an agent's together and the newest first.

    Args:
        session: A transaction.
        agent_id: Only this agent's.
    """
    statement = select(AgentVersion)
    if agent_id is not None:
        statement = statement.where(AgentVersion.agent_id == agent_id)
    order = col(AgentVersion.agent_id), col(AgentVersion.registered_at).desc()
    return list(session.exec(statement.order_by(*order)))


def stage_of(session: Session, agent_id: str, version: str) -> Stage | None:
    """The stage of a version; None: it is not registered."""
    found = session.connection().execute(_STAGE, {"agent": agent_id, "version": version}).first()
    return None if found is None else cast(Stage, found[0])


def watch(ruling: Ruling, stage: Stage) -> Ruling:
    """A ruling that lets something run at once, with at least the looks that a stage asks for."""
    least, said = LOOKS[stage], ruling.shares
    shares = said._replace(
        review=max(said.review, least.review), audit=max(said.audit, least.audit)
    )
    if shares == said:
        return ruling
    reason = f"{ruling.reason}; the agent's version is in the stage {stage}"
    propensity = max(ruling.propensity, shares.review)
    return ruling._replace(shares=shares, reason=reason, propensity=propensity)


def _note(session: Session, what: str, row: AgentVersion, actor: str, now: datetime) -> None:
    events.append(
        session,
        what,
        actor=actor,
        now=now,
        agent=row.agent_id,
        version=row.version,
        stage=row.stage,
        **({"data": row.data} if row.data else {}),
    )


# Built once: what may run at once asks it.
_STAGE = select(AgentVersion.stage).where(
    AgentVersion.agent_id == bindparam("agent"), AgentVersion.version == bindparam("version")
)
