"""The decision on a proposal: recorded once, with the permit it gives.

In: an outcome, from the policy, from people (through review) or from a file. Out: the decision's
row, its text, a permit where something may run, and the log's entry.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

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


class Subject(NamedTuple):
    """What a decision is about."""

    id: str
    digest: str
    tool_schema: str | None
    policy_version: str


def subject(row: tables.Proposal) -> Subject:
    """A stored proposal, to be decided on."""
    return Subject(row.id, row.digest, row.tool_schema, row.policy_version)


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
    decision = stated(subject(row), proposal, outcome)
    _write(session, row, proposal, decision)
    runs = may_run(proposal, outcome)
    store.move(session, row, "permitted" if runs else "decided", actor=actor, now=now)
    if runs:
        permit = issue(session, subject(row), decision, now, outcome.undo_window_s)
        session.add(tables.Permit(**permit))
        session.flush()
    note(session, decision, actor, now)
    return decision


def may_run(proposal: protocol.Proposal, outcome: Outcome) -> bool:
    """Whether something may run now, under a permit."""
    return outcome.outcome in {"approve", "edit"} and proposal.kind in RUNS


def stated(about: Subject, proposal: protocol.Proposal, outcome: Outcome) -> protocol.Decision:
    """The decision as it is stated to everyone."""
    schema, version = about.tool_schema, about.policy_version
    return protocol.Decision(
        proposal_id=about.id,
        outcome=outcome.outcome,
        by=outcome.by,
        effective=outcome.effective,
        digest=version_digest(proposal, outcome.effective, schema, version)
        if may_run(proposal, outcome)
        else about.digest,
        policy_version=version,
        reason=outcome.reason,
        counterfactuals=outcome.counterfactuals,
        corrective_prompt=corrections.prompt(
            proposal, outcome.outcome, outcome.effective, outcome.reason
        ),
        reviews=protocol.Tally(needed=outcome.needed, got=outcome.got),
        decided_at=outcome.at,
    )


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
    note(session, decision, "import", now)


def note(session: Session, decision: protocol.Decision, actor: str, now: datetime) -> None:
    """Write a decision into the log."""
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
    try:
        with session.begin_nested():
            session.add(tables.Decision(**values(proposal, decision)))
    except IntegrityError as error:
        raise AlreadyDecided(f"proposal {row.id} has been decided") from error
    store.keep(session, "decision", row.id, row.id, decision)


def values(proposal: protocol.Proposal, decision: protocol.Decision) -> dict[str, Any]:
    """A decision as columns of `Decision`."""
    edited = decision.outcome == "edit"
    return {
        "proposal_id": decision.proposal_id,
        "outcome": decision.outcome,
        "by": decision.by,
        "digest": decision.digest,
        "policy_version": decision.policy_version,
        "needed": decision.reviews.needed,
        "got": decision.reviews.got,
        "unchanged": decision.outcome == "approve" or (False if edited else None),
        "edit_distance": _edit_distance(proposal, decision.effective) if edited else None,
        "decided_at": decision.decided_at,
    }


def _edit_distance(proposal: protocol.Proposal, version: protocol.Effective) -> float | None:
    """From what was proposed to the person's version; for candidates from the one edited."""
    if proposal.kind == "candidates":
        chosen = next((c for c in proposal.candidates or () if c.id == version.candidate), None)
        if chosen is None:
            return None
        before = protocol.Effective(content=chosen.content, action=chosen.action)
        return edits.distance(version_body(proposal, before), version_body(proposal, version))
    return edits.distance(body(proposal), version_body(proposal, version))


def issue(
    session: Session,
    about: Subject,
    decision: protocol.Decision,
    now: datetime,
    undo_window_s: float,
) -> dict[str, Any]:
    """Note in the log that what was approved gets a permit; returns its columns, of `Permit`."""
    begins = now + timedelta(seconds=undo_window_s)
    permit = {
        "id": secrets.token_hex(16),
        "proposal_id": about.id,
        "digest": decision.digest,
        "tool_schema": about.tool_schema,
        "policy_version": about.policy_version,
        "not_before": begins,
        "expires_at": begins + PERMIT_LIFETIME,
        "status": "issued",
        "fence": events.upcoming(session),
    }
    events.append(
        session,
        "permit.issued",
        actor="policy",
        now=now,
        proposal_id=decision.proposal_id,
        permit=permit["id"],
        digest=decision.digest,
    )
    return permit
