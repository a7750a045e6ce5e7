"""Chat turns in the form that chat templates and TRL take.

In: proposals and people's versions. Out: messages as plain dicts (role, content, tool_calls).
"""

import json
import unicodedata
from functools import lru_cache
from typing import Any

import msgspec

from errata import digest, protocol
from ingestion import edits

Turn = dict[str, Any]
"""One chat message: `role`, `content` (always a string) and, for calls, `tool_calls`."""


def said(
    *,
    content: str | None = None,
    action: protocol.Action | None = None,
    point: protocol.Point | None = None,
) -> Turn | None:
    """The assistant's turn that says a text, makes a call or clicks; None where there is neither.

    A click is a call of `click` with x and y in pixels.
    """
    if action is not None:
        return _calling(action.name, action.arguments)
    if point is not None:
        return _calling("click", {"x": _plain(point.x), "y": _plain(point.y)})
    return None if content is None else {"role": "assistant", "content": content}


def _calling(name: str, arguments: dict[str, Any]) -> Turn:
    return {"role": "assistant", "content": "", "tool_calls": [_call(name, arguments)]}


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _plain(pixels: float) -> float:
    """A whole number without its point, as agents write places."""
    return int(pixels) if float(pixels).is_integer() else pixels


def proposed(proposal: protocol.Proposal) -> Turn | None:
    """The agent's turn; None for candidates, which are several, and exceptions, which it had not.

    A question is a turn like any other: what the agent asked.
    """
    match proposal.kind:
        case "action":
            return said(action=proposal.action)
        case "draft" | "plan":
            return said(content=proposal.content)
        case "click":
            return clicked(proposal, proposal.point)
        case "question":
            return said(content=proposal.message)
        case "candidates" | "exception":
            return None


def clicked(proposal: protocol.Proposal, at: protocol.Point | None) -> Turn | None:
    """The turn that clicks at a place, in the words of the agent's own call where it states one.

    Args:
        proposal: A click. The call in its `action` is taken where it holds the proposed place, as
            `x` and `y` or as one list of two numbers: that is what the person was shown.
        at: Where to click.
    """
    call, shown = proposal.action, proposal.point
    if at is None or call is None or shown is None:
        return said(point=at)
    before, after = [shown.x, shown.y], [_plain(at.x), _plain(at.y)]
    arguments = call.arguments
    if [arguments.get("x"), arguments.get("y")] == before:
        return _calling(call.name, {**arguments, "x": after[0], "y": after[1]})
    for name, value in arguments.items():
        if value == before:
            return _calling(call.name, {**arguments, name: after})
    return said(point=at)


def options(proposal: protocol.Proposal) -> dict[str, Turn]:
    """By id: the turns that a person chose among, candidates or the answers to a question."""
    found: list[tuple[str, Turn | None]] = [
        (one.id, said(content=one.content, action=one.action)) for one in proposal.candidates or ()
    ]
    if proposal.kind == "question":
        found += [(one.id, said(content=one.label)) for one in proposal.options or ()]
    return {id_: turn for id_, turn in found if turn is not None}


def answer(proposal: protocol.Proposal, response: Any) -> Turn | None:
    """The turn that answers a question: the option's label, a text, or else JSON."""
    labels = {one.id: one.label for one in proposal.options or ()}
    if isinstance(response, str):
        return said(content=labels.get(response, response))
    return None if response is None else said(content=json.dumps(response, ensure_ascii=False))


def question(proposal: protocol.Proposal) -> list[Turn]:
    """The conversation before the answer to a question: the history, then the question.

    The question is a user's turn, for whoever learns to answer it is asked. It goes into a user's
    turn that is there already, because many templates want the roles in turn.
    """
    lines = [proposal.message or "", *(f"- {one.label}" for one in proposal.options or ())]
    asked = "\n".join(lines)
    before = _history(proposal.prompt or ())
    if before and before[-1]["role"] == "user":
        return [*before[:-1], {"role": "user", "content": f"{before[-1]['content']}\n\n{asked}"}]
    return [*before, {"role": "user", "content": asked}]


def prompt(proposal: protocol.Proposal) -> list[Turn]:
    """The conversation before the proposal.

    Returns:
        The proposal's `prompt`; without one a single user turn with its message or its goal, and
        with an empty text where it states neither.
    """
    if proposal.prompt:
        return _history(proposal.prompt)
    goal = proposal.reasoning.goal if proposal.reasoning else ""
    # A question's own message is what it says, not what it was told.
    told = proposal.message if proposal.kind != "question" else None
    return [{"role": "user", "content": told or goal}]


def _history(messages: tuple[protocol.Message, ...]) -> list[Turn]:
    turns: list[Turn] = []
    names: dict[str | None, str] = {}
    for message in messages:
        # Templates add strings up, so a missing content is an empty one.
        turn: Turn = {"role": message.role, "content": message.content or ""}
        if message.tool_calls:
            turn["tool_calls"] = [
                {
                    **({} if call.id is None else {"id": call.id}),
                    **_call(call.function.name, call.function.arguments),
                }
                for call in message.tool_calls
            ]
            names.update((call.id, call.function.name) for call in message.tool_calls)
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        # Ids may repeat in a conversation: a result belongs to the newest call of its id.
        name = message.name or (names.get(message.tool_call_id) if turn["role"] == "tool" else None)
        if name is not None:
            turn["name"] = name
        turns.append(turn)
    return turns


def tools(proposal: protocol.Proposal) -> str | None:
    """The tools that the agent had, as TRL's `tools` column: a JSON string, None without any."""
    stated: Any = proposal.tools
    if isinstance(stated, msgspec.Raw):
        return _plain_tools(bytes(stated))
    return msgspec.json.encode(stated).decode() if stated else None


@lru_cache(maxsize=256)
def _plain_tools(stored: bytes) -> str | None:
    """Tools as `tools` tells them, whichever way the database wrote the JSON.

    An agent states the same ones with every proposal.
    """
    stated = msgspec.json.decode(stored)
    return msgspec.json.encode(stated).decode() if stated else None


def same(one: Turn, other: Turn) -> bool:
    """Whether two turns say the same to a reader.

    Texts are compared by their white-space-separated words, as `edit_distance` counts them, and
    calls by canonical JSON, so that neither white space nor key order makes a difference.
    """
    ours, theirs = one.get("tool_calls"), other.get("tool_calls")
    said_alike = one["content"] == other["content"] or _words(one) == _words(other)
    if not said_alike or ours != theirs:
        return False
    # Python takes true for 1: what differs for it does so in canonical JSON, what is equal may not.
    return (
        ours is None
        or _encode(ours) == _encode(theirs)
        or digest.canonical(ours) == digest.canonical(theirs)
    )


def distance(before: Turn, after: Turn) -> float:
    """Share of tokens that changed, 0 to 1; see `ingestion.edits.distance`."""
    return edits.distance(_body(before), _body(after))


def _body(turn: Turn) -> dict[str, Any]:
    calls = turn.get("tool_calls")
    return {"action": calls[0]["function"]} if calls else {"content": turn["content"]}


def empty(turn: Turn) -> bool:
    """Whether a turn says nothing."""
    return not turn.get("tool_calls") and not turn["content"].strip()


def _words(turn: Turn) -> list[str]:
    text = turn["content"]
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).split()


_encode = msgspec.json.Encoder(order="sorted").encode
