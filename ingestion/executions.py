"""What agents say they ran: covered by a permit that they used, or gone round the platform.

In: reports of agents, or of a gateway that runs their tools and has an agent's key. Out: rows of `Execution`;
an alarm for what no permit covers.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import model_validator
from sqlmodel import Session, col, select

from errata import protocol
from errata.digest import digest, fingerprint
from ingestion import alarms, events, keys, tables


class Report(protocol.Value):
    """What an agent says it ran: the digest that it computed, or the action itself."""

    agent: protocol.Agent
    action: protocol.Action | None = None
    digest: protocol.Digest | None = None
    at: protocol.Moment

    @model_validator(mode="after")
    def _names_one(self) -> "Report":
        if (self.action is None) == (self.digest is None):
            raise ValueError("digest: give the digest of what ran, or the action, one of them")
        return self


class Recorded(NamedTuple):
    """A report that was taken in."""

    id: str
    verdict: Literal["permitted", "bypass"]
    permit_id: str | None
    proposal_id: str | None
    alarm_id: str | None


def record(
    session: Session, report: Report, caller: tables.Principal, *, now: datetime
) -> Recorded:
    """Note an execution. Each takes one used permit for itself: a second run by it is a bypass.

    The same report again (agent, what ran, at the same time) is the same execution.

    Args:
        session: A transaction.
        report: What ran.
        caller: Whose key it came with.
        now: The time of receipt.

    Raises:
        Forbidden: The key may not speak for that agent.
    """
    keys.require_agent(caller, report.agent.id)
    print_ = report.digest or fingerprint(report.model_dump(mode="json", include={"action"}))
    events.hold(session)  # two reports at once must not take the same permit
    known = _known(session, report, print_)
    if known is not None:
        return _answer(session, known)
    permit = _covering(session, report)
    row = tables.Execution(
        id=events.new_id(now),
        agent_id=report.agent.id,
        reported_by=caller.id,
        fingerprint=print_,
        at=report.at,
        received_at=now,
        permit_id=None if permit is None else permit.id,
    )
    session.add(row)
    session.flush()
    events.append(
        session,
        "execution.reported",
        actor=caller.id,
        now=now,
        proposal_id=None if permit is None else permit.proposal_id,
        execution=row.id,
        verdict="bypass" if permit is None else "permitted",
        digest=print_,
    )
    if permit is None:
        alarms.sound(
            session,
            "bypass",
            agent_id=row.agent_id,
            digest=print_,
            actor=caller.id,
            now=now,
        )
    return _answer(session, row)


def _known(session: Session, report: Report, print_: str) -> tables.Execution | None:
    statement = select(tables.Execution).where(
        tables.Execution.agent_id == report.agent.id,
        tables.Execution.fingerprint == print_,
        tables.Execution.at == report.at,
    )
    return session.exec(statement).first()


def _covering(session: Session, report: Report) -> tables.Permit | None:
    """A used permit of this agent for what ran, which covers no other execution yet."""
    digests = [report.digest] if report.digest is not None else _digests(session, report)
    taken = select(tables.Execution.id).where(tables.Execution.permit_id == tables.Permit.id)
    statement = (
        select(tables.Permit)
        .join(tables.Proposal)
        .where(
            col(tables.Permit.digest).in_(digests),
            tables.Permit.status == "used",
            tables.Proposal.agent_id == report.agent.id,
            ~taken.exists(),
        )
        .order_by(col(tables.Permit.used_at))
    )
    return session.exec(statement).first()


def _digests(session: Session, report: Report) -> list[str]:
    """What the action's digest may be: under each schema and policy that this agent's permits name."""
    statement = (
        select(tables.Proposal.kind, tables.Permit.tool_schema, tables.Permit.policy_version)
        .join(tables.Permit)
        .where(
            tables.Proposal.agent_id == report.agent.id,
            tables.Permit.status == "used",
            col(tables.Proposal.kind).in_(("action", "candidates")),
        )
        .distinct()
    )
    assert report.action is not None
    body: dict[str, Any] = {"action": report.action.model_dump(mode="json")}
    return [
        digest(
            agent=report.agent.id,
            kind=kind,  # pyright: ignore[reportArgumentType] - selected above
            body=body,
            tool_schema=schema,
            policy_version=version,
        )
        for kind, schema, version in session.exec(statement)
    ]


def _answer(session: Session, row: tables.Execution) -> Recorded:
    if row.permit_id is not None:
        permit = session.get_one(tables.Permit, row.permit_id)
        return Recorded(row.id, "permitted", permit.id, permit.proposal_id, None)
    statement = (
        select(tables.Alarm.id)
        .where(
            tables.Alarm.kind == "bypass",
            tables.Alarm.agent_id == row.agent_id,
            tables.Alarm.digest == row.fingerprint,
        )
        .order_by(col(tables.Alarm.raised_at).desc())
    )
    return Recorded(row.id, "bypass", None, None, session.exec(statement).first())
