"""A full disk is said plainly, and costs nothing that was acknowledged."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty

import psycopg2
import pytest
from conftest import DECISION, Server, databases, ready

MEGABYTES = 64
ROOT = "only root can mount a file system of a size"
VALUES = {name: {"value": value} for name, value in DECISION.items()}
ANSWER = {"status": "submitted", "values": VALUES}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason=ROOT)]


@contextmanager
def small_disk():
    """Mount a file system that is soon full, where the user of PostgreSQL may go."""
    place = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(ROOT)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


@pytest.fixture(params=databases())
def tight(request, tmp_path, blank):
    """A running server whose database lies on a small disk; and the folder of that disk."""
    with small_disk() as disk:
        if request.param == "sqlite":
            with ready("sqlite", disk, blank) as installation:
                yield from served(installation, disk)
            return
        with ready("postgresql", tmp_path, blank) as installation, moved_to(disk, installation):
            yield from served(installation, disk)


def served(installation: Server, disk: Path):
    installation.start()
    yield installation, disk
    installation.stop()


@contextmanager
def moved_to(disk: Path, server: Server):
    """Keep a PostgreSQL database of this machine on another disk."""
    address, name = server.database.replace("+asyncpg", "").rsplit("/", 1)
    space = f"errata_{uuid.uuid4().hex[:8]}"
    with closing(psycopg2.connect(f"{address}/postgres")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        place = disk / "postgresql"
        place.mkdir()
        try:
            shutil.chown(place, "postgres")
            cursor.execute(f"CREATE TABLESPACE {space} LOCATION '{place}'")
        except (LookupError, psycopg2.OperationalError) as problem:
            pytest.skip(f"PostgreSQL cannot be given that disk: {problem}")
        cursor.execute(f"ALTER DATABASE {name} SET TABLESPACE {space}")
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} SET TABLESPACE pg_default")
            cursor.execute(f"DROP TABLESPACE {space}")


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


def test_what_was_answered_before_a_full_disk_and_after_it_is_there(tight, listener):
    server, disk = tight
    owner = server.client()
    owner.call(
        "POST",
        "webhooks",
        {"url": listener.url, "events": ["response.created"], "description": "x"},
    )
    dataset = owner.dataset()
    records = owner.push(dataset, *({"text": "x " * 2000} for i in range(400)))
    person = owner.person()
    ballast = fill(disk)
    taken, refused = set(), None
    for record in records:
        given = person.http.post(f"records/{record}/responses", json=long_answer())
        if given.status_code != 201:
            refused = record
            break
        taken.add(given.json()["id"])
    assert refused, "the disk was never full"
    assert_refused(given)
    bulk = {"items": [{"record_id": each, **long_answer()} for each in records[-30:]]}
    assert_refused(person.http.post("me/responses/bulk", json=bulk))
    items = [{"fields": {"text": "y" * 100_000}} for _ in range(100)]
    assert_refused(owner.http.post(f"datasets/{dataset}/records/bulk", json={"items": items}))
    assert owner.search(dataset, mine=False).total == len(records)

    ballast.unlink()
    answered = stored(owner, dataset)
    assert taken <= set(answered.values())
    for record in records:
        if record not in answered:
            taken.add(person.answer(record)["id"])
    after = stored(owner, dataset)
    assert set(after) == set(records)
    assert taken <= set(after.values())
    progress = owner.call("GET", f"datasets/{dataset}/progress")
    assert (progress["completed"], progress["total"]) == (len(records), len(records))
    assert set(after.values()) == heard(listener, len(after))
    assert not re.search("Traceback", server.log("serve")), server.log("serve")


def long_answer() -> dict:
    return {"status": "submitted", "values": {**VALUES, "comment": {"value": "z" * 5000}}}


def assert_refused(response) -> None:
    assert response.status_code == 507, response.text
    assert "disk of the server is full" in response.json()["detail"]
    assert not re.search("sql|trace|insert", response.text, re.IGNORECASE)


def stored(owner, dataset: str) -> dict[str, str]:
    """Return the id of each record's answer."""
    found = owner.http.post(
        f"datasets/{dataset}/records/search",
        json={},
        params={"limit": 1000, "include": "responses"},
    ).json()["items"]
    records = [item["record"] for item in found]
    return {each["id"]: each["responses"][0]["id"] for each in records if each["responses"]}


def heard(listener, number: int) -> set[str]:
    """Return whose answers came, each under one message id."""
    ids: dict[str, set[str]] = {}
    deadline = time.monotonic() + 60
    while len(ids) < number and time.monotonic() < deadline:
        with suppress(Empty):
            got = listener.next(1)
            ids.setdefault(got.event["data"]["id"], set()).add(got.headers["webhook-id"])
    assert {len(each) for each in ids.values()} == {1}
    return set(ids)
