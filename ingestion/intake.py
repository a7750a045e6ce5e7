"""Taking in a proposal: validated, routed and stored in one transaction.

In: a proposal and the key it came with. Out: the proposal's row; for what the policy decides at
once, the decision and permit too.
"""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from errata import protocol
from errata.digest import fingerprint, stated_schema
from errata.errors import Conflict, Forbidden, IdempotencyConflict, Malformed, NotFound
from ingestion import decisions, events, halts, keys, policies, schemas, store, tables
from ingestion.policies import InForce
from ingestion.policy import Ruling, Tool, risk_level, rule


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
            could fit the response's, or the mode is one that cannot be asked for.
        Conflict: The id is taken by another proposal.
    """
    keys.require_agent(caller, proposal.agent.id)
    content_hash = fingerprint(proposal.wire())
    known = _known(session, proposal, caller, content_hash)
    if known is not None:
        return Taken(known, known=True)
    in_force = policies.in_force(session)
    _check(in_force, proposal, now)
    ruling = rule(in_force.policy, proposal)
    halted = halts.active(session) is not None
    if halted and ruling.route == "auto":
        ruling = ruling._replace(
            route="queue", reason="the fleet is halted", needed=1, propensity=1.0
        )
    row = _store(session, proposal, caller, in_force, ruling, content_hash, now)
    _route(session, row, ruling, now)
    _follow(session, row, proposal, ruling, now)
    return Taken(row, known=False)


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
        raise Malformed("shadow proposals are not taken by this version", field="mode")
    if proposal.expires_at is not None and proposal.expires_at <= now:
        raise Malformed("the deadline has passed", field="expires_at")
    wrong = schemas.problem(proposal.response_schema) if proposal.response_schema else None
    if wrong is not None:
        raise Malformed(wrong, field="response_schema")
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
    tool = in_force.policy.tools.get(action.name)
    schema = tool.parameters if tool is not None else None
    schema = schema if schema is not None else stated_schema(proposal, action.name)
    if schema is not None:
        schemas.check(schema, action.arguments, f"{field}.arguments")


def _store(
    session: Session,
    proposal: protocol.Proposal,
    caller: tables.Principal,
    in_force: InForce,
    ruling: Ruling,
    content_hash: str,
    now: datetime,
) -> tables.Proposal:
    schema = decisions.tool_schema(in_force, proposal)
    limit = now + ruling.expires_in
    tool = in_force.policy.tools.get(proposal.action.name) if proposal.action else None
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
    row.risk_level = risk_level(tool or Tool(), proposal)
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


def _route(session: Session, row: tables.Proposal, ruling: Ruling, now: datetime) -> None:
    session.add(
        tables.Routing(
            id=events.new_id(now),
            proposal_id=row.id,
            round=row.round,
            route=ruling.route,
            rule=ruling.rule,
            reason=ruling.reason,
            policy_version=row.policy_version,
            propensity=ruling.propensity,
            needed=ruling.needed,
            at=now,
        )
    )
    events.append(
        session,
        "proposal.routed",
        actor="policy",
        now=now,
        proposal_id=row.id,
        route=ruling.route,
        propensity=ruling.propensity,
    )


def _follow(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    ruling: Ruling,
    now: datetime,
) -> None:
    """Do what the ruling says."""
    if ruling.route == "queue":
        store.move(session, row, "queued", actor="policy", now=now)
        return
    approved = ruling.route == "auto"
    outcome = decisions.Outcome(
        outcome="approve" if approved else "blocked",
        by="policy",
        effective=decisions.effective(proposal) if approved else protocol.Effective(),
        reason=ruling.reason,
        needed=0,
        got=0,
        at=now,
    )
    decisions.record(session, row, proposal, outcome, actor="policy", now=now)


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
