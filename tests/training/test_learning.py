"""From what people wrote to a model that writes it: import, export, training, by the command line."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from errata.cli import app
from tests.training import desk, methods

pytestmark = [*methods.pytestmark, pytest.mark.slow, pytest.mark.timeout(900)]

HELD_OUT = desk.HELD_OUT[:12]
EDITS = desk.TAUGHT[:36]
RATE = "learning_rate: 1.0e-3\nepochs: 6\n"


def errata(*words: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def history(folder: Path, name: str, lines: Iterable[tuple[int, str, dict[str, str]]]) -> Path:
    """A file of drafts with their reviews: the request's number, the draft, what ann said."""
    file = folder / f"{name}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for n, text, said in lines:
            proposal = {
                "hap": "1",
                "id": f"{name}-{n}",
                "kind": "draft",
                "agent": {"id": "desk"},
                "message": desk.request(n),
                "content": text,
            }
            line = {"proposal": proposal, "reviews": [{"reviewer": "ann", **said}]}
            out.write(json.dumps(line) + "\n")
    return file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that has the agent's habits, and a bundle of 36 edits."""
    folder = tmp_path_factory.mktemp("desk")
    said = {"verdict": "approve"}
    drafts = [(n, desk.curt(n), said) for n in desk.TAUGHT]
    kind = [(n, desk.kind(n), said) for n in desk.TAUGHT[::8]]  # a model has seen every style
    edits = [(n, desk.curt(n), {"verdict": "edit", "content": desk.kind(n)}) for n in EDITS]
    home = ("--home", folder / "home")
    errata("import", "reviews", history(folder, "habits", drafts), *home)
    errata("import", "reviews", history(folder, "kind", kind), *home)
    errata("export", "sft", folder / "said", "--split", "0", *home)
    errata("import", "reviews", history(folder, "edits", edits), *home)
    exported = errata("export", "dpo", folder / "edited", "--split", "0", *home)
    assert exported["rows"] == {"train": 36, "test": 0}
    desk.model(folder / "base")
    (folder / "sft.yaml").write_text(
        "epochs: 40\nlearning_rate: 3.0e-3\nbatch_size: 8\n", encoding="utf-8"
    )
    train(folder, "sft", "said", "base", "habits", folder / "sft.yaml")
    return folder


def train(folder: Path, kind: str, data: str, model: str, out: str, config: Path) -> dict[str, Any]:
    paths = ("--data", folder / data, "--model", folder / model, "--out", folder / out)
    return errata("train", kind, *paths, "--config", config)


def written(folder: Path, texts: str) -> int:
    """Held-out requests that a model answers exactly as people would have."""
    writer = desk.Writer(folder)
    return sum(writer.write(n) == getattr(desk, texts)(n) for n in HELD_OUT)


def test_thirty_six_edits_teach_what_people_write_and_the_plain_loss_does_not(made: Path):
    before = written(made / "habits", "kind")
    (made / "dpo.yaml").write_text(RATE, encoding="utf-8")
    train(made, "dpo", "edited", "habits", "tuned", made / "dpo.yaml")
    (made / "plain.yaml").write_text(
        f"{RATE}loss_type: [sigmoid]\nmax_drop: 1000\n", encoding="utf-8"
    )
    train(made, "dpo", "edited", "habits", "plain", made / "plain.yaml")
    after, plain = written(made / "tuned", "kind"), written(made / "plain", "kind")
    sys.stdout.write(f"of 12 held-out texts: {before} before, {after} anchored, {plain} plain\n")
    assert written(made / "habits", "curt") >= 10
    assert (before, plain) == (0, 0)
    assert after >= 10
