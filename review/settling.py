"""Taking in a review, and deciding where the votes suffice.

In: reviews by authenticated people, whatever surface they came by. Out: stored reviews; decisions
recorded upstream, or a further round on a person's version.
"""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from errata import protocol
from errata.errors import DigestMismatch, ErrataError, Malformed, NotFound
from ingestion import asked, decisions, events, explaining, policies, store, tables
from ingestion.policies import InForce
from ingestion.ruling import Terms
from review import quorum, revisions, versions, votes
from review.tables import Review, ReviewPayload
from review.votes import Voice


class Taken(NamedTuple):
    """A review that counts, and what it decided."""

    review_id: str
    decision: protocol.Decision | None


class _Case(NamedTuple):
    """What is asked, and on what terms."""

    row: tables.Proposal
    terms: Terms
    in_force: InForce
    proposal: protocol.Proposal
    """As the agent sent it."""
    standing: protocol.Effective | None
    """The person's version that is asked about, if one is."""
    shown: protocol.Proposal
    """As people are asked about it."""


def submit(session: Session, review: protocol.Review, voice: Voice, *, now: datetime) -> Taken:
    """Take in a review.

    Args:
        session: A transaction.
        review: What the person said.
        voice: The authenticated person.
        now: When.

    Raises:
        NotFound: No such proposal, or its text was erased.
        NotEligible: The person may not vote on it.
        AlreadyDecided: Too late, also where the deadline has passed and nobody has noted it yet.
        Conflict: It is imported history.
        DigestMismatch: The review is about something else than what is being asked now.
        Malformed: The verdict or version does not fit, or a rationale is missing.
        Forbidden: The policy lets nobody approve the edited version.
    """
    row = store.hold(session, review.proposal_id)
    terms = asked.terms(session, row)
    votes.check_eligible(row, terms, voice.reviewer, now)
    asked.check_open(session, row, now)
    if review.digest != row.digest:
        raise DigestMismatch("the proposal has changed since it was shown; look at it again")
    proposal = store.proposal(session, row.id)
    if proposal is None:
        raise NotFound(f"the text of proposal {row.id} has been erased")
    standing = asked.standing(session, row)
    shown = versions.as_shown(proposal, standing)
    case = _Case(row, terms, policies.in_force(session), proposal, standing, shown)
    if terms.rationale and review.rationale is None:
        raise Malformed("the policy asks for a reason here: give a rationale", field="rationale")
    return _take(session, case, review, voice, now)


def _take(
    session: Session, case: _Case, review: protocol.Review, voice: Voice, now: datetime
) -> Taken:
    tool = case.proposal.action and case.in_force.policy.tool(case.proposal.action.name)
    vote = versions.weigh(case.shown, review, tool.edits_to if tool else ())
    revision = None
    if vote.verdict in {"approve", "edit"}:
        revision = revisions.judge_version(case.in_force, case.proposal, vote.effective)
    stored = votes.keep(session, case.row, review, voice, now=now)
    if vote.verdict == "edit" and revision is not None and not case.terms.blind:
        ballot = votes.ballot(stored, voice.reviewer, vote, now)
        may = votes.is_eligible(case.row, revision.ruling.terms, voice.reviewer, now)
        return _revise(session, case, revision, stored, ballot if may else None, now)
    ballots = votes.ballots(session, case.row, case.terms, case.shown, case.standing, now)
    carried = quorum.settle(case.terms, ballots)
    if carried is None:
        return Taken(stored.id, None)
    if carried.ballot.verdict == "edit":
        return _agree(session, case, ballots, carried, now)
    return Taken(stored.id, _decide(session, case, case.terms, ballots, carried, now))


def _revise(
    session: Session,
    case: _Case,
    revision: revisions.Revision,
    edit: Review,
    ballot: quorum.Ballot | None,
    now: datetime,
) -> Taken:
    """A version takes the place of what was asked; where the editor's vote is enough, it decides.

    The ballot is None where the editor may not vote on this version.
    """
    terms = revision.ruling.terms
    carried = quorum.settle(terms, [ballot]) if ballot is not None else None
    if ballot is None or carried is None:
        revisions.ask_about(session, case.row, case.proposal, revision, edit, now=now)
        return Taken(edit.id, None)
    votes.void_all(session, case.row, but=edit.id)
    return Taken(edit.id, _decide(session, case, terms, [ballot], carried, now))


def _agree(
    session: Session,
    case: _Case,
    ballots: list[quorum.Ballot],
    carried: quorum.Carried,
    now: datetime,
) -> Taken:
    """Blind reviewers have come to one version; it re-enters the policy like any other."""
    revision = revisions.judge_version(case.in_force, case.proposal, carried.ballot.effective)
    alike = [one for one in ballots if one.choice == carried.ballot.choice]
    edit = session.get_one(Review, carried.ballot.review_id)
    if not carried.tie_broken and not quorum.is_reached(revision.ruling.terms, alike):
        revisions.ask_about(session, case.row, case.proposal, revision, edit, now=now)
        return Taken(edit.id, None)
    return Taken(edit.id, _decide(session, case, case.terms, ballots, carried, now))


def _decide(
    session: Session,
    case: _Case,
    terms: Terms,
    ballots: list[quorum.Ballot],
    carried: quorum.Carried,
    now: datetime,
) -> protocol.Decision:
    """Write the decision that the votes have made."""
    row, ballot = case.row, carried.ballot
    verdict, effective = ballot.verdict, ballot.effective
    if verdict == "approve" and case.standing is not None:
        verdict, effective = "edit", case.standing
    if verdict == "edit" and versions.is_as_proposed(case.proposal, effective):
        verdict = "approve"  # edited back to what the agent had proposed
    votes.count(session, row, [one.person.id for one in ballots])
    if verdict in {"approve", "edit"}:
        row.tool_schema = decisions.tool_schema(case.in_force, case.proposal, effective.action)
        session.add(row)
        session.flush()
    outcome = decisions.Outcome(
        outcome=verdict,
        by="people",
        effective=effective,
        reason=_reason(session, verdict, ballots, carried),
        needed=max(terms.needed, 1),
        got=carried.got,
        at=now,
        counterfactuals=_unasked(session, case),
        undo_window_s=max(terms.undo_window_s, case.proposal.undo_window_s or 0.0),
    )
    return decisions.record(session, row, case.proposal, outcome, actor=ballot.person.id, now=now)


def _unasked(session: Session, case: _Case) -> tuple[str, ...]:
    """What would have let the agent's proposal run without asking, by the policy that asked."""
    first = asked.first_routing(session, case.row)
    policy = policies.at(session, first.policy_version) if first is not None else None
    if first is None or policy is None:
        return ()
    return explaining.unasked(policy, case.proposal, first.lot, first.reason)


def _reason(
    session: Session,
    verdict: protocol.Verdict,
    ballots: list[quorum.Ballot],
    carried: quorum.Carried,
) -> str:
    """Who decided and why, in the words of the reviews."""
    alike = [one for one in ballots if one.choice == carried.ballot.choice]
    if carried.ballot.verdict in quorum.VETOES:
        alike = [carried.ballot]
    said = f"{verdict} by {', '.join(one.person.name for one in alike)}"
    said += " (breaking the tie)" if carried.tie_broken else ""
    words = [text for one in alike if (text := _words(session, one.review_id))]
    return ": ".join([said, "; ".join(words)]) if words else said


def _words(session: Session, review_id: str) -> str:
    text = session.get_one(ReviewPayload, review_id).body
    rationale, guidance = text.get("rationale"), text.get("guidance")
    words: list[str] = []
    if rationale is not None:
        more = f" ({rationale['text']})" if rationale.get("text") else ""
        words.append(rationale["code"] + more)
    if guidance:
        words.append(guidance)
    return "; ".join(words)


class Heard(NamedTuple):
    """What became of an answer whose giver waits for no error."""

    review_id: str
    refusal: ErrataError | None


def hear(session: Session, review: protocol.Review, voice: Voice, *, now: datetime) -> Heard:
    """Take in a review from a surface that has shown the person a success already.

    Whatever is wrong with it is stored with it instead of raised, so that nothing a person wrote
    is lost and the surface can say so.
    """
    row = store.load(session, review.proposal_id)
    try:
        with events.savepoint(session):
            return Heard(submit(session, review, voice, now=now).review_id, None)
    except ErrataError as refusal:
        stored = votes.keep(session, row, review, voice, now=now, refusal=refusal.detail)
        return Heard(stored.id, refusal)
