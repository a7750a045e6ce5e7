"""What every training shares: its settings, its rows, where it runs and what it leaves.

In: a YAML file and given values; a bundle and a model folder. Out: settings, a data set, TRL's
arguments, a model folder with a card.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
import yaml
from datasets import Dataset, disable_progress_bars, load_dataset
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.utils import logging as transformers_log
from trl.trainer.model_config import ModelConfig
from trl.trainer.utils import get_peft_config

from errata.errors import Conflict, Malformed
from training import bundle
from training.bundle import Bundle
from training.pairs import Kind

WORK = ".work"
"""Folder inside `out` for prepared rows while a training runs: what people wrote stays out of the
machine-wide cache, where no erasure would find it."""


class Recipe(BaseModel):
    """Settings of any training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """A bundle."""
    model: Path
    """Folder of the model to start from."""
    out: Path
    """Folder to make."""
    epochs: float = Field(default=1, gt=0)
    """Times that every row is seen."""
    max_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps; goes before `epochs`."""
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(default=4, gt=0)
    """Rows per step and process."""
    accumulate: int = Field(default=1, gt=0)
    """Batches per optimizer step."""
    max_length: int = Field(default=1024, gt=0)
    """Tokens of prompt and completion; what is longer is cut."""
    seed: int = 0
    lora_r: int | None = Field(default=None, gt=0)
    """Rank of a LoRA adapter; without it all weights are trained."""


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


class Trained(NamedTuple):
    """A finished training."""

    path: Path
    """The model folder."""
    loss_first: float
    """Mean loss over the first twentieth of the steps."""
    loss_last: float
    """Mean loss over the last twentieth."""
    steps: int
    rows: int
    """Rows that were trained on."""


def load(recipe: type[AnyRecipe], file: Path | None = None, **given: Any) -> AnyRecipe:
    """Read settings.

    Args:
        recipe: The settings' class.
        file: YAML with settings that differ from the defaults.
        given: Settings from elsewhere; those that are not None go before the file's.

    Raises:
        Malformed: The file cannot be read, or a setting is unknown, missing or wrong; the message
            names file, line and key.
    """
    values, lines = _parse(file) if file else ({}, {})
    for key, line in lines.items():
        if key not in recipe.model_fields:
            known = ", ".join(recipe.model_fields)
            raise Malformed(f"{file}, line {line}: unknown key {key!r}; known are {known}", key)
    known = {key: value for key, value in given.items() if value is not None}
    try:
        return recipe.model_validate({**values, **known})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        where = f"{file}, line {lines[key]}: " if key in lines and key not in known else ""
        raise Malformed(f"{where}{key}: {first['msg']}", key) from error


def _parse(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        text = file.read_text(encoding="utf-8")
        root, values = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except OSError as error:
        raise Malformed(f"cannot read {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Malformed(f"{file} is no YAML: {error}") from error
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode) or not isinstance(values, dict):
        raise Malformed(f"{file}: expected `key: value` lines")
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in root.value}
    return {str(key): value for key, value in values.items()}, lines


class Start(NamedTuple):
    """What a training begins with."""

    bundle: Bundle
    rows: Dataset
    """The bundle's train split."""


@contextmanager
def started(config: Recipe, kind: Kind) -> Generator[Start]:
    """Check the settings against what is there and read the rows; clean up after the training.

    Raises:
        Malformed: The bundle is none, or has no rows to train on; the model is no folder.
        Conflict: `out` holds something.
    """
    if not (config.model / "config.json").is_file():
        raise Malformed(f"{config.model} is no folder with a model", "model")
    if config.out.exists() and any(path.name != WORK for path in config.out.iterdir()):
        raise Conflict(f"{config.out} is not empty: choose another folder for the model")
    found = bundle.load(config.data, kind)
    if not found.rows["train"]:
        raise Malformed(
            f"{config.data} has no rows to train on; its README says what was left out", "data"
        )
    if not sys.stderr.isatty():
        disable_progress_bars()
        transformers_log.disable_progress_bar()
    work = config.out / WORK
    rows = load_dataset(str(config.data), kind, split="train", cache_dir=str(work))
    assert isinstance(rows, Dataset)
    try:
        yield Start(found, rows)
    finally:
        if os.environ.get("RANK", "0") == "0":
            shutil.rmtree(work, ignore_errors=True)


def arguments(config: Recipe) -> dict[str, Any]:
    """TRL's arguments that do not depend on the method."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(config.out),
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulate,
        "max_length": config.max_length,
        "seed": config.seed,
        "use_cpu": not gpu,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "activation_checkpointing": gpu,  # on a CPU it only costs time
        "dataloader_pin_memory": gpu,
        "logging_steps": 0.05,  # a share of all steps
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,  # see `show`
    }


class Progress(ProgressCallback):
    """The usual bar without the losses, which it would write to standard output."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Say nothing: the log is saved with the model."""


def show(trainer: Trainer) -> None:
    """A bar at a terminal, nothing elsewhere; standard output stays the caller's."""
    trainer.remove_callback(PrinterCallback)
    if sys.stderr.isatty():
        trainer.add_callback(Progress())


def adapter(config: Recipe) -> Any:
    """The LoRA adapter to train, None without one.

    Raises:
        Malformed: peft is not installed.
    """
    try:
        return get_peft_config(
            ModelConfig(use_peft=config.lora_r is not None, lora_r=config.lora_r or 1)
        )
    except ValueError as error:
        raise Malformed("lora_r needs the package peft: pip install peft", "lora_r") from error


def finish(trainer: Trainer, config: Recipe, begun: Start, rows: int) -> Trained:
    """Save the model with its card and its log.

    Args:
        trainer: After training.
        config: Its settings.
        begun: What it began with.
        rows: Rows that were trained on.
    """
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    trained = Trained(config.out, losses[0], losses[-1], trainer.state.global_step, rows)
    trainer.save_model(str(config.out))
    trainer.save_state()
    if trainer.is_world_process_zero():
        (config.out / "README.md").write_text(card(config, begun.bundle, trained), encoding="utf-8")
    trainer.accelerator.wait_for_everyone()
    trainer.end()
    return trained


def card(config: Recipe, source: Bundle, trained: Trained) -> str:
    """The model's README: what it was made from, and how to make it again."""
    head: Mapping[str, Any] = {
        "library_name": "transformers",
        "tags": ["errata", "trl", source.kind],
        "base_model": config.model.name,
    }
    weights = next(iter(sorted(config.model.glob("*.safetensors"))), None)
    base = f"`{config.model.name}`"
    if weights is not None:
        with weights.open("rb") as file:
            base += f" (`{weights.name}` sha256:{hashlib.file_digest(file, 'sha256').hexdigest()})"
    settings = config.model_dump(mode="json", exclude={"data", "model", "out"})
    lines = "\n".join(f"- {key}: {value}" for key, value in settings.items() if value is not None)
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# A model trained on what people decided

Method: {source.kind.upper()} with TRL. Started from: {base}.
Data: bundle with manifest `{source.digest}`, {trained.rows} rows.
Loss: {trained.loss_first:.4g} over the first twentieth of {trained.steps} steps,
{trained.loss_last:.4g} over the last. `trainer_state.json` has all that was logged.

## Settings

{lines}
"""
