"""A reward model: how much people would prefer a turn.

In: a reward bundle and a model folder. Out: a model folder whose model gives a turn a score.

    errata train reward --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 -m errata train reward --data BUNDLE --model MODEL --out OUT

The loss asks for a gap between the scores of a pair that is at least the pair's margin, from the
bundle, and holds the scores around zero (Eisenstein et al. 2023, arXiv 2312.09244, equation 2).
"""

from typing import Any

from pydantic import Field
from torch.utils.data import Sampler
from trl.trainer.reward_config import RewardConfig as Arguments
from trl.trainer.reward_trainer import RewardTrainer

from training import base, draws, result, running
from training.recipe import Recipe, Trained
from training.running import Start


class RewardConfig(Recipe):
    """Settings of a reward model."""

    learning_rate: float = Field(default=1e-5, gt=0)
    """For all weights; with LoRA about ten times as much is usual."""
    center_rewards_coefficient: float | None = Field(default=0.01, ge=0)
    """Factor of the loss that holds the scores around zero."""


class Weighted(RewardTrainer):
    """Draws rows in proportion to their weight."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        return draws.sampler(self) or super()._get_train_sampler(train_dataset)


def prepare(config: RewardConfig, begun: Start) -> Weighted:
    """The trainer, with the pairs of which both sides fit in `max_length`; TRL cuts none.

    Raises:
        Malformed: No pair fits.
    """
    trainer = Weighted(
        model=str(config.model),
        args=Arguments(
            **running.arguments(config, begun),
            center_rewards_coefficient=config.center_rewards_coefficient,
        ),
        train_dataset=begun.rows,
        peft_config=result.adapter(config, scores=True),
    )
    if not len(running.rows(trainer)):
        raise base.too_long(begun.tokenizer, begun.rows, "reward", config.max_length)
    return trainer


def train(config: RewardConfig) -> Trained:
    """Teach a model to score turns as people compare them.

    Raises:
        Malformed, Conflict, OSError: See `running.started`.
        Malformed: See `prepare`.
    """
    with running.started(config, "reward") as begun:
        trainer = prepare(config, begun)
        running.run(trainer, begun)
        return result.finish(trainer, config, begun, rows=len(running.rows(trainer)))
