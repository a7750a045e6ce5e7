"""What the bridge needs of Argilla: the fake and the real one keep the same contract."""

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx2
import pytest
from PIL import Image

from errata.errors import Unavailable
from errata.protocol import Proposal
from review.argilla import guidelines, records, screen, templates
from review.argilla.fake import FakeArgilla
from review.argilla.gateway import Gateway
from review.argilla.rest import Rest
from review.argilla.surface import Answer, NotTaken, Pushed, Record, Surface
from tests.e2e.running import Installation
from tests.people import at, proposal
from tests.review import pictures
from tests.waiting import PATIENCE_S

PASSWORD = "a long password"
NAMES = ("draft", "action", "candidates-3", "click-picture", "question-2")
Say = Callable[[str, str, Mapping[str, Any], str], None]
"""Answer the record of an external id, as a user, with values, as draft, submitted or discarded."""
Look = Callable[[str, str], None]
"""Have the record of an external id on the screen, as a user."""


class Opened(NamedTuple):
    """A surface, and how people answer on it."""

    surface: Surface
    say: Say
    look: Look


@pytest.fixture(scope="session")
def argilla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("contract") / "home")
    try:
        running.up()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def gateway(argilla: Installation) -> Iterator[Gateway]:
    opened = Gateway(argilla.argilla, argilla.credentials["argilla"]["api_key"], "contract")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def real(argilla: Installation, gateway: Gateway) -> Iterator[Opened]:
    credentials = argilla.credentials["argilla"]
    for name in ("ann", "ben"):
        assert gateway.user(name, PASSWORD)
        assert not gateway.user(name, PASSWORD)
    datasets = {name: gateway.dataset(name) for name in NAMES}
    assert gateway.dataset("draft") == datasets["draft"]
    rest = Rest(argilla.argilla, credentials["api_key"], datasets)
    people = {name: _log_in(argilla.argilla, name) for name in ("ann", "ben")}

    def place(external_id: str) -> str:
        there = rest.records(external_id.partition("_")[0])
        return next(one.server_id for one in there if one.external_id == external_id)

    def say(external_id: str, username: str, values: Mapping[str, Any], status: str) -> None:
        _say(people[username], place(external_id), values, status)

    def look(external_id: str, username: str) -> None:
        body = {"record_ids": [place(external_id)]}
        people[username].post("/errata/looks", json=body).raise_for_status()

    yield Opened(rest, say, look)
    rest.close()
    for person in people.values():
        person.close()


def _log_in(url: str, name: str) -> httpx2.Client:
    person = httpx2.Client(base_url=f"{url}/api/v1", timeout=PATIENCE_S)
    token = person.post("/token", data={"username": name, "password": PASSWORD})
    person.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
    return person


def _say(person: httpx2.Client, server_id: str, values: Mapping[str, Any], status: str) -> None:
    body = {"values": {name: {"value": value} for name, value in values.items()}, "status": status}
    answer = person.post(f"/records/{server_id}/responses", json=body)
    if answer.status_code == 409:  # the second answer changes the first
        record = person.get(f"/records/{server_id}").json()
        answer = person.put(f"/responses/{record['responses'][0]['id']}", json=body)
    assert answer.is_success, answer.text


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.argilla)])
def opened(request: pytest.FixtureRequest) -> Opened:
    if request.param == "real":
        return request.getfixturevalue("real")
    fake = FakeArgilla()

    def say(external_id: str, username: str, values: Mapping[str, Any], status: Any) -> None:
        fake.answer(external_id, username, values, status)

    def look(external_id: str, username: str) -> None:
        fake.look(external_id, username, datetime.now(UTC))

    return Opened(fake, say, look)


def record(asked: Proposal | None = None, **more: Any) -> Record:
    """A record with an external id of its own that begins with its dataset's name."""
    asked = asked or proposal()
    given: dict[str, Any] = {"reason": "no rule", "risk": "low", "expires_at": at(60), **more}
    placed = records.place(
        records.Asked(f"@_{uuid.uuid4().hex}:0", asked, "sha256:" + "0" * 64, **given)
    )
    return placed.record._replace(
        external_id=placed.record.external_id.replace("@", placed.dataset)
    )


def find(opened: Opened, dataset: str, external_id: str) -> Pushed | None:
    there = opened.surface.records(dataset)
    return next((one for one in there if one.external_id == external_id), None)


def only_answer(opened: Opened, dataset: str, external_id: str) -> Answer:
    found = find(opened, dataset, external_id)
    assert found is not None
    (answer,) = found.answers
    return answer


def test_a_record_that_was_pushed_is_there_under_its_id(opened: Opened) -> None:
    one, other = record(), record(proposal(content="<b>\n\n[x](y)"))
    ids = opened.surface.push("draft", [one, other])
    assert set(ids) == {one.external_id, other.external_id}
    found = find(opened, "draft", one.external_id)
    assert found == Pushed(ids[one.external_id], one.external_id, [])
    assert opened.surface.record(ids[one.external_id]) == found


def test_pushing_again_changes_no_id_and_loses_no_answer(opened: Opened) -> None:
    one = record()
    first = opened.surface.push("draft", [one])
    opened.say(one.external_id, "ann", {"decision": "approve"}, "submitted")
    before = only_answer(opened, "draft", one.external_id)
    assert opened.surface.push("draft", [one]) == first
    assert only_answer(opened, "draft", one.external_id) == before


def test_a_removed_record_is_gone_and_can_be_removed_again(opened: Opened) -> None:
    one, other = record(), record()
    ids = opened.surface.push("draft", [one, other])
    for _ in range(2):
        opened.surface.remove("draft", [ids[one.external_id]])
        assert opened.surface.record(ids[one.external_id]) is None
        assert find(opened, "draft", one.external_id) is None
    assert find(opened, "draft", other.external_id) is not None


def test_a_record_can_be_pushed_anew_after_it_was_removed(opened: Opened) -> None:
    one = record()
    ids = opened.surface.push("draft", [one])
    opened.surface.remove("draft", list(ids.values()))
    again = opened.surface.push("draft", [one])
    assert again[one.external_id] != ids[one.external_id]
    assert find(opened, "draft", one.external_id) is not None


@pytest.mark.parametrize("status", ["draft", "submitted", "discarded"])
def test_an_answer_comes_with_its_status_and_its_givers_name(opened: Opened, status: str) -> None:
    one = record()
    opened.surface.push("draft", [one])
    opened.say(one.external_id, "ann", {"decision": "reject", "reason": "tone"}, status)
    answer = only_answer(opened, "draft", one.external_id)
    assert (answer.status, answer.username) == (status, "ann")
    assert answer.values == {"decision": "reject", "reason": "tone"}


def test_a_changed_answer_is_the_same_one_at_a_later_time(opened: Opened) -> None:
    one = record()
    opened.surface.push("draft", [one])
    opened.say(one.external_id, "ann", {"decision": "reject"}, "draft")
    first = only_answer(opened, "draft", one.external_id)
    opened.say(one.external_id, "ann", {"decision": "approve"}, "submitted")
    second = only_answer(opened, "draft", one.external_id)
    assert second.response_id == first.response_id
    assert second.updated_at > first.updated_at
    assert second.inserted_at == first.inserted_at
    assert (second.status, second.values) == ("submitted", {"decision": "approve"})


def test_everyone_answers_for_themselves(opened: Opened) -> None:
    one = record()
    ids = opened.surface.push("draft", [one])
    opened.say(one.external_id, "ann", {"decision": "reject"}, "submitted")
    opened.say(one.external_id, "ben", {"decision": "approve"}, "submitted")
    found = opened.surface.record(ids[one.external_id])
    assert found is not None
    said = {answer.username: answer.values["decision"] for answer in found.answers}
    assert said == {"ann": "reject", "ben": "approve"}


@pytest.mark.parametrize(
    "text",
    [
        "Grüße,\r\n€5 back",
        "  spaces  \n\n\nlines \n",
        "<b>& [x](y) `z` \\n</b>",
        '{"amount": 1.10, "note": "é🙂\\u202e"}',
    ],
)
def test_a_text_comes_back_byte_for_byte(opened: Opened, text: str) -> None:
    one = record()
    opened.surface.push("draft", [one])
    values = {"decision": "edit", "correction": text, "comment": text}
    opened.say(one.external_id, "ann", values, "submitted")
    assert only_answer(opened, "draft", one.external_id).values == values


def test_a_ranking_comes_back_with_its_ties(opened: Opened) -> None:
    choice = proposal(
        kind="candidates",
        content=None,
        candidates=[{"id": one, "content": one} for one in ("x", "y", "z")],
    )
    one = record(choice)
    opened.surface.push("candidates-3", [one])
    ranking = [
        {"value": "B", "rank": 1},
        {"value": "A", "rank": 2},
        {"value": "C", "rank": 2},
    ]
    values = {"decision": "approve", "ranking": ranking, "best": "B"}
    opened.say(one.external_id, "ann", values, "submitted")
    found = only_answer(opened, "candidates-3", one.external_id).values
    assert found["best"] == "B"
    ranks = {entry["value"]: entry["rank"] for entry in found["ranking"]}
    assert ranks == {"A": 2, "B": 1, "C": 2}


def test_more_records_than_fit_a_page_all_come(opened: Opened) -> None:
    many = [
        record(proposal(kind="action", content=None, action={"name": "n", "arguments": {"n": n}}))
        for n in range(210)
    ]
    ids = opened.surface.push("action", many)
    assert len(set(ids.values())) == 210
    there = {one.external_id for one in opened.surface.records("action")}
    assert there >= set(ids)
    opened.surface.remove("action", list(ids.values()))
    assert {one.external_id for one in opened.surface.records("action")}.isdisjoint(ids)


def test_a_record_of_the_largest_size_that_is_shown_is_taken(opened: Opened) -> None:
    texts = [{"text": "<" * 20_000, "origin": "web", "trusted": False}] * 28
    one = record(proposal(content="<" * 199_000, evidence=texts))
    assert len(one.fields["proposal"]) > 0.9 * screen.LARGEST_PAGE
    ids = opened.surface.push("draft", [one])
    assert find(opened, "draft", one.external_id) is not None
    opened.surface.remove("draft", list(ids.values()))


def test_a_screenshot_of_the_largest_size_is_taken_with_others(opened: Opened) -> None:
    noise = Image.frombytes("RGB", (1920, 1080), random.Random(1).randbytes(1920 * 1080 * 3))
    picture = pictures.url(noise, "JPEG", quality=80)
    assert len(picture) < 5_000_000
    asked = proposal(kind="click", content=None, point={"x": 1, "y": 2}, screenshot=picture)
    many = [record(asked) for _ in range(4)]
    assert sum(len(one.fields["screenshot"]) for one in many) > 10_000_000
    ids = opened.surface.push("click-picture", many)
    assert len(ids) == 4
    opened.surface.remove("click-picture", list(ids.values()))


def test_whoever_has_a_record_open_is_known_until_they_answer(opened: Opened) -> None:
    one = record()
    ids = opened.surface.push("draft", [one])

    def open_by() -> Mapping[str, datetime]:
        found = opened.surface.record(ids[one.external_id])
        assert found is not None
        return found.open_by

    assert open_by() == {}
    for name in ("ann", "ben"):
        opened.look(one.external_id, name)
    assert set(open_by()) == {"ann", "ben"}
    assert all(abs(datetime.now(UTC) - at) < timedelta(minutes=1) for at in open_by().values())
    opened.say(one.external_id, "ann", {"decision": "approve"}, "draft")
    opened.say(one.external_id, "ben", {"decision": "approve"}, "submitted")
    assert set(open_by()) == {"ann"}


@pytest.mark.argilla
def test_a_dataset_of_an_older_version_is_brought_up_to_date(
    argilla: Installation, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = argilla.credentials["argilla"]["api_key"]
    with monkeypatch.context() as patch:
        patch.setattr(templates, "METADATA", templates.METADATA[:-1])
        patch.setattr(guidelines, "RULES", "The rules of an older version.")
        older = gateway.dataset("plan")
    one = record(proposal(kind="plan", metadata={"assignee": "ann"}))
    assert one.metadata["assignee"] == "ann"
    rest = Rest(argilla.argilla, key, {"plan": older})
    with pytest.raises(NotTaken, match="assignee"):
        rest.push("plan", [one])
    for _ in range(2):
        assert gateway.dataset("plan") == older
    assert set(rest.push("plan", [one])) == {one.external_id}
    rest.close()
    http = httpx2.Client(
        base_url=f"{argilla.argilla}/api/v1",
        headers={"X-Argilla-Api-Key": key},
        timeout=PATIENCE_S,
    )
    assert http.get(f"/datasets/{older.id}").json()["guidelines"] == guidelines.of("plan")
    http.close()


def test_an_unknown_record_is_none(opened: Opened) -> None:
    assert opened.surface.record(str(uuid.uuid4())) is None


def test_a_surface_that_does_not_answer_says_so() -> None:
    nobody = Rest("http://127.0.0.1:9", "key", {})
    with pytest.raises(Unavailable, match="does not answer"):
        nobody.record("any")
    nobody.close()
    fake = FakeArgilla()
    fake.down = True
    with pytest.raises(Unavailable):
        fake.record("any")
