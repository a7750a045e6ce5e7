"""What each decision teaches: rows for SFT, DPO, KTO and reward models, or why there is none.

In: episodes, in any order. Out: rows; a `Drop` for what was left out and a `Tie` for two candidates
that came out equal. Pure: nothing is read or written here.

A row is one assistant turn; the whole history is its prompt. What a reviewer asked of a second
attempt is kept out of the prompt, or the model would learn to need it.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from review.history import Episode
from training import grounds, labels, preferences, turns, votes
from training.grounds import Ground, Parents, Usable
from training.people import People
from training.preferences import Strategy
from training.reasons import Reason
from training.rows import Drop, Kind, PairKind, Row, Tie
from training.turns import Turn
from training.votes import Support

CERTAIN = 1.0
"""The margin where one side was refused and the other stands."""
Found = Iterator[Row | Drop | Tie]


def read(
    episodes: Iterable[Episode],
    *,
    parents: Parents,
    kind: Kind,
    strategy: Strategy = "best_worst",
    people: People | None = None,
) -> Found:
    """Turn decided work into rows.

    Args:
        episodes: What was decided.
        parents: Finds the first attempt of a retry.
        kind: What the rows are for.
        strategy: Which pairs are taken from ranked or compared candidates.
        people: What is known of the reviewers, see `people.look`; None: nothing.

    Yields:
        At least one row or drop per episode.
    """
    known = people or People()
    for episode in episodes:
        usable = grounds.usable(episode, parents, known)
        if isinstance(usable, str):
            yield Drop(usable)
        elif kind in {"dpo", "reward"} and (reason := _no_pair(usable)):
            yield Drop(reason)
        elif isinstance(ground := grounds.of(usable, known), Ground):
            yield from _rows(ground, kind, strategy, known)
        else:
            yield Drop(ground)


def _no_pair(usable: Usable) -> Reason | None:
    """Why there is surely no pair: most decisions let the agent's only turn stand as it was."""
    if usable.standing.outcome not in grounds.STANDS:
        return "refused"
    if usable.standing.outcome != "approve" or usable.refused or turns.options(usable.proposal):
        return None
    return "unchanged" if turns.proposed(usable.proposal) else "question"


def _rows(
    ground: Ground, kind: Kind, strategy: Strategy, people: People
) -> Iterable[Row | Drop | Tie]:
    match kind:
        case "kto":
            return labels.read(ground, people)
        case "sft":
            return [_completion(ground) if ground.stands else Drop("refused")]
        case "dpo" | "reward":
            found = [*_edits(ground), *_compared(ground, strategy), *_retries(ground, people)]
            return found or [Drop("unchanged" if ground.proposed else "question")]


def _completion(ground: Ground) -> Row | Drop:
    if ground.final is None:
        return Drop(grounds.unordered(ground.order) if ground.order else "erased")
    if turns.empty(ground.final):
        return Drop("empty")
    refs = ("version", "")
    return grounds.row(ground, _kind(ground), ground.final, refs=refs, support=ground.support)


def _kind(ground: Ground) -> PairKind:
    if ground.standing.outcome == "respond":
        return "answer"
    if ground.by_person:
        return "edit"
    return "choice" if ground.order else "approve"


def _edits(ground: Ground) -> Iterator[Row | Drop]:
    """The person's version against what it took the place of, and so each differing one."""
    if ground.standing.outcome != "edit":
        return
    if ground.order is None:
        rejected, ref = ground.proposed, "proposal"
    else:
        rejected, ref = ground.options.get(ground.best or ""), ground.best or ""
    if rejected is None:
        return  # an exception had no turn before; of candidates `_compared` says why
    pairs = [_pair(ground, "edit", rejected, ("version", ref), ground.support)]
    for other in ground.others:
        side = replace(ground, final=other.turn, others=())
        backing = votes.share(other.votes, len(ground.standing.heard))
        pairs.append(_pair(side, "edit", rejected, (other.by.row.id, ref), backing))
    yield from _weighed(pairs)


def _weighed(pairs: list[Row | Drop]) -> Iterator[Row | Drop]:
    """The rows of one set, whose weights sum to 1."""
    if len(pairs) < 2:
        yield from pairs
        return
    count = sum(isinstance(pair, Row) for pair in pairs)
    for pair in pairs:
        yield replace(pair, weight=1 / count) if isinstance(pair, Row) else pair


def _retries(ground: Ground, people: People) -> Iterator[Row | Drop]:
    if ground.refused is None or ground.standing.outcome == "respond":
        return
    rejected = grounds.lost(ground.refused, people)
    if isinstance(rejected, str):
        yield Drop(rejected)
        return
    refs = ("version", ground.refused.row.id)
    pair = _pair(ground, "retry", rejected, refs, ground.support, CERTAIN)
    yield replace(pair, parent=ground.refused) if isinstance(pair, Row) else pair


def _compared(ground: Ground, strategy: Strategy) -> Found:
    order = ground.order
    if order is None:
        return
    for pair in sorted(map(sorted, order.ties)):
        yield Tie(ground.episode, (pair[0], pair[1]))
    chosen = ground.standing.effective.candidate
    wins = preferences.pairs(order, strategy, salt=ground.episode.row.id, chosen=chosen)
    if order.cyclic or not wins:
        yield Drop(grounds.unordered(order))
    yield from _weighed([_win(ground, order, win) for win in wins])


def _win(ground: Ground, order: preferences.Order, win: preferences.Win) -> Row | Drop:
    side = replace(
        ground,
        final=ground.options[win.better],
        by_person=False,
        aggregation="single" if order.reviews < 2 else "bradley_terry",
    )
    kind = "answer" if ground.standing.outcome == "respond" else win.source
    refs, support = (win.better, win.worse), Support(win.votes, win.agreement)
    return _pair(side, kind, ground.options[win.worse], refs, support, order.gap(win))


def _pair(
    ground: Ground,
    kind: PairKind,
    rejected: Turn | None,
    refs: tuple[str, str],
    support: Support,
    margin: float | None = None,
) -> Row | Drop:
    """A row with two sides; without a margin it is how much was changed."""
    chosen = ground.final
    if chosen is None or rejected is None or turns.empty(chosen):
        return Drop("empty")
    if turns.same(chosen, rejected):
        return Drop("identical")
    return grounds.row(
        ground, kind, chosen, refs=refs, support=support, rejected=rejected, margin=margin
    )
