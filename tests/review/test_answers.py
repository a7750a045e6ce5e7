"""Reading what a labeler entered in Argilla."""

from typing import Any

import pytest

from errata.errors import Malformed
from errata.protocol import Proposal, Review
from review.argilla import answers
from tests.people import NOW, proposal
from tests.review import pictures

DIGEST = "sha256:" + "0" * 64
ARGUMENTS = '{\n  "amount": 30\n}'


def read(asked: Proposal, **values: Any) -> Review:
    return answers.review(answers.shown("p", asked, DIGEST, None), values, NOW)


def refused(asked: Proposal, **values: Any) -> str:
    with pytest.raises(Malformed) as found:
        read(asked, **values)
    return found.value.detail


PAY = proposal(kind="action", content=None, action={"name": "pay", "arguments": {"amount": 30}})
CHOICE = proposal(
    kind="candidates",
    content=None,
    candidates=[
        {"id": "x", "action": {"name": "pay", "arguments": {"amount": 1}}},
        {"id": "y", "action": {"name": "wait", "arguments": {}}},
        {"id": "z", "content": "text"},
    ],
)
TEXTS = proposal(
    kind="candidates", content=None, candidates=[{"id": c, "content": c} for c in "xyz"]
)
OPTIONS = [{"id": "a", "label": "5 pm"}, {"id": "b", "label": "6 pm"}]


def question(**more: Any) -> Proposal:
    return proposal(kind="question", content=None, message="When?", **more)


def test_a_decision_is_needed() -> None:
    assert "choose a decision" in refused(PAY, comment="hm")


def test_an_approval_with_untouched_text_carries_no_version() -> None:
    for untouched in (ARGUMENTS, None, "", "  "):
        given = {"correction": untouched} if untouched is not None else {}
        review = read(PAY, decision="approve", **given)
        assert (review.verdict, review.action) == ("approve", None)


def test_an_approval_with_changed_text_carries_it_so_that_it_can_be_refused() -> None:
    review = read(PAY, decision="approve", correction='{"amount": 3}')
    assert review.action is not None
    assert review.action.arguments == {"amount": 3}


def test_the_text_of_the_round_before_counts_as_untouched() -> None:
    shown = answers.shown("p", PAY, DIGEST, '{"amount": 3}')
    again = answers.review(shown, {"decision": "approve", "correction": '{"amount": 3}'}, NOW)
    assert again.action is None


def test_an_edit_of_an_action_keeps_the_tools_name() -> None:
    review = read(PAY, decision="edit", correction='{"amount": 20}')
    assert review.action is not None
    assert (review.action.name, review.action.arguments) == ("pay", {"amount": 20})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"amount": NaN}', "NaN"),
        ('{"amount": 9007199254740993}', "2\\*\\*53"),
        ('{"to": "\\ud800"}', "surrogate"),
    ],
)
def test_a_correction_that_cannot_be_read_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        read(PAY, decision="edit", correction=text)


def test_drafts_and_plans_are_corrected_as_text_to_the_byte() -> None:
    text = " Grüße,\r\n\n€5 "
    assert read(proposal(), decision="edit", correction=text).content == text
    assert read(proposal(kind="plan"), decision="edit", correction=text).content == text


PICTURE = pictures.url(pictures.plain(640, 480))


def click(**more: Any) -> Proposal:
    return proposal(**{"kind": "click", "content": None, "point": {"x": 1, "y": 2}, **more})


@pytest.mark.parametrize("text", ["5,6.5", ' {"x": 5, "y": 6.5}'])
@pytest.mark.parametrize("picture", [None, PICTURE])
def test_a_click_is_corrected_as_a_point(text: str, picture: str | None) -> None:
    review = read(click(screenshot=picture), decision="edit", correction=text)
    assert review.point is not None
    assert (review.point.x, review.point.y) == (5, 6.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("here", "must be a point: two numbers x,y, such as 412,380"),
        ("640,10", "The point 640,10 lies outside of the screenshot, which is 640 pixels wide"),
        ("10,-1", "y from 0 to 479"),
        ('{"x": 5}', "y"),
    ],
)
def test_a_point_that_is_none_or_lies_outside_is_refused(text: str, words: str) -> None:
    assert words in refused(click(screenshot=PICTURE), decision="edit", correction=text)


def test_a_click_beside_the_picture_is_approved_by_nobody() -> None:
    beside = click(screenshot=PICTURE, point={"x": 640, "y": 0})
    for text in (None, "640,0"):
        given = {} if text is None else {"correction": text}
        assert "lies outside" in refused(beside, decision="approve", **given)
    assert read(beside, decision="edit", correction="639,0").point is not None
    assert read(beside, decision="reject").verdict == "reject"
    assert read(click(screenshot=PICTURE), decision="approve", correction="1,2").point is None


def test_the_best_and_the_ranking_come_as_ids() -> None:
    ranking = [
        {"value": "C", "rank": 1},
        {"value": "A", "rank": 2},
        {"value": "B", "rank": 2},
    ]
    review = read(TEXTS, decision="approve", best="C", ranking=ranking)
    assert review.candidate == "z"
    assert review.ranking == (("z",), ("x", "y"))


@pytest.mark.parametrize(
    "ranking", [[{"value": "Z", "rank": 1}], [{"value": "A"}], [{"value": "A", "rank": "1"}]]
)
def test_a_ranking_that_cannot_be_read_is_refused(ranking: Any) -> None:
    assert "rank every candidate" in refused(TEXTS, decision="approve", ranking=ranking)


def test_own_arguments_belong_to_the_candidate_that_was_chosen() -> None:
    review = read(CHOICE, decision="edit", best="A", correction='{"amount": 2}')
    assert review.action is not None
    assert (review.action.name, review.candidate) == ("pay", "x")
    assert "say which candidate" in refused(CHOICE, decision="edit", correction="{}")
    assert read(TEXTS, decision="edit", correction="mine").content == "mine"


@pytest.mark.parametrize(
    ("asked", "values", "response"),
    [
        (question(options=OPTIONS), {"option": "2"}, "b"),
        (question(options=OPTIONS), {"answer": " 2 "}, "b"),
        (question(options=OPTIONS), {"answer": "3"}, "3"),
        (question(), {"answer": "tomorrow"}, "tomorrow"),
        (question(), {"answer": "1"}, "1"),
        (question(response_schema={"type": "string"}), {"answer": "7"}, "7"),
        (question(response_schema={"type": "integer"}), {"answer": "7"}, 7),
        (question(response_schema={"type": "object"}), {"answer": '{"a": 1}'}, {"a": 1}),
    ],
)
def test_an_answer_is_an_option_by_its_number_or_the_text(
    asked: Proposal, values: dict[str, Any], response: Any
) -> None:
    assert read(asked, decision="respond", **values).response == response


@pytest.mark.parametrize(
    ("asked", "values", "words"),
    [
        (question(options=OPTIONS), {"option": "3"}, "option"),
        (question(options=OPTIONS), {}, "choose an option or write an answer"),
        (question(response_schema={"type": "object"}), {"answer": "{"}, "not JSON"),
    ],
)
def test_an_answer_that_is_none_is_refused(
    asked: Proposal, values: dict[str, Any], words: str
) -> None:
    assert words in refused(asked, decision="respond", **values)


def test_reason_and_comment_are_the_rationale_and_a_comment_guides_another_try() -> None:
    review = read(PAY, decision="reject", reason="tone", comment="kinder")
    assert review.rationale is not None
    assert (review.rationale.code, review.rationale.text) == ("tone", "kinder")
    review = read(PAY, decision="regenerate", comment="kinder")
    assert review.rationale is not None
    assert (review.rationale.code, review.guidance) == ("other", "kinder")
    assert read(PAY, decision="reject").rationale is None


def test_a_decision_that_is_none_of_ours_is_refused() -> None:
    assert "verdict" in refused(PAY, decision="shrug")
