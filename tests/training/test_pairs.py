"""What each decision teaches."""

import pytest
from msgspec.structs import replace

from tests.training.episodes import (
    ABCD,
    CALL,
    chose,
    decided,
    drops,
    judged,
    nobody,
    proposal,
    rows,
    texts,
)
from training import pairs
from training.preferences import Strategy


def test_an_approved_text_is_a_completion_and_no_pair():
    episode = decided(proposal(message="Where is my order?"), "approve")
    [row] = rows(episode, kind="sft")
    assert row.prompt == [{"role": "user", "content": "Where is my order?"}]
    assert row.chosen == {"role": "assistant", "content": "the agent's text"}
    assert (row.kind, row.by_person, row.n_votes, row.agreement) == ("approve", False, 1, None)
    assert drops(episode) == ["unchanged"]


def test_an_edit_is_a_completion_and_a_pair_against_the_proposal():
    episode = decided(
        proposal(), "edit", effective={"content": "a person's text"}, edit_distance=0.5
    )
    [completion] = rows(episode, kind="sft")
    [pair] = rows(episode)
    assert completion.chosen["content"] == "a person's text"
    assert completion.by_person
    assert texts(pair) == ("a person's text", "the agent's text")
    assert (pair.kind, pair.by_person, pair.weight) == ("edit", True, 1.0)


def test_an_edited_call_keeps_its_arguments_as_an_object():
    new = {"name": "transfer", "arguments": {"amount": 90, "to": "bob"}}
    [row] = rows(decided(proposal(kind="action", action=CALL), "edit", effective={"action": new}))
    assert row.chosen == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": new}],
    }
    assert row.rejected is not None
    assert row.rejected["tool_calls"][0]["function"] == CALL


@pytest.mark.parametrize(
    ("before", "after"),
    [("two  words\r\n", "two words"), ("caf\u00e9", "cafe\u0301")],
    ids=["white space", "composed letters"],
)
def test_an_edit_that_a_reader_cannot_see_is_no_pair(before: str, after: str):
    episode = decided(proposal(content=before), "edit", effective={"content": after})
    assert rows(episode) == []
    assert drops(episode) == ["identical"]


def test_arguments_in_another_order_are_no_pair():
    same = {"name": "transfer", "arguments": {"to": "bob", "amount": 100.0}}
    episode = decided(proposal(kind="action", action=CALL), "edit", effective={"action": same})
    assert drops(episode) == ["identical"]


def test_an_edit_to_nothing_is_no_row():
    episode = decided(proposal(), "edit", effective={"content": " "})
    assert drops(episode, kind="sft") == drops(episode) == ["empty"]


def test_a_refusal_alone_teaches_neither():
    episode = decided(proposal(), "reject")
    assert drops(episode) == drops(episode, kind="sft") == ["refused"]


@pytest.mark.parametrize("outcome", ["reject", "regenerate"])
def test_a_retry_is_preferred_to_the_refused_attempt_without_its_guidance(outcome: str):
    first = decided(
        proposal("p1", message="Refund?", task_id="t"),
        outcome,
        {"verdict": outcome, "guidance": "say sorry"},
    )
    again = proposal(
        "p2",
        parent_id="p1",
        content="Sorry. Yes.",
        prompt=[{"role": "user", "content": "Refund? Reviewer: say sorry"}],
    )
    second = decided(again, "approve", after_s=60)
    [pair] = rows(first, second)
    assert texts(pair) == ("Sorry. Yes.", "the agent's text")
    assert pair.kind == "retry"
    assert pair.parent is first
    [completion] = rows(first, second, kind="sft")
    for row in (pair, completion):
        assert row.prompt == [{"role": "user", "content": "Refund?"}]


def test_a_retry_is_found_when_it_comes_before_its_first_attempt():
    first = decided(proposal("p2", message="Refund?"), "reject")
    second = decided(proposal("p1", parent_id="p2", content="Yes."), "approve")
    [pair] = rows(second, first)
    assert texts(pair) == ("Yes.", "the agent's text")


def test_an_edited_retry_is_preferred_to_both_attempts():
    first = decided(proposal("p1", content="first"), "reject")
    second = decided(
        proposal("p2", parent_id="p1", content="second"), "edit", effective={"content": "third"}
    )
    found = rows(first, second)
    assert [(row.kind, *texts(row)) for row in found] == [
        ("edit", "third", "second"),
        ("retry", "third", "first"),
    ]
    assert len({row.id for row in found}) == 2


def test_a_chain_of_retries_goes_back_to_the_prompt_of_the_first():
    first = decided(proposal("p1", content="1", message="ask"), "reject")
    second = decided(proposal("p2", parent_id="p1", content="2", message="ask, hint"), "reject")
    third = decided(proposal("p3", parent_id="p2", content="3", message="ask, hints"), "approve")
    [pair] = rows(first, second, third)
    assert texts(pair) == ("3", "2")
    assert pair.prompt[0]["content"] == "ask"


def test_what_follows_approved_work_is_no_retry():
    first = decided(proposal("p1"), "approve")
    second = decided(proposal("p2", parent_id="p1", content="next", message="go on"), "approve")
    assert rows(first, second) == []
    assert rows(first, second, kind="sft")[1].prompt[0]["content"] == "go on"


def test_a_retry_of_what_the_policy_refused_is_no_pair():
    first = decided(proposal("p1"), "reject", by="policy")
    second = decided(proposal("p2", parent_id="p1", content="next"), "approve")
    assert rows(first, second) == []


def test_a_retry_whose_first_attempt_was_erased_is_left_out():
    first = replace(decided(proposal("p1"), "reject"), proposal=None)
    second = decided(proposal("p2", parent_id="p1", content="next"), "approve")
    assert drops(first, second, kind="sft") == ["erased", "erased"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("best_worst", {"ad"}),
        ("adjacent", {"ab", "bc", "cd"}),
        ("best_vs_rest", {"ab", "ac", "ad"}),
        ("all", {"ab", "ac", "ad", "bc", "bd", "cd"}),
    ],
)
def test_a_strategy_takes_its_pairs_from_a_ranking(strategy: Strategy, expected: set[str]):
    found = rows(chose({"ranking": [["a"], ["b"], ["c"], ["d"]]}), strategy=strategy)
    assert {"".join(row.refs) for row in found} == expected
    assert {row.kind for row in found} == {"ranking"}
    assert sum(row.weight for row in found) == pytest.approx(1)
    assert not any(row.by_person for row in found)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("adjacent", {"ac", "bc", "cd"}),
        ("best_vs_rest", {"ac", "bc", "ad", "bd"}),
        ("all", {"ac", "bc", "ad", "bd", "cd"}),
    ],
)
def test_equals_are_never_a_pair(strategy: Strategy, expected: set[str]):
    found = rows(chose({"ranking": [["a", "b"], ["c"], ["d"]]}), strategy=strategy)
    assert {"".join(row.refs) for row in found} == expected


def test_the_pick_among_equal_best_does_not_favour_a_position():
    picked = {
        rows(
            decided(
                proposal(f"p{n}", "candidates", **ABCD),
                "approve",
                {"verdict": "approve", "ranking": [["a", "b"], ["c", "d"]]},
            )
        )[0].refs
        for n in range(40)
    }
    assert picked == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}


def test_the_decisions_own_choice_is_the_best_of_equals():
    for named in "ab":
        review = {"ranking": [["a", "b"], ["c", "d"]], "candidate": named}
        [row] = rows(chose(review, effective={"candidate": named}))
        assert row.refs[0] == named


def test_a_choice_puts_one_candidate_above_the_others():
    episode = chose({"candidate": "c"}, effective={"candidate": "c"})
    found = rows(episode, strategy="all")
    assert {"".join(row.refs) for row in found} == {"ca", "cb", "cd"}
    assert {(row.kind, row.weight) for row in found} == {("choice", 1 / 3)}
    [completion] = rows(episode, kind="sft")
    assert (completion.chosen["content"], completion.kind) == ("three", "choice")


def test_each_decided_judgement_is_one_pair_under_all():
    said = judged(("a", "b", "a"), ("b", "c", "tie"), ("d", "c", "b"))
    found = rows(chose(said), strategy="all")
    assert {"".join(row.refs) for row in found} == {"ab", "cd"}
    assert {row.kind for row in found} == {"pairwise"}


def test_judgements_in_a_circle_are_reported_and_give_pairs_only_under_all():
    episode = chose(judged(("a", "b", "a"), ("b", "c", "a"), ("c", "a", "a")))
    assert drops(episode) == ["cyclic"]
    assert rows(episode) == rows(episode, strategy="adjacent") == rows(episode, kind="sft") == []
    assert {"".join(r.refs) for r in rows(episode, strategy="all")} == {"ab", "bc", "ca"}
    assert drops(episode, strategy="all") == ["cyclic"]


def test_the_best_may_be_above_the_worst_only_by_way_of_others():
    episode = chose(judged(("a", "b", "a"), ("b", "c", "a")))
    [row] = rows(episode)
    assert (row.refs, row.kind, row.n_votes, row.agreement) == (("a", "c"), "pairwise", 1, None)
    assert {r.refs for r in rows(episode, strategy="adjacent")} == {("a", "b"), ("b", "c")}


def test_what_was_judged_a_tie_is_no_pair_even_by_way_of_others():
    episode = chose(judged(("a", "b", "a"), ("b", "c", "a"), ("a", "c", "tie")))
    assert drops(episode) == ["tied"]
    assert {r.refs for r in rows(episode, strategy="all")} == {("a", "b"), ("b", "c")}


def test_judgements_that_contradict_each_other_are_a_tie():
    episode = chose(judged(("a", "b", "a"), ("b", "a", "a")))
    assert rows(episode, strategy="all") == []
    assert drops(episode) == ["tied"]


def test_several_people_are_ordered_by_their_majority():
    episode = chose(
        {"reviewer": "ann", "ranking": [["a"], ["b"]]},
        {"reviewer": "ben", "ranking": [["a"], ["b"]]},
        {"reviewer": "cy", "ranking": [["b"], ["a"]]},
    )
    [row] = rows(episode, strategy="all")
    assert row.refs == ("a", "b")
    assert (row.n_votes, row.agreement) == (3, pytest.approx(2 / 3))


def test_reviews_that_did_not_count_say_nothing():
    episode = chose({"ranking": [["b"], ["a"]], "counted": False}, {"ranking": [["a"], ["b"]]})
    [row] = rows(episode)
    assert (row.refs, row.n_votes) == (("a", "b"), 1)


def test_candidates_that_nobody_compared_give_nothing():
    episode = chose({"ratings": {"quality": 4}})
    assert drops(episode) == drops(episode, kind="sft") == ["unranked"]


def test_a_rewritten_candidate_is_preferred_to_the_best_one():
    episode = decided(
        proposal(kind="candidates", **ABCD),
        "edit",
        {"verdict": "edit", "content": "five", "ranking": [["b"], ["a"], ["c", "d"]]},
        effective={"content": "five"},
    )
    by_kind = {row.kind: texts(row) for row in rows(episode)}
    assert by_kind["edit"] == ("five", "two")
    assert by_kind["ranking"][0] == "two"
    [completion] = rows(episode, kind="sft")
    assert completion.chosen["content"] == "five"


def test_a_rewrite_without_a_ranking_has_no_refused_side():
    episode = decided(proposal(kind="candidates", **ABCD), "edit", effective={"content": "five"})
    assert drops(episode) == ["unranked"]
    assert len(rows(episode, kind="sft")) == 1


def test_a_refused_set_of_candidates_loses_by_its_best():
    first = decided(
        proposal("p1", "candidates", **ABCD),
        "regenerate",
        {"verdict": "regenerate", "ranking": [["c"], ["a", "b", "d"]]},
    )
    second = decided(proposal("p2", parent_id="p1", content="five"), "approve")
    [pair] = rows(first, second)
    assert texts(pair) == ("five", "three")


@pytest.mark.parametrize("exclude", ["honeypot", "shadow", "test"])
@pytest.mark.parametrize("source", ["live", "import"])
def test_planted_and_trial_work_is_never_trained_on(exclude: str, source: str):
    episode = decided(
        proposal(), "edit", effective={"content": "new"}, exclude=exclude, source=source
    )
    assert drops(episode) == drops(episode, kind="sft") == [exclude]


@pytest.mark.parametrize("mode", ["shadow", "test"])
def test_work_in_shadow_or_test_mode_is_left_out(mode: str):
    assert drops(decided(proposal(mode=mode)), kind="sft") == [mode]


def test_what_only_the_policy_approved_is_left_out():
    assert drops(decided(proposal(), by="policy"), kind="sft") == ["by_policy"]
    assert len(rows(decided(proposal(), by="import", source="import"), kind="sft")) == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("expired", "unanswered"),
        ("cancelled", "unanswered"),
        ("blocked", "unanswered"),
        ("takeover", "takeover"),
    ],
)
def test_an_outcome_without_a_version_of_the_agents_turn_is_left_out(outcome: str, reason: str):
    assert drops(decided(proposal(), outcome), kind="sft") == [reason]


def test_erased_work_is_left_out():
    gone = decided(proposal(), "edit", effective={"content": "new"})
    assert drops(replace(gone, proposal=None), kind="sft") == ["erased"]
    assert drops(decided(proposal(), "edit"), kind="sft") == ["erased"]


def test_agreement_is_the_share_that_is_for_what_was_decided():
    both = {"verdict": "edit", "content": "new"}
    episode = decided(
        proposal(),
        "edit",
        {**both, "reviewer": "ann"},
        {**both, "reviewer": "ben"},
        {"verdict": "edit", "content": "other", "reviewer": "cy"},
        {"verdict": "approve", "reviewer": "di", "digest": "sha256:" + "1" * 64},
        effective={"content": "new"},
    )
    [row] = rows(episode)
    assert (row.n_votes, row.agreement) == (4, 0.5)


def test_a_history_takes_the_form_that_chat_templates_read():
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"id": 7}'}}
    prompt = [
        {"role": "system", "content": "Help."},
        {"role": "user", "content": "Order 7?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
        {"role": "assistant", "content": "Anything else?", "tool_calls": []},
    ]
    [row] = rows(decided(proposal(prompt=prompt)), kind="sft")
    assert row.prompt[2:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": {"id": 7}},
                }
            ],
        },
        {"role": "tool", "content": "shipped", "tool_call_id": "c1", "name": "look"},
        {"role": "assistant", "content": "Anything else?"},
    ]


def test_the_goal_stands_in_for_a_missing_prompt():
    [row] = rows(decided(proposal(reasoning={"goal": "Refund order 7"})), kind="sft")
    assert row.prompt == [{"role": "user", "content": "Refund order 7"}]


def test_a_lone_self_reference_is_no_retry():
    episode = decided(proposal("p1", parent_id="p1"))
    assert len(list(pairs.read([episode], parents=nobody, kind="sft"))) == 1
    assert len(rows(episode, kind="sft")) == 1
