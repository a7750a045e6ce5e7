"""Taking in proposals: validated, routed and stored in one transaction.

In: proposals and the key they came with. Out: drafts, written; for what the policy decides at
once, the decision and permit too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from errata import protocol
from errata.digest import fingerprint
from errata.errors import Conflict, IdempotencyConflict, Malformed
from ingestion import (
    agent_versions,
    arguments,
    decisions,
    dependencies,
    drafts,
    events,
    explaining,
    halts,
    keys,
    lots,
    policies,
    rates,
    runs,
    schemas,
    shadows,
    tables,
    tasks,
)
from ingestion.beginnings import Begin
from ingestion.drafts import Draft
from ingestion.lots import Drawn
from ingestion.policy import NO_TOOL
from ingestion.ruling import HALTED, Ruling, risk_level, rule

OUTCOMES: dict[protocol.Route, protocol.Outcome] = {
    "auto": "approve",
    "takeover": "takeover",
    "block": "blocked",
}
"""What the policy decides at once."""
IDS_AT_ONCE = 500
"""Ids in one statement; databases bound how many values one may have."""


class Taken(NamedTuple):
    """A proposal that was taken in."""

    row: tables.Proposal
    known: bool
    """It had been taken in before, with the same content."""


def take(
    session: Session, proposal: protocol.Proposal, caller: tables.Principal, *, now: datetime
) -> Taken:
    """Route and store one proposal; see `Intake`."""
    intake = Intake(session, caller, now=now)
    found = intake.admit(proposal)
    if isinstance(found, tables.Proposal):
        return Taken(found, known=True)
    intake.write()
    return Taken(session.get_one(tables.Proposal, found.id), known=False)


class _Known(NamedTuple):
    """What an id stands for already."""

    content_hash: str
    proposed_by: str | None
    draft: Draft | None = None
    """Where it came in this very transaction."""


_KNOWN = select(tables.Proposal.content_hash, tables.Proposal.proposed_by).where(
    tables.Proposal.id == bindparam("id")
)


class Intake:
    """Takes proposals in within one transaction: what they share is read once.

    Args:
        session: A transaction.
        caller: Whose key they came with.
        now: The time of receipt.
    """

    def __init__(self, session: Session, caller: tables.Principal, *, now: datetime) -> None:
        self._session = session
        self._caller = caller
        self._now = now
        self._known: dict[str, _Known | None] = {}
        self._interrupted: dict[str, bool] = {}
        self._unwritten: list[Draft] = []
        self._in_force = policies.in_force(session)
        self._rates = rates.Gate(session, self._in_force.policy, caller, now=now)
        self._halted: bool | None = None
        self._stages: dict[tuple[str, str], agent_versions.Stage | None] = {}

    def expect(self, proposals: Sequence[protocol.Proposal]) -> None:
        """Look up at once whether the ids of many proposals are taken; hold what they depend on."""
        needed = {id_ for one in proposals for id_ in one.depends_on}
        if needed:
            dependencies.hold(self._session, needed)
        row = tables.Proposal
        ids = [one.id for one in proposals if one.id]
        for first in range(0, len(ids), IDS_AT_ONCE):
            some = ids[first : first + IDS_AT_ONCE]
            statement = select(row.id, row.content_hash, row.proposed_by).where(
                col(row.id).in_(some)
            )
            self._known.update(dict.fromkeys(some))
            for id_, content_hash, by in self._session.exec(statement):
                self._known[id_] = _Known(content_hash, by)

    def admit(
        self, proposal: protocol.Proposal, begin: Begin | None = None
    ) -> Draft | tables.Proposal:
        """Route a proposal; it is stored at the next `write`.

        Args:
            proposal: What is asked.
            begin: What the agent runs at once if it may.

        Returns:
            The draft; where it is known with the same content, what there is of it.

        Raises:
            Forbidden: The key may not speak for that agent.
            Malformed: The deadline has passed, arguments do not fit the tool's schema, no answer
                could fit the response's, what it depends on is not known, or it is a shadow of
                nothing.
            Conflict: The id is taken by another proposal.
            TooMany: It is over the agent's rate; an alarm is raised.
        """
        keys.require_agent(self._caller, proposal.agent.id)
        content_hash = fingerprint(proposal.wire())
        known = self._taken_before(proposal, content_hash)
        if known is not None:
            return known
        self._rates.check(proposal.agent.id)
        self._check(proposal)
        self._rates.count(proposal.agent.id)
        draft = self._draft(proposal, content_hash)
        draft.begin = begin
        self._unwritten.append(draft)
        if proposal.id:
            self._known[proposal.id] = _Known(content_hash, self._caller.id, draft)
        return draft

    def write(self) -> None:
        """Store what was admitted.

        Raises:
            IntegrityError: Somebody took one of the ids in this moment.
        """
        drafts.write(self._session, self._unwritten, actor=self._caller.id, now=self._now)
        self._unwritten = []

    def _taken_before(
        self, proposal: protocol.Proposal, content_hash: str
    ) -> Draft | tables.Proposal | None:
        if proposal.id is None:
            return None
        if proposal.id not in self._known:
            found = self._session.connection().execute(_KNOWN, {"id": proposal.id}).first()
            self._known[proposal.id] = None if found is None else _Known(*found)
        known = self._known[proposal.id]
        if known is None:
            return None
        if (known.content_hash, known.proposed_by) != (content_hash, self._caller.id):
            raise Conflict(f"the id {proposal.id!r} is taken by another proposal", field="id")
        return known.draft or self._session.get_one(tables.Proposal, proposal.id)

    def _check(self, proposal: protocol.Proposal) -> None:
        if proposal.mode == "shadow":
            shadows.check_linked(proposal)
        if proposal.expires_at is not None and proposal.expires_at <= self._now:
            raise Malformed("the deadline has passed", field="expires_at")
        wrong = schemas.problem(proposal.response_schema) if proposal.response_schema else None
        if wrong is not None:
            raise Malformed(wrong, field="response_schema")
        arguments.check_all(self._in_force, proposal)
        if proposal.depends_on:
            dependencies.hold(self._session, proposal.depends_on)
            self.write()  # it may depend on what came just before
            dependencies.check(self._session, proposal, self._caller)

    def _draft(self, proposal: protocol.Proposal, content_hash: str) -> Draft:
        draft = Draft(proposal, self._columns(proposal, content_hash))
        if proposal.mode == "shadow":
            draft.columns["source"] = shadows.SOURCE
            return draft
        ruling = rule(self._in_force.policy, proposal)
        draft.drawn = lots.draw(self._watched(self._held_up(ruling, proposal), proposal))
        ruling = draft.drawn.ruling
        limit = self._now + ruling.expires_in
        draft.columns |= {
            "expires_at": min(limit, proposal.expires_at or limit),
            "on_timeout": ruling.on_timeout,
            "status": "queued",
            "version": 1,
        }
        draft.lost = dependencies.lost(self._session, proposal)
        if draft.lost is not None and ruling.route in {"auto", "queue"}:
            self._end(draft, dependencies.outcome(draft.lost, self._now))
        elif ruling.route != "queue":
            draft.lost = None
            self._end(draft, self._outcome(proposal, ruling))
            draft.task = _task(draft.drawn)
        return draft

    def _columns(self, proposal: protocol.Proposal, content_hash: str) -> dict[str, Any]:
        in_force = self._in_force
        schema = decisions.tool_schema(in_force, proposal)
        tool = in_force.policy.tool(proposal.action.name) if proposal.action else NO_TOOL
        return {
            **drafts.columns(
                proposal,
                id_=proposal.id or events.new_id(self._now),
                content_hash=content_hash,
                digest=decisions.asked_digest(proposal, schema, in_force.version),
                policy_version=in_force.version,
                now=self._now,
            ),
            "proposed_by": self._caller.id,
            "tool_schema": schema,
            "risk_level": risk_level(tool, proposal),
        }

    def _held_up(self, ruling: Ruling, proposal: protocol.Proposal) -> Ruling:
        """The ruling, where nothing runs at once while the fleet is halted or the run interrupted."""
        if ruling.route != "auto":
            return ruling
        if self._halted is None:
            self._halted = halts.is_active(self._session)
        if self._halted:
            return ruling._replace(route="queue", reason=HALTED, propensity=1.0)
        if self._is_interrupted(proposal.run_id):
            return ruling._replace(route="queue", reason=runs.INTERRUPTION, propensity=1.0)
        return ruling

    def _watched(self, ruling: Ruling, proposal: protocol.Proposal) -> Ruling:
        """The ruling with the share of looks that the agent version's stage asks for."""
        version = proposal.agent.version
        if ruling.route != "auto" or version is None:
            return ruling
        named = (proposal.agent.id, version)
        if named not in self._stages:
            self._stages[named] = agent_versions.stage_of(self._session, *named)
        stage = self._stages[named]
        return ruling if stage is None else agent_versions.watch(ruling, stage)

    def _is_interrupted(self, run_id: str | None) -> bool:
        if run_id is None:
            return False
        if run_id not in self._interrupted:
            self._interrupted[run_id] = runs.is_interrupted(self._session, run_id)
        return self._interrupted[run_id]

    def _end(self, draft: Draft, outcome: decisions.Outcome) -> None:
        """Decide at once."""
        draft.decision = decisions.stated(draft.subject, draft.proposal, outcome)
        draft.undo_window_s = outcome.undo_window_s
        runs_now = decisions.may_run(draft.proposal, outcome)
        draft.columns["status"] = "permitted" if runs_now else "decided"

    def _outcome(self, proposal: protocol.Proposal, ruling: Ruling) -> decisions.Outcome:
        """What the policy decides."""
        approved = ruling.route == "auto"
        return decisions.Outcome(
            outcome=OUTCOMES[ruling.route],
            by="policy",
            effective=decisions.effective(proposal) if approved else protocol.Effective(),
            reason=ruling.reason,
            needed=0,
            got=0,
            at=self._now,
            counterfactuals=explaining.counterfactuals(self._in_force.policy, proposal, ruling),
            undo_window_s=max(ruling.terms.undo_window_s, proposal.undo_window_s or 0.0),
        )


def _task(drawn: Drawn) -> tasks.Sort | None:
    """The work that a decision of the policy gives people."""
    if drawn.ruling.route == "takeover":
        return "handover"
    return "audit" if drawn.lot == "audit" else None


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
