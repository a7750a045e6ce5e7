"""How much agents may send: the policy's rates, kept at the intake.

In: a policy, an agent that proposes. Out: a refusal with the time to come back. What is counted
are proposals that were taken in, so a request that is repeated with its key counts once.
"""

from datetime import datetime
from fnmatch import fnmatchcase

from sqlmodel import Session, col, select

from ingestion import tables
from ingestion.alarms import Flood
from ingestion.policy import Policy, Rate


def check(
    session: Session, policy: Policy, agent_id: str, caller: tables.Principal, *, now: datetime
) -> None:
    """Refuse a proposal over its agent's rate.

    Two in the same moment wait for each other here, or both could be the last that is let in.

    Raises:
        Flood: It is over a rate; nothing was written.
    """
    rates = [one for one in policy.rates if fnmatchcase(agent_id, one.agent)]
    if not rates:
        return
    session.get(tables.Principal, caller.id, with_for_update={"key_share": True})
    for rate in rates:
        full_since = _full_since(session, rate, agent_id, now)
        if full_since is not None:
            seconds = rate.per.total_seconds()
            wait = seconds - (now - full_since).total_seconds()
            raise Flood(
                f"agent {agent_id!r} may send {rate.proposals} proposals in {seconds:g} s; "
                f"come back in {wait:.1f} s",
                wait,
                agent_id,
            )


def _full_since(session: Session, rate: Rate, agent_id: str, now: datetime) -> datetime | None:
    """When the oldest came of those that fill the rate now; None while there is room."""
    statement = (
        select(tables.Proposal.received_at)
        .where(
            tables.Proposal.agent_id == agent_id,
            col(tables.Proposal.received_at) > now - rate.per,
            tables.Proposal.source != "import",
        )
        .order_by(col(tables.Proposal.received_at).desc())
        .offset(rate.proposals - 1)
    )
    return session.exec(statement.limit(1)).first()
