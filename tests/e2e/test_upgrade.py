"""A data folder that an older Errata made goes on where it stood.

In: `folders/schema-0001.tar.gz`, a back-up by the first version: an action that ann approved and
the agent ran, a draft and a question that wait in Argilla. Its secrets open nothing else.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import errata
from errata.demo.labelers import Labeler, Login
from tests.e2e.running import Installation
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.argilla

FIRST = Path(__file__).parent / "folders" / "schema-0001.tar.gz"
ANN = "62dSxe7S2JV6cMGO"
ACTION = "01a1fce47a8eb16690da87ef08904b2f"
DRAFT = "01a1fce47aacf49f009e7e00484765c5"
QUESTION = "01a1fce47ab64d744625af2a286c01ec"


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("old") / "home")
    assert running.run("restore", str(FIRST)).returncode == 0
    # What waits had until seven days after the back-up was made; it is to wait whenever this runs.
    with closing(sqlite3.connect(running.home / "errata.db")) as file, file:
        later = datetime.now(UTC) + timedelta(days=7)
        file.execute("UPDATE proposal SET expires_at = ?", [f"{later:%Y-%m-%d %H:%M:%S.%f}"])
    try:
        running.up()
        yield running
    finally:
        running.stop()


def test_what_was_done_stays_done_and_the_log_verifies(upgraded: Installation) -> None:
    with errata.Client(upgraded.api, upgraded.credentials["api"]["agent_key"]) as client:
        done = client.get(ACTION)
    assert (done.status, done.decision and done.decision.outcome) == ("executed", "approve")
    assert [one.reviewer for one in done.reviews] == ["ann"]
    verified = upgraded.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout


def test_what_waited_still_waits_in_argilla_and_is_answered_there(upgraded: Installation) -> None:
    answers = {
        DRAFT: {"decision": "edit", "correction": "Dear Bob, here it is."},
        QUESTION: {"decision": "respond", "option": "2"},
    }
    ann = Labeler(Login(upgraded.argilla, "ann", ANN), answers)
    until(lambda: ann.answer_once() or ann.given == len(answers), "the records wait for ann")
    until(lambda: ann.answer_once() == 0, "everything is answered")
    ann.close()
    with errata.Client(upgraded.api, upgraded.credentials["api"]["agent_key"]) as client:
        draft, question = (
            client.wait(id_, timeout=PATIENCE_S).decision for id_ in (DRAFT, QUESTION)
        )
    assert draft is not None
    assert (draft.outcome, draft.effective.content) == ("edit", "Dear Bob, here it is.")
    assert question is not None
    assert question.effective.response == "y"


def test_what_is_asked_anew_finds_its_dataset(upgraded: Installation) -> None:
    with errata.Client(upgraded.api, upgraded.credentials["api"]["agent_key"]) as client:
        asked = client.propose(kind="draft", agent={"id": "desk"}, content="new")
        until(lambda: client.get(asked).status == "in_review", "the record in Argilla")


def test_doctor_finds_nothing_wrong(upgraded: Installation) -> None:
    done = upgraded.run("doctor")
    assert done.returncode == 0, done.stdout
