"""Doctor, back-up and restore on a really running installation."""

import json
import os
import stat
from pathlib import Path

import pytest

import errata
from tests.e2e.running import Installation
from tests.waiting import until

pytestmark = pytest.mark.argilla


def grades(done_stdout: str) -> dict[str, str]:
    return {finding["part"]: finding["grade"] for finding in json.loads(done_stdout)}


def test_doctor_finds_nothing_wrong_with_what_up_made(installation: Installation) -> None:
    def connected() -> bool:  # the worker registers the webhook a moment after its start
        return grades(installation.run("doctor", "--json").stdout).get("webhook") == "good"

    until(connected, "the webhook")
    done = installation.run("doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = grades(done.stdout)
    assert found.pop("disk") in {"good", "warning"}
    assert set(found.values()) == {"good"}, done.stdout
    assert {"data folder", "database", "policy", "outbox", "API", "Argilla", "webhook"} <= set(
        found
    )


def test_doctor_says_that_an_edited_policy_file_does_nothing(installation: Installation) -> None:
    policy = installation.home / "policy.yaml"
    before = policy.read_text()
    policy.write_text(before.replace("24h", "12h"))
    try:
        done = installation.run("doctor", "--json")
    finally:
        policy.write_text(before)
    assert grades(done.stdout)["policy"] == "warning"
    assert "errata policy apply" in done.stdout


def test_doctor_names_a_folder_that_others_can_read(installation: Installation) -> None:
    credentials = installation.home / "credentials.json"
    credentials.chmod(0o644)
    try:
        done = installation.run("doctor")
    finally:
        credentials.chmod(0o600)
    assert done.returncode == 1
    assert "others can read credentials.json; chmod" in done.stdout


def test_doctor_on_no_folder_says_how_to_make_one(tmp_path: Path) -> None:
    done = Installation(tmp_path / "nothing").run("doctor")
    assert done.returncode == 1
    assert "run `errata up`" in done.stdout


def test_a_backup_of_a_running_folder_starts_elsewhere_with_everything(
    installation: Installation, tmp_path: Path
) -> None:
    api = installation.credentials["api"]
    with errata.Client(api["url"], api["agent_key"]) as client:
        asked = client.propose(kind="draft", agent={"id": "desk"}, content="before the back-up")
    archive = tmp_path / "errata.tar.gz"
    assert installation.run("backup", str(archive)).returncode == 0
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert installation.run("backup", str(archive)).returncode == 1, "an archive is not replaced"

    other = Installation(tmp_path / "restored")
    assert other.run("restore", str(archive)).returncode == 0
    assert other.run("restore", str(archive)).returncode == 1, "only into an empty folder"
    try:
        other.up()
        with errata.Client(other.api, api["agent_key"]) as client:
            found = client.get(asked)
        verified = json.loads(other.run("audit", "verify", "--json").stdout)
    finally:
        other.stop()
    assert found.proposal is not None
    assert found.proposal.content == "before the back-up"
    assert verified["faults"] == []


def test_a_file_that_is_no_backup_restores_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(os.urandom(100))
    done = Installation(tmp_path / "restored").run("restore", str(wrong))
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
