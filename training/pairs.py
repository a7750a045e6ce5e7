"""What each decision teaches: rows for SFT and DPO, or the reason why there is none.

In: episodes, in any order. Out: one row per approved version (SFT) or per pair of a preferred and a
refused one (DPO), and a `Drop` for what was left out. Pure: nothing is read or written here.

A row is one assistant turn; the whole history is its prompt. What a reviewer asked of a second
attempt is kept out of the prompt, or the model would learn to need it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from errata import protocol
from review.history import Episode
from training import preferences, reasons, turns, votes
from training.preferences import Order, Strategy
from training.reasons import Reason
from training.turns import Turn

Kind = Literal["sft", "dpo"]
PairKind = Literal["approve", "edit", "retry", "pairwise", "ranking", "choice"]
Parents = Callable[[str], Episode | None]
"""Finds a decided proposal by its id, None where there is none."""


class Row(NamedTuple):
    """One training example with where it comes from."""

    episode: Episode
    """The decision that it was taken from."""
    origin: Episode
    """The first attempt of a chain of retries; else the same."""
    kind: PairKind
    prompt: list[Turn]
    chosen: Turn
    rejected: Turn | None
    """None in a row for SFT."""
    tools: str | None
    """JSON of the tools that the agent had."""
    refs: tuple[str, str]
    """What the two sides are: candidate ids, or a proposal id and `version`."""
    by_person: bool
    """Whether a person wrote the chosen side."""
    n_votes: int
    """Reviews that the row rests on."""
    agreement: float | None
    """Share of them that are for the chosen side."""
    weight: float = 1.0
    """1 / pairs of its set where a strategy takes several pairs from one set."""
    parent: Episode | None = None
    """The refused attempt that the chosen side is preferred to, of a retry."""

    @property
    def id(self) -> str:
        """The row's own id: the same for the same decision."""
        key = "\n".join([self.episode.row.id, self.kind, *self.refs])
        return hashlib.sha256(key.encode()).hexdigest()[:32]


class Drop(NamedTuple):
    """Something that is not a row."""

    reason: Reason


class _Ground(NamedTuple):
    """What the rows of one episode share."""

    episode: Episode
    origin: Episode
    proposal: protocol.Proposal
    prompt: list[Turn]
    tools: str | None
    final: Turn | None
    """The version that counts; None for candidates without one best."""
    by_person: bool
    """Whether a person wrote it."""
    best: str | None
    order: Order | None
    """Of candidates only."""


def read(
    episodes: Iterable[Episode], *, parents: Parents, kind: Kind, strategy: Strategy = "best_worst"
) -> Iterator[Row | Drop]:
    """Turn decided work into rows.

    Args:
        episodes: What was decided.
        parents: Finds the first attempt of a retry.
        kind: `sft` or `dpo`.
        strategy: Which pairs are taken from ranked or compared candidates.

    Yields:
        At least one row or drop per episode.
    """
    for episode in episodes:
        reason = reasons.unusable(episode)
        ground = _ground(episode, parents) if reason is None else None
        if ground is None:
            yield Drop(reason or "erased")
        elif kind == "sft":
            yield _completion(ground)
        else:
            found = [*_edits(ground), *_compared(ground, strategy), *_retries(ground, parents)]
            yield from found or [Drop("unchanged")]


def _ground(episode: Episode, parents: Parents) -> _Ground | None:
    origin = _origin(episode, parents)
    proposal = episode.proposal
    if origin is None or origin.proposal is None or proposal is None:
        return None
    effective = episode.decision.effective
    final = turns.said(content=effective.content, action=effective.action)
    order = best = None
    if proposal.candidates:
        order = _order(episode)
        best = _best(order, episode)
    if final is None and episode.decision.outcome == "edit":
        return None  # a person's version that is gone
    if final is None:
        final = _candidate(proposal, best) if best else _proposed(proposal)
    prompt, tools = turns.prompt(origin.proposal), turns.tools(proposal)
    by_person = episode.decision.outcome == "edit"
    return _Ground(episode, origin, proposal, prompt, tools, final, by_person, best, order)


def _origin(episode: Episode, parents: Parents) -> Episode | None:
    """The first attempt of a chain of retries, whose prompt no guidance has entered yet.

    None where an attempt on the way was erased.
    """
    seen = {episode.row.id}
    while (parent := _refused(episode, parents)) is not None:
        if parent.proposal is None:
            return None
        if parent.row.id in seen:
            break
        seen.add(parent.row.id)
        episode = parent
    return episode


def _refused(episode: Episode, parents: Parents) -> Episode | None:
    """The attempt that people sent back and that this one is the retry of."""
    parent = parents(episode.row.parent_id) if episode.row.parent_id else None
    if parent is None or parent.decision.by == "policy" or reasons.excluded(parent) is not None:
        return None
    return parent if parent.decision.outcome in {"reject", "regenerate"} else None


def _proposed(proposal: protocol.Proposal) -> Turn | None:
    return turns.said(content=proposal.content, action=proposal.action)


def _candidate(proposal: protocol.Proposal, id_: str) -> Turn | None:
    for candidate in proposal.candidates or ():
        if candidate.id == id_:
            return turns.said(content=candidate.content, action=candidate.action)
    return None


def _order(episode: Episode) -> Order:
    proposal = episode.proposal
    ids = [c.id for c in proposal.candidates or ()] if proposal else []
    return preferences.order(
        ids, [h.review for h in votes.counted(episode) if h.review is not None]
    )


def _best(order: Order, episode: Episode) -> str | None:
    """The candidate that counts as the best.

    Approving one takes the decision's word and otherwise needs a single best. When a person rewrote
    it, each of several best ones is worse than the new text, and one of them is taken.
    """
    named = episode.decision.effective.candidate
    if named is not None:
        return named
    if episode.decision.outcome == "approve":
        return order.best[0] if len(order.best) == 1 else None
    return preferences.foremost(order, episode.row.id)


def _unordered(order: Order) -> Reason:
    """Why a set of candidates has no best, or no pair."""
    if order.cyclic:
        return "cyclic"
    return "tied" if order.judged else "unranked"


def _completion(ground: _Ground) -> Row | Drop:
    if ground.final is None:
        return Drop(_unordered(ground.order) if ground.order else "erased")
    if turns.empty(ground.final):
        return Drop("empty")
    kind: PairKind = "edit" if ground.by_person else "choice" if ground.order else "approve"
    return _row(ground, kind, ground.final, None, ("version", ""), votes.support(ground.episode))


def _edits(ground: _Ground) -> Iterator[Row | Drop]:
    if not ground.by_person:
        return
    if ground.order is None:
        rejected, ref = _proposed(ground.proposal), "proposal"
    elif ground.best is None:
        return  # `_compared` says why
    else:
        rejected, ref = _candidate(ground.proposal, ground.best), ground.best
    yield _pair(ground, "edit", rejected, ("version", ref), votes.support(ground.episode))


def _retries(ground: _Ground, parents: Parents) -> Iterator[Row | Drop]:
    parent = _refused(ground.episode, parents)
    if parent is None or parent.proposal is None:
        return
    rejected = _proposed(parent.proposal)
    if parent.proposal.candidates:
        order = _order(parent)
        best = _best(order, parent)
        rejected = _candidate(parent.proposal, best) if best else None
        if rejected is None:
            yield Drop(_unordered(order))
            return
    refs = ("version", parent.row.id)
    pair = _pair(ground, "retry", rejected, refs, votes.support(ground.episode))
    yield pair._replace(parent=parent) if isinstance(pair, Row) else pair


def _compared(ground: _Ground, strategy: Strategy) -> Iterator[Row | Drop]:
    order, proposal = ground.order, ground.proposal
    if order is None:
        return
    chosen = ground.episode.decision.effective.candidate
    wins = preferences.pairs(order, strategy, salt=ground.episode.row.id, chosen=chosen)
    if order.cyclic or not wins:
        yield Drop(_unordered(order))
    rows: list[Row] = []
    for win in wins:
        side = ground._replace(final=_candidate(proposal, win.better), by_person=False)
        worse, refs = _candidate(proposal, win.worse), (win.better, win.worse)
        support = votes.Support(win.votes, win.agreement)
        taken = _pair(side, win.source, worse, refs, support)
        if isinstance(taken, Drop):
            yield taken
        else:
            rows.append(taken)
    yield from (row._replace(weight=1 / len(rows)) for row in rows)


def _pair(
    ground: _Ground,
    kind: PairKind,
    rejected: Turn | None,
    refs: tuple[str, str],
    support: votes.Support,
) -> Row | Drop:
    chosen = ground.final
    if chosen is None or rejected is None or turns.empty(chosen):
        return Drop("empty")
    if turns.same(chosen, rejected):
        return Drop("identical")
    return _row(ground, kind, chosen, rejected, refs, support)


def _row(
    ground: _Ground,
    kind: PairKind,
    chosen: Turn,
    rejected: Turn | None,
    refs: tuple[str, str],
    support: votes.Support,
) -> Row:
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
        n_votes=support.votes,
        agreement=support.agreement,
    )
