"""Supervised fine-tuning on what people approved or wrote.

In: an SFT bundle and a model folder. Out: a model folder.

    errata train sft --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 -m errata train sft --data BUNDLE --model MODEL --out OUT
"""

from typing import Any

from pydantic import Field
from torch.utils.data import Sampler
from trl.trainer.sft_config import SFTConfig as Arguments
from trl.trainer.sft_trainer import SFTTrainer

from training import base, draws, result, running
from training.recipe import Recipe, Trained
from training.running import Start


class SftConfig(Recipe):
    """Settings of a supervised fine-tuning."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """For all weights; with LoRA about five times as much is usual."""


class Weighted(SFTTrainer):
    """Draws rows in proportion to their weight."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        return draws.sampler(self) or super()._get_train_sampler(train_dataset)


def prepare(config: SftConfig, begun: Start) -> Weighted:
    """The trainer, with the rows that fit in `max_length`; the loss is on the completion only.

    Raises:
        Malformed: No row fits.
    """
    trainer = Weighted(
        model=str(config.model),
        args=Arguments(**running.arguments(config, begun), completion_only_loss=True),
        train_dataset=begun.rows,
        peft_config=result.adapter(config),
    )
    if not len(running.rows(trainer)):
        raise base.too_long(begun.tokenizer, begun.rows, "sft", config.max_length)
    return trainer


def train(config: SftConfig) -> Trained:
    """Teach a model the turns that people stood by.

    Raises:
        Malformed, Conflict, OSError: See `running.started`.
        Malformed: See `prepare`.
    """
    with running.started(config, "sft") as begun:
        trainer = prepare(config, begun)
        running.run(trainer, begun)
        return result.finish(trainer, config, begun, rows=len(running.rows(trainer)))
