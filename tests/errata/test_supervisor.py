"""Running parts as processes: started in order, restarted when they die, stopped for sure."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from errata import supervisor
from errata.errors import Unavailable
from errata.supervisor import Part, Supervisor
from tests.waiting import until


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


SLEEP = python("import time; time.sleep(600)")
STUBBORN = python(
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(600)"
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Supervisor]:
    running = Supervisor(tmp_path, lambda _: None)
    yield running
    running.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_part_is_started_told_of_and_stopped(tmp_path: Path) -> None:
    told: list[dict[str, int]] = []
    parts = Supervisor(tmp_path, told.append)
    parts.start(Part("one", SLEEP, {"GREETING": "hello"}, lambda: True))
    pid = parts.pids()["one"]
    assert told == [{"one": pid}]
    assert alive(pid)
    parts.stop()
    assert not alive(pid)


def test_the_next_step_waits_until_a_part_is_ready(parts: Supervisor, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import time, pathlib; time.sleep(.3); pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    parts.start(Part("slow", python(code), {}, ready.exists))
    assert ready.exists()


def test_a_part_that_ends_at_its_start_is_reported_with_its_last_words(parts: Supervisor) -> None:
    dies = python("import sys; sys.exit('no such database')")
    with pytest.raises(Unavailable, match="one ended at its start:\nno such database"):
        parts.start(Part("one", dies, {}, lambda: False))


def test_a_part_that_never_gets_ready_is_reported(
    parts: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="was not ready in time"):
        parts.start(Part("one", SLEEP, {}, lambda: False))


def test_a_part_that_dies_is_started_again(parts: Supervisor) -> None:
    parts.start(Part("one", SLEEP, {}, lambda: True))
    watcher = threading.Thread(target=parts.watch, args=(0.01,))
    watcher.start()
    first = parts.pids()["one"]
    os.kill(first, signal.SIGKILL)
    until(lambda: parts.pids()["one"] != first, "a new process")
    assert alive(parts.pids()["one"])
    parts.stopping = True
    watcher.join()


def test_a_part_that_dies_again_and_again_is_started_ever_more_rarely(
    parts: Supervisor, tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    code = f"open({str(starts)!r}, 'a').write('x')"
    parts.start(Part("one", python(code), {}, lambda: True))
    watcher = threading.Thread(target=parts.watch, args=(0.01,))
    watcher.start()
    until(lambda: starts.exists() and len(starts.read_text()) >= 3, "three starts")
    time.sleep(0.5)
    parts.stopping = True
    watcher.join()
    assert len(starts.read_text()) <= 5


def test_a_part_that_does_not_want_to_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    parts = Supervisor(tmp_path, lambda _: None)
    log = tmp_path / "deaf.log"
    parts.start(Part("deaf", STUBBORN, {}, lambda: log.exists() and "deaf" in log.read_text()))
    pid = parts.pids()["deaf"]
    parts.stop()
    assert not alive(pid)


def test_a_long_log_is_begun_anew(
    parts: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LARGEST_LOG", 10)
    (tmp_path / "one.log").write_text("more than ten characters")
    parts.start(Part("one", SLEEP, {}, lambda: True))
    assert (tmp_path / "one.log.1").read_text() == "more than ten characters"


def test_ports_are_looked_at() -> None:
    port = supervisor.free_port()
    assert supervisor.is_free("127.0.0.1", port)
    assert not supervisor.accepts(port)()
    assert not supervisor.answers(f"http://127.0.0.1:{port}/")()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not supervisor.is_free("127.0.0.1", port)
        assert supervisor.accepts(port)()
