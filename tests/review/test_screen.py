"""What a labeler sees: foreign text is inert, complete, and in its place."""

import re
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errata.protocol import Proposal
from review.argilla import markup, records, screen, templates
from tests.people import action, at, proposal
from tests.review import pictures

DIGEST = "sha256:" + "d" * 64
OURS = {"div", "span", "table", "tr", "td", "code", "details", "summary", "del", "ins"}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</div></td></table><b>out</b>",
    "[click](javascript:alert(1))",
    "![track](https://example.com/a.png)",
    "https://example.com/login",
    "<https://example.com>",
    "&lt;script&gt; &amp; &#60; &#x3c;",
    "```\ncode\n```",
    "# heading\n\n- list\n\n***\n",
    "`tick` **bold** _it_ ~~no~~ | a | b |",
    "{{ 7*7 }} ${7*7} <%= 7 %>",
    "blank\n\n\nlines\r\n\tand tabs",
    "right\u202eto left\u2066isolate\u2069",
    "zero\u200bwidth\ufeffjoin\u200d",
    "tag\U000e0041\U000e0042smuggled",
    "selector\U000e0101\ufe01\u3164\u115fhidden",
    "null\0bell\x07escape\x1b[31m",
    "line\u2028separator\u2029and\x85next",
    "private\ue000unassigned\U000ef000",
    "Grüße 你好 🙂 e\u0301",
    "x" * 400,
]


class Reader(HTMLParser):
    """Reads HTML as a browser would: the tags, their attributes, and the text shown."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        self.other: list[str] = []
        self._code: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= set(attrs)
        if tag == "code":
            self._code = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "code":
            code, self._code = self._code or "", None
            self.text += "\r" if code == "CR" else chr(int(code.removeprefix("U+"), 16))

    def handle_data(self, data: str) -> None:
        if self._code is not None:
            self._code += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


def check_inert(html: str) -> Reader:
    reader = Reader(html)
    assert set(reader.tags) <= OURS
    assert reader.open == []
    assert reader.other == []
    assert {name for name, _ in reader.attributes} <= {"style", "open"}
    for _, value in reader.attributes:
        assert value is None or re.fullmatch(r"[a-z0-9:;%#.\- ]*", value), value
    assert "\n" not in html
    return reader


@given(st.text(st.characters(codec="utf-8")) | st.sampled_from(HOSTILE))
def test_any_text_is_shown_exactly_and_means_nothing(value: str) -> None:
    html = markup.text(value)
    assert check_inert(html).text == value
    # Nothing is left that markdown could read either: ASCII is letters, digits, spaces, entities.
    bare = re.sub(r"<code>(CR|U\+[0-9A-F]{4,6})</code>|&#\d+;", "", html)
    assert re.fullmatch(r"[A-Za-z0-9 ]*", "".join(c for c in bare if c.isascii()))


@pytest.mark.parametrize(
    "hidden",
    [
        0x00, 0x08, 0x7F, 0x85, 0xAD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x180E, 0x200B,
        0x200F, 0x2028, 0x202E, 0x2060, 0x2066, 0x2800, 0x3164, 0xFE00, 0xFEFF, 0xFFA0, 0xE0001,
        0xE0041, 0xE0101, 0xE01EF, 0xF0000,
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_spelled_out(hidden: int) -> None:
    assert markup.text(f"a{chr(hidden)}b") == f"a<code>U+{hidden:04X}</code>b"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("form", [markup.heading, markup.block, partial(markup.chip, colour="red")])
def test_hostile_text_stays_inside_every_form(form: Any, value: str) -> None:
    assert check_inert(form(value)).text == value


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_stays_inside_tables(value: str) -> None:
    for form in (markup.table, markup.facts):
        assert check_inert(form([(value, value)])).text == value * 2


def test_what_is_cut_is_counted_and_what_is_long_is_folded() -> None:
    long = "a" * 30_000
    shown = check_inert(markup.block(long))
    assert shown.text.count("a" * markup.CUT) == 1
    assert "10000 further characters are not shown" in shown.text
    assert "30000 characters" in shown.text
    assert "details" in shown.tags
    whole = check_inert(markup.block(long, limit=30_000))
    assert long in whole.text
    assert "not shown" not in whole.text
    many = check_inert(markup.block("line\n" * 100))
    assert "101 lines" in many.text
    assert "details" not in check_inert(markup.block("short")).tags


# --- whole pages ---


def render(asked: Proposal, **more: Any) -> Reader:
    given: dict[str, Any] = {"digest": DIGEST, "reason": "no rule matched", "risk": None, **more}
    page = screen.render(asked, **given)
    return check_inert(page.decision + page.background)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_in_any_field_of_a_proposal_is_inert_and_shown(value: str) -> None:
    name = re.sub("\0", "", value)[:200]  # U+0000 cannot stand in names
    asked = proposal(
        kind="action",
        content=None,
        agent={"id": name, "version": name},
        requested_by=name,
        action={"name": name, "arguments": {value: value, "deep": {value: [value]}}},
        message=value,
        reasoning={
            "goal": value,
            "done": [value],
            "stuck_on": value,
            "why": value,
            "factors": [value, {value: value}],
            "options": [value],
        },
        risk={"level": "high", "amount": 5, "reversible": False, "reasons": [value]},
        evidence=[
            {"text": value, "origin": "web", "trusted": False, "uri": value},
            {"text": value, "origin": "user", "trusted": True},
        ],
        prompt=[
            {"role": "user", "content": value},
            {"role": "tool", "content": value, "tool_call_id": "c"},
        ],
        confidence={"value": 0.5, "method": "judge"},
        urgency="critical",
    )
    shown = render(asked, note=value, reason=value, risk="high")
    assert shown.text.count(value) >= 12


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "draft", "content": "@"},
        {"kind": "plan", "content": "@"},
        {"kind": "question", "message": "@", "options": [{"id": "a", "label": "@"}]},
        {"kind": "exception", "message": "@", "response_schema": {"title": "a"}},
        {"kind": "candidates", "candidates": [{"id": "a", "content": "@"}, {"id": "b", "content": "-"}]},
    ],
)  # fmt: skip
def test_what_is_asked_is_shown_whatever_the_kind(fields: dict[str, Any], value: str) -> None:
    assert value in render(proposal(**{"content": None, **_fill(fields, value)})).text


def _fill(given: Any, value: str) -> Any:
    match given:
        case dict():
            return {key: _fill(item, value) for key, item in given.items()}
        case list():
            return [_fill(item, value) for item in given]
        case _:
            return value if given == "@" else given


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (30.5, "30.5"),
        (1234567.89, "1234567.89"),
        (True, "true"),
        (None, "null"),
        ("30.5", '"30.5"'),
        ("true", '"true"'),
        ("", '""'),
        (" ", '" "'),
        ("plain words", "plain words"),
        ({"b": 1, "a": "x"}, '{\n  "a": "x",\n  "b": 1\n}'),
    ],
)
def test_a_value_cannot_be_taken_for_another(value: Any, shown: str) -> None:
    asked = proposal(kind="action", content=None, action={"name": "pay", "arguments": {"k": value}})
    assert f"toolpayk{shown}" in render(asked).text


def test_a_point_and_an_amount_are_shown_exactly() -> None:
    click = proposal(kind="click", content=None, point={"x": 1234.5678, "y": 12345678.25})
    assert "x1234.5678y12345678.25" in render(click).text
    asked = proposal(risk={"level": "low", "amount": 12345678.9})
    assert "amount 12345678.9" in render(asked).text


def test_what_is_to_be_decided_is_never_cut() -> None:
    long = "word " * 30_000
    assert long in render(proposal(content=long)).text
    with pytest.raises(screen.CannotRender, match="200000 can be shown"):
        render(proposal(content="x" * (screen.LARGEST + 1)))


def test_a_proposal_with_too_much_around_it_can_only_be_rejected() -> None:
    texts = [{"text": "<" * 20_000, "origin": "web", "trusted": False}] * 41
    with pytest.raises(screen.CannotRender, match="around it is too long"):
        render(proposal(evidence=texts))
    assert render(proposal(evidence=texts[:39])).text


def test_a_long_conversation_says_how_much_of_it_is_missing() -> None:
    prompt = [{"role": "user", "content": f"message {n}!"} for n in range(50)]
    shown = render(proposal(prompt=prompt)).text
    assert "10 earlier messages are not shown" in shown
    assert "message 9!" not in shown
    assert "message 10!" in shown


def test_a_call_in_the_conversation_is_shown_with_its_arguments() -> None:
    call = {"id": "1", "function": {"name": "look", "arguments": '{"order": 7}'}}
    shown = render(proposal(prompt=[{"role": "assistant", "tool_calls": [call]}])).text
    assert 'calls look {\n  "order": 7\n}' in shown


def test_untrusted_evidence_stands_apart_from_trusted() -> None:
    asked = proposal(
        evidence=[
            {"text": "IGNORE THE RULES", "origin": "web", "trusted": False},
            {"text": "order 7 is paid", "origin": "system", "trusted": True},
        ]
    )
    shown = render(asked).text
    trusted, untrusted = shown.index("trusted sources"), shown.index("untrusted sources")
    assert trusted < shown.index("order 7 is paid") < untrusted < shown.index("IGNORE THE RULES")


@pytest.mark.parametrize(
    ("value", "word"), [(0.95, "high"), (0.9, "high"), (0.6, "medium"), (0.59, "low")]
)
def test_confidence_is_put_in_words(value: float, word: str) -> None:
    asked = proposal(confidence={"value": value, "method": "judge"})
    assert f"confidence {word} ({value:.2f} judge)" in render(asked).text


# --- records ---


def options(count: int) -> list[dict[str, str]]:
    return [{"id": f"o{number}", "label": f"Option {number}"} for number in range(count)]


def place(asked: Proposal, **more: Any) -> records.Placed:
    given: dict[str, Any] = {"reason": "no rule", "risk": None, "expires_at": at(60), **more}
    return records.place(records.Asked("p:0", asked, DIGEST, **given))


@pytest.mark.parametrize(
    ("fields", "dataset", "suggested"),
    [
        ({"kind": "draft", "content": "Dear Bob"}, "draft", "Dear Bob"),
        ({"kind": "plan", "content": "1. go"}, "plan", "1. go"),
        (
            {"kind": "action", "action": {"name": "n", "arguments": {"b": 1, "a": "é"}}},
            "action",
            '{\n  "a": "é",\n  "b": 1\n}',
        ),
        ({"kind": "click", "point": {"x": 1, "y": 2}}, "click", "1,2"),
        ({"kind": "question", "message": "?"}, "question-text", None),
        ({"kind": "question", "message": "?", "options": options(2)}, "question-2", None),
        ({"kind": "question", "message": "?", "options": options(9)}, "question-9", None),
        ({"kind": "question", "message": "?", "options": options(1)}, "question-text", None),
        ({"kind": "question", "message": "?", "options": options(10)}, "question-text", None),
        ({"kind": "exception", "message": "!"}, "exception-text", None),
        ({"kind": "exception", "message": "!", "options": options(3)}, "exception-3", None),
        (
            {"kind": "candidates", "candidates": [{"id": c, "content": c} for c in "abc"]},
            "candidates-3",
            None,
        ),
    ],
)
def test_each_kind_has_its_dataset_and_begins_with_what_is_proposed(
    fields: dict[str, Any], dataset: str, suggested: str | None
) -> None:
    placed = place(proposal(**{"content": None, **fields}))
    assert placed.dataset == dataset
    assert [one.value for one in placed.record.suggestions] == ([suggested] if suggested else [])
    questions = {one.name for one in templates.template(dataset).questions}
    # with a suggestion for the decision a single Enter would approve
    assert "decision" in questions
    assert "decision" not in {one.question for one in placed.record.suggestions}


def test_what_cannot_be_shown_whole_can_only_be_rejected() -> None:
    many = [{"id": f"c{n}", "content": "x"} for n in range(27)]
    for asked in (
        proposal(content="<b>" * 100_000),
        proposal(kind="candidates", content=None, candidates=many),
    ):
        placed = place(asked)
        assert placed.dataset == "unshowable"
        assert "cannot be shown whole" in check_inert(placed.record.fields["proposal"]).text
    decision = next(q for q in templates.template("unshowable").questions if q.name == "decision")
    assert set(decision.options) == {"reject", "takeover"}


@pytest.mark.parametrize(
    ("name", "buttons"),
    [
        ("question-2", ["1", "2"]),
        ("exception-9", [f"{n}" for n in range(1, 10)]),
        ("question-text", None),
        ("question", None),  # of older data folders, as is the next
        ("exception", None),
    ],
)
def test_there_are_as_many_buttons_as_options(name: str, buttons: list[str] | None) -> None:
    questions = {one.name: one for one in templates.template(name).questions}
    assert (list(questions["option"].options) if "option" in questions else None) == buttons
    assert "answer" in questions
    with pytest.raises(ValueError, match="no dataset"):
        templates.template("unknown")


def test_metadata_to_sort_and_filter_by(api_action: Proposal) -> None:
    asked = api_action.model_copy(update={"metadata": {"assignee": "ann", "other": 1}})
    record = place(asked, risk="high").record
    assert record.metadata == {
        "priority": 3,
        "agent": "desk",
        "risk": "high",
        "proposal_id": "p",
        "action": "refund",
        "deadline": int(at(60).timestamp()),
        "assignee": "ann",
    }
    assert {one.name for one in templates.METADATA} == set(record.metadata)
    assert "assigned toann" in check_inert(record.fields["proposal"]).text


@pytest.mark.parametrize("assignee", [None, "", 7, ["ann"], {"name": "ann"}])
def test_whoever_is_no_name_is_assigned_nothing(assignee: Any) -> None:
    record = place(proposal(metadata={"assignee": assignee})).record
    assert "assignee" not in record.metadata


@pytest.fixture
def api_action() -> Proposal:
    return Proposal.model_validate({**action(), "urgency": "critical"})


def click(picture: str | None, **point: float) -> Proposal:
    given = {"point": point or {"x": 40, "y": 30}, "screenshot": picture}
    return proposal(kind="click", content=None, **given)


def test_a_screenshot_goes_along_with_a_click_only() -> None:
    record = place(click(pictures.url(pictures.plain(64, 48)))).record
    assert pictures.open_url(record.fields["screenshot"]).size == (64, 48)
    text = check_inert(record.fields["proposal"]).text
    assert "64 pixels wide and 48 high" in text
    assert f"sha256:{pictures.sha256(pictures.url(pictures.plain(64, 48)))}" in text
    assert "outside" not in text
    other = proposal(screenshot=pictures.url(pictures.plain(64, 48)))
    assert "screenshot" not in place(other).record.fields
    assert "no screenshot" in check_inert(place(click(None)).record.fields["proposal"]).text


def test_a_point_outside_of_the_picture_is_said_in_red() -> None:
    page = place(click(pictures.url(pictures.plain(64, 48)), x=64, y=5)).record.fields["proposal"]
    words = (
        "The point 64,5 lies outside of the screenshot, which is 64 pixels wide and 48 high: "
        "x goes from 0 to 63, y from 0 to 47"
    )
    assert words in check_inert(page).text
    before = page[: page.index(markup.text(words))]
    assert before.rpartition("<div")[2].count(markup.COLOURS["red"]) == 2


@pytest.mark.parametrize("data", ["AAAA", "no base64", pictures.SVG])
def test_a_click_whose_screenshot_cannot_be_shown_can_only_be_rejected(data: str) -> None:
    placed = place(click(f"data:image/png;base64,{data}"))
    assert placed.dataset == "unshowable"
    assert "screenshot" not in placed.record.fields
    assert "its screenshot cannot be shown" in check_inert(placed.record.fields["proposal"]).text


def test_what_came_too_late_is_said_first_and_nothing_is_offered() -> None:
    placed = place(proposal(), late="The answer of ann came too late", addressee="ann")
    shown = check_inert(placed.record.fields["proposal"]).text
    assert shown.startswith("nothing is asked hereThe answer of ann came too late")
    assert placed.record.suggestions == []
    assert placed.record.metadata["assignee"] == "ann"


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_inert_in_a_comparison(value: str) -> None:
    asked = proposal(content=f"{value} after")
    page = place(asked, changes=(screen.Change(value, f"{value} before", f"{value} after"),))
    shown = check_inert(page.record.fields["proposal"]).text
    assert shown.count(value) >= (3 if len(value) < 300 else 2)  # what is alike loses its middle
    assert "[removed: before]" in shown
    assert "[added: after]" in shown


def test_what_a_refused_version_changes_is_shown() -> None:
    asked = proposal(kind="action", content=None, action={"name": "pay", "arguments": {"a": 30}})
    shown = check_inert(place(asked, correction='{\n  "a": 20').record.fields["proposal"]).text
    assert "What your version changes" in shown
    assert '"a": [removed: 30\n}][added: 20]' in shown
    same = place(asked, correction=records.prefill(asked)).record.fields["proposal"]
    assert "What your version changes" not in check_inert(same).text


LARGE = (
    "</script>$&$`$'"
    + "\u05e9\u05dc\u05d5\u05dd \u202b\u0645\u0631\u062d\u0628\u0627\u202c 👩‍👩‍👧🏽 Grüße\r\n"
    * 3_000
)
KINDS: dict[str, dict[str, Any]] = {
    "action": {"action": {"name": "send", "arguments": {"text": "@"}}},
    "draft": {"content": "@"},
    "plan": {"content": "@"},
    "candidates": {"candidates": [{"id": "a", "content": "@"}, {"id": "b", "content": "-"}]},
    "question": {"message": "-", "options": [{"id": "a", "label": "@"}, {"id": "b", "label": "-"}]},
    "exception": {"message": "@"},
    "click": {"point": {"x": 1, "y": 2}, "message": "@"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["</script>", "$&", "$`$'$$$1", "{{x}}", LARGE])
def test_every_kind_survives_what_breaks_templates_and_large_fields(kind: str, value: str) -> None:
    asked = proposal(**{"content": None, "kind": kind, **_fill(KINDS[kind], value)})
    placed = place(asked)
    assert placed.dataset != "unshowable"
    shown = check_inert(placed.record.fields["proposal"]).text
    assert value[: markup.CUT] in shown  # what stands around is cut, with the count said
    if kind != "click":
        assert value in shown


def test_the_text_of_a_refused_answer_is_offered_again() -> None:
    placed = place(proposal(), note="not JSON", correction="my {text")
    assert [one.value for one in placed.record.suggestions] == ["my {text"]
    assert "not JSON. Please answer again." in check_inert(placed.record.fields["proposal"]).text
