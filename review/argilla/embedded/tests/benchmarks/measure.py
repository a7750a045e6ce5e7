"""Figures of ours against Argilla as published, in one run on one machine.

In: nothing. Out: a table on the screen. Both use SQLite, Redis and the same records, and take
turns, so that whatever else the machine does meets both. Argilla as published is spared its
Elasticsearch: what it would cost is not counted, and its searches are not measured.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import load
import psutil
from conftest import Client, Server
from listener import Listener
from upstream import Upstream

TURNS = 3
PUSHED_EACH_TURN = 2000
SUBMITTED = 40
QUEUE_VIEWS = 100
SEARCHES = 300


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records to search in")
    records = parser.parse_args().records
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(running(Server, folder / "ours"))
        theirs = stack.enter_context(running(Upstream, folder / "theirs"))
        row("", "ours", "as published", "goal")
        starts(ours, theirs)
        pushes(ours, theirs)
        webhooks(ours, theirs)
        dataset = fill(ours, records)
        searches(ours.client(), dataset, records)
        memory(ours, theirs)


def row(*cells: str) -> None:
    """Print one line of the table."""
    print("{:44} {:>16} {:>16}   {}".format(*cells), flush=True)  # noqa: T201


@contextmanager
def running(kind: type[Server], home: Path) -> Iterator[Server]:
    """Install everything Argilla needs, and run it."""
    home.mkdir()
    database = f"sqlite+aiosqlite:///{home}/argilla.db?check_same_thread=False"
    installation = kind(home, database)
    redis = installation.launch(
        "redis", "--dir", str(home / "redis"), "--port", str(installation.redis_port)
    )
    assert installation.bootstrap() == 0
    worker = installation.launch("worker")
    installation.start()
    installation.others = [redis, worker]
    try:
        yield installation
    finally:
        for process in (installation.process, worker, redis):
            process.terminate()
            process.wait(30)


def starts(ours: Server, theirs: Server) -> None:
    """Time from the first command to the log-in page, where everything is installed already."""
    seconds = {installation: [] for installation in ("ours", "theirs")}
    for _ in range(TURNS):
        for name, installation in (("ours", ours), ("theirs", theirs)):
            installation.stop()
            begun = time.monotonic()
            assert installation.bootstrap() == 0
            installation.start()
            httpx.get(f"{installation.url}/sign-in").raise_for_status()
            seconds[name].append(time.monotonic() - begun)
    ours_s, theirs_s = (statistics.median(each) for each in seconds.values())
    row("start to log-in page, s", f"{ours_s:.1f}", f"{theirs_s:.1f}", "15 or less")


def pushes(ours: Server, theirs: Server) -> None:
    """Records a second, in requests of 500, each with 2 suggestions and 3 metadata values."""
    targets = [_target(installation.client()) for installation in (ours, theirs)]
    rates: list[list[float]] = [[], []]
    for turn in range(TURNS):
        for rate, (client, dataset, questions) in zip(rates, targets, strict=True):
            rate.append(push(client, dataset, questions, PUSHED_EACH_TURN, turn * PUSHED_EACH_TURN))
    mine, published = (statistics.median(each) for each in rates)
    goal = f"6 x or more; here {mine / published:.1f} x"
    row("records pushed a second", f"{mine:.0f}", f"{published:.0f}", goal)


def _target(client: Client) -> tuple[Client, str, dict[str, str]]:
    client.http.timeout = 120
    dataset = client.dataset()
    return client, dataset, client.questions(dataset)


def push(
    client: Client, dataset: str, questions: dict[str, str], count: int, first: int = 0
) -> float:
    """Push records and return how many went in a second."""
    begun = time.monotonic()
    for items in load.bulks(count, questions, first):
        client.call("POST", f"datasets/{dataset}/records/bulk", {"items": items})
    return count / (time.monotonic() - begun)


def webhooks(ours: Server, theirs: Server) -> None:
    """Time from a submit to the receiver of its webhook."""
    halves = []
    for installation in (ours, theirs):
        owner = installation.client()
        with Listener() as listener:
            body = {"url": listener.url, "events": ["response.created"], "description": "x"}
            webhook = owner.call("POST", "webhooks", body)
            dataset = owner.dataset()
            waits = []
            for record in owner.push(dataset, *({"text": f"r{i}"} for i in range(SUBMITTED))):
                begun = time.monotonic()
                owner.answer(record)
                waits.append(listener.next(30).at - begun)
            owner.call("DELETE", f"webhooks/{webhook['id']}")
        halves.append(statistics.median(waits) * 1000)
    row("submit to webhook, p50 ms", *(f"{half:.0f}" for half in halves), "100 or less")


def fill(ours: Server, records: int) -> str:
    """Push many records; return their dataset."""
    client, dataset, questions = _target(ours.client())
    rate = push(client, dataset, questions, records)
    row(f"the same, {records:,} in a row", f"{rate:.0f}", "", "")
    return dataset


def searches(owner: Client, dataset: str, records: int) -> None:
    """Time searches of a labeler who has answered a little."""
    person = owner.person()
    for record in owner.search(dataset, limit=200).ids:
        person.answer(record)
    pending = [
        {"type": "terms", "scope": {"entity": entity, "property": "status"}, "values": ["pending"]}
        for entity in ("response", "record")
    ]
    priority = {"scope": {"entity": "metadata", "metadata_property": "prio"}, "order": "desc"}

    def view(**body: object) -> Callable[[], object]:
        return lambda: person.search(dataset, *pending, limit=10, include="suggestions", **body)

    among = f"at {records:,} records, p95 ms"
    timed(f"queue view {among}", [view() for _ in range(QUEUE_VIEWS)], "100 or less")
    by_priority = [view(sort=[priority]) for _ in range(QUEUE_VIEWS)]
    timed(f"queue by priority {among}", by_priority, "100 or less")
    texts = [view(query={"text": {"q": text}}) for text in load.searches(SEARCHES)]
    timed(f"text search {among}", texts, "250 or less")


def timed(what: str, calls: list[Callable[[], object]], goal: str) -> None:
    """Print the 95th percentile of the calls' times."""
    times = []
    for call in calls:
        begun = time.monotonic()
        call()
        times.append(time.monotonic() - begun)
    row(what, f"{statistics.quantiles(times, n=20)[-1] * 1000:.0f}", "", goal)


def memory(ours: Server, theirs: Server) -> None:
    """Resident memory of server, worker and Redis together, after all of the above."""
    sizes = []
    for installation in (ours, theirs):
        parents = [
            psutil.Process(each.pid) for each in (installation.process, *installation.others)
        ]
        everyone = [each for parent in parents for each in (parent, *parent.children(True))]
        sizes.append(sum(each.memory_info().rss for each in everyone) / 1e6)
    row("resident memory, MB", *(f"{size:.0f}" for size in sizes), "600 or less")


if __name__ == "__main__":
    sys.exit(main())
