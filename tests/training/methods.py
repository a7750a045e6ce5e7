"""The four trainings, for tests that hold for each of them."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from training import dpo, kto, reward, sft
from training.recipe import Recipe, Trained
from training.rows import Kind

pytestmark = [
    # TRL 1.16 still uses the names that transformers 5.23 renamed.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*is deprecated:FutureWarning"),
]


class Method(NamedTuple):
    """A training's module, and what it offers."""

    module: ModuleType
    recipe: type[Recipe]
    train: Callable[[Any], Trained]


METHODS: dict[Kind, Method] = {
    "sft": Method(sft, sft.SftConfig, sft.train),
    "dpo": Method(dpo, dpo.DpoConfig, dpo.train),
    "kto": Method(kto, kto.KtoConfig, kto.train),
    "reward": Method(reward, reward.RewardConfig, reward.train),
}


def settings(kind: Kind, **fields: Any) -> Any:
    """Settings that suit a model of this size."""
    return METHODS[kind].recipe.model_validate({"learning_rate": 1e-3, **fields})
