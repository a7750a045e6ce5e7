"""Retries, from the record to rows."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from errata.db import Database
from review import history, imports
from tests.training.episodes import NOON
from training import bundle


def line(id_: str, content: str, verdict: str | None, **fields: Any) -> dict[str, Any]:
    guidance = {"guidance": "say sorry"} if verdict == "regenerate" else {}
    return {
        "proposal": {
            "hap": "1",
            "id": id_,
            "kind": "draft",
            "agent": {"id": "desk"},
            "message": "Where is it?",
            "content": content,
            **fields,
        },
        "reviews": [{"reviewer": "ann", "verdict": verdict, **guidance}] if verdict else [],
    }


def test_a_retry_finds_its_first_attempt_in_the_record(tmp_path: Path):
    lines = [
        line("z-first", "Late.", "regenerate"),
        line("a-second", "Sorry, late.", "approve", parent_id="z-first", message="say sorry"),
        line("open", "Lost.", None),
        line("b-other", "Found.", "approve", parent_id="open"),
        line("c-other", "Found.", "approve", parent_id="never heard of"),
    ]
    file = tmp_path / "reviews.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    database = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    database.migrate()
    assert imports.reviews(database, file, now=NOON).errors == []
    with database.reading() as session:
        made = bundle.export(
            history.read(session),
            tmp_path / "out",
            parents=partial(history.one, session),
            kind="dpo",
            split=0,
            format_="jsonl",
        )
    database.close()
    assert made.dropped == {"refused": 1, "unchanged": 2}
    [row] = (tmp_path / "out/dpo/train-00000.jsonl").read_text(encoding="utf-8").splitlines()
    pair = json.loads(row)
    assert pair["prompt"] == [{"role": "user", "content": "Where is it?"}]
    assert pair["chosen"][0]["content"] == "Sorry, late."
    assert pair["rejected"][0]["content"] == "Late."
    assert (pair["parent_id"], pair["guidance"]) == ("z-first", "say sorry")
