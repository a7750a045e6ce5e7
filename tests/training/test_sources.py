"""Bundles of a database, made by one process or by several."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from errata.db import Database
from errata.errors import Conflict, Malformed
from review import extent, history, imports
from tests.training.episodes import NOON
from tests.training.test_bundle import lines, manifest
from training import bundle, manifests, tiny
from training.hygiene import checks
from training.hygiene.checks import Model
from training.rows import Kind
from training.sources import Stored

Export = Callable[..., Path]


def history_lines(count: int) -> Iterator[dict[str, Any]]:
    """Edited calls of two tools, and retries of what was refused; three reviewers."""
    for n in range(count):
        name = "refund" if n % 2 else "mail"
        arguments = {"order" if n % 2 else "to": f"x{n}"}
        call = {"name": name, "arguments": {**arguments, "n": n}}
        edit = {"verdict": "edit", "action": {"name": name, "arguments": {**arguments, "n": -n}}}
        said = {"verdict": "reject", "guidance": "again"} if n % 5 == 0 else edit
        of = {"hap": "1", "id": f"p{n:03d}", "kind": "action", "agent": {"id": "desk"}}
        of |= {
            "action": call,
            "message": f"ask {n}",
            "created_at": f"2026-05-04T12:00:{n // 3:02d}Z",
        }
        if n % 5 == 1:
            of["parent_id"] = f"p{n - 1:03d}"
        yield {"proposal": of, "reviews": [{"reviewer": f"person {n % 3}", **said}]}


@pytest.fixture
def export(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports forty decisions, of which nine make a part."""
    monkeypatch.setattr("training.sources.SPAN", 9)
    file = tmp_path / "reviews.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in history_lines(40)), "utf-8")
    assert imports.reviews(database, file, now=NOON).errors == []

    def go(name: str, workers: int, kind: Kind = "dpo", **options: Any) -> Path:
        out = tmp_path / name
        bundle.write(Stored(database, workers=workers), out, kind=kind, split=0.3, **options)
        return out

    return go


def content(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_the_bytes_do_not_depend_on_the_number_of_processes(export: Export, kind: Kind):
    one, two = export("one", 1, kind), export("two", 2, kind)
    assert content(one) == content(two)
    assert len(content(one)) == 5
    assert sum(manifest(one)["rows"].values()) > 30


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_nor_on_how_the_decisions_are_cut_into_parts(
    export: Export, kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    many = export("many", 1, kind)
    monkeypatch.setattr("training.sources.SPAN", 1000)
    monkeypatch.setattr("training.parts.BATCH", 3)
    assert content(many) == content(export("one", 1, kind))


def test_a_database_gives_the_rows_that_its_episodes_give(
    export: Export, database: Database, tmp_path: Path
):
    stored = export("stored", 2, format_="jsonl")
    with database.reading() as session:
        given = tmp_path / "given"
        bundle.export(
            history.read(session),
            given,
            parents=history.Parents(session),
            kind="dpo",
            split=0.3,
            format_="jsonl",
        )
    one, two = ([{**row, "reviewers": None} for row in lines(out)] for out in (stored, given))
    assert one == two  # but for the numbers of the reviewers, which each source gives in its order
    retries = [row for row in lines(stored) if row["pair_kind"] == "retry"]
    assert {row["guidance"] for row in retries} == {"again"}
    assert {name for row in lines(stored) for name in row["reviewers"]} == {
        "reviewer-1",
        "reviewer-2",
        "reviewer-3",
    }


def test_the_manifest_says_how_far_the_log_was_read(export: Export, database: Database):
    out = export("out", 1)
    with database.reading() as session:
        seq, hash_ = extent.newest(session) or (0, "")
    assert manifest(out)["decisions"]["position"] == {"seq": seq, "hash": hash_}
    assert manifest(out)["decisions"]["read"] == 40


def test_a_bundle_goes_on_from_the_one_before(export: Export, database: Database, tmp_path: Path):
    first = export("first", 1, format_="jsonl")
    more = [each for each in history_lines(55) if each["proposal"]["id"] >= "p040"]
    again = list(history_lines(3))[2]
    again["proposal"]["id"] = "q002"  # the same work decided once more
    file = tmp_path / "more.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in [*more, again]), "utf-8")
    assert imports.reviews(database, file, now=NOON).errors == []

    def child(name: str, workers: int) -> Path:
        before = manifests.parent(first, "dpo")
        source = Stored(database, workers=workers, parent=before)
        bundle.write(source, tmp_path / name, kind="dpo", split=0.3, format_="jsonl")
        return tmp_path / name

    second = child("second", 2)
    assert content(second) == content(child("again", 1))
    new = {row["proposal_id"] for row in lines(second)}
    assert new.isdisjoint(row["proposal_id"] for row in lines(first))
    assert min(new) >= "p040"
    assert "q002" not in new
    digest = bundle.load(first, "dpo").digest
    assert manifest(second)["parent"] == {"digest": digest, "rows_left_out": 1}
    assert manifest(second)["decisions"]["read"] == 16
    whole = export("whole", 1, format_="jsonl")
    together = [*lines(first), *lines(second)]
    assert {row["pair_id"] for row in together} == {
        row["pair_id"] for row in lines(whole) if row["proposal_id"] != "q002"
    }
    third = manifests.parent(second, "dpo")
    assert len(third.rows) == len(together)  # and knows what both hold


def test_a_bundle_measured_for_a_model_goes_on_from_one_that_was_not(
    export: Export, database: Database, tmp_path: Path
):
    first = export("first", 1, format_="jsonl")
    more = [each for each in history_lines(45) if each["proposal"]["id"] >= "p041"]
    file = tmp_path / "more.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in more), "utf-8")
    assert imports.reviews(database, file, now=NOON).errors == []
    model = Model(str(tiny.make(tmp_path / "model", ["ask"], seed=0)), 1024)
    source = Stored(database, workers=1, parent=manifests.parent(first, "dpo"))
    second, care = tmp_path / "second", checks.care(model=model)
    bundle.write(source, second, kind="dpo", split=0, format_="jsonl", care=care)
    assert {row["proposal_id"] for row in lines(second)} == {"p041", "p042", "p043", "p044"}
    assert all(row["prompt_tokens"] > 0 for row in lines(second))
    assert not any("prompt_tokens" in row for row in lines(first))
    assert len(manifests.parent(second, "dpo").rows) == len([*lines(first), *lines(second)])


def test_a_bundle_of_another_database_is_not_gone_on_from(export: Export, database: Database):
    out = export("out", 1)
    text = (out / "manifest.json").read_text(encoding="utf-8")
    other = text.replace('"hash": "sha256:', '"hash": "sha256:0')
    (out / "manifest.json").write_text(other, encoding="utf-8")
    with pytest.raises(Conflict, match="another database"):
        Stored(database, parent=manifests.parent(out, "dpo"))
    with pytest.raises(Malformed, match="bundle for dpo"):
        manifests.parent(out, "sft")


def test_an_error_in_a_process_leaves_nothing_behind(
    export: Export, database: Database, tmp_path: Path
):
    before = sorted(tmp_path.iterdir())
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE payload SET body = '{}' WHERE id = 'p030'")
    with pytest.raises(Exception, match="missing required field"):
        export("out", 2)
    assert sorted(tmp_path.iterdir()) == before


def test_a_process_that_lays_rows_ready_loads_no_server_and_no_migrations():
    heavy = "{'alembic', 'argilla', 'datasets', 'fastapi', 'pandas', 'torch'}"
    said = f"import sys, training.sources; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
