"""The values that training passes on: rows, and what is no row.

In: nothing. Out: the types that `pairs` fills and `bundle` writes.
"""

import hashlib
from typing import Literal, NamedTuple

from msgspec import Struct

from review.history import Episode, Heard
from training.reasons import Reason
from training.turns import Turn

Kind = Literal["sft", "dpo", "kto", "reward"]
PairKind = Literal[
    "approve", "edit", "reject", "retry", "pairwise", "ranking", "rating", "choice", "answer"
]
Aggregation = Literal[
    "single", "decision", "latest", "senior", "majority", "dawid_skene", "bradley_terry"
]
"""How several votes became one: there was only one; the decision's own rule, such as a quorum; the
latest of several texts, or a senior's; the most votes; the models of `consensus`."""


class Row(Struct, frozen=True, gc=False):
    """One training example with where it comes from."""

    episode: Episode
    """The decision that it was taken from."""
    origin: Episode
    """The first attempt of a chain of retries; else the same."""
    kind: PairKind
    prompt: list[Turn]
    chosen: Turn
    """The turn that is learned, or labelled."""
    rejected: Turn | None
    """What it was preferred to; None for SFT and KTO."""
    tools: str | None
    """JSON of the tools that the agent had."""
    refs: tuple[str, str]
    """What the two sides are: candidate ids, or a proposal id and `version`."""
    by_person: bool
    """Whether a person wrote the chosen side."""
    heard: tuple[Heard, ...]
    """The reviews that the decision rests on."""
    n_votes: int
    """Reviews that the row rests on."""
    agreement: float | None
    """Share of them that are for the chosen side, or for the label."""
    edit_distance: float | None = None
    """Share of the tokens that a person changed, of an edit."""
    aggregation: Aggregation = "single"
    weight: float = 1.0
    """1 / rows of its set where one decision gives several of a sort."""
    margin: float | None = None
    """How much better the chosen side is, 0 to 1; None where there is no other side."""
    label: bool | None = None
    """Whether the turn is one to learn; None but for KTO."""
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


class Tie(NamedTuple):
    """Two candidates that came out equal: never a pair, but counted."""

    episode: Episode
    refs: tuple[str, str]
