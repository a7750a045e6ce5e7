"""The policy in force and its history."""

import pytest
from sqlmodel import col, select

from errata.db import Database
from errata.errors import Unavailable
from ingestion import policies, tables
from ingestion.policy_file import BadPolicy
from tests.people import NOW, Api, action, at, together

FIRST = "version: 1\ndefault: {route: queue}\n"
SECOND = "version: 1\ndefault: {route: block}\n"


def apply(database: Database, text: str, seconds: float = 0) -> str:
    with database.transaction() as session:
        return policies.apply(session, text, actor="test", now=at(seconds)).version


def applied(database: Database) -> list[str]:
    """Versions in the order in which they became active."""
    with database.reading() as session:
        events = session.exec(
            select(tables.Event)
            .where(tables.Event.type == "policy.applied")
            .order_by(col(tables.Event.seq))
        )
        return [one.data["version"] for one in events]


def test_the_policy_that_was_applied_last_is_in_force(database: Database) -> None:
    first, second = apply(database, FIRST), apply(database, SECOND, 1)
    with database.reading() as session:
        found = policies.in_force(session)
    assert (found.version, found.policy.default.route) == (second, "block")
    assert apply(database, FIRST, 2) == first  # an old one can come back
    with database.reading() as session:
        assert policies.in_force(session).version == first
        active = session.exec(select(tables.Policy.version).where(col(tables.Policy.active))).all()
    assert active == [first]
    assert applied(database) == [first, second, first]


def test_applying_the_active_policy_again_changes_nothing(database: Database) -> None:
    first = apply(database, FIRST)
    assert apply(database, "# a comment\n" + FIRST, 1) == first
    assert applied(database) == [first]


def test_a_broken_policy_leaves_the_one_in_force(database: Database) -> None:
    first = apply(database, FIRST)
    with pytest.raises(BadPolicy):
        apply(database, "version: 2")
    with database.reading() as session:
        assert policies.in_force(session).version == first


def test_without_a_policy_nothing_is_taken_in(database: Database) -> None:
    with database.reading() as session, pytest.raises(Unavailable, match="errata policy apply"):
        policies.in_force(session)


def test_of_policies_applied_at_once_one_is_in_force(database: Database) -> None:
    apply(database, FIRST)
    texts = [f"version: 1\ndefault: {{expires_in: {n}h}}\n" for n in range(1, 7)]
    together(6, lambda number: apply(database, texts[number], number))
    with database.reading() as session:
        active = session.exec(select(tables.Policy.version).where(col(tables.Policy.active))).all()
    assert active == [applied(database)[-1]]


def test_an_open_proposal_keeps_the_policy_that_it_was_routed_under(api: Api) -> None:
    ticket = api.propose()
    with api.database.transaction() as session:
        policies.apply(session, FIRST, actor="test", now=NOW)
    decided = api.review(ticket, "approve").json()
    assert decided["decision"]["policy_version"] == ticket_version(api, ticket["id"])
    assert decided["permit"]["digest"] == ticket["digest"]
    assert api.propose(action())["digest"] != ticket["digest"]


def ticket_version(api: Api, id_: str) -> str:
    with api.database.reading() as session:
        return session.get_one(tables.Proposal, id_).policy_version
