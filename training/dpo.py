"""Direct preference optimization on what people preferred.

In: a DPO bundle and a model folder. Out: a model folder.

    errata train dpo --data BUNDLE --model MODEL --out OUT
    torchrun --nproc-per-node 2 -m errata train dpo --data BUNDLE --model MODEL --out OUT

Most pairs are a text and its small correction. On such pairs the plain loss lowers the likelihood
of both sides, since almost every token is in both (Pal et al. 2024, arXiv 2402.13228). So the
default adds the likelihood of the preferred side to the loss, and a training stops when that
likelihood collapses all the same.
"""

from typing import Any

from pydantic import Field
from torch.utils.data import Sampler
from trl.trainer.dpo_config import DPOConfig as Arguments
from trl.trainer.dpo_trainer import DPOTrainer

from training import base, draws, result, running
from training.guard import Guard
from training.recipe import Recipe, Trained
from training.running import Start


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
    """Draws rows in proportion to their weight."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any] | None:
        # The argument has lost all columns that the model does not read.
        return draws.sampler(self) or super()._get_train_sampler(train_dataset)


def prepare(config: DpoConfig, begun: Start) -> Weighted:
    """The trainer, with the pairs that still differ once TRL has cut them to `max_length`.

    Raises:
        Malformed: There are none.
    """
    trainer = Weighted(
        model=str(config.model),
        args=Arguments(
            **running.arguments(config, begun),
            beta=config.beta,
            loss_type=list(config.loss_type),
            loss_weights=None if config.loss_weights is None else list(config.loss_weights),
        ),
        train_dataset=begun.rows,
        peft_config=result.adapter(config),
    )
    pairs = trainer.train_dataset.filter(_differs, fn_kwargs={"length": config.max_length})
    if not len(pairs):
        raise base.too_long(begun.tokenizer, begun.rows, "dpo", config.max_length)
    trainer.train_dataset = pairs
    tokens = sum(map(len, pairs["chosen_ids"])) / len(pairs)
    advice = "Lower learning_rate, or keep 'sft' in loss_type"
    guard = Guard(beta=config.beta, max_drop=config.max_drop, tokens=tokens, advice=advice)
    trainer.add_callback(guard)
    return trainer


def _differs(row: dict[str, Any], length: int) -> bool:
    """Whether a pair is still one after TRL has cut it to its length."""
    room = max(length - len(row["prompt_ids"]), 0)
    return row["chosen_ids"][:room] != row["rejected_ids"][:room]


def train(config: DpoConfig) -> Trained:
    """Teach a model to prefer what people preferred.

    Raises:
        Malformed, Conflict, OSError: See `running.started`.
        Malformed: See `prepare`; or the preferred sides became unlikely.
    """
    with running.started(config, "dpo") as begun:
        trainer = prepare(config, begun)
        running.run(trainer, begun)
        return result.finish(trainer, config, begun, rows=len(running.rows(trainer)))
