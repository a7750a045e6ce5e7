import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from errata import protocol
from errata.db import Database
from errata.errors import Conflict, NotFound
from ingestion import keys, policies, store, tables
from review import audit, history, imports, settling, votes
from review.tables import Review

NOW = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Generator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    opened.migrate()
    yield opened
    opened.close()


def write(tmp_path: Path, *lines: dict[str, Any] | str) -> Path:
    path = tmp_path / "import.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def draft(id_: str | None = "p", **changes: Any) -> dict[str, Any]:
    value = {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "Hello there"}
    return value | ({} if id_ is None else {"id": id_}) | changes


def action(id_: str, **arguments: Any) -> dict[str, Any]:
    called = {"name": "pay", "arguments": arguments}
    return {"hap": "1", "id": id_, "kind": "action", "agent": {"id": "cfo"}, "action": called}


def candidates(id_: str = "p") -> dict[str, Any]:
    listed = [{"id": name, "content": f"text {name}"} for name in "abc"]
    return {
        "hap": "1",
        "id": id_,
        "kind": "candidates",
        "agent": {"id": "desk"},
        "candidates": listed,
    }


def said(verdict: str, reviewer: str = "ann", **changes: Any) -> dict[str, Any]:
    return {"reviewer": reviewer, "verdict": verdict} | changes


def line(*reviews: dict[str, Any], proposal: dict[str, Any] | None = None, **rest: Any) -> Any:
    return {"proposal": proposal or draft(), "reviews": list(reviews)} | rest


def decision(outcome: str, effective: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "by": "people",
        "effective": effective,
        "digest": "sha256:" + "d" * 64,
        "policy_version": "sha256:" + "e" * 64,
        "reason": "as agreed",
        "reviews": {"needed": 2, "got": 2},
        "decided_at": "2026-03-02T09:00:00Z",
    } | changes


def land(database: Database, path: Path) -> imports.Imported:
    return imports.reviews(database, path, now=NOW)


def episodes(database: Database) -> dict[str, history.Episode]:
    with database.reading() as session:
        return {episode.row.id: episode for episode in history.read(session)}


def faults(database: Database) -> list[str]:
    with database.reading() as session:
        return audit.verify(session).faults


def count(session: Session, table: type[Any]) -> int:
    return len(session.exec(select(table)).all())


def test_history_lands_decided_and_is_never_queued_routed_or_permitted(
    database: Database, tmp_path: Path
) -> None:
    stated = said("edit", content="Hello", decided_at="2026-03-01T10:00:30Z", guidance="shorter")
    path = write(tmp_path, line(stated, proposal=draft(created_at="2026-03-01T10:00:00Z")))
    assert land(database, path) == imports.Imported(1, 0, [])
    with database.reading() as session:
        row = store.load(session, "p")
        assert (row.source, row.status, row.exclude) == ("import", "decided", None)
        assert count(session, tables.Routing) == count(session, tables.Permit) == 0
    episode = episodes(database)["p"]
    made = episode.decision
    assert (made.outcome, made.by, made.effective.content) == ("edit", "import", "Hello")
    assert made.decided_at == datetime(2026, 3, 1, 10, 0, 30, tzinfo=UTC)
    assert episode.row.created_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert episode.decision_row.edit_distance == 0.5
    heard = episode.reviews[0]
    assert (heard.row.reviewer, heard.row.surface, heard.row.counted) == ("ann", "import", True)
    assert heard.review is not None
    assert heard.review.guidance == "shorter"
    assert faults(database) == []


@pytest.mark.parametrize(
    ("reviews", "outcome", "content"),
    [
        ([said("approve")], "approve", "Hello there"),
        ([said("edit", content="A"), said("reject", "ben")], "reject", None),
        ([said("edit", content="A"), said("edit", "ben", content="B")], "edit", "B"),
        ([said("edit", content="A"), said("approve", "ben")], "edit", "A"),
        ([said("approve"), said("regenerate", "ben")], "regenerate", None),
        ([said("takeover"), said("regenerate", "ben")], "takeover", None),
        ([said("reject"), said("approve")], "approve", "Hello there"),
        ([said("edit", content="Hello there")], "approve", "Hello there"),
        (
            [
                said("approve", decided_at="2026-03-02T00:00:00Z"),
                said("reject", decided_at="2026-03-01T00:00:00Z"),
            ],
            "approve",
            "Hello there",
        ),
        (
            [
                said("edit", content="late", decided_at="2026-03-02T00:00:00Z"),
                said("edit", "ben", content="early", decided_at="2026-03-01T00:00:00Z"),
            ],
            "edit",
            "late",
        ),
    ],
)
def test_the_newest_review_of_each_person_makes_the_decision(
    database: Database,
    tmp_path: Path,
    reviews: list[dict[str, Any]],
    outcome: str,
    content: str | None,
) -> None:
    assert land(database, write(tmp_path, line(*reviews))).errors == []
    made = episodes(database)["p"].decision
    assert (made.outcome, made.effective.content) == (outcome, content)


def test_an_answer_to_a_question_lands(database: Database, tmp_path: Path) -> None:
    question = {
        "hap": "1",
        "id": "q",
        "kind": "question",
        "agent": {"id": "desk"},
        "message": "Which?",
        "options": [{"id": "a", "label": "A"}],
    }
    path = write(tmp_path, line(said("respond", response="a"), proposal=question))
    assert land(database, path).errors == []
    made = episodes(database)["q"].decision
    assert (made.outcome, made.effective.response) == ("respond", "a")


@pytest.mark.parametrize(
    ("reviews", "best"),
    [
        ([said("approve", ranking=[["b"], ["a", "c"]])], "b"),
        ([said("approve", ranking=[["a", "b"], ["c"]])], None),
        (
            [
                said(
                    "approve",
                    pairwise=[
                        {"a": "a", "b": "b", "winner": "a"},
                        {"a": "b", "b": "c", "winner": "a"},
                        {"a": "c", "b": "a", "winner": "a"},
                    ],
                )
            ],
            None,
        ),
        (
            [
                said("approve", candidate="a"),
                said("approve", "ben", candidate="c"),
                said("approve", "cyn", candidate="a"),
            ],
            "a",
        ),
        ([said("approve", candidate="a"), said("approve", "ben", candidate="c")], None),
    ],
)
def test_the_best_candidate_is_kept_and_a_tie_is_too(
    database: Database, tmp_path: Path, reviews: list[dict[str, Any]], best: str | None
) -> None:
    assert land(database, write(tmp_path, line(*reviews, proposal=candidates()))).errors == []
    made = episodes(database)["p"].decision
    assert (made.outcome, made.effective.candidate) == ("approve", best)
    assert made.effective.content == (None if best is None else f"text {best}")


def test_an_edit_of_candidates_without_a_single_best_keeps_the_text(
    database: Database, tmp_path: Path
) -> None:
    edit = said("edit", content="mine", ranking=[["a", "b"], ["c"]])
    assert land(database, write(tmp_path, line(edit, proposal=candidates()))).errors == []
    made = episodes(database)["p"]
    assert (made.decision.effective.content, made.decision.effective.candidate) == ("mine", None)
    assert made.reviews[0].review is not None
    assert made.reviews[0].review.ranking == (("a", "b"), ("c",))


def test_an_edit_in_history_may_name_another_tool(database: Database, tmp_path: Path) -> None:
    other = {"name": "refund", "arguments": {"amount": 5}}
    path = write(tmp_path, line(said("edit", action=other), proposal=action("p", amount=5)))
    assert land(database, path).errors == []
    effective = episodes(database)["p"].decision.effective
    assert effective.action is not None
    assert effective.action.name == "refund"


def test_a_stated_decision_and_its_receipt_are_kept_as_stated(
    database: Database, tmp_path: Path
) -> None:
    receipt = {
        "permit_id": "permit-1",
        "status": "executed",
        "result": {"ok": True},
        "started_at": "2026-03-02T09:01:00Z",
        "finished_at": "2026-03-02T09:01:02Z",
    }
    stated = decision("approve", {}, by="policy")
    proposal = action("p", amount=5)
    path = write(tmp_path, line(proposal=proposal, decision=stated, receipts=[receipt]))
    assert land(database, path).errors == []
    episode = episodes(database)["p"]
    assert episode.decision.by == "policy"
    assert (episode.decision.digest, episode.decision.reason) == (stated["digest"], "as agreed")
    assert episode.decision.effective.action is not None
    with database.reading() as session:
        assert store.load(session, "p").status == "executed"
        permit = store.permit(session, "p")
        assert permit is not None
        assert permit.status == "used"
        assert store.text(session, "receipt", "permit-1") == receipt
    assert faults(database) == []


def test_what_is_excluded_says_why(database: Database, tmp_path: Path) -> None:
    land(
        database,
        write(
            tmp_path,
            line(said("reject"), proposal=draft("h"), exclude="honeypot"),
            line(said("reject"), proposal=draft("s", mode="shadow")),
        ),
    )
    found = {id_: episode.row.exclude for id_, episode in episodes(database).items()}
    assert found == {"h": "honeypot", "s": "shadow"}


def test_a_line_without_any_decision_lands_undecided_and_takes_no_review(
    database: Database, tmp_path: Path
) -> None:
    assert land(database, write(tmp_path, line())).landed == 1
    with database.transaction() as session:
        ann = keys.create(session, "reviewer", "ann", actor="test", now=NOW).principal
        row = store.load(session, "p")
        review = {"proposal_id": "p", "digest": row.digest, "verdict": "approve"}
        with pytest.raises(Conflict, match="imported history"):
            settling.submit(
                session,
                protocol.Review.model_validate(review),
                votes.Voice(ann, "api"),
                now=NOW,
            )
        assert row.status == "proposed"


def test_the_same_file_twice_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        line(said("approve")),
        line(said("reject"), proposal=draft(None)),
        line(said("reject"), proposal=draft(None)),
    )
    assert land(database, path) == imports.Imported(landed=2, known=1, errors=[])
    with database.reading() as session:
        before = audit.verify(session)
    assert land(database, path) == imports.Imported(landed=0, known=3, errors=[])
    with database.reading() as session:
        assert audit.verify(session) == before
        assert count(session, tables.Proposal) == count(session, Review) == 2


def test_a_known_id_with_other_content_is_that_lines_error(
    database: Database, tmp_path: Path
) -> None:
    land(database, write(tmp_path, line(said("approve"))))
    found = land(
        database, write(tmp_path, line(said("reject")), line(said("approve"), proposal=draft("q")))
    )
    assert (found.landed, found.known) == (1, 0)
    assert [(error.line, error.field) for error in found.errors] == [(1, "id")]
    assert episodes(database)["p"].decision.outcome == "approve"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("{", None),
        (line(said("respond", response="x")), "reviews[0].verdict"),
        (line(said("approve"), said("edit", "ben")), "reviews[1].verdict"),
        (line(said("approve", content="other")), "reviews[0].verdict"),
        (line(said("approve", candidate="z"), proposal=candidates()), "reviews[0].candidate"),
        (line(said("approve"), proposal=candidates()), "reviews[0].candidate"),
        (line(decision=decision("edit", {})), "decision.effective"),
        (
            line(proposal=candidates(), decision=decision("approve", {"candidate": "z"})),
            "decision.effective.candidate",
        ),
        (
            line(
                receipts=[
                    {
                        "permit_id": "x",
                        "status": "executed",
                        "started_at": "2026-03-02T09:00:00Z",
                        "finished_at": "2026-03-02T09:00:00Z",
                    }
                ]
            ),
            "receipts",
        ),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_land(
    database: Database, tmp_path: Path, bad: Any, field: str | None
) -> None:
    path = write(
        tmp_path,
        line(said("approve"), proposal=draft("first")),
        bad,
        line(said("approve"), proposal=draft("last")),
    )
    found = land(database, path)
    assert found.landed == 2
    assert [(error.line, error.field) for error in found.errors] == [(2, field)]
    assert episodes(database).keys() == {"first", "last"}
    assert faults(database) == []


def test_a_line_that_fails_while_it_is_written_leaves_nothing(
    database: Database, tmp_path: Path
) -> None:
    def executed(id_: str) -> Any:
        receipt = {
            "permit_id": "the same",
            "status": "executed",
            "started_at": "2026-03-02T09:00:00Z",
            "finished_at": "2026-03-02T09:00:00Z",
        }
        return line(said("approve"), proposal=draft(id_), receipts=[receipt])

    path = write(tmp_path, executed("a"), executed("b"), line(said("approve"), proposal=draft("c")))
    found = land(database, path)
    assert [(error.line, error.field) for error in found.errors] == [(2, "receipts[0].permit_id")]
    assert episodes(database).keys() == {"a", "c"}
    with database.reading() as session:
        assert session.get(tables.Proposal, "b") is None
    assert faults(database) == []


def test_an_interrupted_import_is_run_again(database: Database, tmp_path: Path) -> None:
    many = [line(said("approve"), proposal=draft(f"p{n}")) for n in range(imports.BATCH + 50)]
    path = write(tmp_path, *many)

    def stop(_position: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.reviews(database, path, now=NOW, progress=stop)
    assert len(episodes(database)) == imports.BATCH
    again = land(database, path)
    assert again == imports.Imported(landed=50, known=imports.BATCH, errors=[])


def test_progress_ends_at_the_size_of_the_file(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path, *(line(said("approve"), proposal=draft(f"p{n}")) for n in range(3)))
    seen: list[int] = []
    imports.reviews(database, path, now=NOW, progress=seen.append)
    assert seen == [path.stat().st_size]


def test_conversations_land_as_undecided_tests(database: Database, tmp_path: Path) -> None:
    calls = [
        {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"n": 1}'}},
        {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"n": 2}'}},
    ]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": calls}]
    path = write(tmp_path, {"id": "talk", "messages": messages}, {"messages": "none"})
    found = imports.chat(database, path, now=NOW)
    assert (found.landed, [error.line for error in found.errors]) == (2, [2])
    with database.reading() as session:
        rows = session.exec(select(tables.Proposal)).all()
        assert {(row.mode, row.exclude, row.status, row.source) for row in rows} == {
            ("test", "test", "proposed", "import")
        }
        stored = store.proposal(session, "talk.1.0")
    assert stored is not None
    assert [message.content for message in stored.prompt or ()] == ["Hi"]
    assert imports.chat(database, path, now=NOW).known == 2


def test_proposals_land_as_if_posted(database: Database, tmp_path: Path) -> None:
    rule = "{name: small, when: {action: pay, args.amount: {lt: 10}}, route: auto}"
    with database.transaction() as session:
        policies.apply(session, f"version: 1\nrules: [{rule}]", actor="test", now=NOW)
        caller = keys.create(session, "agent", "bot", agents=["cfo"], actor="test", now=NOW)
    path = write(
        tmp_path,
        action("small", amount=-1),
        action("large", amount=50),
        draft("foreign"),
        {"hap": "1", "kind": "action"},
    )
    principal = caller.principal.id
    found = imports.proposals(database, path, caller=principal, now=NOW)
    assert found.landed == 2
    assert [(error.line, error.field) for error in found.errors] == [(3, "agent.id"), (4, "agent")]
    with database.reading() as session:
        rows = {row.id: row for row in session.exec(select(tables.Proposal))}
        assert {id_: row.status for id_, row in rows.items()} == {
            "small": "permitted",
            "large": "queued",
        }
        assert {row.source for row in rows.values()} == {"live"}
    assert imports.proposals(database, path, caller=principal, now=NOW).known == 2


def test_proposals_need_somebody_who_posts_them(database: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nobody"):
        imports.proposals(database, write(tmp_path, draft()), caller="nobody", now=NOW)
