"""Supervised fine-tuning on what people approved or wrote.

In: an SFT bundle and a model folder. Out: a model folder.

    errata train sft --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 .venv/bin/errata train sft --data BUNDLE --model MODEL --out OUT
"""

from datasets import Dataset
from pydantic import Field
from trl.trainer.sft_config import SFTConfig as Arguments
from trl.trainer.sft_trainer import SFTTrainer

from errata.errors import Malformed
from training import recipe
from training.recipe import Recipe, Trained


class SftConfig(Recipe):
    """Settings of a supervised fine-tuning."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """For all weights; with LoRA about five times as much is usual."""


def train(config: SftConfig) -> Trained:
    """Teach a model the turns that people stood by; the loss is on the completion only.

    Raises:
        Malformed: See `recipe.started`; or no row fits in `max_length`.
        Conflict: `out` holds something.
    """
    with recipe.started(config, "sft") as begun:
        trainer = SFTTrainer(
            model=str(config.model),
            args=Arguments(**recipe.arguments(config), completion_only_loss=True),
            train_dataset=begun.rows,
            peft_config=recipe.adapter(config),
        )
        assert isinstance(trainer.train_dataset, Dataset)
        rows = len(trainer.train_dataset)
        if rows == 0:
            raise Malformed(f"no row fits in max_length = {config.max_length} tokens", "max_length")
        recipe.show(trainer)
        trainer.train()
        return recipe.finish(trainer, config, begun, rows)
