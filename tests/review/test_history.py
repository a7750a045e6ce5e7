"""Decided work, read back."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from errata.db import Database
from ingestion import store
from review import erasure, extent, history, imports
from tests.people import NOW

Land = Callable[[Iterable[dict[str, Any]]], None]


def line(n: int, *, after_s: float = 0, **fields: Any) -> dict[str, Any]:
    """A draft that ann rewrote."""
    at = (NOW + timedelta(seconds=after_s)).isoformat()
    return {
        "proposal": {
            "hap": "1",
            "id": f"p{n:03d}",
            "kind": "draft",
            "agent": {"id": "desk"},
            "content": f"text {n}",
            "created_at": at,
            **fields,
        },
        "reviews": [
            {"reviewer": "ann", "verdict": "edit", "content": f"better {n}", "decided_at": at}
        ],
    }


@pytest.fixture
def land(database: Database, tmp_path: Path) -> Land:
    """Imports lines as a file of review history."""

    def go(lines: Iterable[dict[str, Any]]) -> None:
        file = tmp_path / "reviews.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        assert imports.reviews(database, file, now=NOW).errors == []

    return go


def ids(database: Database, **chosen: Any) -> list[str]:
    with database.reading() as session:
        return [episode.row.id for episode in history.read(session, **chosen)]


def test_an_episode_holds_what_the_tables_hold(database: Database, land: Land):
    land([line(1, task_id="t", group_id="g")])
    with database.reading() as session:
        [episode] = history.read(session)
        row, decision = store.load(session, "p001"), store.decision(session, "p001")
    assert decision is not None
    for name in episode.row.__struct_fields__:  # pyright: ignore[reportAttributeAccessIssue]
        assert getattr(episode.row, name) == getattr(row, name)
    assert episode.proposal is not None
    assert (episode.proposal.content, episode.proposal.task_id) == ("text 1", "t")
    assert episode.decision.effective.content == "better 1"
    assert episode.decision.decided_at == episode.decision_row.decided_at == decision.decided_at
    [heard] = episode.reviews
    assert (heard.row.reviewer, heard.row.counted) == ("ann", True)
    assert heard.review is not None
    assert heard.review.content == "better 1"


def test_episodes_come_in_the_order_of_their_decisions(database: Database, land: Land):
    land([line(1, after_s=20), line(2, after_s=10), line(4), line(3)])
    assert ids(database, batch=2) == ["p003", "p004", "p002", "p001"]
    assert ids(database, since=NOW + timedelta(seconds=10)) == ["p002", "p001"]


def test_the_erased_is_read_without_its_texts(database: Database, land: Land):
    land([line(1)])
    with database.transaction() as session:
        erasure.erase(session, ["p001"], actor="test", now=NOW)
    with database.reading() as session:
        [episode] = history.read(session)
    assert episode.proposal is None
    assert episode.decision.effective.content is None
    assert episode.decision.outcome == "edit"
    assert [heard.review for heard in episode.reviews] == [None]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_spans_cover_every_decision_once_and_in_order(database: Database, land: Land, size: int):
    # Many decisions at the same time, so that the ends of spans lie among equals.
    land(line(n, after_s=n // 3) for n in range(7))
    with database.reading() as session:
        spans = extent.spans(session, size=size)
        read = [[e.row.id for e in history.read(session, span=span)] for span in spans]
    assert [len(part) for part in read] == [span.size for span in spans]
    assert all(len(part) == size for part in read[:-1])
    assert [id_ for part in read for id_ in part] == [f"p{n:03d}" for n in range(7)]


def test_there_are_no_spans_of_nothing(database: Database):
    with database.reading() as session:
        assert extent.spans(session, size=2) == []
        assert extent.newest(session) is None


def test_what_the_log_tells_of_later_is_told_apart_whenever_it_was_decided(
    database: Database, land: Land
):
    land([line(1, after_s=50), line(2, after_s=60)])
    with database.reading() as session:
        newest = extent.newest(session)
    assert newest is not None
    land([line(3)])  # older work, imported later
    assert ids(database, after=newest[0]) == ["p003"]
    assert ids(database, until=newest[0]) == ["p001", "p002"]
    with database.reading() as session:
        [span] = extent.spans(session, size=10, after=newest[0])
    assert span.size == 1


def test_parents_are_found_as_far_back_as_they_go(database: Database, land: Land):
    land(line(n, after_s=n, **({"parent_id": f"p{n - 1:03d}"} if n else {})) for n in range(4))
    with database.reading() as session:
        parents = history.Parents(session)
        parents.prepare(["p002", "nobody", None])
        for id_ in ("p002", "p001", "p000"):
            found, alone = parents(id_), history.one(session, id_)
            assert found is not None
            assert alone is not None
            assert found.row == alone.row
        assert parents("nobody") is None
        assert history.one(session, "nobody") is None


def test_parents_that_come_on_the_same_page_are_not_read_again(
    database: Database, land: Land, monkeypatch: pytest.MonkeyPatch
):
    # Each is the retry of the one before; one comes before what it goes back to.
    chain = [line(n, after_s=n, **({"parent_id": f"p{n - 1:03d}"} if n else {})) for n in range(4)]
    late = line(9, after_s=99)
    early = line(8, after_s=50, parent_id="p009")
    land([*chain, late, early])
    asked: list[str] = []
    one = history.one

    def told(session: Session, id_: str) -> history.Episode | None:
        asked.append(id_)
        return one(session, id_)

    monkeypatch.setattr(history, "one", told)
    with database.reading() as session:
        parents = history.Parents(session)
        found = {
            episode.row.id: parents(parent)
            for episode in history.read(session, parents=parents)
            if (parent := episode.row.parent_id)
        }
        rows = {id_: parent.row.id for id_, parent in found.items() if parent}
        across = list(history.read(session, parents=parents, batch=2))
    assert rows == {"p001": "p000", "p002": "p001", "p003": "p002", "p008": "p009"}
    assert asked == ["p009"]
    assert len(across) == 6


def test_reviewers_are_named_in_the_order_of_their_first_reviews(database: Database, land: Land):
    first, second = line(1), line(2)
    first["reviews"][0]["reviewer"], second["reviews"][0]["reviewer"] = "zoe", "ann"
    land([first])
    land([second])
    with database.reading() as session:
        assert extent.reviewers(session) == ["zoe", "ann"]
