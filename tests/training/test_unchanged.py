"""Decisions that an export does not read, since they surely give no pair."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlmodel import col, delete, select, update

from errata.db import Database
from ingestion.tables import Decision, Payload, Proposal
from review import erasure, history, imports
from review.tables import Review
from tests.people import NOW
from tests.training.test_bundle import manifest
from training import bundle, pairs, unchanged
from training.parts import Wanted
from training.people import People
from training.rows import Drop, Kind
from training.sources import Stored

BODIES: dict[str, dict[str, Any]] = {
    "action": {"action": {"name": "refund", "arguments": {"n": 1}}},
    "draft": {"content": "hello"},
    "plan": {"content": "first this, then that"},
    "click": {"point": {"x": 3, "y": 4}},
    "candidates": {"candidates": [{"id": "a", "content": "A"}, {"id": "b", "content": "B"}]},
    "question": {"message": "which?", "options": [{"id": "a", "label": "A"}]},
    "exception": {"message": "stuck"},
}
ONE_TURN = ("action", "draft", "plan", "click")


def line(id_: str, kind: str, verdict: str, number: int, **fields: Any) -> dict[str, Any]:
    """Work that ann looked at."""
    at = (NOW + timedelta(seconds=number)).isoformat()
    said: dict[str, Any] = {"reviewer": "ann", "verdict": verdict, "decided_at": at}
    if verdict == "edit":
        said |= {"content": "better"}
    if verdict == "approve" and kind == "candidates":
        said |= {"candidate": "a"}
    of = {"hap": "1", "id": id_, "kind": kind, "agent": {"id": "desk"}, "created_at": at}
    exclude = fields.pop("exclude", None)
    whole = {"proposal": {**of, **BODIES[kind], **fields}, "reviews": [said]}
    return whole | ({"exclude": exclude} if exclude else {})


def cases() -> list[dict[str, Any]]:
    """Work of every kind and outcome, and drafts that something sets apart."""
    lines = [line(f"{kind}-approve", kind, "approve", 1) for kind in (*ONE_TURN, "candidates")]
    lines += [line(f"draft-{said}", "draft", said, 2) for said in ("reject", "edit", "takeover")]
    lines += [line("first", "draft", "regenerate", 3)]
    lines += [line("retry", "draft", "approve", 4, parent_id="first", content="again")]
    lines += [line(mark, "draft", "approve", 5, exclude=mark) for mark in ("honeypot", "test")]
    # Set apart below, where no file could say so.
    lines += [line(id_, "draft", "approve", 6) for id_ in ("policy", "shadow", "erased")]
    lines += [line(id_, "draft", "approve", 7) for id_ in ("audited", "withdrawn", "people")]
    return lines


@pytest.fixture
def stored(database: Database, tmp_path: Path) -> Database:
    """A database with all of them."""
    file = tmp_path / "reviews.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in cases()), encoding="utf-8")
    assert imports.reviews(database, file, now=NOW).errors == []
    with database.transaction() as session:

        def change(table: Any, key: Any, id_: str, **values: Any) -> None:
            session.connection().execute(update(table).where(key == id_).values(**values))

        change(Decision, col(Decision.proposal_id), "policy", by="policy")
        change(Decision, col(Decision.proposal_id), "people", by="people")
        change(Proposal, col(Proposal.id), "people", source="live")
        change(Proposal, col(Proposal.id), "shadow", source="live", mode="shadow")
        text = delete(Payload).where(col(Payload.owner) == "decision", col(Payload.id) == "policy")
        session.connection().execute(text)  # it would still say who decided
        of = col(Review.proposal_id)
        change(Review, of, "audited", surface="task", verdict="reject")
        change(Review, of, "withdrawn", surface="task", verdict="reject", void="withdrawn")
        erasure.erase(session, ["erased"], actor="test", now=NOW)
    return database


def found(database: Database, wanted: Wanted) -> set[str]:
    condition = unchanged.condition(wanted)
    assert condition is not None
    statement = select(Proposal.id).join(Decision).where(condition)
    with database.reading() as session:
        return set(session.exec(statement))


def test_what_is_passed_over_is_unchanged_and_nothing_else_is_passed_over(stored: Database):
    wanted = Wanted("dpo", "best_worst", 0.1)
    passed = found(stored, wanted)
    assert passed == {f"{kind}-approve" for kind in ONE_TURN} | {"people", "withdrawn"}
    with stored.reading() as session:
        parents = history.Parents(session)
        told = {
            episode.row.id: list(pairs.read([episode], parents=parents, kind="dpo"))
            for episode in history.read(session)
        }
        read = {e.row.id for e in history.read(session, but=unchanged.condition(wanted))}
    assert {id_ for id_, items in told.items() if items == [Drop("unchanged")]} == passed
    assert read == set(told) - passed


def all_are_read(_: Wanted) -> None:
    """No condition."""


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_a_bundle_is_the_same_whether_they_are_read_or_not(
    stored: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
):
    monkeypatch.setattr("training.sources.SPAN", 4)

    def export(name: str) -> dict[str, Any]:
        bundle.write(Stored(stored, workers=1), tmp_path / name, kind=kind)
        return manifest(tmp_path / name)

    passing = export("passing")
    monkeypatch.setattr(unchanged, "condition", all_are_read)
    assert passing == export("reading")
    assert passing["dropped"]["unchanged"] == 6


def test_their_texts_are_not_read(stored: Database, tmp_path: Path):
    broken = update(Payload).where(col(Payload.id) == "draft-approve").values(body={"none": 1})
    with stored.transaction() as session:
        session.connection().execute(broken)
    with stored.reading() as session, pytest.raises(msgspec.ValidationError):
        history.one(session, "draft-approve")
    bundle.write(Stored(stored, workers=1), tmp_path / "bundle", kind="dpo")
    assert manifest(tmp_path / "bundle")["dropped"]["unchanged"] == 6


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("sft", "best_worst", 0.1),
        Wanted("kto", "best_worst", 0.1),
        Wanted("dpo", "best_worst", 0.1, People(out=frozenset({"ann"}))),
    ],
)
def test_all_are_read_where_each_may_say_something(wanted: Wanted):
    assert unchanged.condition(wanted) is None
