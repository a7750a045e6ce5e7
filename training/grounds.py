"""What the rows of one decision share.

In: an episode. Out: its prompt, what was proposed, the version that counts; or the reason why there
is nothing to learn from it.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from errata import protocol
from review.history import Episode
from training import preferences, reasons, turns, votes
from training.people import People
from training.preferences import Order, Said
from training.reasons import Reason
from training.rows import Aggregation, PairKind, Row
from training.turns import Turn
from training.votes import Standing, Support, Version

Parents = Callable[[str], Episode | None]
"""Finds a decided proposal by its id, None where there is none."""


STANDS = frozenset({"approve", "edit", "respond"})
"""Outcomes with something that people stand by."""


class Usable(Struct, frozen=True, gc=False):
    """An episode of which something may be used."""

    episode: Episode
    origin: Episode
    """The first attempt of a chain of retries; else the same."""
    refused: Episode | None
    """The attempt that people sent back and that this one is the retry of."""
    standing: Standing
    proposal: protocol.Proposal


class Ground(Struct, frozen=True, gc=False):
    """What the rows of one episode share."""

    episode: Episode
    origin: Episode
    """The first attempt of a chain of retries; else the same."""
    refused: Episode | None
    """The attempt that people sent back and that this one is the retry of."""
    standing: Standing
    proposal: protocol.Proposal
    prompt: list[Turn]
    tools: str | None
    proposed: Turn | None
    """The agent's turn; None for candidates and exceptions."""
    final: Turn | None
    """The version that counts; None where nothing was approved, or no candidate is the best."""
    by_person: bool
    """Whether a person wrote it."""
    support: Support
    """The votes for it."""
    options: dict[str, Turn]
    """By id: the candidates, or the answers that could be chosen."""
    best: str | None
    order: Order | None
    """Of what could be chosen among; None where there was no choice."""
    aggregation: Aggregation
    """How several votes became the version that counts."""
    others: tuple[Version, ...]
    """Differing versions of other people, in imported work; live work has asked about them."""

    @property
    def stands(self) -> bool:
        """Whether there is something that people stand by."""
        return self.standing.outcome in STANDS


class _Chosen(NamedTuple):
    """The version that counts."""

    final: Turn | None
    by_person: bool
    aggregation: Aggregation
    support: Support
    others: tuple[Version, ...] = ()


def usable(episode: Episode, parents: Parents, people: People) -> Usable | Reason:
    """Find out whether an episode may be used.

    Args:
        episode: What was decided.
        parents: Finds the first attempt of a retry.
        people: What is known of the reviewers.

    Returns:
        The episode with what it goes back to, or why nothing of it may be used.
    """
    standing = votes.standing(episode, people.out)
    reason = reasons.unusable(episode, standing)
    if reason is not None:
        return reason
    proposal, refused = episode.proposal, _refused(episode, parents, people)
    origin = episode if refused is None else _origin(episode, parents, people)
    if proposal is None or origin is None or origin.proposal is None:
        return "erased"
    return Usable(episode, origin, refused, standing, proposal)


def of(found: Usable, people: People) -> Ground | Reason:
    """Find what the rows of an episode share.

    Args:
        found: The episode.
        people: What is known of the reviewers.

    Returns:
        The ground, or why there is none. What was refused has a ground without a version that
        counts.
    """
    standing, proposal = found.standing, found.proposal
    options = turns.options(proposal)
    order = _order(options, standing, people)
    best = _best(order, found.episode.row.id, standing) if order else None
    chosen = _chosen(proposal, standing, options.get(best or ""))
    if chosen.by_person and chosen.final is None:
        return "erased"
    answered, asked = standing.outcome == "respond", found.origin.proposal or proposal
    return Ground(
        episode=found.episode,
        origin=found.origin,
        refused=found.refused,
        standing=standing,
        proposal=proposal,
        prompt=turns.question(proposal) if answered else turns.prompt(asked),
        tools=turns.tools(proposal),
        proposed=turns.proposed(proposal),
        final=chosen.final,
        by_person=chosen.by_person,
        support=chosen.support,
        options=options,
        best=best,
        order=order,
        aggregation=chosen.aggregation,
        others=chosen.others,
    )


def _chosen(proposal: protocol.Proposal, standing: Standing, best: Turn | None) -> _Chosen:
    effective, support = standing.effective, votes.support(standing)
    alone: Aggregation | None = "single" if len(standing.heard) < 2 else None
    match standing.outcome:
        case "approve" if proposal.candidates:
            final = best or votes.said(effective)
            return _Chosen(final, False, alone or "bradley_terry", support)
        case "approve" if proposal.kind == "click":
            final = turns.clicked(proposal, effective.point or proposal.point)
        case "approve":
            final = votes.said(effective) or turns.proposed(proposal)
        case "respond":
            # Who chose an option did not write it.
            chosen = effective.response in [one.id for one in proposal.options or ()]
            final = turns.answer(proposal, effective.response)
            return _Chosen(final, not chosen, alone or "decision", support)
        case "edit":
            return _edited(proposal, standing, alone or "decision")
        case _:
            final = None
    return _Chosen(final, False, alone or "decision", support)


def _edited(proposal: protocol.Proposal, standing: Standing, rule: Aggregation) -> _Chosen:
    final = votes.said(standing.effective)
    if proposal.kind == "click":
        final = turns.clicked(proposal, standing.effective.point)
    # Live work has asked about differing versions.
    written = votes.versions(standing) if standing.by == "import" else []
    if len(written) < 2 or final is None:
        return _Chosen(final, True, rule, votes.support(standing))
    seniors = [version for version in written if version.senior]
    preferred = seniors[-1] if seniors else written[-1]
    others = tuple(version for version in written if version is not preferred)
    how: Aggregation = "senior" if seniors else "latest"
    support = votes.share(preferred.votes, len(standing.heard))
    return _Chosen(preferred.turn, True, how, support, others)


def _origin(episode: Episode, parents: Parents, people: People) -> Episode | None:
    """The first attempt of a chain of retries, whose prompt no guidance has entered yet.

    None where an attempt on the way was erased.
    """
    seen = {episode.row.id}
    while (parent := _refused(episode, parents, people)) is not None:
        if parent.proposal is None:
            return None
        if parent.row.id in seen:
            break
        seen.add(parent.row.id)
        episode = parent
    return episode


def _refused(episode: Episode, parents: Parents, people: People) -> Episode | None:
    parent = parents(episode.row.parent_id) if episode.row.parent_id else None
    if parent is None or parent.row.id == episode.row.id or reasons.excluded(parent) is not None:
        return None
    standing = votes.standing(parent, people.out)
    by_people = standing.by != "policy" and not standing.weak
    return parent if by_people and standing.outcome in {"reject", "regenerate"} else None


def lost(refused: Episode, people: People) -> Turn | Reason:
    """What a retry is preferred to: the refused turn, of candidates the best of them."""
    proposal, standing = refused.proposal, votes.standing(refused, people.out)
    if proposal is None:
        return "erased"
    if not proposal.candidates:
        return turns.proposed(proposal) or "question"
    options = turns.options(proposal)
    order = _order(options, standing, people)
    best = _best(order, refused.row.id, standing) if order else None
    if best is None:
        return unordered(order)
    return options[best]


def _order(options: dict[str, Turn], standing: Standing, people: People) -> Order | None:
    if not options:
        return None
    said = [Said(h.review, people.span(h.row.reviewer)) for h in standing.heard if h.review]
    return preferences.order(options, said)


def _best(order: Order, id_: str, standing: Standing) -> str | None:
    """The option that counts as the best.

    Approving one takes the decision's word and otherwise needs a single best. When a person rewrote
    it, each of several best ones is worse than the new text, and one of them is taken.
    """
    if standing.effective.candidate is not None:
        return standing.effective.candidate
    if standing.outcome == "approve":
        return order.best[0] if len(order.best) == 1 else None
    return preferences.foremost(order, id_)


def unordered(order: Order | None) -> Reason:
    """Why a set of candidates has no best, or no pair."""
    if order is None or not order.judged:
        return "unranked"
    return "cyclic" if order.cyclic else "tied"


def row(
    ground: Ground,
    kind: PairKind,
    chosen: Turn,
    *,
    refs: tuple[str, str],
    support: Support,
    rejected: Turn | None = None,
    margin: float | None = None,
) -> Row:
    """A row on a ground; its label and weight are the caller's.

    Args:
        ground: What it stands on.
        kind: What it was read from.
        chosen: The turn that is learned, or labelled.
        refs: What the two sides are.
        support: The votes for it.
        rejected: The other side.
        margin: How much better the chosen side is; None: as much as was changed.
    """
    distance = _distance(ground, chosen) if kind == "edit" else None
    return Row(
        episode=ground.episode,
        origin=ground.origin,
        kind=kind,
        prompt=ground.prompt,
        chosen=chosen,
        rejected=rejected,
        tools=ground.tools,
        refs=refs,
        by_person=ground.by_person,
        heard=ground.standing.heard,
        n_votes=support.votes,
        agreement=support.agreement,
        edit_distance=distance,
        aggregation=ground.aggregation,
        margin=distance if margin is None and rejected is not None else margin,
    )


def _distance(ground: Ground, version: Turn) -> float | None:
    """From what was proposed to a person's version; as stored where it is the decision's."""
    before = ground.options.get(ground.best or "") if ground.order else ground.proposed
    stored = ground.episode.decision_row.edit_distance
    if stored is not None:
        effective = votes.said(ground.standing.effective)
        if effective is not None and turns.same(version, effective):
            return stored
    return None if before is None else turns.distance(before, version)
