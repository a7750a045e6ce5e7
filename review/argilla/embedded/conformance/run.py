"""Run Argilla's own tests on our engine and our server. Out: counts; status 1 if one surprises.

In: `uv` on the path or in UV. Nothing of Argilla's tests is kept: they are fetched into a
temporary folder with the libraries they were written for. ERRATA_ARGILLA_TEST_POSTGRESQL, as in
our own tests, has the engine's tests run on that server too.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

from conftest import EMBEDDED, Server, databases, installed

ARGILLA = "argilla-server==2.8.0"
HERE = Path(__file__).parent
UV = os.environ.get("UV") or shutil.which("uv") or "uv"

TESTED_WITH = (
    *("pytest<8", "pytest-asyncio~=0.21.1", "pytest-mock>=3.12,<3.13", "pytest-env>=1.1.3,<1.2"),
    *("factory-boy~=3.2.1", "faker", "respx>=0.21.1,<0.22"),
)
"""What Argilla's own project names for its tests; the rest is in our environment already."""

MOST_SHOWN = 60

ENGINE = "tests/unit/search_engine"


Expected = dict[str, list[dict[str, Any]]]
"""The part of `expected.toml` for one suite."""


class Suite(NamedTuple):
    """A part of Argilla's tests, and how it is run: with the name of an engine they know."""

    name: str
    part: Literal["engine", "server"]
    engine: str
    arguments: tuple[str, ...]


class Outcome(NamedTuple):
    """How one test ended."""

    test: str
    result: str
    message: str


def main() -> int:
    """Fetch, run, compare; return the exit status."""
    expected = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
    surprises = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tests, libraries = fetch(folder)
        for number, (kind, suite) in enumerate(suites()):
            home = folder / str(number)
            home.mkdir()
            with installed(kind, home) as server:
                outcomes = run(suite, server, tests, libraries)
            surprises += report(suite, outcomes, expected[suite.part])
    return 1 if surprises else 0


def fetch(folder: Path) -> tuple[Path, Path]:
    """Return a folder with Argilla's tests, and one with the libraries they need."""
    download = ("pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", ARGILLA)
    subprocess.run(
        [UV, "run", "--quiet", "--no-project", "--with", "pip", "python", "-m", *download],
        cwd=folder,
        check=True,
    )
    (archive,) = folder.glob("argilla_server-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (unpacked,) = folder.glob("argilla_server-*/")
    # The server under test is the installed one.
    shutil.rmtree(unpacked / "src")
    shutil.copy(HERE / "engine_conftest.py", unpacked / ENGINE / "conftest.py")
    libraries = folder / "libraries"
    install = ("pip", "install", "--quiet", "--python", sys.executable, "--target", str(libraries))
    # Without their dependencies: a newer httpx, say, would be tested in place of the locked one.
    subprocess.run([UV, *install, "--no-deps", *TESTED_WITH], check=True)
    return unpacked, libraries


def suites() -> list[tuple[str, Suite]]:
    """Say what is run, and on which database."""
    engine = [
        (kind, Suite(f"search engine on {kind}", "engine", "elasticsearch", (ENGINE,)))
        for kind in databases()
    ]
    others = ("tests", f"--ignore={ENGINE}", "--ignore=tests/unit/cli")
    # Of these Argilla's project needs the network.
    network = ("--deselect=tests/unit/jobs/test_hub_jobs.py", "-k", "not hub and not Hub")
    return [*engine, ("sqlite", Suite("server on sqlite", "server", "sql", (*others, *network)))]


def run(suite: Suite, server: Server, tests: Path, libraries: Path) -> list[Outcome]:
    """Run one suite in a process of its own, beside a Redis of its own."""
    redis = server.launch("redis", "--dir", str(server.home), "--port", str(server.redis_port))
    results = server.home / "results.xml"
    folders = (libraries, EMBEDDED, HERE.parent)
    environment = {
        **server.environment,
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "ARGILLA_SEARCH_ENGINE": suite.engine,
        # One test knows how long Argilla's own is.
        "ARGILLA_AUTH_SECRET_KEY": server.secret[:32],
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    options = ("-p", "conformance.plugin", "-q", "--no-header", "-o", "log_cli=false")
    command = [sys.executable, "-m", "pytest", *options, f"--junitxml={results}", *suite.arguments]
    try:
        time.sleep(1)
        with (server.home / "pytest.log").open("w") as log:
            subprocess.run(command, cwd=tests, env=environment, stdout=log, stderr=log)
        if not results.exists():
            raise RuntimeError((server.home / "pytest.log").read_text()[-4000:])
    finally:
        redis.terminate()
        redis.wait(10)
    return [_outcome(case) for case in ElementTree.parse(results).iter("testcase")]


def _outcome(case: ElementTree.Element) -> Outcome:
    place = (case.get("classname") or "").rpartition(".")[2]
    test = f"{place}::{case.get('name')}"
    for result in ("failure", "error", "skipped"):
        found = case.find(result)
        if found is not None:
            lines = (found.get("message") or "").strip().splitlines() or [""]
            return Outcome(
                test, "failed" if result == "error" else result.replace("ure", "ed"), lines[0]
            )
    return Outcome(test, "passed", "")


def report(suite: Suite, outcomes: list[Outcome], expected: Expected) -> int:
    """Print what came out; return how many results nobody expected."""
    inapplicable = _by_test(expected["not_applicable"])
    deviations = _by_test(expected["deviations"])
    counts: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    surprises, deviated = [], set()
    for outcome in outcomes:
        name = outcome.test.partition("[")[0]
        counts["not applicable" if name in inapplicable else outcome.result] += 1
        if outcome.result != "failed" or name in inapplicable:
            continue
        if name in deviations:
            deviated.add(name)
            explained[deviations[name]] += 1
        else:
            surprises.append(f"{outcome.test}: {outcome.message}")
    surprises += [f"{name} does not fail any more" for name in deviations.keys() - deviated]
    if not counts["passed"]:
        surprises.append("nothing passed")
    _say(f"\n{suite.name}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    for reason, number in explained.items():
        _say(f"  {number} failed {reason}")
    for surprise in surprises[:MOST_SHOWN]:
        _say(f"  UNEXPECTED {surprise[:300]}")
    return len(surprises)


def _by_test(explanations: list[dict[str, Any]]) -> dict[str, str]:
    return {test: each["reason"] for each in explanations for test in each["tests"]}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
