"""The settings that every training shares, and what it leaves.

In: a YAML file and given values. Out: settings, checked, with the line of every mistake.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errata.errors import Malformed


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
    save_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps between two checkpoints, of which the last two are kept until the end;
    without it there are none."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted training to the same `out`; begin where
    there is none."""


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
    left_out: int
    """Rows of the bundle that do not fit in `max_length`."""


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
