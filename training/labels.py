"""Turns with a label: good or bad, for KTO.

In: the ground of a decision. Out: a row per turn that people stood by or refused.

Approved work is good, a person's version is, and what it took the place of is not; what was refused
is not. Where several people voted on imported work, their consensus labels the agent's turn. Of
candidates the best is good and the worst is not. A question that was answered was worth asking.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from training import grounds, preferences, turns, votes
from training.grounds import Ground
from training.people import People
from training.rows import Aggregation, Drop, PairKind, Row, Tie
from training.turns import Turn
from training.votes import Support


def read(ground: Ground, people: People) -> Iterator[Row | Drop | Tie]:
    """The labelled turns of one decision.

    Yields:
        Rows that share a weight of 1, or a drop.
    """
    if ground.proposal.candidates:
        found = list(_candidates(ground))
    else:
        found = list(_turns(ground, people))
    count = sum(isinstance(item, Row) for item in found)
    for item in found:
        yield replace(item, weight=1 / count) if isinstance(item, Row) else item


def _turns(ground: Ground, people: People) -> Iterator[Row | Drop]:
    if ground.standing.outcome == "edit":
        yield _said(ground, "edit", ground.final, True, ground.support)
        if ground.final and ground.proposed and turns.same(ground.final, ground.proposed):
            return
    if ground.proposed is not None:
        yield _own(ground, people)
    elif ground.standing.outcome != "edit":
        yield Drop("question")


def _own(ground: Ground, people: People) -> Row | Drop:
    """The agent's own turn."""
    standing = ground.standing
    good = standing.outcome in {"approve", "respond"}
    support = votes.label(standing, good)
    if standing.outcome == "respond":
        support = ground.support
        ground = replace(ground, prompt=turns.prompt(ground.proposal))
    how: Aggregation = "single" if len(standing.heard) < 2 else "decision"
    if (verdict := people.verdicts.get(ground.episode.row.id)) is not None:
        good, support, how = verdict
    kind: PairKind = "approve" if good else "edit" if standing.outcome == "edit" else "reject"
    row = _said(replace(ground, by_person=False), kind, ground.proposed, good, support, "proposal")
    return replace(row, aggregation=how) if isinstance(row, Row) else row


def _candidates(ground: Ground) -> Iterator[Row | Drop]:
    order, standing = ground.order, ground.standing
    assert order is not None
    if not ground.stands:
        side = replace(ground, by_person=False)
        for id_, turn in ground.options.items():
            yield _said(side, "reject", turn, False, votes.label(standing, False), id_)
        return
    if ground.by_person:
        yield _said(ground, "edit", ground.final, True, ground.support)
    chosen = standing.effective.candidate
    wins = preferences.pairs(order, "best_worst", salt=ground.episode.row.id, chosen=chosen)
    if not wins:
        yield Drop(grounds.unordered(order))
    how: Aggregation = "single" if order.reviews < 2 else "bradley_terry"
    for win in wins:
        side = replace(ground, by_person=False, aggregation=how)
        support = Support(win.votes, win.agreement)
        # A best one that was rewritten is the proposal of an edit.
        for id_, good in ((win.better, not ground.by_person), (win.worse, False)):
            yield _said(side, win.source, ground.options[id_], good, support, id_)


def _said(
    ground: Ground,
    kind: PairKind,
    turn: Turn | None,
    label: bool,
    support: Support,
    ref: str = "version",
) -> Row | Drop:
    if turn is None or turns.empty(turn):
        return Drop("empty")
    row = grounds.row(ground, kind, turn, refs=(ref, ""), support=support)
    distance = row.edit_distance if ground.by_person else None
    return replace(row, label=label, edit_distance=distance)
