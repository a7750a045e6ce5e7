"""kill -9 in the middle of the scripted demo: nothing is lost, decided twice or run twice."""

import json
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import START_SECONDS, Installation
from tests.waiting import PROCESS_S, until

pytestmark = [pytest.mark.argilla, pytest.mark.timeout(1200)]

PROPOSALS = 62
MAY_RUN = "SELECT proposal_id FROM decision WHERE outcome IN ('approve', 'edit')"
CUT_OFF = """
SELECT permit.proposal_id FROM permit LEFT JOIN receipt ON receipt.permit_id = permit.id
WHERE permit.status = 'used' AND receipt.permit_id IS NULL
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Installation]:
    running = Installation(tmp_path / "home")
    try:
        yield running
    finally:
        running.stop()


def rows(demo: Installation, statement: str, file: str = "errata.db") -> list[Any]:
    path = demo.home / file
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        try:
            return database.execute(statement).fetchall()
        except sqlite3.OperationalError:  # the first start has not made the tables yet
            return []


def answered(demo: Installation) -> int:
    return sum(count for (count,) in rows(demo, "SELECT count(*) FROM review"))


def wait_for_the_middle(demo: Installation) -> None:
    until(lambda: answered(demo) >= 8, "the first answers", START_SECONDS)
    assert answered(demo) < 45, "the kill came too late to be in the middle"


def ledger(demo: Installation) -> Counter[str]:
    """How often each proposal was acted on."""
    lines = (demo.home / "ledger.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["proposal"] for line in lines)


def check_the_end(demo: Installation, cut_off: Set[str] = frozenset()) -> None:
    """Everything decided once, done once and told; only what was `cut_off` may be undone or untold.

    Args:
        demo: What has ended.
        cut_off: Proposals whose agent was killed after it had used its permit.
    """
    decisions = rows(demo, "SELECT proposal_id, count(*) FROM decision GROUP BY 1")
    assert len(decisions) == PROPOSALS
    assert {count for _, count in decisions} == {1}
    done = ledger(demo)
    assert set(done.values()) == {1}, "something ran twice"
    may = {one for (one,) in rows(demo, MAY_RUN)}
    assert done.keys() <= may
    assert may - done.keys() <= cut_off
    told = {one for (one,) in rows(demo, "SELECT proposal_id FROM receipt")}
    assert done.keys() - told <= cut_off
    pushed = rows(demo, "SELECT proposal_id, count(*) FROM argillarecord GROUP BY 1")
    assert len(pushed) == 51, "what the policy queued"
    assert {count for _, count in pushed} == {1}, "a second round without a refusal"
    until(
        lambda: rows(demo, "SELECT count(*) FROM argillarecord WHERE removed_at IS NULL") == [(0,)],
        "an Argilla without records",
    )
    assert rows(demo, "SELECT external_id FROM records", "argilla/argilla.db") == []
    verified = json.loads(demo.run("audit", "verify", "--json").stdout)
    assert verified["faults"] == []


@pytest.mark.parametrize("part", ["api", "worker", "argilla"])
def test_a_killed_part_costs_nothing(demo: Installation, part: str) -> None:
    process = demo.launch("demo", "--scripted", "--json", "--no-training")
    wait_for_the_middle(demo)
    demo.kill(part)
    out, _ = process.communicate(timeout=PROCESS_S)
    assert process.returncode == 0, demo.errors("demo")
    summary = json.loads(out)
    assert summary["proposals"] == PROPOSALS
    assert sum(summary["decisions"].values()) == PROPOSALS
    assert summary["reviews"] == 51
    check_the_end(demo)


def test_the_whole_demo_killed_and_started_again_goes_on_where_it_was(demo: Installation) -> None:
    first = demo.launch("demo", "--scripted", "--json", "--no-training")
    wait_for_the_middle(demo)
    children = demo.children()
    for pid in (first.pid, *children.values()):
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    before = answered(demo)
    assert 0 < before < 51
    cut_off = {one for (one,) in rows(demo, CUT_OFF)}
    second = demo.launch("demo", "--scripted", "--json", "--no-training")
    out, _ = second.communicate(timeout=PROCESS_S)
    assert second.returncode == 0, demo.errors("demo")
    assert json.loads(out)["reviews"] == 51
    check_the_end(demo, cut_off)
