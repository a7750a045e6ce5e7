"""Taking in a proposal: validated, routed and stored in one transaction.

In: a proposal and the key it came with. Out: the proposal's row; for what the policy decides at
once, the decision and permit too.
"""

import random
from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from errata import protocol
from errata.digest import fingerprint, stated_schema
from errata.errors import Conflict, Forbidden, IdempotencyConflict, Malformed, NotFound
from ingestion import (
    asked,
    decisions,
    dependencies,
    events,
    explaining,
    halts,
    keys,
    policies,
    rates,
    runs,
    schemas,
    shadows,
    store,
    tables,
    tasks,
)
from ingestion.asked import Lot
from ingestion.policies import InForce
from ingestion.policy import NO_TOOL
from ingestion.ruling import HALTED, Ruling, risk_level, rule


class Taken(NamedTuple):
    """A proposal that was taken in."""

    row: tables.Proposal
    known: bool
    """It had been taken in before, with the same content."""


def take(
    session: Session, proposal: protocol.Proposal, caller: tables.Principal, *, now: datetime
) -> Taken:
    """Route and store a proposal.

    Args:
        session: A transaction.
        proposal: What the agent asks.
        caller: Whose key it came with.
        now: The time of receipt.

    Raises:
        Forbidden: The key may not speak for that agent.
        Malformed: The deadline has passed, arguments do not fit the tool's schema, no answer
            could fit the response's, what it depends on is not known, or it is a shadow of
            nothing.
        Conflict: The id is taken by another proposal.
        TooMany: It is over the agent's rate; an alarm is raised.
    """
    keys.require_agent(caller, proposal.agent.id)
    content_hash = fingerprint(proposal.wire())
    known = _known(session, proposal, caller, content_hash)
    if known is not None:
        return Taken(known, known=True)
    in_force = policies.in_force(session)
    rates.check(session, in_force.policy, proposal.agent.id, caller, now=now)
    _check(in_force, proposal, now)
    dependencies.check(session, proposal, caller)
    if proposal.mode == "shadow":
        return Taken(
            _store(session, proposal, caller, in_force, None, content_hash, now), known=False
        )
    ruling = rule(in_force.policy, proposal)
    drawn = draw(_held_up(session, ruling, proposal))
    row = _store(session, proposal, caller, in_force, drawn.ruling, content_hash, now)
    asked.route(session, row, drawn.ruling, now=now, lot=drawn.lot)
    lost = dependencies.keep(session, row, proposal)
    if lost is not None and drawn.ruling.route in {"auto", "queue"}:
        dependencies.cancel(session, row, lost, actor="policy", now=now)
    else:
        _follow(session, row, proposal, in_force, drawn, now)
    return Taken(row, known=False)


def _held_up(session: Session, ruling: Ruling, proposal: protocol.Proposal) -> Ruling:
    """The ruling, where nothing runs at once while the fleet is halted or the run interrupted."""
    if ruling.route != "auto":
        return ruling
    if halts.active(session) is not None:
        return ruling._replace(route="queue", reason=HALTED, propensity=1.0)
    if runs.is_interrupted(session, proposal.run_id):
        return ruling._replace(route="queue", reason=runs.INTERRUPTION, propensity=1.0)
    return ruling


class Drawn(NamedTuple):
    """A ruling after the lots were drawn."""

    ruling: Ruling
    lot: Lot | None


def draw(ruling: Ruling) -> Drawn:
    """Draw the lots that the policy asks for; the propensity stays the probability before."""
    shares = ruling.shares
    if ruling.route == "auto":
        if _falls(shares.review):
            reason = f"{ruling.reason}; drawn by lot for review"
            return Drawn(ruling._replace(route="queue", reason=reason), "review")
        return Drawn(ruling, "audit" if _falls(shares.audit) else None)
    if ruling.route == "queue" and _falls(shares.dual):
        needed = max(ruling.terms.needed, 2)
        terms = ruling.terms.model_copy(update={"needed": needed, "blind": True})
        reason = f"{ruling.reason}; drawn by lot for two blind reviews"
        return Drawn(ruling._replace(terms=terms, reason=reason), "dual")
    return Drawn(ruling, None)


def _falls(share: float) -> bool:
    """Whether a lot with this probability comes out; nobody outside can know beforehand."""
    return share > 0 and random.SystemRandom().random() < share


def _known(
    session: Session, proposal: protocol.Proposal, caller: tables.Principal, content_hash: str
) -> tables.Proposal | None:
    row = session.get(tables.Proposal, proposal.id) if proposal.id else None
    if row is None:
        return None
    if row.content_hash != content_hash or row.proposed_by != caller.id:
        raise Conflict(f"the id {row.id!r} is taken by another proposal", field="id")
    return row


def _check(in_force: InForce, proposal: protocol.Proposal, now: datetime) -> None:
    if proposal.mode == "shadow":
        shadows.check_linked(proposal)
    if proposal.expires_at is not None and proposal.expires_at <= now:
        raise Malformed("the deadline has passed", field="expires_at")
    wrong = schemas.problem(proposal.response_schema) if proposal.response_schema else None
    if wrong is not None:
        raise Malformed(wrong, field="response_schema")
    check_actions(in_force, proposal)


def check_actions(in_force: InForce, proposal: protocol.Proposal) -> None:
    """Validate the arguments of all that a proposal may run.

    Raises:
        Malformed: Some do not fit; the field is named.
    """
    actions = [("action", proposal.action)] if proposal.action else []
    actions += [
        (f"candidates[{index}].action", candidate.action)
        for index, candidate in enumerate(proposal.candidates or ())
        if candidate.action is not None
    ]
    for field, action in actions:
        check_action(in_force, proposal, action, field)


def check_action(
    in_force: InForce, proposal: protocol.Proposal, action: protocol.Action, field: str
) -> None:
    """Validate arguments against the tool's schema, the policy's before the proposal's.

    Raises:
        Malformed: They do not fit; the field is named.
    """
    schema = in_force.policy.tool(action.name).parameters
    schema = schema if schema is not None else stated_schema(proposal, action.name)
    if schema is not None:
        schemas.check(schema, action.arguments, f"{field}.arguments")


def _store(
    session: Session,
    proposal: protocol.Proposal,
    caller: tables.Principal,
    in_force: InForce,
    ruling: Ruling | None,
    content_hash: str,
    now: datetime,
) -> tables.Proposal:
    """Store a proposal as received; without a ruling it is a shadow, which nobody is asked about."""
    schema = decisions.tool_schema(in_force, proposal)
    tool = in_force.policy.tool(proposal.action.name) if proposal.action else NO_TOOL
    row = row_of(
        proposal,
        id_=proposal.id or events.new_id(now),
        content_hash=content_hash,
        digest=decisions.asked_digest(proposal, schema, in_force.version),
        policy_version=in_force.version,
        now=now,
    )
    row.proposed_by = caller.id
    row.tool_schema = schema
    row.risk_level = risk_level(tool, proposal)
    if ruling is None:
        row.source = shadows.SOURCE
    else:
        limit = now + ruling.expires_in
        row.expires_at = min(limit, proposal.expires_at or limit)
        row.on_timeout = ruling.on_timeout
    session.add(row)
    session.flush()
    store.keep(session, "proposal", row.id, row.id, proposal)
    events.append(
        session,
        "proposal.received",
        actor=caller.id,
        now=now,
        proposal_id=row.id,
        digest=row.digest,
        kind=row.kind,
        policy_version=row.policy_version,
    )
    return row


def row_of(
    proposal: protocol.Proposal,
    *,
    id_: str,
    content_hash: str,
    digest: str,
    policy_version: str,
    now: datetime,
) -> tables.Proposal:
    """The row of a proposal as received, before any routing."""
    return tables.Proposal(
        id=id_,
        kind=proposal.kind,
        mode=proposal.mode,
        exclude=None if proposal.mode == "live" else proposal.mode,
        agent_id=proposal.agent.id,
        agent_version=proposal.agent.version,
        model_id=proposal.agent.model,
        requested_by=proposal.requested_by,
        task_id=proposal.task_id,
        group_id=proposal.group_id,
        run_id=proposal.run_id,
        parent_id=proposal.parent_id,
        action_name=proposal.action.name if proposal.action else None,
        risk_level=proposal.risk.level if proposal.risk else None,
        urgency=proposal.urgency,
        cost_usd=proposal.cost.usd if proposal.cost else None,
        status="proposed",
        digest=digest,
        content_hash=content_hash,
        policy_version=policy_version,
        created_at=proposal.created_at or now,
        received_at=now,
    )


def _follow(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    in_force: InForce,
    drawn: Drawn,
    now: datetime,
) -> None:
    """Do what the ruling says."""
    ruling = drawn.ruling
    if ruling.route == "queue":
        store.move(session, row, "queued", actor="policy", now=now)
        return
    outcomes: dict[protocol.Route, protocol.Outcome] = {
        "auto": "approve",
        "takeover": "takeover",
        "block": "blocked",
    }
    approved = ruling.route == "auto"
    outcome = decisions.Outcome(
        outcome=outcomes[ruling.route],
        by="policy",
        effective=decisions.effective(proposal) if approved else protocol.Effective(),
        reason=ruling.reason,
        needed=0,
        got=0,
        at=now,
        counterfactuals=explaining.counterfactuals(in_force.policy, proposal, ruling),
        undo_window_s=max(ruling.terms.undo_window_s, proposal.undo_window_s or 0.0),
    )
    decisions.record(session, row, proposal, outcome, actor="policy", now=now)
    if ruling.route == "takeover":
        tasks.open_task(session, row, "handover", now=now)
    elif drawn.lot == "audit":
        tasks.open_task(session, row, "audit", now=now)


def repeated(
    session: Session, caller: tables.Principal, key: str, body_hash: str
) -> tables.Idempotency | None:
    """The answer that this idempotency key got before, if any.

    Raises:
        IdempotencyConflict: The key was used for another body.
    """
    known = session.get(tables.Idempotency, (caller.id, key))
    if known is not None and known.body_hash != body_hash:
        raise IdempotencyConflict(f"the idempotency key {key!r} was used for another body")
    return known


def cancel(
    session: Session, proposal_id: str, caller: tables.Principal, *, now: datetime
) -> tables.Proposal:
    """Take a proposal back before it is decided.

    Raises:
        NotFound: No such proposal.
        Forbidden: It is another agent's.
        AlreadyDecided: Too late.
    """
    row = store.hold(session, proposal_id)
    if row.proposed_by != caller.id:
        raise Forbidden("only the agent that proposed it may cancel it")
    end(session, row, "cancelled", "cancelled by the agent", actor=caller.id, now=now)
    return row


def end(
    session: Session,
    row: tables.Proposal,
    outcome: protocol.Outcome,
    reason: str,
    *,
    actor: str,
    now: datetime,
) -> protocol.Decision:
    """Decide without anybody's answer: expired or cancelled.

    Raises:
        AlreadyDecided: There is a decision.
        Conflict: It is imported history, which nobody waits for.
        NotFound: The proposal's text has been erased.
    """
    if row.source == "import":
        raise Conflict(f"proposal {row.id} is imported history; it cannot end anew")
    shadows.check_none(row)
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound(f"the text of proposal {row.id} has been erased")
    return decisions.record(
        session,
        row,
        proposal,
        decisions.Outcome(
            outcome=outcome,
            by="policy",
            effective=protocol.Effective(),
            reason=reason,
            needed=1,
            got=0,
            at=now,
        ),
        actor=actor,
        now=now,
    )
