"""Chat turns in the form that chat templates and TRL take.

In: proposals and people's versions. Out: messages as plain dicts (role, content, tool_calls).
"""

import json
import unicodedata
from typing import Any

from errata import digest, protocol

Turn = dict[str, Any]
"""One chat message: `role`, `content` (always a string) and, for calls, `tool_calls`."""


def said(*, content: str | None = None, action: protocol.Action | None = None) -> Turn | None:
    """The assistant's turn that says a text or makes a call; None where there is neither."""
    if action is not None:
        return {"role": "assistant", "content": "", "tool_calls": [_call(action)]}
    return None if content is None else {"role": "assistant", "content": content}


def _call(action: protocol.Action) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": action.name, "arguments": action.arguments},
    }


def prompt(proposal: protocol.Proposal) -> list[Turn]:
    """The conversation before the proposal.

    Returns:
        The proposal's `prompt`; without one a single user turn with its message or its goal, and
        with an empty text where it states neither.
    """
    if proposal.prompt:
        return _history(proposal.prompt)
    goal = proposal.reasoning.goal if proposal.reasoning else ""
    return [{"role": "user", "content": proposal.message or goal}]


def _history(messages: tuple[protocol.Message, ...]) -> list[Turn]:
    turns: list[Turn] = []
    names: dict[str | None, str] = {}
    for message in messages:
        # Templates add strings up, so a missing content is an empty one.
        turn: Turn = {"role": message.role, "content": message.content or ""}
        if message.tool_calls:
            turn["tool_calls"] = [
                {**({} if call.id is None else {"id": call.id}), **_call(call.function)}
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
    return json.dumps(proposal.tools, ensure_ascii=False) if proposal.tools else None


def same(one: Turn, other: Turn) -> bool:
    """Whether two turns say the same to a reader.

    Texts are compared by their white-space-separated words, as `edit_distance` counts them, and
    calls by canonical JSON, so that neither white space nor key order makes a difference.
    """
    return _normal(one) == _normal(other)


def empty(turn: Turn) -> bool:
    """Whether a turn says nothing."""
    return not turn.get("tool_calls") and not turn["content"].strip()


def _normal(turn: Turn) -> bytes:
    words = unicodedata.normalize("NFC", turn["content"]).split()
    return digest.canonical([words, turn.get("tool_calls")])
