"""Twelve hours after a run stopped, another process goes on: to the right end, or a new question."""

from typing import Any

import pytest

from tests.agents.effects import Call, Outcome, Turn, World
from tests.agents.office import Office
from tests.agents.rigs import RIGS, elsewhere, result, rig

SCRIPT: list[Turn] = [[Call("transfer", {"to": "bob", "amount": 10.0})], "paid"]
CHANGES: dict[str, dict[str, Any]] = {
    "the same code": {},
    "another version": {"version": "2"},
    "another schema": {"currency": True},
}


def _process(adapter: str, act: str, world: World) -> Outcome:
    outcome = result(elsewhere(adapter, act, world, SCRIPT))
    assert isinstance(outcome, Outcome), f"the process died with status {outcome}"
    return outcome


def _here(adapter: str, act: str, world: World) -> Outcome:
    """The same in this process, which keeps nothing either: for what other code does with it."""
    return getattr(rig(adapter), act)(world, SCRIPT)


@pytest.mark.parametrize("adapter", RIGS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_process_that_was_not_there_ends_it_rightly_or_asks_anew(
    adapter: str, change: str, world: World, office: Office
) -> None:
    act = _process if change == "the same code" else _here
    waiting = act(adapter, "run", world).waiting
    office.let_pass(hours=6)
    assert office.say(waiting[0], "approve").is_success
    office.let_pass(hours=6)
    outcome = act(adapter, "resume", world._replace(**CHANGES[change]))
    if change == "the same code":
        assert outcome.said == "paid"
    if outcome.said is None:
        assert world.ledger == []
        assert outcome.waiting
        assert outcome.waiting != waiting
        assert office.say(outcome.waiting[0], "approve").is_success
        outcome = act(adapter, "resume", world._replace(**CHANGES[change]))
    else:
        assert change != "another version", "an approval does not carry over to other code"
    assert outcome.said == "paid"
    assert world.sent == [("bob", 10.0)]
