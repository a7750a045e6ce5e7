"""Kahneman-Tversky optimization on turns that people stood by or refused.

In: a KTO bundle and a model folder. Out: a model folder.

    errata train kto --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 -m errata train kto --data BUNDLE --model MODEL --out OUT

For work that was only approved or rejected, without anything to compare it with. TRL estimates the
loss's KL term from each row's neighbours in its batch, so rows are taken in the bundle's order, which
is a shuffled one. Where weights differ the rows are drawn before TRL sees them, another draw in
another order for each epoch, and that order is kept.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

from datasets import Dataset
from pydantic import Field
from trl.trainer.kto_config import KTOConfig as Arguments
from trl.trainer.kto_trainer import KTOTrainer

from errata.errors import Malformed
from training import base, draws, result, running
from training.guard import Guard
from training.recipe import Recipe, Trained
from training.running import Start

RATIO = (1.0, 4 / 3)
"""Where the weight of all good turns over that of all bad ones should lie (Ethayarajh et al. 2024,
arXiv 2402.01306, equation 8)."""


class KtoConfig(Recipe):
    """Settings of a Kahneman-Tversky optimization."""

    learning_rate: float = Field(default=1e-6, gt=0)
    """For all weights; with LoRA about five times as much is usual."""
    batch_size: int = Field(default=4, ge=2)
    """Rows per step and process; with a single one there is no neighbour to estimate the KL from."""
    beta: float = Field(default=0.1, gt=0)
    """How strongly the model is held to where it started."""
    desirable_weight: float | None = Field(default=None, gt=0)
    """Factor of the loss of good turns; without it both factors follow from the class balance."""
    undesirable_weight: float | None = Field(default=None, gt=0)
    """Factor of the loss of bad turns."""
    max_drop: float = Field(default=0.5, gt=0)
    """Stop when a token of the good turns has lost more than this on average since the start, in
    nats of log-probability."""


class Balance(NamedTuple):
    """The factors of the two classes' losses."""

    desirable: float
    undesirable: float


def balance(labels: Sequence[bool]) -> Balance:
    """Raise the class that is too light, so that the ratio lies in the middle of `RATIO`.

    Raises:
        Malformed: One of the classes is empty.
    """
    good = sum(labels)
    bad = len(labels) - good
    if not good or not bad:
        raise Malformed(
            f"all {len(labels)} rows are {'approved' if good else 'refused'} turns, and KTO needs both: "
            + ("use `errata train sft`" if good else "export more decisions"),
            "data",
        )
    ratio, middle = good / bad, sum(RATIO) / 2
    if RATIO[0] <= ratio <= RATIO[1]:
        return Balance(1, 1)
    return Balance(middle / ratio, 1) if ratio < RATIO[0] else Balance(1, ratio / middle)


def _drawn(config: KtoConfig, rows: Dataset) -> tuple[Dataset, float]:
    """The rows in the order of training, and how often to pass over them."""
    weights = list(rows["weight"])
    if not draws.differ(weights):
        return rows, config.epochs
    passes = ceil(config.epochs)
    numbers = [n for epoch in range(passes) for n in draws.draw(weights, config.seed + epoch)]
    return rows.select(numbers), config.epochs / passes


def prepare(config: KtoConfig, begun: Start) -> KTOTrainer:
    """The trainer, with the rows whose prompt leaves room in `max_length`.

    Raises:
        Malformed: No row does, or one of the classes is empty.
    """
    rows, epochs = _drawn(config, begun.rows)
    factors = balance(rows["label"])
    trainer = KTOTrainer(
        model=str(config.model),
        args=Arguments(
            **running.arguments(config.model_copy(update={"epochs": epochs}), begun),
            beta=config.beta,
            desirable_weight=config.desirable_weight or factors.desirable,
            undesirable_weight=config.undesirable_weight or factors.undesirable,
        ),
        train_dataset=rows,
        peft_config=result.adapter(config),
    )
    fitting: Any = running.rows(trainer)
    good = [len(row["completion_ids"]) for row in fitting if row["label"]]
    if not good:
        raise base.too_long(begun.tokenizer, begun.rows, "kto", config.max_length)
    advice = "Lower learning_rate, or raise desirable_weight"
    tokens = sum(good) / len(good)
    guard = Guard(beta=config.beta, max_drop=config.max_drop, tokens=tokens, advice=advice)
    trainer.add_callback(guard)
    return trainer


def train(config: KtoConfig) -> Trained:
    """Teach a model what people stood by, and to leave what they refused.

    Raises:
        Malformed, Conflict, OSError: See `running.started`.
        Malformed: See `prepare`; or the good turns became unlikely.
    """
    with running.started(config, "kto") as begun:
        trainer = prepare(config, begun)
        running.run(trainer, begun)
        drawn = set(_drawn(config, begun.rows)[0]["pair_id"])
        kept = set(running.rows(trainer)["pair_id"])
        left_out = len(drawn) - len(kept)  # a row of little weight may not have been drawn at all
        return result.finish(trainer, config, begun, rows=len(kept), left_out=left_out)
