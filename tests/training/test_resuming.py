"""Trainings that were interrupted, and what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainerCallback

from errata.errors import Conflict
from tests.training import methods
from tests.training.desk import Ground
from tests.training.methods import METHODS
from training import dpo, recipe, running, sft
from training.rows import Kind

pytestmark = methods.pytestmark

DATA: dict[Kind, str] = {"sft": "sft", "dpo": "weighted", "kto": "kto", "reward": "reward"}
WEIGHTS = "model.safetensors"


def settings(ground: Ground, method: Kind, out: Path, **fields: Any) -> Any:
    some = {"epochs": 2, "batch_size": 4 if method == "kto" else 8, "save_steps": 3}
    paths = {"data": getattr(ground, DATA[method]), "model": ground.base, "out": out}
    return methods.settings(method, **{**some, **paths, **fields})


class PlugPulled(TrainerCallback):
    """Ends a training in the middle of a step's end."""

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        if state.global_step == 8:
            raise KeyboardInterrupt


def break_off(config: Any, method: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    module = METHODS[method].module
    prepare: Callable[..., Trainer] = module.prepare

    def doomed(*args: Any) -> Trainer:
        trainer = prepare(*args)
        trainer.add_callback(PlugPulled())
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(module, "prepare", doomed)
        with pytest.raises(KeyboardInterrupt):
            module.train(config)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lora_r", [None, 4], ids=["whole", "lora"])
def test_an_interrupted_training_goes_on_to_the_same_end(
    ground: Ground,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: Kind,
    lora_r: int | None,
):
    whole = METHODS[method].train(settings(ground, method, tmp_path / "whole", lora_r=lora_r))
    config = settings(ground, method, tmp_path / "out", lora_r=lora_r)
    break_off(config, method, monkeypatch)
    left = running.folder(config.out)
    assert not config.out.exists()
    assert sorted(path.name for path in left.glob("*-*")) == ["checkpoint-3", "checkpoint-6"]
    assert not (left / running.ROWS).exists()
    resumed = METHODS[method].train(config.model_copy(update={"resume": True}))
    assert (resumed.steps, resumed.rows) == (whole.steps, whole.rows)
    assert (resumed.path / WEIGHTS).read_bytes() == (whole.path / WEIGHTS).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_what_was_interrupted_is_not_written_over_and_not_resumed_otherwise(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = settings(ground, "sft", tmp_path / "out")
    break_off(config, "sft", monkeypatch)
    left = running.folder(config.out)
    with pytest.raises(Conflict, match=r"stands at checkpoint-6: --resume to go on, or remove"):
        sft.train(config)
    with pytest.raises(
        Conflict, match=r"had learning_rate 0\.001, not 0\.002: resume it with that"
    ):
        sft.train(config.model_copy(update={"resume": True, "learning_rate": 2e-3}))
    assert (left / "checkpoint-6").is_dir()
    (left / "checkpoint-6/trainer_state.json").write_text('{"half', encoding="utf-8")
    with pytest.raises(Conflict, match="stands at checkpoint-3"):
        sft.train(config)


def test_resuming_what_never_began_begins(ground: Ground, tmp_path: Path):
    left = running.folder(tmp_path / "out")
    left.mkdir()
    (left / "half").touch()
    config = settings(ground, "sft", tmp_path / "out", resume=True, max_steps=2)
    assert sft.train(config).steps == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def errata(*words: str | Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "errata", *map(str, words)]
    return subprocess.Popen(call, env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_training_goes_on_to_the_same_end(ground: Ground, tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "learning_rate: 1.0e-3\nepochs: 10\nbatch_size: 8\nsave_steps: 10\n", encoding="utf-8"
    )
    out = tmp_path / "out"
    fixed = ("--data", ground.weighted, "--model", ground.base, "--config", file, "--out")
    process = errata("train", "dpo", *fixed, out)
    reached = running.folder(out) / "checkpoint-20/trainer_state.json"
    give_up = time.monotonic() + 200
    while not reached.is_file() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    _, words = process.communicate()
    assert process.returncode == -signal.SIGKILL, words.decode()
    assert not out.exists()
    again = errata("train", "dpo", *fixed, out, "--resume")
    whole = dpo.train(
        recipe.load(
            dpo.DpoConfig, file, data=ground.weighted, model=ground.base, out=tmp_path / "whole"
        )
    )
    _, words = again.communicate()
    assert again.returncode == 0, words.decode()
    assert whole.steps == 70
    assert (out / WEIGHTS).read_bytes() == (whole.path / WEIGHTS).read_bytes()
    log = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    assert log[-1]["step"] == 70
    assert not running.folder(out).exists()


@contextmanager
def small_disk(place: Path) -> Generator[Path]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a file system of a size")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class Filled(TrainerCallback):
    """Leaves no room on the disk once there is a checkpoint."""

    def __init__(self, filler: Path) -> None:
        self.filler = filler

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        if state.global_step == 5:
            with suppress(OSError), self.filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass


def test_a_full_disk_leaves_no_model_and_what_was_saved(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with small_disk(tmp_path / "disk") as disk:
        config, filler = settings(ground, "sft", disk / "out"), disk / "filler"
        prepare: Callable[..., Trainer] = sft.prepare

        def unlucky(*args: Any) -> Trainer:
            trainer = prepare(*args)
            trainer.add_callback(Filled(filler))
            return trainer

        with monkeypatch.context() as patch:
            patch.setattr(sft, "prepare", unlucky)
            with pytest.raises(
                OSError, match="make room and go on from checkpoint-3 with --resume"
            ):
                sft.train(config)
        assert not config.out.exists()
        filler.unlink()
        assert sft.train(config.model_copy(update={"resume": True})).steps == 24
        assert [path.name for path in disk.iterdir()] == ["out"]
