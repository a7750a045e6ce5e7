"""What a training leaves: a whole model folder with its card.

In: a trainer after training. Out: the folder, under its name only once it is whole.
"""

import hashlib
import math
from pathlib import Path
from typing import Any

import yaml
from peft import LoraConfig, PeftModel, TaskType
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Trainer,
)

from errata.errors import Malformed
from training.bundle import Bundle
from training.recipe import Recipe, Trained
from training.running import Start

ADAPTER = "adapter"
"""Folder of the LoRA adapter alone, inside a model folder that has it merged in."""


def adapter(config: Recipe, *, scores: bool = False) -> LoraConfig | None:
    """The LoRA adapter to train, None where all weights are.

    Args:
        config: The settings.
        scores: Whether the model gives a score, whose new head is trained whole.
    """
    if config.lora_r is None:
        return None
    return LoraConfig(
        task_type=TaskType.SEQ_CLS if scores else TaskType.CAUSAL_LM,
        r=config.lora_r,
        lora_alpha=2 * config.lora_r,
        lora_dropout=0.05,
        modules_to_save=["score"] if scores else None,
    )


def finish(
    trainer: Trainer, config: Recipe, begun: Start, *, rows: int, left_out: int | None = None
) -> Trained:
    """Save the model with its card and its log, then put it in its place.

    Args:
        trainer: After training.
        config: Its settings.
        begun: What it began with.
        rows: Rows of the bundle that were trained on.
        left_out: Those that do not fit in `max_length`; without it all others.

    Raises:
        Malformed: The loss is no number any more.
    """
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not math.isfinite(losses[-1]):
        raise Malformed("the loss is no number any more: lower learning_rate", "learning_rate")
    left_out = begun.bundle.rows["train"] - rows if left_out is None else left_out
    steps = trainer.state.global_step
    trained = Trained(config.out, losses[0], losses[-1], steps, rows, left_out)
    made = begun.work / "model"
    trainer.save_model(str(made / ADAPTER if config.lora_r else made))
    if trainer.is_world_process_zero():
        if config.lora_r:
            _merge(config.model, made)
        for pickled in made.rglob("training_args.bin"):
            pickled.unlink()  # the card says the settings, without this machine's paths
        trainer.state.save_to_json(str(made / "trainer_state.json"))
        (made / "README.md").write_text(card(config, begun.bundle, trained), encoding="utf-8")
        if config.out.exists():
            config.out.rmdir()
        made.rename(config.out)
    trainer.accelerator.wait_for_everyone()
    trainer.end()
    return trained


def _merge(model: Path, made: Path) -> None:
    """Write the whole model beside its adapter, so that the next training can start from it.

    From files and not from the trainer's memory, where the model may be spread over many devices.
    """
    changed = LoraConfig.from_pretrained(str(made / ADAPTER))
    start: Any = (
        AutoModelForSequenceClassification.from_pretrained(model, num_labels=1)
        if changed.task_type == TaskType.SEQ_CLS
        else AutoModelForCausalLM.from_pretrained(model)
    )
    whole: Any = PeftModel.from_pretrained(start, str(made / ADAPTER))
    whole.merge_and_unload().save_pretrained(made)
    for file in (made / ADAPTER).iterdir():
        if not file.name.startswith("adapter_"):
            file.rename(made / file.name)  # tokenizer and template belong to the whole


def card(config: Recipe, source: Bundle, trained: Trained) -> str:
    """The model's README: what it was made from, and how to make it again."""
    head: dict[str, Any] = {
        "library_name": "transformers",
        "tags": ["errata", "trl", source.kind],
        "base_model": config.model.name,
    }
    weights = next(iter(sorted(config.model.glob("*.safetensors"))), None)
    start = f"`{config.model.name}`"
    if weights is not None:
        with weights.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
        start += f" (`{weights.name}` sha256:{hashed})"
    hidden = {"data", "model", "out", "resume", "save_steps"}
    settings = config.model_dump(mode="json", exclude=hidden)
    lines = "\n".join(f"- {key}: {value}" for key, value in settings.items() if value is not None)
    out = f"; {trained.left_out} did not fit in max_length" if trained.left_out else ""
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# A model trained on what people decided

Method: {source.kind.upper()} with TRL. Started from: {start}.
Data: bundle `{source.path.name}` with manifest `{source.digest}`, {trained.rows} rows{out}.
Loss: {trained.loss_first:.4g} over the first twentieth of {trained.steps} steps,
{trained.loss_last:.4g} over the last. `trainer_state.json` has all that was logged.

## Settings

{lines}
"""
