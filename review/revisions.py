"""A person's version taking the place of what was asked.

In: an edit by somebody who may vote. Out: a further round on the new digest, under the terms that
the policy gives to this version.
"""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from errata import protocol
from errata.errors import Forbidden
from ingestion import arguments, asked, decisions, store, tables
from ingestion.policies import InForce
from ingestion.ruling import Ruling, judge
from review import votes
from review.tables import Review


class Revision(NamedTuple):
    """A person's version, and what the policy says to it."""

    version: protocol.Effective
    ruling: Ruling
    in_force: InForce


def judge_version(
    in_force: InForce, proposal: protocol.Proposal, version: protocol.Effective
) -> Revision:
    """Check what would run: against its tool's schema, and against the policy in force.

    Args:
        in_force: The policy.
        proposal: What the agent asked.
        version: What would count after the decision.

    Raises:
        Malformed: The arguments do not fit the tool.
        Forbidden: The policy lets nobody approve this.
    """
    action = version.action
    if action is not None:
        arguments.check(in_force, proposal, action, "action")
    elif proposal.kind == "action":
        action = proposal.action
    ruling = judge(in_force.policy, proposal, action, by_agent=False)
    if ruling.route == "block":
        raise Forbidden(f"the policy blocks this version: {ruling.reason}", field="action")
    return Revision(version, ruling, in_force)


def ask_about(
    session: Session,
    row: tables.Proposal,
    proposal: protocol.Proposal,
    revision: Revision,
    edit: Review,
    *,
    now: datetime,
) -> None:
    """Ask about the version from now on: all other votes are void, the editor's is the first.

    The deadline stays: an edit buys no time.
    """
    version, ruling, in_force = revision
    schema = decisions.tool_schema(in_force, proposal, version.action)
    digest = decisions.version_digest(proposal, version, schema, in_force.version)
    votes.void_all(session, row, but=edit.id)
    store.move(
        session,
        row,
        "queued",
        actor=edit.reviewer_id or "worker",
        now=now,
        digest=digest,
        round=row.round + 1,
        policy_version=in_force.version,
        tool_schema=schema,
        on_timeout=ruling.on_timeout,
    )
    asked.keep_standing(session, row, version)
    asked.route(session, row, ruling._replace(route="queue"), now=now)
    edit.digest, edit.round = row.digest, row.round
    session.add(edit)
