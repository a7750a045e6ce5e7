"""Where a training runs: on which processes, in which folder, from which step on.

In: settings, a bundle and a model folder. Out: rows and TRL's arguments; after the training a whole
model folder, or none.
"""

import errno
import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from datasets import Dataset, disable_progress_bars, load_dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback, ProgressCallback, Trainer
from transformers.utils import logging as transformers_log

from errata.errors import Conflict, Malformed
from training import base, bundle
from training.bundle import Bundle
from training.recipe import Recipe
from training.rows import Kind

SETTINGS = "settings.json"
"""What a training in progress was started with, so that nothing else goes on with it."""
ROWS = "rows"
"""Prepared rows: what people wrote stays out of the machine-wide cache, where no erasure would find
it."""


class Start(NamedTuple):
    """What a training begins with."""

    bundle: Bundle
    rows: Dataset
    """The bundle's train split."""
    tokenizer: PreTrainedTokenizerBase
    work: Path
    """Folder of the training in progress."""
    checkpoint: Path | None
    """Where to go on."""


def folder(out: Path) -> Path:
    """Where a training to `out` works: beside it, so that `out` appears whole or not at all."""
    return out.absolute().parent / f".{out.name}.training"


@contextmanager
def started(config: Recipe, kind: Kind) -> Generator[Start]:
    """Check the settings against what is there and read the rows; clean up after the training.

    Checkpoints outlive a training that ends too early, except one whose settings were wrong.

    Raises:
        Malformed: The bundle is none, or has no rows to train on, or the model cannot take them.
        Conflict: `out` holds something; or an interrupted training waits to be resumed, or was
            started with other settings.
        OSError: No space left.
    """
    speaker = base.tokenizer(config.model)
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise Conflict(f"{config.out} is not empty: choose another folder for the model")
    found = bundle.load(config.data, kind)
    if not found.rows["train"]:
        raise Malformed(
            f"{config.data} has no rows to train on: all are in its test split; export it with a lower --split",
            "data",
        )
    if not sys.stderr.isatty():
        disable_progress_bars()
        transformers_log.disable_progress_bar()
    work, first = folder(config.out), _processes().is_main_process
    try:
        with _processes().main_process_first():
            checkpoint = _claim(work, config, found, first=first)
            rows = load_dataset(str(config.data), kind, split="train", cache_dir=str(work / ROWS))
        assert isinstance(rows, Dataset)
        base.check_calls(config.model, speaker, rows)
        yield Start(found, rows, speaker, work, checkpoint)
    except BaseException as error:
        if first and not isinstance(error, Conflict):
            _leave(work, keep=not isinstance(error, Malformed))
        if _is_full(error):
            raise OSError(errno.ENOSPC, _no_space(work), str(work.parent)) from error
        raise
    if first:
        shutil.rmtree(work)


def _processes() -> PartialState:
    if torch.cuda.device_count() > 1 and "RANK" not in os.environ:
        raise Malformed(
            "several GPUs and one process: start it with accelerate launch or torchrun, see "
            "docs/howto/training.md, or choose a GPU with CUDA_VISIBLE_DEVICES=0"
        )
    return PartialState(cpu=not torch.cuda.is_available())


def _claim(work: Path, config: Recipe, source: Bundle, *, first: bool) -> Path | None:
    """Make the folder of a training, or find the checkpoint to go on from."""
    settings = config.model_dump(mode="json", exclude={"data", "out", "resume", "save_steps"})
    settings |= {"data": source.digest, "processes": _processes().num_processes}
    last = _checkpoint(work)
    if last is None:
        if first:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            (work / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
        return None
    if not config.resume:
        raise Conflict(
            f"an interrupted training to {config.out} stands at {last.name}: --resume to go on, or "
            f"remove {work}"
        )
    before = json.loads((work / SETTINGS).read_text(encoding="utf-8"))
    for key, value in settings.items():
        if before.get(key) != value:
            raise Conflict(
                f"the interrupted training to {config.out} had {key} {before.get(key)!r}, not "
                f"{value!r}: resume it with that, or remove {work} and begin anew",
                key,
            )
    return last


def _checkpoint(work: Path) -> Path | None:
    """The last checkpoint that was written to its end; its state is what is written last."""
    found = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in reversed(found):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return path
    return None


def _leave(work: Path, *, keep: bool) -> None:
    if keep and _checkpoint(work):
        shutil.rmtree(work / ROWS, ignore_errors=True)
    else:
        shutil.rmtree(work, ignore_errors=True)


def _is_full(error: BaseException) -> bool:
    # safetensors and torch raise errors of their own, with the system's words in them.
    words = ("No space left on device", "file write failed")
    return getattr(error, "errno", None) == errno.ENOSPC or any(w in str(error) for w in words)


def _no_space(work: Path) -> str:
    if last := _checkpoint(work):
        return f"no space left; make room and go on from {last.name} with --resume. Folder"
    return "no space left; make room and train again. Folder"


def arguments(config: Recipe, begun: Start) -> dict[str, Any]:
    """TRL's arguments that do not depend on the method."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(begun.work),
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
        "logging_nan_inf_filter": False,  # else a ruined training would log its last good loss
        "save_strategy": "steps" if config.save_steps else "no",
        "save_steps": config.save_steps or 1,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,  # see `run`
    }


class Progress(ProgressCallback):
    """The usual bar without the losses, which it would write to standard output."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Say nothing: the log is saved with the model."""


def run(trainer: Trainer, begun: Start) -> None:
    """Train, from the checkpoint on where there is one.

    A bar at a terminal, nothing elsewhere; standard output stays the caller's.
    """
    trainer.remove_callback(PrinterCallback)
    if sys.stderr.isatty():
        trainer.add_callback(Progress())
    trainer.train(resume_from_checkpoint=str(begun.checkpoint) if begun.checkpoint else None)


def rows(trainer: Trainer) -> Dataset:
    """What a trainer made of its rows."""
    assert isinstance(trainer.train_dataset, Dataset)
    return trainer.train_dataset
