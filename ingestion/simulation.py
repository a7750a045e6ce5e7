"""What another policy would have done with the proposals that were sent.

In: the stored live proposals, and a policy. Out: for each its route then and now; the prompts that
people would have been spared or asked in addition, and the corrections that would have been missed.
Lots are not drawn, and no halt is looked at: the routes are those of the rules alone.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, get_args

from sqlalchemy import func, select
from sqlmodel import Session, col

from errata import protocol
from ingestion import tables
from ingestion.policy import Policy
from ingestion.ruling import rule

ASKS: frozenset[str] = frozenset({"queue", "takeover"})
"""Routes that take a person's time."""
CORRECTIONS: frozenset[str] = frozenset({"edit", "reject", "regenerate", "takeover"})
"""Outcomes by which people did not let a proposal pass as it was."""
BATCH = 500


class Replayed(NamedTuple):
    """One proposal under both policies."""

    id: str
    then: protocol.Route
    now: protocol.Route
    rule: str
    """The rule that decides now."""
    corrected: bool
    """People changed or refused it."""

    @property
    def missed(self) -> bool:
        """It was asked about and corrected, and would have run uncorrected."""
        return self.then == "queue" and self.now == "auto" and self.corrected


class Simulation(NamedTuple):
    """What a policy would have changed."""

    proposals: int
    erased: int
    """Left out: their text is gone, so nobody can say where they would have gone."""
    routes: dict[str, dict[str, int]]
    """How many, by the route then and the route now."""
    prompts_saved: int
    """Went to people then and would run at once."""
    prompts_added: int
    """Did not go to people then and would."""
    corrections_missed: list[str]
    """Ids of those saved prompts in which people edited or refused."""
    newly_blocked: list[str]
    changes: list[Replayed]
    """All whose route differs, the oldest first."""


def simulate(session: Session, policy: Policy, *, since: datetime | None = None) -> Simulation:
    """Put every stored live proposal to another policy.

    Args:
        session: A reading transaction.
        policy: The policy to try.
        since: Only proposals received since.
    """
    routes: Counter[tuple[str, str]] = Counter()
    changes: list[Replayed] = []
    erased = 0
    for one in _replay(session, policy, since):
        if one is None:
            erased += 1
            continue
        routes[one.then, one.now] += 1
        if one.then != one.now:
            changes.append(one)
    return Simulation(
        proposals=routes.total(),
        erased=erased,
        routes={
            then: {now: routes[then, now] for now in get_args(protocol.Route)}
            for then in get_args(protocol.Route)
        },
        prompts_saved=sum(one.then in ASKS and one.now == "auto" for one in changes),
        prompts_added=sum(one.then not in ASKS and one.now in ASKS for one in changes),
        corrections_missed=[one.id for one in changes if one.missed],
        newly_blocked=[one.id for one in changes if one.now == "block"],
        changes=changes,
    )


def _replay(session: Session, policy: Policy, since: datetime | None) -> Iterator[Replayed | None]:
    """Each proposal under both policies, the oldest first; None where the text was erased."""
    for id_, then, body, outcome, by in session.exec(_statement(since)):
        if body is None:
            yield None
            continue
        ruling = rule(policy, protocol.Proposal.model_validate(body))
        corrected = by == "people" and outcome in CORRECTIONS
        yield Replayed(id_, then, ruling.route, ruling.rule, corrected)


def _statement(
    since: datetime | None,
) -> Any:
    """Columns id, route, body, outcome, by."""
    first = (  # the agent's own version; later routings are of people's, or of an escalation
        select(
            col(tables.Routing.proposal_id).label("proposal_id"),
            func.min(col(tables.Routing.id)).label("id"),
        )
        .group_by(col(tables.Routing.proposal_id))
        .subquery()
    )
    statement = (
        select(
            col(tables.Proposal.id),
            col(tables.Routing.route),
            col(tables.Payload.body),
            col(tables.Decision.outcome),
            col(tables.Decision.by),
        )
        .join(first, first.c.proposal_id == col(tables.Proposal.id))
        .join(tables.Routing, col(tables.Routing.id) == first.c.id)
        .outerjoin(
            tables.Payload,
            (col(tables.Payload.owner) == "proposal")
            & (col(tables.Payload.id) == col(tables.Proposal.id)),
        )
        .outerjoin(tables.Decision, col(tables.Decision.proposal_id) == col(tables.Proposal.id))
        .where(col(tables.Proposal.source) == "live", col(tables.Proposal.exclude).is_(None))
        .order_by(col(tables.Proposal.received_at), col(tables.Proposal.id))
        .execution_options(yield_per=BATCH)
    )
    return (
        statement if since is None else statement.where(col(tables.Proposal.received_at) >= since)
    )
