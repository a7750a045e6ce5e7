"""Trainings with TRL, on a model made on the spot."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from errata.errors import Conflict, Malformed
from tests.training import desk
from tests.training.desk import Ground
from tests.training.episodes import decided, nobody, proposal
from training import bundle, dpo, draws, running, sft
from training.dpo import DpoConfig
from training.recipe import Trained
from training.sft import SftConfig

pytestmark = [
    # TRL 1.16 still uses the names that transformers 5.23 renamed.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*is deprecated:FutureWarning"),
]

ROOT = Path(__file__).parents[2]
RATE = 1e-3
"""Suits a model of this size."""


@pytest.fixture(scope="module")
def habits(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Trained:
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


def test_a_training_that_ruins_the_preferred_side_is_stopped(
    ground: Ground, habits: Trained, tmp_path: Path
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
    assert list(tmp_path.iterdir()) == []


def quick(ground: Ground, out: Path, **fields: Any) -> DpoConfig:
    given = {"data": ground.dpo, "model": ground.base, "out": out, "max_steps": 2, **fields}
    return DpoConfig.model_validate(given)


def test_a_model_says_what_it_was_made_from(ground: Ground, tmp_path: Path):
    made = dpo.train(quick(ground, tmp_path / "out"))
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert bundle.load(ground.dpo, "dpo").digest in card
    assert "- learning_rate: 1e-06" in card
    assert str(tmp_path) not in card
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_settings_give_the_same_model(ground: Ground, tmp_path: Path):
    one, two, other = (
        dpo.train(quick(ground, tmp_path / name, seed=seed, learning_rate=RATE)).path
        for name, seed in [("one", 0), ("two", 0), ("other", 1)]
    )
    weights = "model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


def test_pairs_that_differ_only_behind_the_cut_are_not_trained_on(ground: Ground, tmp_path: Path):
    long = "word " * 60
    alike = decided(
        proposal("q", content=long + "a", message="?"), "edit", effective={"content": long + "b"}
    )
    data = tmp_path / "data"
    bundle.export([*desk.corrections(), alike], data, parents=nobody, kind="dpo", split=0)
    made = dpo.train(quick(ground, tmp_path / "out", data=data, max_length=64))
    assert made.rows == 36


def test_rows_are_drawn_by_their_weight_and_every_epoch_anew(ground: Ground, tmp_path: Path):
    config = quick(ground, tmp_path / "out", data=ground.weighted, batch_size=50)
    with running.started(config, "dpo") as begun:
        trainer = dpo.prepare(config, begun)
        drawn: list[Any] = []
        for epoch in range(4):
            trainer.state.epoch = float(epoch)
            drawn += list(trainer.get_train_dataloader())
        again = next(iter(trainer.get_train_dataloader()))
    ranked = {int((batch["completion_mask"].sum(1) < 5).sum()) // 2 for batch in drawn}
    assert ranked <= {8, 9}  # of 50: 45 rows that weigh 1 / 45 each, and 5 that weigh 1
    assert len({str(batch["input_ids"].tolist()) for batch in drawn}) == 4
    assert again["input_ids"].equal(drawn[3]["input_ids"])


def test_a_draw_follows_the_weights_to_a_row():
    weights = [0.0, 1.0, 0.5, 0.25, 0.25, 0.0]
    for seed in range(20):
        counts = Counter(draws.draw(weights, seed))
        assert set(counts) <= {1, 2, 3, 4}
        assert (counts[1], counts[2]) == (3, pytest.approx(1.5, abs=0.5))
        assert sum(counts.values()) == 6


def test_what_does_not_fit_is_told(ground: Ground, tmp_path: Path):
    with pytest.raises(Malformed, match="max_length = 3"):
        dpo.train(quick(ground, tmp_path / "out", max_length=3))


def test_a_missing_model_is_told(ground: Ground, tmp_path: Path):
    with pytest.raises(Malformed, match="no folder with a model"):
        dpo.train(quick(ground, tmp_path / "out", model=tmp_path))


def test_the_other_kind_of_bundle_is_told(ground: Ground, tmp_path: Path):
    with pytest.raises(Malformed, match="is a bundle for sft"):
        dpo.train(quick(ground, tmp_path / "out", data=ground.sft))


def test_a_bundle_of_another_version_is_told(ground: Ground, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(ground.dpo, data)
    manifest = data / bundle.MANIFEST
    later = manifest.read_text(encoding="utf-8").replace(
        '"schema_version": 1', '"schema_version": 2'
    )
    manifest.write_text(later, encoding="utf-8")
    with pytest.raises(Malformed, match="data is of another version of Errata: export it again"):
        dpo.train(quick(ground, tmp_path / "out", data=data))


def test_a_bundle_with_all_rows_in_its_test_split_is_told(ground: Ground, tmp_path: Path):
    data = tmp_path / "data"
    edited = [decided(proposal(content="a"), "edit", effective={"content": "b"})]
    made = bundle.export(edited, data, parents=nobody, kind="dpo", split=0.9999)
    assert made.rows == {"train": 0, "test": 1}
    with pytest.raises(Malformed, match="no rows to train on"):
        dpo.train(quick(ground, tmp_path / "out", data=data))


def test_a_model_is_never_written_over(ground: Ground):
    with pytest.raises(Conflict, match="not empty"):
        dpo.train(quick(ground, ground.base))


def test_a_model_that_cannot_be_talked_to_is_told(ground: Ground, tmp_path: Path):
    mute, adapter, dumb = (tmp_path / name for name in ("mute", "adapter", "dumb"))
    shutil.copytree(ground.base, mute)
    (mute / "chat_template.jinja").unlink()
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    dumb.mkdir()
    shutil.copy(ground.base / "config.json", dumb)
    for folder, message in [
        (mute, "mute has no chat template, .* instruct version, or put a chat_template.jinja"),
        (adapter, "adapter holds an adapter alone"),
        (dumb, "dumb has no tokenizer that can be read: copy"),
    ]:
        with pytest.raises(Malformed, match=message):
            dpo.train(quick(ground, tmp_path / "out", model=folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "dumb", "mute"]


def test_a_loss_that_is_no_number_leaves_no_model(ground: Ground, tmp_path: Path):
    paths = {"data": ground.sft, "model": ground.base, "out": tmp_path / "out"}
    with pytest.raises(Malformed, match="the loss is no number any more: lower learning_rate"):
        sft.train(SftConfig.model_validate({**paths, "learning_rate": 1e30, "max_steps": 6}))
    assert list(tmp_path.iterdir()) == []
