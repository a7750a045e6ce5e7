"""Turns with a label, for KTO, and how much better one side is, for reward models."""

from typing import Any

import pytest

from tests.training.episodes import ABCD, CALL, chose, decided, drops, judged, proposal, rows
from training.rows import Row


def labelled(found: list[Row]) -> dict[str, bool | None]:
    assert all(row.rejected is None for row in found)
    return {row.chosen["content"]: row.label for row in found}


def test_approved_work_is_good_and_refused_work_is_not():
    said = proposal(message="Where is it?")
    [good] = rows(decided(said, "approve"), kind="kto")
    [bad] = rows(decided(said, "reject"), kind="kto")
    [again] = rows(decided(said, "regenerate", {"verdict": "regenerate"}), kind="kto")
    assert (good.label, good.kind) == (True, "approve")
    assert (bad.label, again.label, bad.kind) == (False, False, "reject")
    assert good.chosen == bad.chosen == {"role": "assistant", "content": "the agent's text"}
    assert good.prompt == [{"role": "user", "content": "Where is it?"}]


def test_an_edit_is_good_and_what_it_took_the_place_of_is_not():
    new = {"name": "transfer", "arguments": {"amount": 90, "to": "bob"}}
    found = rows(
        decided(proposal(kind="action", action=CALL), "edit", effective={"action": new}),
        kind="kto",
    )
    assert [(row.label, row.chosen["tool_calls"][0]["function"]) for row in found] == [
        (True, new),
        (False, CALL),
    ]
    assert [(row.by_person, row.weight) for row in found] == [(True, 0.5), (False, 0.5)]
    assert len({row.id for row in found}) == 2


def test_an_edit_that_a_reader_cannot_see_refuses_nothing():
    found = rows(
        decided(proposal(), "edit", effective={"content": "the agent's  text"}), kind="kto"
    )
    assert labelled(found) == {"the agent's  text": True}


def test_a_retry_and_its_refused_attempt_are_labelled_once_each():
    first = decided(proposal("p1", message="Refund?"), "reject", {"verdict": "reject"})
    second = decided(proposal("p2", parent_id="p1", content="Sorry.", message="Say sorry"))
    found = rows(first, second, kind="kto")
    assert labelled(found) == {"the agent's text": False, "Sorry.": True}
    assert [row.prompt[0]["content"] for row in found] == ["Refund?", "Refund?"]


def test_of_ranked_candidates_the_best_is_good_and_the_worst_is_not():
    found = rows(chose({"ranking": [["b"], ["a", "d"], ["c"]]}), kind="kto", strategy="all")
    assert labelled(found) == {"two": True, "three": False}


def test_a_rewritten_candidate_is_not_good_though_it_was_the_best():
    episode = decided(
        proposal(kind="candidates", **ABCD),
        "edit",
        {"verdict": "edit", "content": "five", "ranking": [["b"], ["a", "d"], ["c"]]},
        effective={"content": "five"},
    )
    found = rows(episode, kind="kto")
    assert labelled(found) == {"five": True, "two": False, "three": False}
    assert sum(row.weight for row in found) == pytest.approx(1)


def test_refused_candidates_are_all_bad():
    found = rows(decided(proposal(kind="candidates", **ABCD), "reject"), kind="kto")
    assert labelled(found) == dict.fromkeys(["one", "two", "three", "four"], False)
    assert sum(row.weight for row in found) == 1


def test_candidates_in_a_circle_have_no_label():
    circle = chose(judged(("a", "b", "a"), ("b", "c", "a"), ("c", "a", "a")))
    assert (rows(circle, kind="kto"), drops(circle, kind="kto")) == ([], ["cyclic"])


def test_the_agreement_is_with_the_label():
    votes = [{"verdict": "approve", "reviewer": "ann"}, {"verdict": "reject", "reviewer": "ben"}]
    edit = {"verdict": "edit", "content": "new", "reviewer": "cy"}
    [refused] = rows(decided(proposal(), "reject", *votes), kind="kto")
    assert (refused.n_votes, refused.agreement) == (2, 0.5)
    other = "sha256:" + "1" * 64  # of the bytes before the edit
    approved = {"verdict": "approve", "reviewer": "ann", "digest": other}
    version, old = rows(
        decided(proposal(), "edit", approved, edit, effective={"content": "new"}), kind="kto"
    )
    assert (version.n_votes, version.agreement) == (2, 0.5)
    assert (old.n_votes, old.agreement) == (2, 0.5)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("best_worst", {"ad": 1}),
        ("adjacent", {"ab": 1 / 3, "bc": 1 / 3, "cd": 1 / 3}),
        ("best_vs_rest", {"ab": 1 / 3, "ac": 2 / 3, "ad": 1}),
    ],
)
def test_a_margin_is_the_gap_in_rank(strategy: Any, expected: dict[str, float]):
    episode = chose({"ranking": [["a"], ["b"], ["c"], ["d"]]})
    found = rows(episode, kind="reward", strategy=strategy)
    assert {"".join(row.refs): row.margin for row in found} == pytest.approx(expected)


def test_equals_share_a_rank():
    found = rows(chose({"ranking": [["a"], ["b", "c"], ["d"]]}), kind="reward", strategy="all")
    margins = {"".join(row.refs): row.margin for row in found}
    third = 1 / 3
    assert margins == pytest.approx(
        {"ab": third, "ac": third, "ad": 1, "bd": 2 * third, "cd": 2 * third}
    )


def test_a_tie_between_the_ends_of_a_chain_takes_no_rank_away():
    episode = chose(judged(("a", "b", "a"), ("b", "c", "a"), ("a", "c", "tie")))
    found = rows(episode, kind="reward", strategy="all")
    assert {"".join(row.refs): row.margin for row in found} == {"ab": 0.5, "bc": 0.5}


def test_the_margin_of_an_edit_is_how_much_it_changed():
    episode = decided(
        proposal(content="one two three four"), "edit", effective={"content": "one two three five"}
    )
    [row] = rows(episode, kind="reward")
    assert (row.margin, row.edit_distance) == (0.25, 0.25)


def test_the_margin_of_a_retry_is_whole():
    first = decided(proposal("p1"), "reject")
    [row] = rows(first, decided(proposal("p2", parent_id="p1", content="next")), kind="reward")
    assert row.margin == 1
