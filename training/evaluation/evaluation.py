"""Evaluate a tuned model against its base on the test split of a bundle.

In: a bundle for SFT or DPO, two model folders. Out: an evaluation, as value, JSON and Markdown.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datasets import Dataset, load_dataset

from errata.errors import Malformed
from training import bundle
from training.evaluation import figures
from training.evaluation.answers import Answer, judge
from training.evaluation.figures import Figure, Outcome, Slice
from training.evaluation.model import Asked, Model
from training.turns import Turn

Kind = Literal["sft", "dpo"]
FILE = "evaluation.json"


class Evaluation(NamedTuple):
    """How the tuned model compares to its base."""

    data: str
    """Digest of the bundle."""
    rows: int
    left_out: int
    """Rows of the test split that do not fit in `max_length` with either model."""
    figures: dict[str, Figure]
    slices: list[Slice]

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self._asdict(),
            "figures": {name: one._asdict() for name, one in self.figures.items()},
            "slices": [
                {**part._asdict(), "figures": {k: f._asdict() for k, f in part.figures.items()}}
                for part in self.slices
            ],
        }


def evaluate(
    data: Path,
    model: Path,
    base: Path,
    *,
    limit: int | None = None,
    max_length: int = 1024,
    max_answer: int = 256,
) -> Evaluation:
    """Ask both models about every row of the test split.

    Args:
        data: A bundle for SFT or DPO.
        model: Folder of the tuned model.
        base: Folder of the model that it was made from.
        limit: At most so many rows, the first of the split.
        max_length: Tokens of a row.
        max_answer: Tokens that a model may write.

    Raises:
        Malformed: The bundle is none or has no test rows; a folder holds no chat model; no row
            fits in `max_length`.
    """
    kind = _kind(data)
    found = bundle.load(data, kind)
    if not found.rows["test"]:
        raise Malformed(f"{data} has no test rows: export it with --split above 0", "data")
    chosen = _rows(data, kind, limit)
    both = Model(base, max_length=max_length), Model(model, max_length=max_length)
    outcomes = list(_outcomes(chosen, *both, max_answer))
    if not outcomes:
        raise Malformed(f"no test row fits in max_length = {max_length} tokens", "max_length")
    return Evaluation(
        data=found.digest,
        rows=len(outcomes),
        left_out=len(chosen) - len(outcomes),
        figures=figures.compare(outcomes),
        slices=figures.by_slice(outcomes),
    )


def _rows(data: Path, kind: Kind, limit: int | None) -> Dataset:
    # Not the machine-wide cache: it keeps what people wrote, and takes two folders of one name for
    # the same.
    with tempfile.TemporaryDirectory() as cache:
        rows = load_dataset(str(data), kind, split="test", cache_dir=cache, keep_in_memory=True)
        assert isinstance(rows, Dataset)
        return rows.select(range(min(limit or len(rows), len(rows))), keep_in_memory=True)


def _kind(data: Path) -> Kind:
    try:
        kind = json.loads((data / bundle.MANIFEST).read_bytes())["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Malformed(f"{data} is no bundle: make one with `errata export`", "data") from error
    if kind not in {"sft", "dpo"}:
        raise Malformed(f"{data} is a bundle for {kind}: evaluate on one for sft or dpo", "data")
    return kind


def _outcomes(rows: Dataset, base: Model, tuned: Model, longest: int) -> Iterator[Outcome]:
    for row in rows:
        assert isinstance(row, dict)
        asked = Asked(row["prompt"], row["tools"])
        target: Turn = row["chosen" if "chosen" in row else "completion"][0]
        other: Turn | None = row["rejected"][0] if "rejected" in row else None
        turns = [target] if other is None else [target, other]
        if base.fits(asked, *turns) and tuned.fits(asked, *turns):
            answers = (_answer(one, asked, target, other, longest) for one in (base, tuned))
            yield Outcome(_group(row), tuple(_slices(row, target)), *answers)


def _answer(model: Model, asked: Asked, target: Turn, other: Turn | None, longest: int) -> Answer:
    prefers = None
    if other is not None:
        prefers = model.log_probability(asked, target) > model.log_probability(asked, other)
    return judge(model.write(asked, longest), target, prefers)


def _group(row: dict[str, Any]) -> str:
    return row["group_id"] or row["task_id"] or json.dumps(row["prompt"], sort_keys=True)


def _slices(row: dict[str, Any], target: Turn) -> Iterator[str]:
    for reviewer in row["reviewers"]:
        yield f"reviewer: {reviewer}"
    for call in target.get("tool_calls") or ():
        yield f"tool: {call['function']['name']}"
    yield f"from: {row['pair_kind']}"


def markdown(found: Evaluation) -> str:
    """A section for a model card: the figures, and where the tuned model got worse."""
    lines = [
        f"{found.rows} test rows of the bundle with manifest `{found.data}`; "
        f"{found.left_out} more do not fit in the length.",
        "",
        "| measure | base | tuned | difference (95 %) | n | groups |",
        "|---|---|---|---|---|---|",
        *(_line(name, one) for name, one in found.figures.items()),
        "",
    ]
    worse = [part for part in found.slices if part.worse]
    if worse:
        lines += ["Worse than the base, beyond chance, for:", ""]
        lines += [f"- {_inert(part.name)}: {', '.join(part.worse)}" for part in worse]
    else:
        lines.append(
            f"For none of {len(found.slices)} slices (by reviewer, tool and kind of correction) is "
            "the tuned model worse than its base beyond chance."
        )
    return "\n".join(lines) + "\n"


def _line(name: str, one: Figure) -> str:
    ends = "" if one.low is None else f" ({one.low:+.3f} to {one.high:+.3f})"
    return (
        f"| {name} | {one.base:.3f} | {one.tuned:.3f} | {one.difference:+.3f}{ends} "
        f"| {one.n} | {one.groups} |"
    )


def _inert(text: str) -> str:
    """A name, which an agent may have chosen, as text of one line."""
    return "".join(
        sign if sign.isalnum() or sign in " :_-." else f"&#{ord(sign)};" for sign in text
    )
