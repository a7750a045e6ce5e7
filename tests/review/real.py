"""The shared real data, in the file forms that `errata import` reads.

In: the raw files beside the project. Out: lines. Counts that tests compare with are never taken
from here but from the raw rows.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "../shared/data"

Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    """The raw rows of a file; skips the test where the data are not there."""
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"{name}.jsonl is not in the shared data folder beside the project")
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path: Path, lines: Iterable[Row]) -> Path:
    """Write JSON Lines."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def proposal(agent: str, kind: str, prompt: str, **rest: Any) -> Row:
    asked = {"prompt": [{"role": "user", "content": prompt}]}
    return {"hap": "1", "kind": kind, "agent": {"id": agent}} | asked | rest


def gui_line(row: Row) -> Row:
    """A screen agent's text, approved or rewritten; the agent's id names the phase."""
    said: Row = {"reviewer": "annotator", "verdict": "approve"}
    if not row["approved_as_is"]:
        said |= {"verdict": "edit", "content": row["final_text"]}
    asked = proposal(
        f"screen-{row['phase']}",
        "draft",
        row["prompt_en"],
        id=row["id"],
        task_id=row["session_id"],
        created_at=row["timestamp"],
        content=row["proposal_text"],
    )
    return {"proposal": asked, "reviews": [said]}


def qa_line(row: Row) -> Row:
    """Four answers compared in pairs, and the person's own answer where there is one."""
    winners = {None: "tie"}
    pairwise = [
        {
            "a": str(pair["a"]),
            "b": str(pair["b"]),
            "winner": winners.get(pair["winner"], "a" if pair["winner"] == pair["a"] else "b"),
        }
        for pair in row["pairwise"]
    ]
    said: Row = {"reviewer": "annotator", "verdict": "approve", "pairwise": pairwise}
    if row["corrected"].strip():
        said |= {"verdict": "edit", "content": row["corrected"]}
    listed = [
        {"id": str(number), "content": text} for number, text in enumerate(row["candidates"], 1)
    ]
    asked = proposal("answers", "candidates", row["question"], id=row["id"], candidates=listed)
    return {"proposal": asked, "reviews": [said]}


def code_line(row: Row) -> Row:
    """A wrong program, rewritten with the person's feedback; the prompt is stripped from both."""
    said = {
        "reviewer": "annotator",
        "verdict": "edit",
        "content": row["unedited_annotator_completion"].removeprefix(row["prompt"]),
        "guidance": row["Feedback"],
    }
    content = row["original_model_completion"].removeprefix(row["prompt"])
    asked = proposal("coder", "draft", row["prompt"], task_id=str(row["task_id"]), content=content)
    return {"proposal": asked, "reviews": [said]}
