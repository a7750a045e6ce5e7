"""Keys: who holds them, what they may do, and when they end."""

from datetime import timedelta

import pytest
from sqlmodel import select

from errata.db import Database
from errata.errors import Conflict, Malformed, NotFound, Unauthorized
from errata.protocol import Role
from ingestion import keys, tables
from ingestion.events import new_id
from tests.people import NOW, Api, People, action, at


def test_a_key_opens_for_its_holder_and_is_stored_as_a_hash(database: Database) -> None:
    with database.transaction() as session:
        made = keys.create(
            session, "reviewer", "ann", groups=dict.fromkeys(["b", "a"]), actor="t", now=NOW
        )
    with database.reading() as session:
        found = keys.authenticate(session, made.secret)
        stored = session.exec(select(tables.Key)).one()
    assert (found.name, found.roles, found.groups) == ("ann", ["reviewer"], {"a": None, "b": None})
    assert made.secret not in str(stored.model_dump())
    assert made.secret.startswith("errata_")


@pytest.mark.parametrize("secret", [None, "", "errata_nothing", "🗝️"])
def test_what_is_no_key_opens_nothing(database: Database, secret: str | None) -> None:
    with database.reading() as session, pytest.raises(Unauthorized):
        keys.authenticate(session, secret)


def test_a_revoked_key_opens_nothing_and_says_no_more_than_an_unknown_one(
    database: Database,
) -> None:
    with database.transaction() as session:
        made = keys.create(session, "reviewer", "ann", actor="t", now=NOW)
        other = keys.create(session, "reviewer", "ann", actor="t", now=NOW)
        keys.revoke(session, made.key_id, actor="t", now=at(1))
        keys.revoke(session, made.key_id, actor="t", now=at(2))
    with database.reading() as session:
        with pytest.raises(Unauthorized) as revoked:
            keys.authenticate(session, made.secret)
        with pytest.raises(Unauthorized) as unknown:
            keys.authenticate(session, "errata_unknown")
        assert revoked.value.detail == unknown.value.detail
        assert keys.authenticate(session, other.secret).name == "ann"


def test_a_rotated_key_is_replaced(database: Database) -> None:
    with database.transaction() as session:
        old = keys.create(session, "agent", "desk", agents=["desk-*"], actor="t", now=NOW)
        new = keys.rotate(session, old.key_id, actor="t", now=at(1))
        with pytest.raises(Unauthorized):
            keys.authenticate(session, old.secret)
        assert keys.authenticate(session, new.secret).agents == ["desk-*"]
        listed = keys.list_all(session)
    assert [(one.key.id, one.key.revoked_at is not None) for one in listed] == [
        (old.key_id, True),
        (new.key_id, False),
    ]
    with database.transaction() as session, pytest.raises(NotFound):
        keys.rotate(session, "none", actor="t", now=NOW)


def test_a_name_gathers_roles_and_groups(database: Database) -> None:
    with database.transaction() as session:
        keys.create(session, "reviewer", "ann", groups=dict.fromkeys(["a"]), actor="t", now=NOW)
        made = keys.create(session, "admin", "ann", groups=dict.fromkeys(["b"]), actor="t", now=NOW)
    assert (made.principal.roles, made.principal.groups) == (
        ["admin", "reviewer"],
        {"a": None, "b": None},
    )


@pytest.mark.parametrize(("first", "then"), [("agent", "reviewer"), ("supervisor", "agent")])
def test_nobody_is_an_agent_and_more(database: Database, first: Role, then: Role) -> None:
    with database.transaction() as session:
        keys.create(session, first, "both", actor="t", now=NOW)
    refusal = pytest.raises(Conflict, match="an agent cannot be more")
    with refusal, database.transaction() as session:
        keys.create(session, then, "both", actor="t", now=NOW)
    with database.reading() as session:
        assert session.exec(select(tables.Principal)).one().roles == [first]


def test_a_key_needs_a_name_and_only_agents_are_limited_to_agents(database: Database) -> None:
    with database.transaction() as session:
        with pytest.raises(Malformed, match="needs a name"):
            keys.create(session, "agent", "  ", actor="t", now=NOW)
        with pytest.raises(Malformed, match="only agent keys"):
            keys.create(session, "reviewer", "ann", agents=["*"], actor="t", now=NOW)


def test_a_limited_agent_key_speaks_for_its_agents_only(api: Api) -> None:
    with api.database.transaction() as session:
        limited = keys.create(session, "agent", "mail", agents=["mail-*"], actor="t", now=NOW)
    headers = {"Authorization": f"Bearer {limited.secret}"}
    own = api.client.post(
        "/v1/proposals", json={**action(), "agent": {"id": "mail-7"}}, headers=headers
    )
    other = api.client.post("/v1/proposals", json=action(), headers=headers)
    assert own.status_code == 202
    assert (other.status_code, other.json()["field"]) == (403, "agent.id")


def test_a_disabled_persons_keys_open_nothing(database: Database, people: People) -> None:
    with database.transaction() as session:
        session.get_one(tables.Principal, people.ann.principal.id).disabled_at = NOW
        assert keys.reviewer(session, "ann") is None
        with pytest.raises(Unauthorized):
            keys.authenticate(session, people.ann.secret)


@pytest.mark.parametrize(
    ("name", "may"), [("ann", True), ("sue", True), ("desk", False), ("ada", False), ("x", False)]
)
def test_who_may_review_by_name(database: Database, people: People, name: str, may: bool) -> None:
    with database.reading() as session:
        assert (keys.reviewer(session, name) is not None) is may


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id(NOW + timedelta(milliseconds=n)) for n in range(100)]
    assert ids == sorted(ids)
    assert len({new_id(NOW) for _ in range(100)}) == 100
