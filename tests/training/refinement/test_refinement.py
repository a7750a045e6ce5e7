"""What people keep correcting becomes what to tell the agent, with its evidence."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from review.history import Episode
from tests.training.episodes import decided, proposal
from training.refinement import cases, patterns, suggestions
from training.refinement.suggestions import Suggestion


def call(n: int, arguments: dict[str, Any], name: str = "refund") -> Any:
    return proposal(f"p{n}", "action", action={"name": name, "arguments": arguments})


def edited(
    n: int,
    before: dict[str, Any],
    after: dict[str, Any],
    *,
    to: str = "refund",
    reviewer: str = "ann",
) -> Episode:
    action = {"name": to, "arguments": after}
    said = {"verdict": "edit", "action": action, "reviewer": reviewer}
    return decided(call(n, before), "edit", said, effective={"action": action}, after_s=n)


def approved(n: int, arguments: dict[str, Any]) -> Episode:
    return decided(call(n, arguments), after_s=n)


def refused(n: int, code: str, text: str | None = None, reviewer: str = "ann") -> Episode:
    rationale = {"code": code, **({"text": text} if text else {})}
    said = {"verdict": "reject", "rationale": rationale, "reviewer": reviewer}
    return decided(call(n, {"amount": n}), "reject", said, after_s=n)


def written(n: int, before: str, after: str) -> Episode:
    if before == after:
        return decided(proposal(f"p{n}", content=before), after_s=n)
    return decided(proposal(f"p{n}", content=before), "edit", effective={"content": after})


def found(*episodes: Episode, least: int = 2) -> list[Suggestion]:
    return suggestions.word(patterns.find(cases.read(episodes), least=least))


def texts(*episodes: Episode, least: int = 2) -> list[str]:
    return [one.text for one in found(*episodes, least=least)]


def test_a_value_that_people_always_change_the_same_way_is_named_with_its_counterexamples() -> None:
    wrong = [
        edited(n, {"amount": n, "currency": "USD"}, {"amount": n, "currency": "EUR"})
        for n in range(5)
    ]
    kept = [approved(10 + n, {"amount": n, "currency": "USD"}) for n in range(2)]
    other = [approved(20 + n, {"amount": n, "currency": "GBP"}) for n in range(4)]
    (one,) = found(*wrong, *kept, *other)
    assert one.text == 'currency: write "EUR", not "USD".'
    assert (one.to, one.agent) == ("tool refund", "desk")
    assert (one.cases, one.chances, one.corrections, one.reviewers) == (5, 7, 5, 1)
    assert one.saved == pytest.approx(5 * 6 / 9)
    assert [example.before for example in one.examples] == ['"USD"'] * 3


@pytest.mark.parametrize(
    ("befores", "afters", "text"),
    [
        (["a", "b", "c"], ["x", "x", "x"], 'to: always "x".'),
        (
            ["2024/01/02", "2023/11/30", "2025/05/06"],
            ["2024-01-02", "2023-11-30", "2025-05-06"],
            'to: write it in the form of "2025-05-06", not of "2025/05/06".',
        ),
        (
            [10, 20, 40],
            [5, 10, 18],
            "to: people made it lower; 50% of what was proposed, in the median.",
        ),
        (
            [1, 2, 4],
            [3, 7, 5],
            "to: people made it higher; 300% of what was proposed, in the median.",
        ),
        ([1, 2, 4], [None, None, None], "Leave to out."),
        ([None, None, None], ["x", "y", "z"], "Always give to."),
        ([None, None, None], ["x", "x", "x"], 'Always give to: "x".'),
        ([{"id": "1"}, {"id": "2"}, {"id": "3"}], [{"id": "9"}] * 3, 'to.id: always "9".'),
    ],
)
def test_changes_of_one_argument_are_put_in_the_most_telling_words(
    befores: list[Any], afters: list[Any], text: str
) -> None:
    def arguments(value: Any) -> dict[str, Any]:
        return {"amount": 1} if value is None else {"amount": 1, "to": value}

    pairs = zip(befores, afters, strict=True)
    episodes = [edited(n, arguments(b), arguments(a)) for n, (b, a) in enumerate(pairs)]
    assert texts(*episodes) == [text]


def test_another_tool_is_named() -> None:
    episodes = [edited(n, {"amount": n}, {"amount": n}, to="credit") for n in range(2)]
    assert texts(*episodes) == ["People use credit instead of this tool; say when each is meant."]


def test_phrases_are_found_whatever_stands_around_them() -> None:
    names = ["Ann", "Ben", "Cleo"]
    episodes = [
        written(
            n,
            f"Hi {name}, your order number {n} is late.",
            f"Dear {name}, your order number {n} is late. We will call.",
        )
        for n, name in enumerate(names)
    ]
    assert set(texts(*episodes)) == {"Write “Dear”, not “Hi”.", "End with “We will call.”."}


def test_texts_that_people_cut_are_to_be_shorter() -> None:
    episodes = [written(n, "word " * 10 + str(n), "short text here") for n in range(3)]
    assert texts(*episodes) == ["Write shorter: people made it 27% of its words, in the median."]


def test_objections_in_like_words_are_one_and_the_commonest_words_stand_for_it() -> None:
    (one,) = found(
        refused(1, "policy", "the customer is not verified"),
        refused(2, "policy", "the customer is not verified", reviewer="bob"),
        refused(3, "policy", "customer not verified!"),
        refused(4, "amount", "too much"),
        approved(5, {"amount": 1}),
    )
    assert one.text == "People refuse or correct this (policy): the customer is not verified."
    assert (one.cases, one.chances, one.corrections, one.reviewers) == (3, 5, 4, 2)


def test_objections_without_words_join_those_of_their_code() -> None:
    (one,) = found(refused(1, "policy", "not verified"), refused(2, "policy"), refused(3, "policy"))
    assert (one.text, one.cases) == ("People refuse or correct this (policy): not verified.", 3)
    (bare,) = found(refused(1, "policy"), refused(2, "policy"))
    assert bare.text == "People refuse or correct this: policy."


def test_the_order_is_by_what_telling_would_save() -> None:
    often = [edited(n, {"a": 1, "n": n}, {"a": 2, "n": n}) for n in range(6)]
    but = [approved(20 + n, {"a": 1, "n": n}) for n in range(30)]
    surely = [edited(60 + n, {"b": 1, "n": n}, {"b": 2, "n": n}) for n in range(4)]
    assert texts(*often, *but, *surely) == ["b: write 2, not 1.", "a: write 2, not 1."]


def test_what_people_change_now_and_then_is_no_rule() -> None:
    rarely = [edited(n, {"a": 1}, {"a": 2}) for n in range(3)]
    assert texts(*rarely, *(approved(10 + n, {"a": 1}) for n in range(40))) == []


def test_real_edits_of_a_computer_agent_say_to_be_shorter() -> None:
    file = Path(__file__).parents[3] / "../shared/data/gui_proposals.jsonl"
    if not file.is_file():
        pytest.skip("needs the folder ../shared/data")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    sizes = [(len(row["proposal_text"].split()), len(row["final_text"].split())) for row in rows]
    cut = sum(after < before * 0.8 for before, after in sizes)
    corrected = sum(not row["approved_as_is"] for row in rows)
    made = found(
        *(written(n, row["proposal_text"], row["final_text"]) for n, row in enumerate(rows)),
        least=3,
    )
    assert made[0].text.startswith("Write shorter: ")
    assert (made[0].cases, made[0].chances, made[0].corrections) == (cut, len(rows), corrected)


def test_what_is_no_work_of_people_is_not_counted() -> None:
    pair = {"currency": "USD"}, {"currency": "EUR"}
    planted = [edited(n, *pair) for n in range(3)]
    for episode in planted:
        episode.row.exclude = "honeypot"
    assert texts(*planted, edited(9, *pair)) == []
    by_rule = [decided(call(n, {"a": 1}), "approve", by="policy") for n in range(3)]
    assert list(cases.read(by_rule)) == []


def test_agents_are_told_apart() -> None:
    one, two = edited(1, {"a": 1}, {"a": 2}), edited(2, {"a": 1}, {"a": 2})
    assert two.proposal is not None
    other = two.proposal.model_copy(
        update={"agent": two.proposal.agent.model_copy(update={"id": "till"})}
    )
    assert texts(one, replace(two, proposal=other)) == []


def test_erased_work_and_clicks_teach_nothing_here() -> None:
    erased = replace(edited(1, {"a": 1}, {"a": 2}), proposal=None)
    click = decided(proposal("c", "click", point={"x": 1, "y": 2}))
    assert list(cases.read([erased, click])) == []


def test_hostile_words_stay_words() -> None:
    evil = "\x1b[2J‮ <img src=x onerror=alert(1)> [link](http://x) `code`\n# Title"
    made = found(refused(1, "policy", evil), refused(2, "policy", evil))
    page = suggestions.markdown(made)
    assert "\x1b" not in page + made[0].text
    assert "‮" not in page + made[0].text
    assert "\\u001b" in made[0].text
    assert "\\<img" in page
    assert "\\[link\\]" in page
    assert "\n# Title" not in page


def test_a_page_names_the_evidence() -> None:
    page = suggestions.markdown(
        found(*(edited(n, {"c": "USD"}, {"c": "EUR"}, reviewer=f"r{n}") for n in range(2)))
    )
    assert "## 1. desk, tool refund" in page
    assert '> c: write "EUR", not "USD".' in page
    assert "2 of 2 decisions where it could have been; 2 of 2 corrections; 2 people." in page
    assert '- p1: "USD" → "EUR"' in page
