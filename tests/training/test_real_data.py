"""Work of real people: from their files through the database to rows."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from errata.db import Database
from review import history, imports
from tests.training.episodes import NOON
from training import bundle, columns
from training.bundle import Bundle
from training.rows import Kind

Import = Callable[[Iterable[dict[str, Any]]], Database]
DATA = Path(__file__).parents[2] / "../shared/data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs the folder ../shared/data")


def stored(name: str) -> list[dict[str, Any]]:
    text = (DATA / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Import]:
    """Imports lines as a file of review history."""
    file = tmp_path / "reviews.jsonl"
    database = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    database.migrate()

    def land(lines: Iterable[dict[str, Any]]) -> Database:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        assert imports.reviews(database, file, now=NOON).errors == []
        return database

    yield land
    database.close()


def exported(database: Database, out: Path, kind: Kind, **options: Any) -> list[dict[str, Any]]:
    with database.reading() as session:
        made: Bundle = bundle.export(
            history.read(session),
            out,
            parents=partial(history.one, session),
            kind=kind,
            format_="jsonl",
            **options,
        )
    rows = [
        json.loads(line)
        for path in sorted((out / kind).iterdir())
        for line in path.read_text(encoding="utf-8").split("\n")
        if line
    ]
    assert len(rows) == sum(made.rows.values())
    return rows


def draft(n: int, prompt: str, before: str, after: str, **fields: Any) -> dict[str, Any]:
    said = {"verdict": "approve"} if before == after else {"verdict": "edit", "content": after}
    return {
        "proposal": {
            "hap": "1",
            "id": f"p{n}",
            "kind": "draft",
            "agent": {"id": "desk"},
            "prompt": [{"role": "user", "content": prompt}],
            "content": before,
            **fields,
        },
        "reviews": [{"reviewer": "ann", **said}],
    }


def words(text: str) -> list[str]:
    return text.split()


def test_every_corrected_program_is_a_pair(tmp_path: Path, imported: Import):
    given = [
        (
            row["prompt"],
            row["original_model_completion"].removeprefix(row["prompt"]),
            row["unedited_annotator_completion"].removeprefix(row["prompt"]),
        )
        for row in stored("code_refinements.jsonl")
    ]
    database = imported((draft(n, *texts) for n, texts in enumerate(given)))
    rows = exported(database, tmp_path / "dpo", "dpo")
    assert len(rows) == len(given) == 40
    found = {
        (row["prompt"][0]["content"], row["rejected"][0]["content"], row["chosen"][0]["content"])
        for row in rows
    }
    assert found == set(given)
    assert {row["pair_kind"] for row in rows} == {"edit"}
    assert all(0 < row["edit_distance"] <= 1 for row in rows)


def test_a_computer_agents_steps_give_a_pair_where_a_person_rewrote_them(
    tmp_path: Path, imported: Import
):
    given = stored("gui_proposals.jsonl")
    database = imported(
        (
            draft(
                n,
                row["prompt_en"],
                row["proposal_text"],
                row["final_text"],
                task_id=row["session_id"],
            )
            for n, row in enumerate(given)
        ),
    )
    rewritten = [n for n, row in enumerate(given) if not row["approved_as_is"]]
    pairs = exported(database, tmp_path / "dpo", "dpo", split=0.3)
    assert {row["proposal_id"] for row in pairs} == {f"p{n}" for n in rewritten}
    assert len(pairs) == 233
    completions = exported(database, tmp_path / "sft", "sft", split=0.3)
    assert {row["proposal_id"]: row["completion"][0]["content"] for row in completions} == {
        f"p{n}": row["final_text"] for n, row in enumerate(given)
    }
    of_task: dict[str, set[str]] = {}
    for row in [*pairs, *completions]:
        of_task.setdefault(row["task_id"], set()).add(row["split"])
    assert len(of_task) == len({row["session_id"] for row in given})
    assert all(len(splits) == 1 for splits in of_task.values())
    assert set().union(*of_task.values()) == {"train", "test"}


def preferred(row: dict[str, Any]) -> set[tuple[int, int]]:
    """(winner, loser) of a question's decided comparisons, 1 to 4."""
    return {
        (each["winner"], each["b"] if each["winner"] == each["a"] else each["a"])
        for each in row["pairwise"]
        if each["winner"]
    }


def question(row: dict[str, Any]) -> dict[str, Any]:
    ids = "?abcd"
    return {
        "proposal": {
            "hap": "1",
            "id": row["id"],
            "kind": "candidates",
            "agent": {"id": "answers"},
            "message": row["question"],
            "candidates": [
                {"id": ids[n], "content": text} for n, text in enumerate(row["candidates"], 1)
            ],
        },
        "reviews": [
            {
                "reviewer": "ann",
                "verdict": "edit",
                "content": row["corrected"],
                "pairwise": [
                    {
                        "a": ids[each["a"]],
                        "b": ids[each["b"]],
                        "winner": {each["a"]: "a", each["b"]: "b"}.get(each["winner"], "tie"),
                    }
                    for each in row["pairwise"]
                ],
            }
        ],
    }


def test_compared_answers_give_the_pairs_that_people_saw(tmp_path: Path, imported: Import):
    given = stored("qa_feedback.jsonl")
    database = imported(map(question, given))
    expected = {
        (row["id"], row["candidates"][winner - 1], row["candidates"][loser - 1])
        for row in given
        for winner, loser in preferred(row)
    }
    rows = exported(database, tmp_path / "all", "dpo", strategy="all")
    compared = [row for row in rows if row["pair_kind"] == "pairwise"]
    assert len(compared) == len(expected) == 475
    assert expected == {
        (row["proposal_id"], row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in compared
    }
    by_set: dict[str, float] = {}
    for row in compared:
        by_set[row["proposal_id"]] = by_set.get(row["proposal_id"], 0) + row["weight"]
    assert set(by_set) == {row["id"] for row in given if preferred(row)}
    assert list(by_set.values()) == pytest.approx([1] * len(by_set))


def test_the_best_answer_is_paired_with_the_worst_and_with_its_correction(
    tmp_path: Path, imported: Import
):
    given = {row["id"]: row for row in stored("qa_feedback.jsonl")}
    database = imported(map(question, given.values()))
    rows = exported(database, tmp_path / "dpo", "dpo")
    extremes = [row for row in rows if row["pair_kind"] == "pairwise"]
    corrected = [row for row in rows if row["pair_kind"] == "edit"]
    assert {row["proposal_id"] for row in extremes} == {
        id_ for id_, row in given.items() if preferred(row)
    }
    assert len(extremes) == 91
    for row in extremes:
        of = given[row["proposal_id"]]
        beaten = {loser for _, loser in preferred(of)}
        winners = {winner for winner, _ in preferred(of)}
        best, worst = (
            of["candidates"].index(row[side][0]["content"]) + 1 for side in ("chosen", "rejected")
        )
        assert best not in beaten
        assert worst not in winners
    for row in corrected:
        of = given[row["proposal_id"]]
        assert row["chosen"][0]["content"] == of["corrected"]
        beaten = {loser for _, loser in preferred(of)}
        assert of["candidates"].index(row["rejected"][0]["content"]) + 1 not in beaten
    unpaired = set(given) - {row["proposal_id"] for row in corrected}
    empty = {id_ for id_, row in given.items() if not words(row["corrected"])}
    assert len(empty) == 4
    assert empty <= unpaired
    for id_ in unpaired - empty:  # the correction is an answer that was there
        assert words(given[id_]["corrected"]) in map(words, given[id_]["candidates"])
    assert list(rows[0]) == columns.names("dpo")
