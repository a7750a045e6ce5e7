"""The decision on a proposal: recorded once, with the permit it gives.

In: an outcome, from the policy, from people (through review) or from a file. Out: the decision's
row, its text, a permit where something may run, and the log's entry.
"""

import secrets
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, func, select

from errata import protocol
from errata.digest import body, digest, schema_digest, stated_schema, version_body
from errata.errors import AlreadyDecided
from ingestion import corrections, edits, events, store, tables
from ingestion.policies import InForce

PERMIT_LIFETIME = timedelta(hours=24)
"""How long an approval may be acted on."""

RUNS: frozenset[protocol.Kind] = frozenset({"action", "draft", "plan", "click", "candidates"})
"""Kinds whose approval gives a permit."""


class Outcome(NamedTuple):
    """What was decided, before it is written down."""

    outcome: protocol.Outcome
    by: Literal["policy", "people"]
    effective: protocol.Effective
    reason: str
    needed: int
    got: int
    at: datetime
    counterfactuals: tuple[str, ...] = ()
    undo_window_s: float = 0.0
    """How long an approval can be taken back before it may run."""


def tool_schema(
    policy: InForce | None, proposal: protocol.Proposal, version: protocol.Action | None = None
) -> str | None:
    """S of the digest: the tool's schema by the policy, else as the proposal states it.

    Args:
        policy: The policy in force, for live work.
        proposal: What the agent asks.
        version: A person's version of its action, which may name another tool.
    """
    if proposal.action is None:
        return None
    name = (version or proposal.action).name
    tool = policy.policy.tools.get(name) if policy else None
    stated = tool.parameters if tool is not None else None
    return schema_digest(stated if stated is not None else stated_schema(proposal, name))


def asked_digest(proposal: protocol.Proposal, schema: str | None, policy_version: str) -> str:
    """The digest of what people are asked."""
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=body(proposal),
        tool_schema=schema,
        policy_version=policy_version,
    )


def effective(
    proposal: protocol.Proposal, version: protocol.Effective | None = None
) -> protocol.Effective:
    """What counts: the person's version, else what was proposed.

    A chosen candidate brings its content or action along, so that what may run stands in one
    place whatever the kind.
    """
    given = version or protocol.Effective()
    if given.action is not None or given.content is not None or given.point is not None:
        return given
    if given.candidate is not None:
        chosen = next(c for c in proposal.candidates or () if c.id == given.candidate)
        return given.model_copy(update={"content": chosen.content, "action": chosen.action})
    if given.response is not None:
        return given
    # Only what the kind proposes: a draft may state an action too, which nobody was shown.
    match proposal.kind:
        case "action":
            return protocol.Effective(action=proposal.action)
        case "draft" | "plan":
            return protocol.Effective(content=proposal.content)
        case "click":
            return protocol.Effective(point=proposal.point)
        case "candidates" | "question" | "exception":
            return protocol.Effective()


def version_digest(
    proposal: protocol.Proposal,
    version: protocol.Effective,
    schema: str | None,
    policy_version: str,
) -> str:
    """The digest of what may run, or of a person's version that is asked about."""
    return digest(
        agent=proposal.agent.id,
        kind=proposal.kind,
        body=version_body(proposal, version),
        tool_schema=schema,
        policy_version=policy_version,
    )


def record(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    outcome: Outcome,
    *,
    actor: str,
    now: datetime,
) -> protocol.Decision:
    """Write the decision down; what may run gets its permit in the same transaction.

    Args:
        session: The transaction.
        row: The proposal's row.
        proposal: The proposal.
        outcome: What was decided.
        actor: Who decided: a principal's id, `policy` or `worker`.
        now: When it is written.

    Raises:
        AlreadyDecided: There is a decision on this proposal.
    """
    runs = outcome.outcome in {"approve", "edit"} and proposal.kind in RUNS
    decision = protocol.Decision(
        proposal_id=row.id,
        outcome=outcome.outcome,
        by=outcome.by,
        effective=outcome.effective,
        digest=version_digest(proposal, outcome.effective, row.tool_schema, row.policy_version)
        if runs
        else row.digest,
        policy_version=row.policy_version,
        reason=outcome.reason,
        counterfactuals=outcome.counterfactuals,
        corrective_prompt=corrections.prompt(
            proposal, outcome.outcome, outcome.effective, outcome.reason
        ),
        reviews=protocol.Tally(needed=outcome.needed, got=outcome.got),
        decided_at=outcome.at,
    )
    _write(session, row, proposal, decision)
    store.move(session, row, "permitted" if runs else "decided", actor=actor, now=now)
    if runs:
        _issue_permit(session, row, decision, now, outcome.undo_window_s)
    _note(session, decision, actor, now)
    return decision


def keep(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    decision: protocol.Decision,
    *,
    now: datetime,
) -> None:
    """Write down a decision that was made elsewhere, as stated; history gives no permit.

    Raises:
        AlreadyDecided: There is a decision on this proposal.
    """
    _write(session, row, proposal, decision)
    _note(session, decision, "import", now)


def _note(session: Session, decision: protocol.Decision, actor: str, now: datetime) -> None:
    events.append(
        session,
        "proposal.decided",
        actor=actor,
        now=now,
        proposal_id=decision.proposal_id,
        outcome=decision.outcome,
        by=decision.by,
        digest=decision.digest,
        policy_version=decision.policy_version,
    )


def _write(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    decision: protocol.Decision,
) -> None:
    """The row and the text; the primary key is what makes a second decision impossible."""
    edited = decision.outcome == "edit"
    unchanged = decision.outcome == "approve" or (False if edited else None)
    values = tables.Decision(
        proposal_id=row.id,
        outcome=decision.outcome,
        by=decision.by,
        digest=decision.digest,
        policy_version=decision.policy_version,
        needed=decision.reviews.needed,
        got=decision.reviews.got,
        unchanged=unchanged,
        edit_distance=_edit_distance(proposal, decision.effective) if edited else None,
        decided_at=decision.decided_at,
    )
    try:
        with session.begin_nested():
            session.add(values)
    except IntegrityError as error:
        raise AlreadyDecided(f"proposal {row.id} has been decided") from error
    store.keep(session, "decision", row.id, row.id, decision)


def _edit_distance(proposal: protocol.Proposal, version: protocol.Effective) -> float | None:
    """From what was proposed to the person's version; for candidates from the one edited."""
    if proposal.kind == "candidates":
        chosen = next((c for c in proposal.candidates or () if c.id == version.candidate), None)
        if chosen is None:
            return None
        before = protocol.Effective(content=chosen.content, action=chosen.action)
        return edits.distance(version_body(proposal, before), version_body(proposal, version))
    return edits.distance(body(proposal), version_body(proposal, version))


def _issue_permit(
    session: Session,
    row: tables.Proposal,
    decision: protocol.Decision,
    now: datetime,
    undo_window_s: float,
) -> None:
    begins = now + timedelta(seconds=undo_window_s)
    events.hold(session)  # or two that issue at once would read the same highest fence
    fence = session.exec(select(func.coalesce(func.max(tables.Permit.fence), 0))).one() + 1
    permit = tables.Permit(
        id=secrets.token_hex(16),
        proposal_id=row.id,
        digest=decision.digest,
        tool_schema=row.tool_schema,
        policy_version=row.policy_version,
        not_before=begins,
        expires_at=begins + PERMIT_LIFETIME,
        status="issued",
        fence=fence,
    )
    session.add(permit)
    session.flush()
    events.append(
        session,
        "permit.issued",
        actor="policy",
        now=now,
        proposal_id=row.id,
        permit=permit.id,
        digest=permit.digest,
    )
