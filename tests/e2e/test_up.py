"""`errata up`: one at a time on a folder, clear about ports, private, and gone when stopped."""

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.e2e.running import Installation, until

pytestmark = pytest.mark.argilla


def test_a_second_up_on_the_folder_says_so_and_harms_nothing(installation: Installation) -> None:
    before = installation.children()
    second = Installation(installation.home)
    done = second.launch("up")
    assert done.wait(30) == 1
    said = second.errors("up")
    second.stop()
    assert f"errata runs on {installation.home} already" in said
    assert installation.api in said
    assert "Traceback" not in said
    assert installation.children() == before
    assert httpx2.get(f"{installation.api}/readyz").is_success


@pytest.mark.parametrize("option", ["--port", "--argilla-port"])
def test_a_taken_port_is_named_with_the_option_that_changes_it(tmp_path: Path, option: str) -> None:
    other = Installation(tmp_path / "home")
    port = other.port if option == "--port" else other.argilla_port
    with closing(socket.create_server(("127.0.0.1", port))):
        assert other.launch("up").wait(30) == 1
        other.stop()
    assert f"port {port} is taken by another program; choose one with {option}" in other.errors(
        "up"
    )
    assert not (other.home / "credentials.json").exists()


def test_what_it_writes_is_private(installation: Installation) -> None:
    for path in [installation.home, *installation.home.rglob("*")]:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


def test_no_secret_is_in_a_log_or_on_a_command_line(installation: Installation) -> None:
    credentials = installation.credentials
    secrets = [
        credentials["api"]["admin_key"],
        credentials["api"]["agent_key"],
        credentials["argilla"]["password"],
        credentials["argilla"]["api_key"],
        *(path.read_text() for path in (installation.home / "argilla").glob("*.secret")),
    ]
    logs = "".join(path.read_text() for path in (installation.home / "logs").iterdir())
    lines = b"".join(
        Path(f"/proc/{pid}/cmdline").read_bytes() for pid in installation.children().values()
    ).decode()
    assert len(secrets) == 6
    for secret in secrets:
        assert secret not in logs
        assert secret not in lines
    assert "secret=" not in logs


def test_a_reviewers_log_in_works_in_argilla(installation: Installation) -> None:
    password = installation.reviewer("carla")
    form = {"username": "carla", "password": password}
    assert httpx2.post(f"{installation.argilla}/api/v1/token", data=form).status_code == 201
    wrong = httpx2.post(
        f"{installation.argilla}/api/v1/token", data={"username": "carla", "password": "guess"}
    )
    assert wrong.status_code == 401


def test_commands_work_beside_a_running_up(installation: Installation) -> None:
    report = installation.run("report", "--json")
    assert "approval_rate" in json.loads(report.stdout)["figures"]
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
    until(lambda: own.children()["api"] != before["api"], 10, "a new API")
    until(lambda: httpx2_ready(own), 20, "the API again")
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


def test_killing_up_itself_leaves_no_child(own: Installation) -> None:
    children = own.children()
    assert own.process is not None
    os.kill(own.process.pid, signal.SIGKILL)
    own.process.wait()
    until(lambda: not any(map(alive, children.values())), 15, "the children's end")
    time.sleep(0.1)
    assert free(own.port)
