"""Direct preference optimization on what people preferred.

In: a DPO bundle and a model folder. Out: a model folder.

    errata train dpo --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 .venv/bin/errata train dpo --data BUNDLE --model MODEL --out OUT

Most pairs are a text and its small correction. On such pairs the plain loss lowers the likelihood
of both sides, since almost every token is in both (Pal et al. 2024, arXiv 2402.13228). So the
default adds the likelihood of the preferred side to the loss, and a training stops when that
likelihood collapses all the same.
"""

from typing import Any

import torch
from pydantic import Field
from torch.utils.data import Sampler, WeightedRandomSampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.dpo_config import DPOConfig as Arguments
from trl.trainer.dpo_trainer import DPOTrainer

from errata.errors import Malformed
from training import recipe
from training.recipe import Recipe, Trained


class DpoConfig(Recipe):
    """Settings of a preference optimization."""

    learning_rate: float = Field(default=1e-6, gt=0)
    """For all weights; with LoRA about five times as much is usual."""
    beta: float = Field(default=0.1, gt=0)
    """How strongly the model is held to where it started."""
    loss_type: tuple[str, ...] = ("sigmoid", "sft")
    """TRL's names; their losses are added up."""
    loss_weights: tuple[float, ...] | None = None
    """Factors of the losses; without them all are 1."""
    max_drop: float = Field(default=0.5, gt=0)
    """Stop when a token of the preferred side has lost more than this on average since the start,
    in nats of log-probability: 0.5 means that its perplexity rose 1.65-fold."""


class Weighted(DPOTrainer):
    """Draws rows in proportion to their weight; TRL itself takes no weights (its issue #5613)."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        # The argument has lost all columns that the model does not read.
        weights = list(self.train_dataset["weight"])
        if len(set(weights)) == 1:
            return super()._get_train_sampler(train_dataset)  # each row once per epoch
        # Every process draws the same sequence; accelerate deals it out among them.
        generator = torch.Generator().manual_seed(self.args.seed)
        return WeightedRandomSampler(weights, len(weights), generator=generator)


class Guard(TrainerCallback):
    """Stops a training whose preferred sides have become unlikely."""

    def __init__(self, config: DpoConfig, tokens: float) -> None:
        self.config = config
        self.tokens = tokens
        """Mean length of a preferred side."""

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the signature is given
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Compare each log with the start, which is the reference model.

        TRL's rewards/chosen is beta * (log p - log p at the start) of the same rows, so its rows do
        not have to be the same from log to log.
        """
        reward = (logs or {}).get("rewards/chosen")
        if reward is None:
            return
        drop = -reward / self.config.beta / self.tokens
        if drop > self.config.max_drop:
            raise Malformed(
                f"stopped at step {state.global_step}: the preferred sides lost {drop:.2f} nats per "
                f"token (max_drop is {self.config.max_drop}; logps/chosen is now "
                f"{(logs or {})['logps/chosen']:.1f}). Lower learning_rate, or keep 'sft' in "
                "loss_type",
                "learning_rate",
            )


def train(config: DpoConfig) -> Trained:
    """Teach a model to prefer what people preferred.

    Raises:
        Malformed: See `recipe.started`; or no pair fits in `max_length`; or the preferred sides
            became unlikely.
        Conflict: `out` holds something.
    """
    with recipe.started(config, "dpo") as begun:
        trainer = Weighted(
            model=str(config.model),
            args=Arguments(
                **recipe.arguments(config),
                beta=config.beta,
                loss_type=list(config.loss_type),
                loss_weights=None if config.loss_weights is None else list(config.loss_weights),
            ),
            train_dataset=begun.rows,
            peft_config=recipe.adapter(config),
        )
        trainer.train_dataset = trainer.train_dataset.filter(
            _differs, fn_kwargs={"length": config.max_length}
        )
        rows = len(trainer.train_dataset)
        if rows == 0:
            raise Malformed(
                f"no pair differs within max_length = {config.max_length} tokens", "max_length"
            )
        tokens = sum(map(len, trainer.train_dataset["chosen_ids"])) / rows
        trainer.add_callback(Guard(config, tokens))
        recipe.show(trainer)
        trainer.train()
        return recipe.finish(trainer, config, begun, rows)


def _differs(row: dict[str, Any], length: int) -> bool:
    """Whether a pair is still one after TRL has cut it to its length."""
    room = max(length - len(row["prompt_ids"]), 0)
    return row["chosen_ids"][:room] != row["rejected_ids"][:room]
