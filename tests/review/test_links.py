"""What waits for people, with its pages in Argilla."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.db import Database
from ingestion import ending, intake
from review.argilla import links, outbox
from review.argilla.links import Waiting
from review.argilla.rest import Dataset
from tests.people import NOW, People, at, proposal

ARGILLA = "http://127.0.0.1:6900"
URGENT = "/dataset/id-draft/annotation-mode?page=1&status=pending&sort=metadata.priority.desc~record.inserted_at.asc"
OPTIONS = [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]


@pytest.fixture
def filled(database: Database, people: People) -> Database:
    """Two drafts in Argilla, a question that is not there yet, a draft that is decided."""
    question = proposal(kind="question", content=None, message="?", options=OPTIONS)
    with database.transaction() as session:
        agent = people.agent.principal
        rows = [
            intake.take(session, asked, agent, now=at(number)).row
            for number, asked in enumerate([proposal(), proposal(), proposal(), question])
        ]
        outbox.enroll(session, now=NOW)
        outbox.keep_dataset(session, "draft", Dataset("id-draft", {}))
        for row in rows[:3]:
            outbox._mark_pushed(session, f"{row.id}:0", "draft", f"s-{row.id}", NOW)  # pyright: ignore[reportPrivateUsage]
        ending.cancel(session, rows[0].id, agent, now=at(9))
    return database


def test_what_waits_is_counted_by_dataset_with_its_pages(filled: Database) -> None:
    with filled.reading() as session:
        assert links.waiting(session, "ann") == [
            Waiting("draft", "draft", 2, at(1), URGENT, f"{URGENT}&metadata=assignee.ann"),
            Waiting("question", None, 1, at(3), None, None),
        ]
        assert [row.assigned for row in links.waiting(session)] == [None, None]


@pytest.mark.parametrize(
    ("name", "filter_"),
    [
        ("ann-b_2", "ann-b_2"),
        ("Ann Bo", "Ann%20Bo"),
        ("é&x", "%C3%A9%26x"),
        ("a.b", None),
        ("a~b", None),
    ],
)
def test_a_name_that_the_filter_cannot_hold_gets_no_link(
    filled: Database, name: str, filter_: str | None
) -> None:
    with filled.reading() as session:
        link = links.waiting(session, name)[0].assigned
    assert link == (None if filter_ is None else f"{URGENT}&metadata=assignee.{filter_}")


@pytest.fixture
def home(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ERRATA_ARGILLA_URL", f"{ARGILLA}/")
    return tmp_path


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_prints_a_table_or_json(filled: Database, home: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["queue", "--for", "ann", "--json", "--home", str(home)])
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.output)
    assert first == {
        "kind": "draft",
        "dataset": "draft",
        "count": 2,
        "oldest": at(1).isoformat(),
        "urgent_first": ARGILLA + URGENT,
        "assigned": f"{ARGILLA}{URGENT}&metadata=assignee.ann",
    }
    assert (second["kind"], second["dataset"], second["urgent_first"]) == ("question", None, None)
    table = run(app, ["queue", "--home", str(home)]).output
    assert f"urgent first: {ARGILLA}{URGENT}" in table
    assert "assigned" not in table


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_empty_queue_says_so(database: Database, home: Path) -> None:
    assert CliRunner().invoke(app, ["queue", "--home", str(home)]).output == "Nothing waits.\n"
