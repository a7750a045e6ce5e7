"""`errata up`: one at a time on a folder, clear about ports, private, and gone when stopped."""

import json
import os
import signal
import socket
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.e2e.running import Installation, free_ports
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.argilla


def test_a_second_up_on_the_folder_says_so_and_harms_nothing(installation: Installation) -> None:
    before = installation.children()
    second = installation.run("up", *ports(*free_ports(2)))
    assert second.returncode == 1
    assert f"errata runs on {installation.home} already" in second.stderr
    assert installation.api in second.stderr
    assert "Traceback" not in second.stderr
    assert installation.children() == before
    assert httpx2.get(f"{installation.api}/readyz", timeout=PATIENCE_S).is_success


def ports(api: int, argilla: int) -> tuple[str, ...]:
    return ("--port", str(api), "--argilla-port", str(argilla))


@pytest.mark.parametrize("option", ["--port", "--argilla-port"])
def test_a_taken_port_is_named_with_the_option_that_changes_it(tmp_path: Path, option: str) -> None:
    other = Installation(tmp_path / "home")
    port = other.port if option == "--port" else other.argilla_port
    with closing(socket.create_server(("127.0.0.1", port))):
        done = other.run("up", *ports(other.port, other.argilla_port))
    assert done.returncode == 1
    assert f"port {port} is taken by another program; choose one with {option}" in done.stderr
    assert not (other.home / "credentials.json").exists()


def test_what_it_writes_is_private(installation: Installation) -> None:
    pages = (
        installation.home / "argilla" / "scratch"
    )  # private itself; in it copies of Argilla's pages
    assert pages.is_dir()
    for path in [installation.home, *installation.home.rglob("*")]:
        if pages not in path.parents:
            assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


def test_no_secret_is_in_a_log_or_on_a_command_line(installation: Installation) -> None:
    credentials = installation.credentials
    secrets = {
        "admin key": credentials["api"]["admin_key"],
        "agent key": credentials["api"]["agent_key"],
        "owner's password": credentials["argilla"]["password"],
        "Argilla key": credentials["argilla"]["api_key"],
        "reviewer's password": installation.reviewer("ida"),
        "webhook secret": webhook_secret(installation),
    }
    for path in (installation.home / "argilla").glob("*.secret"):
        secrets[path.name] = path.read_text()
    assert {"redis.secret", "sign-in.secret"} <= secrets.keys()
    logs = [path.read_text() for path in (installation.home / "logs").iterdir()]
    lines = [read_if_there(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    children = installation.children()
    assert len(logs) >= len(children) == 5
    assert sum(str(installation.argilla_port) in line for line in lines) >= 2
    for name, secret in secrets.items():
        assert not any(secret in text for text in (*logs, *lines)), name


def webhook_secret(installation: Installation) -> str:
    def found() -> str | None:
        file = f"file:{installation.home / 'errata.db'}?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as database:
            row = database.execute("SELECT secret FROM argillawebhook").fetchone()
        return row[0] if row else None

    return until(found, "the webhook")


def read_if_there(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:  # the process has ended meanwhile
        return ""


def test_a_reviewers_log_in_works_in_argilla(installation: Installation) -> None:
    password = installation.reviewer("carla")

    def status(password: str) -> int:
        form = {"username": "carla", "password": password}
        url = f"{installation.argilla}/api/v1/token"
        return httpx2.post(url, data=form, timeout=PATIENCE_S).status_code

    assert (status(password), status("guess")) == (201, 401)


HISTORY = {
    "proposal": {"hap": "1", "id": "beside", "kind": "draft", "agent": {"id": "a"}, "content": "x"},
    "reviews": [{"proposal_id": "beside", "verdict": "edit", "content": "y", "reviewer": "ann"}],
}


def test_commands_work_beside_a_running_up(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(json.dumps(HISTORY))
    imported = installation.run("import", "reviews", str(tmp_path / "history.jsonl"), "--json")
    assert json.loads(imported.stdout)["landed"] == 1
    exported = installation.run("export", "dpo", str(tmp_path / "bundle"), "--json")
    assert sum(json.loads(exported.stdout)["rows"].values()) >= 1
    report = installation.run("report", "--json")
    assert json.loads(report.stdout)["figures"]["edit_rate"]["numerator"] >= 1
    verified = installation.run("audit", "verify", "--json")
    assert json.loads(verified.stdout)["faults"] == []
    assert "owner" in installation.run("key", "list").stdout


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Installation]:
    running = Installation(tmp_path / "home")
    try:
        running.up()
        yield running
    finally:
        running.stop()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_part_that_dies_is_started_again_and_ctrl_c_leaves_nothing(own: Installation) -> None:
    before = own.children()
    own.kill("api")
    until(lambda: own.children()["api"] != before["api"], "a new API")
    until(lambda: httpx2_ready(own), "the API again")
    children = own.children()
    assert own.stop() == 0
    assert not any(map(alive, children.values()))
    assert free(own.port)
    assert free(own.argilla_port)
    # The folder is as it was: the commands go on working without a running installation.
    assert json.loads(own.run("audit", "verify", "--json").stdout)["faults"] == []
    assert json.loads(own.run("report", "--json").stdout)["figures"]["approval_rate"]["n"] == 0


def httpx2_ready(own: Installation) -> bool:
    try:
        return httpx2.get(f"{own.api}/readyz", timeout=2).is_success
    except httpx2.TransportError:
        return False


def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing(tmp_path: Path) -> None:
    own = Installation(tmp_path / "home")
    try:
        own.launch("up")
        until(lambda: "argilla" in own.children(), "the start of Argilla")
        children = own.children()
        assert own.process is not None
        own.process.send_signal(signal.SIGINT)
        out, _ = own.process.communicate(timeout=PATIENCE_S)
    finally:
        own.stop()
    assert own.process.returncode == 0
    assert "Log in" not in out
    assert not any(map(alive, children.values()))
    assert free(own.argilla_port)
    assert not (own.home / "running.json").exists()


def test_killing_up_itself_leaves_no_child(own: Installation) -> None:
    children = own.children()
    assert own.process is not None
    os.kill(own.process.pid, signal.SIGKILL)
    own.process.wait()
    until(lambda: not any(map(alive, children.values())), "the children's end")
    time.sleep(0.1)
    assert free(own.port)
