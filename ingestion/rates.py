"""How much agents may send: the policy's rates, kept at the intake.

In: a policy, an agent that proposes. Out: a refusal with the time to come back. What is counted
are proposals that were taken in, so a request that is repeated with its key counts once.
"""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from ingestion import tables
from ingestion.alarms import Flood
from ingestion.policy import Policy, Rate


class Gate:
    """The policy's rates, within one transaction.

    Two transactions in the same moment wait for each other here, or both could bring the last
    proposal that is let in.
    """

    def __init__(
        self, session: Session, policy: Policy, caller: tables.Principal, *, now: datetime
    ) -> None:
        self._session = session
        self._policy = policy
        self._caller = caller
        self._now = now
        self._meters: dict[str, list[_Meter]] = {}

    def check(self, agent_id: str) -> None:
        """Refuse one more proposal of an agent where there is no room for it.

        Raises:
            Flood: It is over a rate; nothing was written.
        """
        if agent_id not in self._meters:
            rates = [one for one in self._policy.rates if fnmatchcase(agent_id, one.agent)]
            if rates:
                lock = {"key_share": True}
                self._session.get(tables.Principal, self._caller.id, with_for_update=lock)
            self._meters[agent_id] = [_Meter(one, self._room(one, agent_id)) for one in rates]
        for meter in self._meters[agent_id]:
            if meter.room <= 0:
                raise self._flood(meter, agent_id)

    def count(self, agent_id: str) -> None:
        """Count a proposal that was let in and has nothing else against it."""
        for meter in self._meters[agent_id]:
            meter.room -= 1
            meter.taken += 1

    def _recent(self, rate: Rate, agent_id: str) -> SelectOfScalar[datetime]:
        return (
            select(tables.Proposal.received_at)
            .where(
                tables.Proposal.agent_id == agent_id,
                col(tables.Proposal.received_at) > self._now - rate.per,
                tables.Proposal.source != "import",
            )
            .order_by(col(tables.Proposal.received_at).desc())
        )

    def _room(self, rate: Rate, agent_id: str) -> int:
        recent = self._recent(rate, agent_id).limit(rate.proposals).subquery()
        return rate.proposals - self._session.exec(select(func.count()).select_from(recent)).one()

    def _flood(self, meter: "_Meter", agent_id: str) -> Flood:
        """Too many; the wait is until the oldest of those that fill the rate counts no more."""
        rate = meter.rate
        before = max(rate.proposals - 1 - meter.taken, 0)
        oldest = self._session.exec(self._recent(rate, agent_id).offset(before).limit(1)).first()
        seconds = rate.per.total_seconds()
        wait = seconds - (self._now - (oldest or self._now)).total_seconds()
        return Flood(
            f"agent {agent_id!r} may send {rate.proposals} proposals in {seconds:g} s; "
            f"come back in {wait:.1f} s",
            wait,
            agent_id,
        )


@dataclass(slots=True)
class _Meter:
    """How full a rate is for one agent."""

    rate: Rate
    room: int
    taken: int = 0
    """By this transaction."""
