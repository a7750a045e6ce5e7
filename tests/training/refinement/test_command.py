"""`errata refine`, from imported work to suggestions."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from errata.cli import app


def line(n: int, currency: str, to: str) -> dict[str, Any]:
    def action(value: str) -> dict[str, Any]:
        return {"name": "refund", "arguments": {"n": n, "currency": value}}

    said = {"verdict": "edit", "action": action(to)} if to != currency else {"verdict": "approve"}
    asked = {"hap": "1", "id": f"p{n}", "kind": "action", "agent": {"id": "desk"}}
    return {
        "proposal": {**asked, "action": action(currency)},
        "reviews": [{**said, "reviewer": "ann"}],
    }


def landed(folder: Path, lines: Iterable[dict[str, Any]]) -> list[str]:
    """The data folder's option, with this work in it."""
    file = folder / "reviews.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    home = ["--home", str(folder / "home")]
    done = CliRunner().invoke(app, ["import", "reviews", str(file), *home])
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def home(tmp_path: Path) -> list[str]:
    return landed(tmp_path, [line(n, "USD", "EUR") for n in range(4)])


def test_suggestions_are_printed_and_written(home: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = CliRunner().invoke(app, ["refine", *home, "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert 'desk, tool refund: currency: write "EUR", not "USD".' in done.output
    assert "4 of 4 decisions" in done.output
    assert 'write "EUR"' in page.read_text(encoding="utf-8")
    (one,) = json.loads(CliRunner().invoke(app, ["refine", *home, "--json"]).stdout)
    assert (one["to"], one["cases"], one["saved"]) == ("tool refund", 4, 3.33)


def test_without_a_pattern_it_says_so(home: list[str]) -> None:
    for more in (["--agent", "till"], ["--least", "5"], ["--since", "2999-01-01"]):
        done = CliRunner().invoke(app, ["refine", *home, *more])
        assert (done.exit_code, done.output.startswith("nothing that people")) == (0, True)


def test_a_model_that_does_not_answer_costs_nothing(home: list[str]) -> None:
    model = ["--url", "http://127.0.0.1:9/v1", "--model", "small"]
    done = CliRunner().invoke(app, ["refine", *home, *model])
    assert done.exit_code == 0
    assert "did not answer" in done.stderr
    assert 'write "EUR", not "USD".' in done.stdout
    alone = CliRunner().invoke(app, ["refine", *home, *model[:2]])
    assert alone.exit_code == 2
