"""Whether the votes on one digest decide. Pure.

In: the terms, each eligible person's newest vote. Out: the vote that decides, or nothing yet.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from errata import protocol
from ingestion.ruling import Terms

VETOES: frozenset[protocol.Verdict] = frozenset({"reject", "regenerate", "takeover"})
"""Verdicts after which nothing runs: one eligible person's word is enough."""


class Person(Protocol):
    """Whoever votes."""

    id: str
    name: str


class Ballot(NamedTuple):
    """One person's newest vote."""

    person: Person
    groups: frozenset[str]
    """Those that the person belongs to at the time of counting."""
    verdict: protocol.Verdict
    choice: str
    """Fingerprint of what would count: people agree when their choices are equal."""
    effective: protocol.Effective = protocol.Effective()
    review_id: str = ""


class Carried(NamedTuple):
    """What the votes decide."""

    ballot: Ballot
    got: int
    """How many were for it."""
    tie_broken: bool = False


def settle(terms: Terms, ballots: Sequence[Ballot]) -> Carried | None:
    """Whether the votes decide.

    A veto decides at once. Otherwise as many distinct people as are needed must have made the
    same choice, among them a distinct one of each role. Where as many have voted and differ, the
    word of a person who breaks ties decides.

    Args:
        terms: How many are needed, and of which groups.
        ballots: At most one a person, of eligible people only, oldest first.
    """
    for ballot in ballots:
        if ballot.verdict in VETOES:
            return Carried(ballot, 1)
    for choice, alike in _by_choice(ballots).items():
        if is_reached(terms, alike):
            first = next(one for one in ballots if one.choice == choice)
            return Carried(first, len(alike))
    return _break_tie(terms, ballots)


def _by_choice(ballots: Sequence[Ballot]) -> dict[str, list[Ballot]]:
    found: dict[str, list[Ballot]] = {}
    for ballot in ballots:
        found.setdefault(ballot.choice, []).append(ballot)
    return found


def _break_tie(terms: Terms, ballots: Sequence[Ballot]) -> Carried | None:
    if len({ballot.choice for ballot in ballots}) < 2 or not is_reached(terms, ballots):
        return None
    for ballot in ballots:
        if ballot.groups.intersection(terms.tie_break):
            alike = sum(one.choice == ballot.choice for one in ballots)
            return Carried(ballot, alike, tie_broken=True)
    return None


def is_reached(terms: Terms, ballots: Sequence[Ballot]) -> bool:
    """Whether these people are enough, and each role has one of them to itself."""
    groups = {ballot.person.id: ballot.groups for ballot in ballots}
    return len(groups) >= terms.needed and _fills(terms.roles, groups)


def _fills(roles: Sequence[str], people: Mapping[str, frozenset[str]]) -> bool:
    """Whether distinct people can be matched to all roles.

    Augmenting paths: Kuhn, "The Hungarian method for the assignment problem", 1955.
    """
    taken: dict[str, int] = {}

    def place(role: int, tried: set[str]) -> bool:
        for person, groups in people.items():
            if roles[role] not in groups or person in tried:
                continue
            tried.add(person)
            if person not in taken or place(taken[person], tried):
                taken[person] = role
                return True
        return False

    return all(place(role, set()) for role in range(len(roles)))
