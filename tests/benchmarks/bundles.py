"""What an export costs: a million decisions to a bundle for DPO, on two cores.

In: a database of decided work, made here. Out: seconds, processor time per decision and memory of
`errata export`, of a plain Arrow copy of the same rows, and of Argilla's `to_datasets` on records
with the same texts; all from one run. Run by `make bench-bundle`.

The export is run several times, since machines are shared, and the database is read through before
each, so that what the system dropped from memory in the meantime does not count.

Argilla's export reads its records from a server, page by page. Here they are in memory already, so
that only what it does with them is timed, and there are fewer of them: it holds all at once.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import argilla as rg
import numpy as np
import pyarrow.parquet as pq
from argilla.records._io import (
    HFDatasetsIO,
)  # what `to_datasets` calls once the server has answered

from errata.db import Database
from tests.benchmarks import decided
from training import tiny
from training.hygiene import checks, near, single, whole

DECISIONS = int(os.environ.get("ERRATA_DECISIONS", "1000000"))
RECORDS = min(DECISIONS, 20_000)
CHECKED = min(DECISIONS // 2, 10_000)
WORKERS = 2
RUNS = 3
POLL_S = 0.5
"""To look costs milliseconds for each process, which the export would have."""


class Cost(NamedTuple):
    """What something took."""

    wall_s: float
    cpu_s: float
    peak_mb: float = 0
    """Memory of all its processes together, at its highest; pages that they share count once."""


def export(home: Path, out: Path) -> Cost:
    """Run `errata export dpo` in processes of its own and watch their memory."""
    command = [sys.executable, "-m", "errata", "export", "dpo", str(out), "--home", str(home)]
    warm(home / "errata.db")
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen([*command, "--workers", str(WORKERS), "--json", "--force"])
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(POLL_S):
            peak = max(peak, sum(map(resident, family(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    assert status == 0, f"the export ended with {status}"
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Cost(time.perf_counter() - start, cpu, peak)


def warm(path: Path) -> None:
    """Have the system hold a file in memory, where there is room."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    try:
        tasks = Path(f"/proc/{pid}/task")
        children = " ".join(path.read_text(encoding="utf-8") for path in tasks.glob("*/children"))
    except OSError:
        return
    for child in children.split():
        yield from family(int(child))


def resident(pid: int) -> float:
    """Proportional set size in MB; 0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def timed(work: Callable[[], Any]) -> Cost:
    """What a call costs in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def copy(out: Path, target: Path) -> None:
    """Read every row of a bundle and write it again, as Arrow does it."""
    for path in sorted(out.glob("dpo/*.parquet")):
        with (
            pq.ParquetFile(path) as file,
            pq.ParquetWriter(target / path.name, file.schema_arrow, compression="zstd") as to,
        ):
            for batch in file.iter_batches(10_000):
                to.write_batch(batch)


def records(out: Path, count: int) -> list[rg.Record]:
    """Argilla's records of the first rows."""
    path = next(iter(sorted(out.glob("dpo/train-*.parquet"))))
    columns = ["prompt", "chosen", "rejected", "pair_id"]
    with pq.ParquetFile(path) as file:
        rows = next(file.iter_batches(count, columns=columns)).to_pylist()
    return [
        rg.Record(
            id=row["pair_id"],
            fields={"prompt": "\n".join(row["prompt"]), "proposal": row["rejected"][0]},
            responses=[rg.Response("edit", row["chosen"][0], user_id=UUID(int=1))],
        )
        for row in rows
    ]


def checked(out: Path, model: Path) -> Iterator[tuple[str, Cost]]:
    """What the checks that an export runs only when asked cost, each by itself on some rows."""
    path = next(iter(sorted(out.glob("dpo/train-*.parquet"))))
    with pq.ParquetFile(path) as file:
        rows = next(file.iter_batches(CHECKED)).to_pylist()
    for row in rows:
        for side in ("prompt", "chosen", "rejected"):
            row[side] = [json.loads(message) for message in row[side]]
    for check in ("secrets", "personal", "truncated"):
        # With a model every look measures lengths too.
        reader = checks.Model(str(model), 1024) if check == "truncated" else None
        care = checks.Care(frozenset({check}), model=reader)
        single.look(rows[0], care)  # loads what it stands on
        yield check, timed(lambda care=care: [single.look(row, care) for row in rows])
    yield "near", timed(lambda: whole.near(np.array([near.signature(r) for r in rows], np.uint32)))


def main() -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory(prefix="errata-bundles-") as folder:
        home, out = Path(folder, "home"), Path(folder, "bundle")
        home.mkdir()
        database = Database(f"sqlite:///{home / 'errata.db'}")
        database.migrate()
        made = timed(lambda: decided.fill(database, DECISIONS))
        database.close()
        size = (home / "errata.db").stat().st_size / 1e9
        sys.stdout.write(f"{DECISIONS:,} decisions written in {made.wall_s:.0f} s, {size:.1f} GB\n")
        costs = [export(home, out) for _ in range(RUNS)]
        ours = min(costs)
        rows = sum(json.loads((out / "manifest.json").read_text(encoding="utf-8"))["rows"].values())
        Path(folder, "copy").mkdir()
        plain = timed(lambda: copy(out, Path(folder, "copy")))
        held = records(out, RECORDS)
        theirs = timed(
            lambda: HFDatasetsIO.to_datasets(held, SimpleNamespace(schema={}))  # pyright: ignore[reportArgumentType] - only its schema is read
        )
        sys.stdout.write(
            f"export of {rows:,} rows, {WORKERS} processes, Python {sys.version.split()[0]}: "
            f"{', '.join(f'{cost.wall_s:.1f}' for cost in costs)} s; the fastest took "
            f"{ours.cpu_s / DECISIONS * 1e6:.0f} us of processor time per decision, "
            f"{max(cost.peak_mb for cost in costs):.0f} MB at most\n"
        )
        sys.stdout.write(
            f"plain Arrow copy of these rows: {plain.wall_s:.1f} s; "
            f"the export takes {ours.cpu_s / plain.cpu_s:.1f} times its processor time\n"
        )
        for name, cost in checked(out, tiny.make(Path(folder, "model"), decided.WORDS, seed=0)):
            sys.stdout.write(f"{name} alone on {CHECKED:,} rows: {cost.cpu_s:.1f} s\n")
        each = theirs.cpu_s / len(held)
        sys.stdout.write(
            f"Argilla's to_datasets on {len(held):,} records in memory: {each * 1e6:.0f} us a record; "
            f"ours, from the database to files: {ours.cpu_s / rows / each:.2f} times that a row\n"
        )


if __name__ == "__main__":
    main()
