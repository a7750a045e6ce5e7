"""Every order in which up to five people can vote: never short of a quorum, never twice."""

from itertools import permutations, product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.ruling import Terms
from review.quorum import Ballot, is_reached, settle


class Somebody(NamedTuple):
    id: str
    name: str = ""


def ballot(person: str, verdict: str = "approve", choice: str = "", groups: str = "") -> Ballot:
    return Ballot(Somebody(person), frozenset(groups.split()), verdict, choice or verdict)  # pyright: ignore[reportArgumentType]


VERDICTS = ("approve", "reject", None)


def counted(said: list[tuple[str, str]]) -> list[Ballot]:
    """What stands after these were said: each person's newest, where it was said."""
    newest: dict[str, str] = {}
    for person, verdict in said:
        newest.pop(person, None)
        newest[person] = verdict
    return [ballot(person, verdict) for person, verdict in newest.items()]


@pytest.mark.parametrize("people", range(1, 6))
@pytest.mark.parametrize("needed", range(1, 6))
def test_in_every_order_it_is_approved_exactly_at_the_quorum(people: int, needed: int) -> None:
    for said in product(VERDICTS, repeat=people):
        voted = [(str(number), verdict) for number, verdict in enumerate(said) if verdict]
        approvals = sum(verdict == "approve" for _, verdict in voted)
        vetoed = any(verdict == "reject" for _, verdict in voted)
        for order in set(permutations(voted)):
            found = settle(Terms(needed=needed), counted(list(order)))
            if vetoed:
                assert found is not None
                assert found.ballot.verdict == "reject"
            else:
                assert (found is not None) == (approvals >= needed)


def test_one_person_who_says_it_five_times_is_one_person() -> None:
    assert settle(Terms(needed=2), counted([("ann", "approve")] * 5)) is None


def test_who_changes_to_reject_stops_it_and_who_changes_back_does_not() -> None:
    said = [("ann", "approve"), ("ann", "reject")]
    assert settle(Terms(needed=2), counted(said)).ballot.verdict == "reject"  # pyright: ignore[reportOptionalMemberAccess]
    said += [("ann", "approve"), ("ben", "approve")]
    assert settle(Terms(needed=2), counted(said)).got == 2  # pyright: ignore[reportOptionalMemberAccess]


ROLES = ("senior", "security", "legal")


def filled_by_trying(roles: tuple[str, ...], people: list[Ballot]) -> bool:
    """Whether some order of distinct people fills the roles one by one."""
    return any(
        all(role in person.groups for role, person in zip(roles, order, strict=True))
        for order in permutations(people, len(roles))
    )


@given(
    st.lists(st.sets(st.sampled_from(ROLES)), max_size=5),
    st.lists(st.sampled_from(ROLES), max_size=3),
    st.integers(1, 5),
)
@settings(max_examples=500, deadline=None)
def test_each_role_has_a_person_to_itself(
    groups: list[set[str]], roles: list[str], needed: int
) -> None:
    people = [ballot(str(number), groups=" ".join(held)) for number, held in enumerate(groups)]
    terms = Terms(needed=max(needed, len(roles)), roles=tuple(roles))
    expected = len(people) >= terms.needed and filled_by_trying(terms.roles, people)
    assert is_reached(terms, people) == expected
    assert (settle(terms, people) is not None) == expected


def test_one_person_of_two_groups_fills_one_of_two_roles() -> None:
    terms = Terms(needed=2, roles=("senior", "security"))
    both, senior = ballot("a", groups="senior security"), ballot("b", groups="senior")
    assert settle(terms, [both, ballot("c")]) is None
    assert settle(terms, [senior, ballot("d", groups="senior")]) is None
    for order in permutations([both, senior]):
        assert settle(terms, order) is not None


def test_only_equal_choices_add_up() -> None:
    a, b = ballot("ann", choice="5 pm"), ballot("ben", choice="6 pm")
    assert settle(Terms(needed=2), [a, b]) is None
    assert settle(Terms(needed=2), [a, b, ballot("cho", choice="6 pm")]).ballot.choice == "6 pm"  # pyright: ignore[reportOptionalMemberAccess]


def test_where_enough_have_voted_and_differ_the_senior_decides() -> None:
    terms = Terms(needed=2, tie_break=("senior",))
    ann, sue = ballot("ann", choice="20"), ballot("sue", choice="30", groups="senior")
    assert settle(terms, [sue]) is None, "a senior alone is no quorum"
    assert settle(terms, [ann, ballot("ben", choice="25")]) is None, "no senior has voted"
    for order in permutations([ann, sue]):
        found = settle(terms, order)
        assert found is not None
        assert (found.ballot.choice, found.tie_broken, found.got) == ("30", True, 1)


def test_a_veto_goes_before_a_tie_break() -> None:
    terms = Terms(needed=2, tie_break=("senior",))
    sue = ballot("sue", choice="30", groups="senior")
    found = settle(terms, [sue, ballot("ann", choice="20"), ballot("ben", "reject")])
    assert found is not None
    assert found.ballot.verdict == "reject"
