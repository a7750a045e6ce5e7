"""An agent learns from its corrections: the whole loop in rounds, as `errata demo --rounds` plays it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from errata.demo import rounds
from tests.e2e.running import Installation
from tests.waiting import PROCESS_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

COUNT = 6


class Played(NamedTuple):
    """A loop that has ended."""

    home: Installation
    rounds: list[dict[str, Any]]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    home = Installation(tmp_path_factory.mktemp("rounds") / "home")
    process = home.launch("demo", "--rounds", str(COUNT), "--json")
    out, _ = process.communicate(timeout=8 * PROCESS_S)
    assert process.returncode == 0, home.errors("demo")
    return Played(home, json.loads(out))


def test_interventions_fall_to_less_than_half(played: Played) -> None:
    figures = [one["interventions"] for one in played.rounds]
    assert [one["n"] for one in figures] == [rounds.LETTERS] * COUNT
    first, last = figures[0], figures[-1]
    assert last["value"] <= first["value"] / 2
    assert last["interval"][1] < first["interval"][0]


def test_no_version_has_seen_its_letters(played: Played) -> None:
    with closing(sqlite3.connect(played.home.home / "errata.db")) as database:
        said = "select id, json_extract(body, '$.prompt[0].content') from payload"
        requests = dict(database.execute(f"{said} where owner = 'proposal'").fetchall())
    assert len(set(requests.values())) == len(requests) == rounds.PAST + COUNT * rounds.LETTERS
    for version in range(1, COUNT):
        taught = _taught(played.home.home / "rounds" / f"bundle-{version}")
        assert taught
        assert {int(name.split("-")[1]) for name in taught} <= set(range(version))


def _taught(bundle: Path) -> list[str]:
    files = bundle.glob("dpo/train-*.parquet")
    return [name for file in files for name in pq.read_table(file)["proposal_id"].to_pylist()]


def test_each_version_is_registered_with_what_it_was_made_from(played: Played) -> None:
    found = json.loads(played.home.run("agent", "list", "mailroom", "--json").stdout)
    versions = {one["version"]: one for one in found}
    assert versions.keys() == {str(number) for number in range(COUNT)}
    assert {one["stage"] for one in found} == {"learner"}
    assert "parent" not in versions["0"]
    made = [versions[str(number)] for number in range(1, COUNT)]
    assert {one["parent"] for one in made} == {"0"}
    assert len({one["data"] for one in made}) == COUNT - 1


def test_a_second_loop_in_the_same_folder_is_refused(played: Played) -> None:
    again = played.home.run("demo", "--rounds", "2")
    assert again.returncode != 0
    assert "--home" in again.stderr
