import json
from pathlib import Path
from typing import Any

import pytest

from errata.digest import NO_POLICY, fingerprint
from errata.errors import Malformed
from ingestion.sources import chat, lines, reviews
from ingestion.sources.lines import Line, LineError


def parsed(path: Path, content: bytes) -> list[Line | LineError]:
    path.write_bytes(content)
    return [one.line for one in lines.read(path)]


def test_good_lines_are_read_and_blank_ones_passed_over(tmp_path: Path) -> None:
    found = parsed(tmp_path / "f", b'\xef\xbb\xbf{"a": 1}\r\n\n   \n{"b": "\xc3\xbc"}')
    assert found == [Line(1, {"a": 1}, 10), Line(4, {"b": "ü"}, 11)]


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b'{"a": }', None, "not JSON"),
        (b'{"a": 1, "a": 2}', None, "stands twice"),
        (b'["a"]', None, "one JSON object"),
        (b'{"a": "\xff"}', None, "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', None, "not UTF-8"),
        (b'{"a": {"b": NaN}}', "a.b", "NaN"),
        (b'{"a": [0, -Infinity]}', "a[1]", "infinities"),
        (b'{"a": 1e999}', "a", "infinities"),
        (b'{"a": 9007199254740992}', "a", "2**53-1"),
        (b'{"a": "x\\ud800"}', "a", "surrogate"),
        (b'{"a": ' + b"[" * 100_000, None, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", None, "not JSON"),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_are_read(
    tmp_path: Path, line: bytes, field: str | None, reason: str
) -> None:
    before, bad, after = parsed(tmp_path / "f", b'{"n": 1}\n' + line + b'\n{"n": 3}\n')
    assert isinstance(before, Line)
    assert isinstance(after, Line)
    assert isinstance(bad, LineError)
    assert (bad.line, bad.field) == (2, field)
    assert reason in bad.reason


def test_a_file_that_was_cut_off_says_so(tmp_path: Path) -> None:
    whole, cut = parsed(tmp_path / "f", b'{"n": 1}\n{"n": ')
    assert isinstance(whole, Line)
    assert isinstance(cut, LineError)
    assert cut.reason.endswith("the file ends within this line")


def test_positions_count_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b'{"n": 1}\n\n{"n": "\xc3\xbc"}\n')
    assert [one.position for one in lines.read(path)] == [9, path.stat().st_size]


def draft(**changes: Any) -> dict[str, Any]:
    return {"hap": "1", "kind": "draft", "agent": {"id": "desk"}, "content": "Hello"} | changes


def review(**changes: Any) -> dict[str, Any]:
    return {"reviewer": "ann", "verdict": "approve"} | changes


def test_a_proposal_without_id_gets_the_hash_of_the_canonical_line() -> None:
    line = {"proposal": draft(), "reviews": [review()]}
    spaced = json.loads(json.dumps(line, indent=2, sort_keys=True))
    assert reviews.parse(line).id == fingerprint(line).removeprefix("sha256:")
    assert reviews.parse(spaced).id == reviews.parse(line).id


def test_a_review_without_digest_takes_the_proposals() -> None:
    stated = "sha256:" + "1" * 64
    line = {"proposal": draft(id="p"), "reviews": [review(), review(digest=stated)]}
    history = reviews.parse(line)
    assert [said.review.digest for said in history.said] == [history.digest, stated]
    assert {said.review.proposal_id for said in history.said} == {"p"}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"reviews": []}, "proposal"),
        ({"proposal": draft(content=None)}, "proposal"),
        ({"proposal": draft(colour="red")}, "proposal.colour"),
        ({"proposal": draft(), "reviews": [review(verdict="maybe")]}, "reviews[0].verdict"),
        ({"proposal": draft(), "reviews": [review(), {"verdict": "edit"}]}, "reviews[1].reviewer"),
        (
            {"proposal": draft(id="p"), "reviews": [review(proposal_id="q")]},
            "reviews[0].proposal_id",
        ),
        ({"proposal": draft(), "reviews": [], "exclude": "boring"}, "exclude"),
        ({"proposal": draft(), "decision": {"outcome": "approve"}}, "decision.by"),
        ({"proposal": draft(), "receipts": [{"permit_id": "x"}]}, "receipts[0].status"),
    ],
)
def test_a_mistake_in_a_review_line_names_its_field(line: dict[str, Any], field: str) -> None:
    with pytest.raises(Malformed) as raised:
        reviews.parse(line)
    assert raised.value.field == field


def test_a_decision_brings_the_policy_that_the_digest_is_bound_to() -> None:
    policy = "sha256:" + "a" * 64
    decision = {
        "outcome": "reject",
        "by": "people",
        "effective": {},
        "digest": "sha256:" + "b" * 64,
        "policy_version": policy,
        "reason": "no",
        "reviews": {"needed": 1, "got": 1},
        "decided_at": "2026-03-02T09:00:00Z",
    }
    with_policy = reviews.parse({"proposal": draft(), "decision": decision})
    without = reviews.parse({"proposal": draft()})
    assert (with_policy.policy_version, without.policy_version) == (policy, NO_POLICY)
    assert with_policy.digest != without.digest


def call(name: str, arguments: Any, **extra: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    } | extra


def talk(*messages: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"id": "talk", "messages": list(messages)} | extra


def test_each_tool_call_becomes_a_proposal_on_the_history_before_it() -> None:
    found = chat.parse(
        talk(
            {"role": "user", "content": "Both, please"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call("look", '{"at": 1}'), call("look", {"at": 2})],
            },
            {"role": "tool", "tool_call_id": "c", "content": "seen"},
            {"role": "assistant", "content": "Now", "tool_calls": [call("go", "{}")]},
            tools=[{"type": "function", "function": {"name": "go"}}],
            model="m1",
            task_id=7,
        )
    )
    assert [one.id for one in found] == ["talk.1.0", "talk.1.1", "talk.3.0"]
    proposals = [one.proposal for one in found]
    assert [one.action and one.action.arguments for one in proposals] == [{"at": 1}, {"at": 2}, {}]
    assert [len(one.prompt or ()) for one in proposals] == [1, 1, 3]
    last = proposals[2]
    assert (last.mode, last.message, last.task_id, last.group_id) == ("test", "Now", "7", "talk")
    assert last.agent.model == "m1"
    assert last.tools == ({"type": "function", "function": {"name": "go"}},)


def test_what_services_add_to_messages_is_passed_over() -> None:
    found = chat.parse(
        talk(
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"text": "kind"}]},
            {
                "role": "assistant",
                "content": "",
                "refusal": None,
                "annotations": [],
                "tool_calls": [call("go", "{}", index=0)],
            },
            usage={"total_tokens": 9},
        )
    )
    prompt = found[0].proposal.prompt or ()
    assert [(message.role, message.content) for message in prompt] == [("system", "Be kind")]


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        ({"id": "x"}, "messages"),
        (talk({"role": "robot", "content": "hi"}), "messages[0].role"),
        (talk({"role": "user", "content": [{"type": "image_url"}]}), "messages[0]"),
        (
            talk({"role": "assistant", "tool_calls": [call("go", "{oops")]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            talk({"role": "assistant", "tool_calls": [call("go", '{"n": NaN}')]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (talk(id="two words"), "id"),
    ],
)
def test_a_mistake_in_a_conversation_names_its_field(
    conversation: dict[str, Any], field: str
) -> None:
    with pytest.raises(Malformed) as raised:
        chat.parse(conversation)
    assert raised.value.field == field
