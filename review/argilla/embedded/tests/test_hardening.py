"""Doors that Argilla leaves open are shut, and the right people still get in."""

import re

import httpx
import pytest
from conftest import DECISION, PASSWORD

VALUES = {"values": {"decision": {"value": "reject"}}, "status": "submitted"}


@pytest.fixture(scope="module")
def dataset(server):
    return server.client().dataset(min_submitted=3)


@pytest.fixture
def record(owner, dataset):
    metadata = {"agent": "a", "trap": "planted", "undeclared": "x"}
    return owner.push(dataset, {"text": "x", "metadata": metadata})[0]


@pytest.fixture(params=["owner", "admin"])
def superior(request, owner):
    return owner if request.param == "owner" else owner.person("admin")


def test_nobody_rewrites_or_deletes_anothers_answer(owner, record, superior):
    answer = owner.person().answer(record)
    path = f"responses/{answer['id']}"
    assert superior.status("PUT", path, VALUES) == 403
    assert superior.status("DELETE", path) == 403
    (kept,) = owner.call("GET", f"records/{record}")["responses"]
    assert kept == answer


def test_ones_own_answer_can_be_changed_and_deleted(owner, record):
    person = owner.person()
    path = f"responses/{person.answer(record)['id']}"
    assert person.call("PUT", path, VALUES)["values"]["decision"]["value"] == "reject"
    assert person.status("DELETE", path) == 200
    assert owner.call("GET", f"records/{record}")["responses"] == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_records_bring_no_answers_of_others(owner, dataset, superior, method):
    def push(user, text):
        response = {"user_id": user.me["id"], **VALUES}
        item = {"fields": {"text": text}, "responses": [response], "external_id": text}
        return superior.status(method, f"datasets/{dataset}/records/bulk", {"items": [item]})

    total = owner.search(dataset).total
    assert push(owner.person(), f"theirs {method} {superior.me['role']}") == 403
    assert owner.search(dataset).total == total
    assert push(superior, f"mine {method} {superior.me['role']}") < 300


def test_an_existing_record_gets_no_answer_of_another_by_upsert(owner, dataset, record):
    person = owner.person()
    person.answer(record)
    response = {"user_id": person.me["id"], **VALUES}
    items = {"items": [{"id": record, "responses": [response]}]}
    assert owner.status("PUT", f"datasets/{dataset}/records/bulk", items) == 403
    owner.call("PATCH", f"records/{record}", {"metadata": {"agent": "b"}, "responses": [response]})
    (kept,) = owner.call("GET", f"records/{record}")["responses"]
    assert kept["values"] == {"decision": {"value": DECISION["decision"]}}


def test_a_person_is_not_deleted_together_with_their_answers(owner, dataset, record):
    person, idle = owner.person(), owner.person()
    person.answer(record)
    assert owner.status("DELETE", f"users/{person.me['id']}") == 403
    assert owner.status("DELETE", f"users/{idle.me['id']}") == 200
    assert len(owner.call("GET", f"records/{record}")["responses"]) == 1


def test_a_labelers_bulk_answers_are_their_own_whatever_they_claim(owner, record):
    person, other = owner.person(), owner.person()
    item = {"record_id": record, "user_id": other.me["id"], **VALUES}
    person.call("POST", "me/responses/bulk", {"items": [item]})
    (answer,) = owner.call("GET", f"records/{record}")["responses"]
    assert answer["user_id"] == person.me["id"]


def test_an_annotator_sees_their_own_answer_and_visible_metadata_only(owner, record):
    first, second = owner.person(), owner.person()
    first.answer(record)
    mine = second.answer(record)
    seen = second.call("GET", f"records/{record}")
    assert (seen["responses"], seen["metadata"]) == ([mine], {"agent": "a"})
    whole = owner.call("GET", f"records/{record}")
    assert (len(whole["responses"]), whole["metadata"]["trap"]) == (2, "planted")


def test_an_annotators_search_shows_their_own_answer_only(owner, dataset, record):
    first, second = owner.person(), owner.person()
    first.answer(record)
    scope = {"entity": "record", "property": "id"}
    body = {"filters": {"and": [{"type": "terms", "scope": scope, "values": [record]}]}}
    path = f"me/datasets/{dataset}/records/search?include=responses"
    (item,) = second.call("POST", path, body)["items"]
    assert (item["record"]["responses"], item["record"]["metadata"]) == ([], {"agent": "a"})
    assert second.status("POST", path.removeprefix("me/"), body) == 403
    assert second.status("GET", f"datasets/{dataset}/records?include=responses") == 403


def test_an_annotator_cannot_find_out_hidden_metadata_by_filter_or_sort(owner, dataset, record):
    scope = {"entity": "metadata", "metadata_property": "trap"}
    path = f"me/datasets/{dataset}/records/search"
    filters = {"filters": {"and": [{"type": "terms", "scope": scope, "values": ["planted"]}]}}
    for body in (filters, {"sort": [{"scope": scope, "order": "asc"}]}):
        assert owner.person().status("POST", path, body) == 422
        assert owner.status("POST", path, body) == 200
    listed = owner.call("GET", f"me/datasets/{dataset}/metadata-properties")["items"]
    (trap,) = [found["id"] for found in listed if found["name"] == "trap"]
    assert owner.person().status("GET", f"metadata-properties/{trap}/metrics") == 403


def test_a_key_is_shown_to_the_person_it_opens_for_alone(owner):
    person = owner.person()
    (workspace,) = owner.call("GET", "me/workspaces")["items"]
    listed = [
        *owner.call("GET", "users")["items"],
        *owner.call("GET", f"workspaces/{workspace['id']}/users")["items"],
        owner.call("GET", f"users/{person.me['id']}"),
        owner.call("PATCH", f"users/{person.me['id']}", {"first_name": "New"}),
    ]
    assert {user["api_key"] for user in listed} == {""}
    assert owner.call("GET", "me")["api_key"]
    assert owner.person("admin").status("GET", "users") == 403


def sign_in(server, name, password):
    data = {"username": name, "password": password}
    return httpx.post(f"{server.url}/api/v1/token", data=data)


def test_passwords_cannot_be_tried_at_will(server, owner):
    victim, other = owner.person().me["username"], owner.person().me["username"]
    tries = [sign_in(server, victim, f"wrong {i}") for i in range(6)]
    assert [answer.status_code for answer in tries] == [401] * 5 + [429]
    assert int(tries[-1].headers["retry-after"]) > 0
    assert "Try again in" in tries[-1].text
    assert sign_in(server, victim, PASSWORD).status_code == 429
    assert sign_in(server, other, PASSWORD).status_code == 201


def test_a_success_forgives_earlier_mistakes(server, owner):
    name = owner.person().me["username"]
    for _ in range(2):
        for _ in range(4):
            assert sign_in(server, name, "a slip of the finger").status_code == 401
        assert sign_in(server, name, PASSWORD).status_code == 201


def test_every_answer_of_the_server_binds_the_browser(server):
    for path in ("/", "/sign-in", "/api/v1/version", "/api/v1/me", "/favicon.ico", "/no/such"):
        headers = httpx.get(server.url + path).headers
        policy = headers["content-security-policy"]
        for part in ("frame-ancestors 'none'", "base-uri 'self'", "object-src 'none'"):
            assert part in policy
        scripts = re.search(r"script-src ([^;]*)", policy)[1]
        assert scripts.startswith("'self' 'sha256-")
        assert "unsafe" not in scripts
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"


def test_ranges_are_not_served(server):
    whole = httpx.get(f"{server.url}/favicon.ico")
    part = httpx.get(f"{server.url}/favicon.ico", headers={"Range": "bytes=0-1,0-2,0-3"})
    assert (part.status_code, part.content) == (200, whole.content)


def test_no_other_site_may_call_the_api(server):
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        answer = httpx.request(method, f"{server.url}/api/v1/me", headers=headers)
        assert "access-control-allow-origin" not in answer.headers


def test_the_api_is_described_to_people_it_knows(server, owner):
    for path in ("docs", "redoc", "docs/oauth2-redirect"):
        assert httpx.get(f"{server.url}/api/v1/{path}").status_code == 404
    assert httpx.get(f"{server.url}/api/v1/openapi.json").status_code == 401
    assert "/me" in owner.call("GET", "openapi.json")["paths"]
