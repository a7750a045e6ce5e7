"""When a person first saw a record and first touched its form is known afterwards."""

import time
from datetime import UTC, datetime

import pytest


def report(person, *records, acted=False):
    body = {"record_ids": list(records), "acted": acted}
    return person.status("POST", "errata/looks", body)


def looks(owner, *records):
    return owner.call("GET", "errata/looks", record_id=list(records))["items"]


@pytest.fixture(scope="module")
def dataset(server):
    return server.client().dataset(min_submitted=3)


@pytest.fixture
def record(owner, dataset):
    return owner.push(dataset, {"text": "x"})[0]


def test_the_earliest_look_and_the_earliest_action_are_kept(owner, record):
    person, before = owner.person(), datetime.now(UTC)
    for acted in (False, False, True, True, False):
        assert report(person, record, acted=acted) == 204
    after = datetime.now(UTC)
    (look,) = looks(owner, record)
    assert (look["record_id"], look["user_id"]) == (record, person.me["id"])
    opened = datetime.fromisoformat(look["opened_at"])
    acted = datetime.fromisoformat(look["first_action_at"])
    assert before < opened < acted < after
    time.sleep(0.01)
    report(person, record, acted=True)
    assert looks(owner, record) == [look]


def test_each_person_has_looks_of_their_own_and_an_action_alone_is_also_a_look(owner, record):
    ann, bob = owner.person(), owner.person()
    report(ann, record)
    report(bob, record, record, acted=True)
    first, second = looks(owner, record)
    assert (first["user_id"], first["first_action_at"]) == (ann.me["id"], None)
    assert (second["user_id"], second["first_action_at"]) == (bob.me["id"], second["opened_at"])


def test_who_cannot_see_a_record_reports_nothing_about_it(owner, record):
    stranger = owner.person()
    (workspace,) = owner.call("GET", "me/workspaces")["items"]
    owner.call("DELETE", f"workspaces/{workspace['id']}/users/{stranger.me['id']}")
    assert report(stranger, record) == 204
    assert report(stranger, "00000000-0000-0000-0000-000000000000") == 204
    assert looks(owner, record) == []


def test_only_the_owner_reads_looks_and_nobody_unknown_does_anything(owner, record):
    path = f"errata/looks?record_id={record}"
    assert owner.person().status("GET", path) == 403
    assert owner.person("admin").status("GET", path) == 403
    stranger = {"X-Argilla-Api-Key": "unknown"}
    body = {"record_ids": [record]}
    assert owner.http.get(path, headers=stranger).status_code == 401
    assert owner.http.post("errata/looks", json=body, headers=stranger).status_code == 401


def test_a_look_goes_with_its_record(owner, dataset, record):
    report(owner.person(), record)
    owner.call("DELETE", f"records/{record}")
    assert looks(owner, record) == []


def test_reports_are_bounded(owner, record):
    person, other = owner.person(), owner.person()
    assert report(person, *[record] * 101) == 422
    assert report(person) == 422
    statuses = [report(person, record) for _ in range(200)]
    assert statuses[0] == 204
    assert 429 in statuses
    assert report(other, record) == 204
