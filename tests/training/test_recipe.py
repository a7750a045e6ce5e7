"""Reading a training's settings."""

from pathlib import Path
from typing import Any

import pytest

from errata.errors import Malformed
from training import recipe
from training.dpo import DpoConfig
from training.sft import SftConfig

GIVEN: dict[str, Any] = {"data": Path("data"), "model": Path("model"), "out": Path("out")}


def written(folder: Path, text: str) -> Path:
    file = folder / "dpo.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_changes_the_defaults_and_given_values_change_the_file(tmp_path: Path):
    file = written(tmp_path, "beta: 0.3\nseed: 5\nloss_type: [sigmoid]\nout: elsewhere\n")
    config = recipe.load(DpoConfig, file, **GIVEN, seed=None)
    assert (config.beta, config.seed, config.loss_type) == (0.3, 5, ("sigmoid",))
    assert config.out == Path("out")


def test_the_default_loss_is_anchored():
    assert recipe.load(DpoConfig, **GIVEN).loss_type == ("sigmoid", "sft")


def test_an_empty_file_changes_nothing(tmp_path: Path):
    assert recipe.load(SftConfig, written(tmp_path, "# nothing\n"), **GIVEN) == SftConfig(**GIVEN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beta: 0.1\n\nbeat: 0.2\n", r"dpo\.yaml, line 3: unknown key 'beat'; known are data"),
        ("seed: 1\nbeta: none\n", r"dpo\.yaml, line 2: beta: Input should be a valid number"),
        ("epochs: -1\n", r"dpo\.yaml, line 1: epochs: Input should be greater than 0"),
        ("beta: [1\n", "is no YAML"),
        ("- beta\n", "expected `key: value` lines"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(Malformed, match=message):
        recipe.load(DpoConfig, written(tmp_path, text), **GIVEN)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(Malformed, match=r"cannot read .*none\.yaml"):
        recipe.load(DpoConfig, tmp_path / "none.yaml", **GIVEN)


def test_a_missing_setting_is_told():
    with pytest.raises(Malformed, match="model: Field required"):
        recipe.load(DpoConfig, data=Path("data"), out=Path("out"))
