"""Trainings with TRL, on a model made on the spot."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import pytest
from trl.trainer.dpo_config import DPOConfig

from errata.errors import Conflict, Malformed
from tests.training import desk
from tests.training.episodes import candidates, decided, nobody, proposal
from training import bundle, dpo, recipe, sft
from training.dpo import DpoConfig, Weighted
from training.recipe import Trained
from training.sft import SftConfig

pytestmark = [
    # TRL 1.16 still uses the names that transformers 5.23 renamed.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*is deprecated:FutureWarning"),
]

ROOT = Path(__file__).parents[2]
RATE = 1e-3
"""Suits a model of this size."""


class Desk(NamedTuple):
    sft: Path
    dpo: Path
    base: Path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Bundles and an untrained model."""
    folder = tmp_path_factory.mktemp("desk")
    return Desk(*desk.bundles(folder), desk.model(folder / "base"))


@pytest.fixture(scope="module")
def habits(ground: Desk, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that has learned the agent's habits."""
    return sft.train(
        SftConfig(
            data=ground.sft,
            model=ground.base,
            out=tmp_path_factory.mktemp("habits"),
            epochs=40,
            learning_rate=3e-3,
            batch_size=8,
        )
    )


def logged(folder: Path, key: str) -> list[float]:
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    return [entry[key] for entry in state["log_history"] if key in entry]


def test_corrections_turn_the_models_habit_into_the_peoples(
    ground: Desk, habits: Trained, tmp_path: Path
):
    after = dpo.train(
        DpoConfig(
            data=ground.dpo,
            model=habits.path,
            out=tmp_path / "out",
            epochs=6,
            learning_rate=RATE,
        )
    )
    assert habits.loss_last < habits.loss_first / 5
    assert after.loss_last < after.loss_first / 5
    assert (after.rows, after.steps) == (36, 54)
    writers = [desk.Writer(path) for path in (habits.path, after.path)]
    was, now = (
        Counter(
            "kind" if text == desk.kind(n) else "curt" if text == desk.curt(n) else "neither"
            for n in desk.HELD_OUT
            for text in [writer.write(n)]
        )
        for writer in writers
    )
    assert was["curt"] >= 10 > 6 >= was["kind"]
    assert now["kind"] >= 14 > 2 >= now["curt"]
    likely = [
        mean(writer.log_probability(n, desk.kind(n)) for n in desk.HELD_OUT) for writer in writers
    ]
    assert likely[1] > likely[0] + 1
    assert len(logged(after.path, "logps/chosen")) == 18


def test_a_training_that_ruins_the_preferred_side_is_stopped(
    ground: Desk, habits: Trained, tmp_path: Path
):
    config = DpoConfig(
        data=ground.dpo,
        model=habits.path,
        out=tmp_path / "out",
        epochs=6,
        learning_rate=RATE,
        loss_type=("sigmoid",),
    )
    with pytest.raises(Malformed, match=r"lost \d\.\d\d nats per token .* Lower learning_rate"):
        dpo.train(config)
    assert list(config.out.iterdir()) == []


def quick(ground: Desk, out: Path, **fields: Any) -> DpoConfig:
    given = {"data": ground.dpo, "model": ground.base, "out": out, "max_steps": 2, **fields}
    return DpoConfig.model_validate(given)


def test_a_model_says_what_it_was_made_from(ground: Desk, tmp_path: Path):
    made = dpo.train(quick(ground, tmp_path / "out"))
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert bundle.load(ground.dpo, "dpo").digest in card
    assert "- learning_rate: 1e-06" in card
    assert str(tmp_path) not in card
    assert not (made.path / recipe.WORK).exists()


def test_the_same_settings_give_the_same_model(ground: Desk, tmp_path: Path):
    one, two, other = (
        dpo.train(quick(ground, tmp_path / name, seed=seed, learning_rate=RATE)).path
        for name, seed in [("one", 0), ("two", 0), ("other", 1)]
    )
    weights = "model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


def test_pairs_that_differ_only_behind_the_cut_are_not_trained_on(ground: Desk, tmp_path: Path):
    long = "word " * 60
    alike = decided(
        proposal("q", content=long + "a", message="?"), "edit", effective={"content": long + "b"}
    )
    data = tmp_path / "data"
    bundle.export([*desk.corrections(), alike], data, parents=nobody, kind="dpo", split=0)
    made = dpo.train(quick(ground, tmp_path / "out", data=data, max_length=64))
    assert made.rows == 36


def weighted(folder: Path) -> Path:
    """Five edits of weight 1 and the 45 pairs of one ranking, which share a weight of 1."""
    ranked = decided(
        proposal("q", "candidates", candidates=candidates(*map(str, range(10))), message="?"),
        "approve",
        {"verdict": "approve", "ranking": [[chr(97 + n)] for n in range(10)]},
    )
    episodes = [*desk.corrections()[:5], ranked]
    made = bundle.export(episodes, folder, parents=nobody, kind="dpo", split=0, strategy="all")
    assert made.rows["train"] == 5 + 45
    return folder


def test_rows_are_drawn_by_their_weight(ground: Desk, tmp_path: Path):
    data = weighted(tmp_path / "data")
    config = quick(ground, tmp_path / "out", data=data, batch_size=50)
    with recipe.started(config, "dpo") as begun:
        arguments = DPOConfig(**recipe.arguments(config))
        trainer = Weighted(model=str(config.model), args=arguments, train_dataset=begun.rows)
        batches = [batch for _ in range(20) for batch in trainer.get_train_dataloader()]
    ranked = sum(int((batch["completion_mask"].sum(1) < 5).sum()) // 2 for batch in batches)
    assert ranked / 1000 == pytest.approx(1 / 6, abs=0.05)  # four standard deviations


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_trl_trains_on_a_bundle_as_it_is(ground: Desk, tmp_path: Path, kind: str):
    call = [
        shutil.which("trl", path=str(Path(sys.executable).parent)) or "trl",
        *(kind, "--dataset_name", str(getattr(ground, kind)), "--dataset_config", kind),
        *("--model_name_or_path", str(ground.base), "--output_dir", str(tmp_path / "out")),
        *("--max_steps", "2", "--use_cpu", "True", "--bf16", "False", "--save_strategy", "no"),
    ]
    run(call, tmp_path)
    assert (tmp_path / "out/model.safetensors").is_file()


def run(call: list[str], home: Path) -> None:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hf"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


TWO = """
import sys
from pathlib import Path
from training.dpo import DpoConfig, train
data, model, out = map(Path, sys.argv[1:])
print(train(DpoConfig(data=data, model=model, out=out, max_steps=3, batch_size=2)))
"""


@pytest.mark.slow
def test_two_processes_train_one_model_and_leave_no_copy_of_the_rows(ground: Desk, tmp_path: Path):
    script = tmp_path / "two.py"
    script.write_text(TWO, encoding="utf-8")
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    paths = map(str, (weighted(tmp_path / "data"), ground.base, tmp_path / "out"))
    run(
        [*start, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(script), *paths],
        tmp_path,
    )
    state = json.loads((tmp_path / "out/trainer_state.json").read_text(encoding="utf-8"))
    assert (state["global_step"], state["train_batch_size"]) == (3, 2)
    assert state["epoch"] == pytest.approx(3 / 13)  # 50 rows in batches of 2 x 2
    assert not (tmp_path / "out" / recipe.WORK).exists()
    assert list(tmp_path.rglob("*.arrow")) == []


def test_what_does_not_fit_is_told(ground: Desk, tmp_path: Path):
    with pytest.raises(Malformed, match="max_length = 3"):
        dpo.train(quick(ground, tmp_path / "out", max_length=3))


def test_a_missing_model_is_told(ground: Desk, tmp_path: Path):
    with pytest.raises(Malformed, match="no folder with a model"):
        dpo.train(quick(ground, tmp_path / "out", model=tmp_path))


def test_the_other_kind_of_bundle_is_told(ground: Desk, tmp_path: Path):
    with pytest.raises(Malformed, match="is a bundle for sft"):
        dpo.train(quick(ground, tmp_path / "out", data=ground.sft))


def test_a_bundle_without_rows_is_told(ground: Desk, tmp_path: Path):
    data = tmp_path / "data"
    bundle.export([decided(proposal(), "reject")], data, parents=nobody, kind="dpo")
    with pytest.raises(Malformed, match="no rows to train on"):
        dpo.train(quick(ground, tmp_path / "out", data=data))


def test_a_model_is_never_written_over(ground: Desk):
    with pytest.raises(Conflict, match="not empty"):
        dpo.train(quick(ground, ground.base))


@pytest.mark.skipif(find_spec("peft") is not None, reason="peft is installed")
def test_an_adapter_without_peft_is_told(ground: Desk, tmp_path: Path):
    with pytest.raises(Malformed, match="pip install peft"):
        dpo.train(quick(ground, tmp_path / "out", lora_r=4))
