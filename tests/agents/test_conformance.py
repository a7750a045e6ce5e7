"""Failure modes 1 to 20 of agents that wait for people, against every adapter.

The numbers are those of the field notes' list. Each test begins a run of the real framework with a
scripted model, does what goes wrong, and looks at the ledger of effects.
"""

from itertools import permutations

import pytest

from tests.agents.effects import Call, Turn, World
from tests.agents.office import LAX, STRICT, Office
from tests.agents.rigs import RIGS, Rig, elsewhere, result

pytestmark = pytest.mark.parametrize("adapter", RIGS)

PAY = Call("transfer", {"to": "bob", "amount": 10.0})
SCRIPT: list[Turn] = [[PAY], "paid"]
SENT = [("bob", 10.0)]
mode = pytest.mark.mode


@mode(1)
def test_four_processes_that_resume_the_same_state_run_the_tool_once(
    driven: Rig, adapter: str, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    outcomes = [
        result(one) for one in [elsewhere(adapter, "resume", world, SCRIPT) for _ in range(4)]
    ]
    assert world.sent == SENT
    assert office.ticket(waiting[0])["status"] == "executed"
    assert any(not isinstance(one, int) and one.said == "paid" for one in outcomes)


@mode(2)
def test_a_state_that_is_resumed_again_does_nothing_more(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    with driven.copied(world):
        office.say(waiting[0], "approve")
        driven.resume(world, SCRIPT)
    again = driven.resume(world, SCRIPT)
    assert world.sent == SENT
    assert any("sent 10.0 to bob" in text for text in again.told), "the kept result is told"


@mode(3)
def test_a_process_killed_after_the_effect_ends_as_unknown_and_never_runs_it_again(
    driven: Rig, adapter: str, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    dies = world._replace(fault="dies")
    assert result(elsewhere(adapter, "resume", dies, SCRIPT)) == 9
    assert world.sent == SENT
    office.let_pass(minutes=20)
    assert office.ticket(waiting[0])["status"] == "unknown"
    assert "unknown" in office.alarms()
    outcome = driven.resume(world, SCRIPT)
    assert world.sent == SENT
    assert any("not known" in text for text in outcome.told)


@mode(4)
def test_arguments_changed_between_ask_and_resume_never_run(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    driven.mutate(world, {"to": "mallory", "amount": 9999.0})
    office.say(waiting[0], "approve")
    driven.survive(lambda: driven.resume(world, SCRIPT))
    assert ("mallory", 9999.0) not in world.sent


@mode(5)
def test_an_approval_that_the_client_wrote_runs_nothing(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    driven.survive(lambda: driven.forge(world, SCRIPT))
    assert world.ledger == []
    assert office.ticket(waiting[0])["status"] == "queued"


@mode(6)
def test_the_agent_cannot_approve_itself(driven: Rig, world: World, office: Office) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    assert office.say(waiting[0], "approve", by="desk").status_code == 403
    assert driven.resume(world, SCRIPT).waiting == waiting
    assert world.ledger == []


@mode(7)
def test_what_waits_is_still_there_after_the_server_was_restarted(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.restart()
    office.say(waiting[0], "approve")
    assert driven.resume(world._replace(url=office.url), SCRIPT).said == "paid"
    assert world.sent == SENT


@mode(8)
def test_a_decision_before_anybody_waits_for_it_is_found(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    assert driven.resume(world, SCRIPT).said == "paid"
    assert world.sent == SENT


@mode(9)
def test_an_approval_that_nobody_carries_out_is_raised_and_lapses(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    office.let_pass(days=3)
    assert "approved_not_executed" in office.alarms()
    outcome = driven.resume(world, SCRIPT)
    assert world.ledger == []
    assert outcome.waiting, "it is asked for anew"
    assert outcome.waiting != waiting


@mode(9)
def test_an_approval_that_lapsed_unnoticed_is_asked_for_anew(
    driven: Rig, world: World, office: Office
) -> None:
    """No worker has looked: the permit says of itself that it is issued, and cannot be used."""
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    office.let_pass(days=3, is_worked=False)
    outcome = driven.resume(world, SCRIPT)
    assert world.ledger == []
    assert outcome.waiting
    assert outcome.waiting != waiting


@mode(10)
@pytest.mark.parametrize("policy", [LAX, STRICT])
def test_a_reject_stays_one_under_another_policy(
    driven: Rig, world: World, office: Office, policy: str
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "reject", rationale={"code": "wrong", "text": "bob has left"})
    office.apply(policy)
    outcome = driven.resume(world, SCRIPT)
    assert world.ledger == []
    assert any("bob has left" in text or "reject" in text for text in outcome.told)


@mode(10)
def test_an_approval_does_not_outlive_the_policy_that_allowed_it(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    office.apply(STRICT)
    outcome = driven.resume(world, SCRIPT)
    assert world.ledger == []
    assert any("has not run" in text or "forbids it" in text for text in outcome.told)


@mode(11)
def test_what_expired_is_told_in_true_words(driven: Rig, world: World, office: Office) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.let_pass(hours=25)
    outcome = driven.resume(world, SCRIPT)
    assert office.ticket(waiting[0])["decision"]["outcome"] == "expired"
    assert any("Nobody answered in time" in text for text in outcome.told)
    assert world.ledger == []


@mode(12)
def test_nothing_waits_without_a_deadline(driven: Rig, world: World, office: Office) -> None:
    driven.run(world, SCRIPT)
    office.let_pass(days=400)
    assert driven.resume(world, SCRIPT).waiting == []
    assert world.ledger == []


@mode(13)
def test_silence_never_approves(driven: Rig, world: World, office: Office) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.let_pass(hours=25)
    driven.resume(world, SCRIPT)
    assert "permit" not in office.ticket(waiting[0])
    assert world.ledger == []


@mode(14)
def test_one_of_two_needed_votes_runs_nothing(driven: Rig, world: World, office: Office) -> None:
    script: list[Turn] = [[Call("transfer", {"to": "bob", "amount": 5000.0})], "paid"]
    waiting = driven.run(world, script).waiting
    office.say(waiting[0], "approve")
    office.say(waiting[0], "approve")
    assert driven.resume(world, script).waiting == waiting
    assert world.ledger == []
    office.say(waiting[0], "approve", by="ben")
    assert driven.resume(world, script).said == "paid"
    assert world.sent == [("bob", 5000.0)]


@mode(15)
def test_of_two_reviewers_at_once_one_decides(driven: Rig, world: World, office: Office) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    answers = office.say_at_once(waiting[0], [("approve", "ann"), ("reject", "ben")])
    assert sorted(answers) == [201, 409]
    driven.resume(world, SCRIPT)
    outcome = office.ticket(waiting[0])["decision"]["outcome"]
    assert world.sent == (SENT if outcome == "approve" else [])


@mode(16)
def test_an_edit_keeps_its_types(driven: Rig, world: World, office: Office) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    mistyped = {"name": "transfer", "arguments": {"to": "bob", "amount": "7.5"}}
    assert office.say(waiting[0], "edit", action=mistyped).status_code == 422
    version = {"name": "transfer", "arguments": {"to": "bob", "amount": 7.5}}
    assert office.say(waiting[0], "edit", action=version).status_code == 201
    driven.resume(world, SCRIPT)
    assert world.sent == [("bob", 7.5)]


@mode(16)
@pytest.mark.parametrize("name", ["look_up", "drop_table", "no_such_tool"])
def test_an_edit_to_another_tool_is_refused(
    driven: Rig, world: World, office: Office, name: str
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    version = {"name": name, "arguments": {"name": "bob"}}
    assert office.say(waiting[0], "edit", action=version).status_code in {403, 422}
    assert driven.resume(world, SCRIPT).waiting == waiting
    assert world.ledger == []


@mode(17)
def test_a_model_that_repeats_its_call_after_an_edit_asks_nobody_again(
    driven: Rig, world: World, office: Office
) -> None:
    script: list[Turn] = [[PAY], [PAY._replace(id="call_2")], "paid"]
    waiting = driven.run(world, script).waiting
    version = {"name": "transfer", "arguments": {"to": "bob", "amount": 7.5}}
    office.say(waiting[0], "edit", action=version)
    outcome = driven.resume(world, script)
    assert world.sent == [("bob", 7.5)]
    assert outcome.waiting == []
    assert office.count() == 1
    first, last = outcome.told
    assert "Do not make your call again" in last or last == first


ORDERS = [order for order in permutations(range(3)) if order in {(0, 1, 2), (2, 1, 0), (1, 2, 0)}]


@mode(18)
@pytest.mark.parametrize("order", ORDERS)
def test_parallel_calls_answered_in_any_order_go_to_the_right_call(
    driven: Rig, world: World, office: Office, order: tuple[int, ...]
) -> None:
    names = ["bob", "eve", "kim"]
    calls = [Call("transfer", {"to": n, "amount": 10.0}, f"call_{n}") for n in names]
    calls[1:1] = [Call("look_up", {"name": n}, f"look_{n}") for n in names[:2]]
    script: list[Turn] = [calls, "paid"]
    outcome = driven.run(world, script)
    by_name = {
        office.ticket(i)["proposal"]["action"]["arguments"]["to"]: i for i in outcome.waiting
    }
    assert set(by_name) == set(names)
    for place in order:
        name = names[place]
        match name:
            case "bob":
                office.say(by_name[name], "approve")
            case "eve":
                office.say(by_name[name], "reject")
            case _:
                arguments = {"to": "kim", "amount": 1.5}
                action = {"name": "transfer", "arguments": arguments}
                office.say(by_name[name], "edit", action=action)
        outcome = driven.resume(world, script)
    assert outcome.said == "paid"
    assert sorted(world.sent) == [("bob", 10.0), ("kim", 1.5)]
    looked = [one["name"] for one in world.ledger if one["tool"] == "look_up"]
    assert sorted(looked) == ["bob", "eve"]


@mode(19)
def test_a_call_three_agents_down_gets_its_own_answer(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.nested(world, SCRIPT).waiting
    office.say(waiting[0], "approve")
    assert driven.resume_nested(world, SCRIPT).waiting == []
    assert world.sent == SENT


@mode(20)
def test_no_socket_and_no_timer_lasts_while_people_think(
    driven: Rig, world: World, office: Office
) -> None:
    waiting = driven.run(world, SCRIPT).waiting
    office.restart()  # whatever held a connection would fail now
    office.let_pass(minutes=54)
    office.say(waiting[0], "approve")
    assert driven.resume(world._replace(url=office.url), SCRIPT).said == "paid"
    assert world.sent == SENT
