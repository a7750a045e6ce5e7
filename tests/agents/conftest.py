"""What the conformance tests share, and the table that a run of them fills."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from errata.db import Database
from tests.agents import table
from tests.agents.effects import World
from tests.agents.office import Office
from tests.agents.rigs import Rig, rig

OUTCOMES = pytest.StashKey[dict[tuple[str, int], set[str]]]()
SHOWN = {"passed": table.PASS, "failed": "FAIL"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", type=Path, help="write the conformance table of this run there")


@pytest.fixture
def office(sqlite_database: Database) -> Iterator[Office]:
    made = Office(sqlite_database)
    with made.open():
        yield made


@pytest.fixture
def world(office: Office, tmp_path: Path) -> World:
    folder = tmp_path / "world"
    folder.mkdir()
    return World(office.url, office.people["desk"].secret, str(folder))


@pytest.fixture
def driven(request: pytest.FixtureRequest, adapter: str) -> Rig:
    """The adapter's rig; skips, with the reason, a failure mode that cannot occur there."""
    found = rig(adapter)
    marker = request.node.get_closest_marker("mode")
    if marker is not None and marker.args[0] in found.exempt:
        pytest.skip(f"n.a.: {found.exempt[marker.args[0]]}")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[Any]:
    """Note what a test has shown of its adapter and failure mode."""
    report: pytest.TestReport = yield
    marker = item.get_closest_marker("mode")
    if marker is not None and (report.when == "call" or not report.passed):
        outcomes = item.config.stash.setdefault(OUTCOMES, {})
        adapter: str = item.callspec.params["adapter"]  # pyright: ignore[reportAttributeAccessIssue]
        shown = SHOWN.get(report.outcome) or report.longreprtext.partition("Skipped: ")[2].rstrip(
            "')"
        )
        outcomes.setdefault((adapter, marker.args[0]), set()).add(shown)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--table", None)
    if path is None:
        return
    shown = session.config.stash.get(OUTCOMES, {})
    outcomes = {cell: min(all_) for cell, all_ in shown.items()}  # "FAIL" before all others
    path.write_text(table.render(outcomes), "utf-8")
