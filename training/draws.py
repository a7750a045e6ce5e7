"""How often a row is seen: in proportion to its weight.

In: a weight for each row. Out: row numbers, as many as there are rows, for one pass over them. TRL
itself takes no weights (its issue #5613).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import Trainer


def draw(weights: Sequence[float], seed: int) -> list[int]:
    """Draw as many rows as there are, in a random order.

    Systematic sampling (Madow 1944): a row of weight w is drawn n * w / sum(weights) times, rounded
    up or down at random, so that even one pass is close to the weights.

    Args:
        weights: One for each row, not negative.
        seed: The same seed gives the same draw.

    Returns:
        Row numbers from 0.
    """
    generator = torch.Generator().manual_seed(seed)
    ends = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    start = torch.rand(1, generator=generator, dtype=torch.float64)
    marks = (torch.arange(len(weights)) + start) / len(weights) * ends[-1]
    rows = torch.searchsorted(ends, marks, right=True).clamp(max=len(weights) - 1)
    return rows[torch.randperm(len(weights), generator=generator)].tolist()


def differ(weights: Sequence[float]) -> bool:
    """Whether weights make a difference."""
    return len(set(weights)) > 1


class Draws(Sampler[int]):
    """A draw for each epoch; every process draws the same, and accelerate deals it out among them."""

    def __init__(self, weights: Sequence[float], trainer: Trainer) -> None:
        self.weights = weights
        self.trainer = trainer

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[int]:
        # Not a generator that goes on: a resumed training has to draw what the killed one drew.
        epoch = int(self.trainer.state.epoch or 0)
        return iter(draw(self.weights, self.trainer.args.seed + epoch))


def sampler(trainer: Trainer) -> Draws | None:
    """The sampler for a trainer's rows, None where all weigh the same."""
    rows: Any = trainer.train_dataset
    weights = list(rows["weight"])
    return Draws(weights, trainer) if differ(weights) else None
