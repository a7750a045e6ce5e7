"""A real model that was taught is set beside the one that it was made from."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.errors import Malformed
from tests.training import desk
from tests.training.episodes import decided, nobody, proposal
from training import bundle, sft
from training.evaluation import evaluation
from training.sft import SftConfig

TOOL = {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}


class Work(NamedTuple):
    """What the tests share."""

    dpo: Path
    base: Path
    tuned: Path


def call(amount: int) -> dict[str, Any]:
    return {"name": "refund", "arguments": {"amount": amount, "to": "till"}}


def episodes() -> list[Any]:
    """Refunds that one of two people doubled."""
    found: list[Any] = []
    for n in range(60):
        of = proposal(
            f"c{n}",
            "action",
            action=call(5),
            tools=[TOOL],
            message=f"Refund {desk.NAMES[n % 16]} {n}",
        )
        said = {"verdict": "edit", "action": call(10), "reviewer": f"r{n % 2}"}
        found.append(decided(of, "edit", said, effective={"action": call(10)}))
    return found


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("evaluation")
    made = Work(*(folder / name for name in Work._fields))
    bundle.export(episodes(), made.dpo, parents=nobody, kind="dpo", split=0.4)
    bundle.export(episodes(), folder / "sft", parents=nobody, kind="sft", split=0.4)
    desk.tiny.make(made.base, [json.dumps(call(10))] * 4, seed=0)
    sft.train(
        SftConfig(
            data=folder / "sft",
            model=made.base,
            out=made.tuned,
            epochs=25,
            learning_rate=5e-3,
            batch_size=8,
        )
    )
    return made


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*is deprecated:FutureWarning")
def test_what_was_taught_shows_on_rows_that_neither_has_seen(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    done = CliRunner().invoke(
        app,
        [
            *("evaluate", "--data", str(work.dpo), "--model", str(work.tuned)),
            *("--base", str(work.base), "--out", str(out), "--max-answer", "60"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "| exact | 0.000 |" in done.output
    found = json.loads(out.read_text(encoding="utf-8"))
    held_out = bundle.load(work.dpo, "dpo").rows["test"]
    assert (found["rows"], found["left_out"]) == (held_out, 0)
    assert held_out >= 15
    figures = found["figures"]
    assert figures["exact"]["base"] == 0
    assert figures["exact"]["tuned"] >= 0.5
    assert figures["exact"]["low"] > 0
    assert figures["preference_accuracy"]["tuned"] >= 0.9
    assert figures["edit_distance"]["high"] < 0
    names = {part["name"] for part in found["slices"]}
    assert names == {"reviewer: reviewer-1", "reviewer: reviewer-2", "tool: refund", "from: edit"}
    assert all(part["worse"] == [] for part in found["slices"])


def test_a_model_beside_itself_differs_in_nothing(work: Work) -> None:
    found = evaluation.evaluate(work.dpo, work.base, work.base, limit=12, max_answer=8)
    assert found.rows == 12
    for figure in found.figures.values():
        assert (figure.difference, figure.low, figure.high) == (0, 0, 0)
    assert "For none of 4 slices" in evaluation.markdown(found)


def test_rows_that_do_not_fit_are_counted(work: Work) -> None:
    with pytest.raises(Malformed, match="no test row fits in max_length = 20"):
        evaluation.evaluate(work.dpo, work.base, work.base, max_length=20)


def test_what_cannot_be_evaluated_says_what_to_do(work: Work, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(work.base, bare)
    (bare / "chat_template.jinja").unlink()
    whole = tmp_path / "whole"
    bundle.export(episodes()[:3], whole, parents=nobody, kind="dpo", split=0)
    for message, data, model in [
        ("no chat template", work.dpo, bare),
        ("no folder with a model", work.dpo, tmp_path),
        ("no test rows: export it with --split above 0", whole, work.base),
        ("is no bundle", tmp_path, work.base),
    ]:
        with pytest.raises(Malformed, match=message):
            evaluation.evaluate(data, model, work.base)
