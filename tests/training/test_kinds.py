"""Clicks, questions and exceptions as turns; what people say of work that is decided already."""

from typing import Any

import pytest

from tests.training.episodes import decided, drops, proposal, rows, texts

FLIGHTS: dict[str, Any] = {
    "kind": "question",
    "message": "Which flight?",
    "options": [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}],
}


def arguments(turn: dict[str, Any] | None) -> dict[str, Any]:
    assert turn is not None
    return turn["tool_calls"][0]["function"]["arguments"]


def test_the_right_place_is_preferred_to_the_proposed_one():
    click = proposal(kind="click", point={"x": 10, "y": 20.5}, message="Open the mail")
    episode = decided(click, "edit", effective={"point": {"x": 30, "y": 40}})
    [pair] = rows(episode)
    assert pair.chosen == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"type": "function", "function": {"name": "click", "arguments": {"x": 30, "y": 40}}}
        ],
    }
    assert arguments(pair.rejected) == {"x": 10, "y": 20.5}
    assert (pair.kind, pair.by_person) == ("edit", True)
    assert pair.prompt == [{"role": "user", "content": "Open the mail"}]
    [completion] = rows(episode, kind="sft")
    assert completion.chosen == pair.chosen
    assert {row.label: row.chosen for row in rows(episode, kind="kto")} == {
        True: pair.chosen,
        False: pair.rejected,
    }


@pytest.mark.parametrize(
    ("stated", "corrected"),
    [
        ({"button": "left", "x": 10, "y": 20}, {"button": "left", "x": 30, "y": 40}),
        ({"coordinate": [10, 20], "double": True}, {"coordinate": [30, 40], "double": True}),
    ],
)
def test_a_click_keeps_the_words_of_the_agents_own_call(
    stated: dict[str, Any], corrected: dict[str, Any]
):
    action = {"name": "mouse", "arguments": stated}
    click = proposal(kind="click", point={"x": 10, "y": 20}, action=action)
    [pair] = rows(decided(click, "edit", effective={"point": {"x": 30, "y": 40}}))
    assert pair.chosen["tool_calls"][0]["function"]["name"] == "mouse"
    assert (arguments(pair.chosen), arguments(pair.rejected)) == (corrected, stated)


def test_a_call_with_another_place_than_was_shown_is_passed_over():
    action = {"name": "mouse", "arguments": {"x": 99, "y": 99}}
    click = proposal(kind="click", point={"x": 10, "y": 20}, action=action)
    [completion] = rows(decided(click, "approve"), kind="sft")
    assert completion.chosen["tool_calls"][0]["function"]["name"] == "click"
    assert arguments(completion.chosen) == {"x": 10, "y": 20}


def test_an_action_beside_a_draft_was_shown_to_nobody_and_is_not_learned():
    both = proposal(content="Hello", action={"name": "transfer", "arguments": {}})
    [completion] = rows(decided(both, "approve", effective={"content": "Hello"}), kind="sft")
    [refused] = rows(decided(both, "reject"), kind="kto")
    assert completion.chosen == refused.chosen == {"role": "assistant", "content": "Hello"}


def test_the_option_that_was_chosen_is_preferred_to_the_others():
    asked = proposal(
        kind="question",
        message="Which flight?",
        options=[*FLIGHTS["options"], {"id": "c", "label": "7 pm"}],
    )
    answered = decided(asked, "respond", effective={"response": "b"})
    found = rows(answered, strategy="all")
    assert {texts(row) for row in found} == {("6 pm", "5 pm"), ("6 pm", "7 pm")}
    assert {(row.kind, row.weight, row.by_person) for row in found} == {("answer", 0.5, False)}
    assert found[0].prompt == [{"role": "user", "content": "Which flight?\n- 5 pm\n- 6 pm\n- 7 pm"}]
    [completion] = rows(answered, kind="sft")
    assert (completion.chosen["content"], completion.kind) == ("6 pm", "answer")


@pytest.mark.parametrize(
    ("response", "text"), [("the first", "the first"), ({"night": True}, '{"night": true}')]
)
def test_a_free_answer_is_the_persons_own(response: Any, text: str):
    asked = proposal(kind="question", message="Which?", response_schema={})
    answered = decided(asked, "respond", effective={"response": response})
    [completion] = rows(answered, kind="sft")
    assert (completion.chosen["content"], completion.by_person) == (text, True)
    assert drops(answered) == ["unchanged"]


def test_a_question_joins_the_users_turn_before_it():
    history = [{"role": "user", "content": "Book it."}]
    asked = proposal(**FLIGHTS, prompt=history)
    [completion] = rows(decided(asked, "respond", effective={"response": "a"}), kind="sft")
    assert completion.prompt == [
        {"role": "user", "content": "Book it.\n\nWhich flight?\n- 5 pm\n- 6 pm"}
    ]


def test_a_question_that_was_answered_was_worth_asking_and_a_refused_one_was_not():
    asked = proposal(**FLIGHTS, reasoning={"goal": "Book it."})
    [good] = rows(decided(asked, "respond", effective={"response": "a"}), kind="kto")
    [bad] = rows(decided(asked, "reject"), kind="kto")
    assert (good.label, bad.label) == (True, False)
    for row in (good, bad):
        assert row.chosen["content"] == "Which flight?"
        assert row.prompt == [{"role": "user", "content": "Book it."}]


def test_what_was_done_instead_of_asking_is_preferred_to_the_question():
    asked = decided(proposal("p1", **FLIGHTS, reasoning={"goal": "Book it."}), "reject")
    done = decided(proposal("p2", parent_id="p1", content="Booked the 6 pm flight."))
    [pair] = rows(asked, done)
    assert texts(pair) == ("Booked the 6 pm flight.", "Which flight?")


def test_a_persons_way_out_of_an_exception_is_a_completion_without_another_side():
    stuck = proposal(kind="exception", message="The bank's API is down.")
    action = {"name": "call_bank", "arguments": {}}
    episode = decided(stuck, "edit", effective={"action": action})
    [completion] = rows(episode, kind="sft")
    assert completion.chosen["tool_calls"][0]["function"] == action
    assert drops(episode) == ["question"]
    assert [row.label for row in rows(episode, kind="kto")] == [True]
    told = decided(stuck, "respond", effective={"response": "wait"})
    assert drops(told) == drops(told, kind="kto") == drops(told, kind="sft") == ["question"]


def later(outcome: str, by: str, review: dict[str, Any], **fields: Any) -> Any:
    said = {"surface": "task", "counted": False, **review}
    return decided(proposal(**fields), outcome, said, by=by)


def test_an_audit_of_what_ran_by_itself_is_a_persons_word():
    [good] = rows(later("approve", "policy", {"verdict": "approve"}), kind="sft")
    assert (good.kind, good.chosen["content"]) == ("approve", "the agent's text")
    corrected = later("approve", "policy", {"verdict": "edit", "content": "new text"})
    [pair] = rows(corrected)
    assert texts(pair) == ("new text", "the agent's text")
    assert pair.edit_distance == pytest.approx(2 / 3)
    [bad] = rows(later("approve", "policy", {"verdict": "reject"}), kind="kto")
    assert bad.label is False
    assert drops(later("approve", "policy", {"verdict": "reject"}), kind="sft") == ["refused"]
    assert [one.row.reviewer for one in pair.heard] == ["ann"]


@pytest.mark.parametrize("by", ["policy", "people"])
def test_what_a_person_did_after_a_handover_is_preferred_to_the_proposal(by: str):
    episode = later("takeover", by, {"verdict": "edit", "content": "by hand"})
    [pair] = rows(episode)
    assert texts(pair) == ("by hand", "the agent's text")
    assert pair.by_person


def test_a_takeover_that_nobody_has_finished_is_left_out():
    assert drops(decided(proposal(), "takeover"), kind="kto") == ["takeover"]


def test_the_newest_word_on_a_task_counts():
    old = {"verdict": "reject", "surface": "task", "counted": False, "void": "replaced"}
    new = {"verdict": "approve", "surface": "task", "counted": False}
    [row] = rows(decided(proposal(), "approve", new, old, by="policy"), kind="kto")
    assert row.label is True


def test_what_a_person_wrote_after_a_refusal_is_preferred_to_it():
    refused = decided(
        proposal("p1", message="Refund?"), "reject", {"verdict": "reject", "guidance": "be kind"}
    )
    again = proposal("p2", parent_id="p1", content="second", message="Refund? Be kind.")
    written = decided(again, "edit", effective={"content": "by hand"})
    found = {row.kind: row for row in rows(refused, written)}
    assert texts(found["retry"]) == ("by hand", "the agent's text")
    assert found["retry"].by_person
    assert found["retry"].prompt == [{"role": "user", "content": "Refund?"}]
