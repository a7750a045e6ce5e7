"""The scripted demo from start to end; its summary against a count of the stored rows."""

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.running import Installation
from tests.waiting import PROCESS_S

pytestmark = [pytest.mark.argilla, pytest.mark.slow, pytest.mark.timeout(1800)]

FIELDS = {"proposals", "reviews", "decisions", "executed", "pairs", "training", "report"}


class Played(NamedTuple):
    """A demo that has ended."""

    home: Installation
    summary: dict[str, Any]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        path = self.home.home / "errata.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    demo = Installation(tmp_path_factory.mktemp("demo") / "home")
    try:
        process = demo.launch("demo", "--scripted", "--json")
        out, _ = process.communicate(timeout=5 * PROCESS_S)
        assert process.returncode == 0, demo.errors("demo")
        yield Played(demo, json.loads(out))
    finally:
        demo.stop()


def test_over_sixty_proposals_of_four_kinds_go_all_the_way(played: Played) -> None:
    assert played.summary.keys() == FIELDS
    kinds = Counter(kind for (kind,) in played.rows("SELECT kind FROM proposal"))
    assert kinds.keys() == {"action", "draft", "candidates", "question"}
    assert played.summary["proposals"] == kinds.total() >= 60
    outcomes = played.rows("SELECT outcome, count(*) FROM decision GROUP BY 1")
    assert played.summary["decisions"] == dict(outcomes)
    assert sum(played.summary["decisions"].values()) == kinds.total()
    assert {"approve", "edit", "reject", "respond", "blocked"} <= dict(outcomes).keys()


def test_what_was_done_is_what_people_or_the_policy_let_through(played: Played) -> None:
    ledger = (played.home.home / "ledger.jsonl").read_text().splitlines()
    done = Counter(json.loads(line)["proposal"] for line in ledger)
    executed = played.rows("SELECT proposal_id FROM receipt WHERE status = 'executed'")
    let_through = played.rows(
        "SELECT proposal_id FROM decision WHERE outcome IN ('approve', 'edit')"
    )
    assert done == Counter(one for (one,) in executed) == Counter(one for (one,) in let_through)
    assert played.summary["executed"] == len(ledger)


def test_the_reviews_came_through_argilla_from_three_people(played: Played) -> None:
    rows = played.rows("SELECT reviewer, surface FROM review WHERE accepted")
    assert {surface for _, surface in rows} == {"argilla"}
    assert {reviewer for reviewer, _ in rows} == {"ann", "ben", "cho"}
    assert played.summary["reviews"] == len(rows)
    by_people = played.rows("SELECT count(*) FROM decision WHERE by = 'people'")
    assert by_people == [(len(rows),)]


RATES = {
    "approval_rate": {"approve", "edit"},
    "strict_approval_rate": {"approve"},
    "edit_rate": {"edit"},
    "rejection_rate": {"reject"},
}


@pytest.mark.parametrize("name", RATES)
def test_a_rate_is_its_share_of_what_people_decided(played: Played, name: str) -> None:
    outcomes = [
        outcome
        for (outcome,) in played.rows("SELECT outcome FROM decision WHERE by = 'people'")
        if outcome in {"approve", "edit", "reject", "regenerate", "takeover"}
    ]
    counted = sum(outcome in RATES[name] for outcome in outcomes)
    figure = played.summary["report"][name]
    assert (figure["numerator"], figure["denominator"]) == (counted, len(outcomes))
    assert figure["value"] == pytest.approx(counted / len(outcomes))
    assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]


def test_the_share_run_without_a_person_is_the_policys(played: Played) -> None:
    ((alone,),) = played.rows(
        "SELECT count(*) FROM receipt JOIN decision USING (proposal_id) "
        "WHERE receipt.status = 'executed' AND by = 'policy'"
    )
    figure = played.summary["report"]["autonomous_rate"]
    assert figure["numerator"] == alone > 0
    assert figure["denominator"] == played.summary["executed"]


def test_every_correction_ranking_and_choice_of_an_answer_becomes_a_pair(played: Played) -> None:
    ((corrected,),) = played.rows("SELECT count(*) FROM decision WHERE outcome = 'edit'")
    ((ranked,),) = played.rows(
        "SELECT count(*) FROM decision JOIN proposal ON proposal.id = proposal_id "
        "WHERE kind = 'candidates' AND outcome = 'approve'"
    )
    ((answered,),) = played.rows(
        "SELECT count(*) FROM decision JOIN payload ON payload.proposal_id = decision.proposal_id "
        "WHERE owner = 'proposal' AND outcome = 'respond' "
        "AND json_array_length(body, '$.options') > 1"
    )
    assert played.summary["pairs"] == corrected + ranked + answered


def test_both_trainings_learn(played: Played) -> None:
    assert played.summary["training"].keys() == {"sft", "dpo"}
    for losses in played.summary["training"].values():
        assert math.isfinite(losses["loss_first"])
        # Ids are new each time and with them the order of the rows: from 0.73 to 0.27 on average.
        assert 0 <= losses["loss_last"] < losses["loss_first"] * 3 / 4


def test_the_folder_answers_commands_after_everything_has_stopped(
    played: Played, tmp_path: Path
) -> None:
    home = played.home
    report = json.loads(home.run("report", "--json").stdout)
    assert report["figures"].keys() == played.summary["report"].keys()
    assert json.loads(home.run("audit", "verify", "--json").stdout)["faults"] == []
    assert len(json.loads(home.run("key", "list", "--json").stdout)) == 6
    exported = home.run("export", "dpo", str(tmp_path / "bundle"), "--json")
    assert sum(json.loads(exported.stdout)["rows"].values()) == played.summary["pairs"]
    line = {
        "proposal": {
            "hap": "1",
            "id": "old",
            "kind": "draft",
            "agent": {"id": "a"},
            "content": "x",
        },
        "reviews": [{"proposal_id": "old", "verdict": "reject", "reviewer": "ann"}],
    }
    (tmp_path / "history.jsonl").write_text(json.dumps(line))
    assert home.run("import", "reviews", str(tmp_path / "history.jsonl")).returncode == 0
    after = json.loads(home.run("report", "--json").stdout)["figures"]["rejection_rate"]
    assert after["numerator"] == played.summary["report"]["rejection_rate"]["numerator"] + 1
