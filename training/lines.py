"""Rows as lines of JSON.

In: staged rows. Out: one line each, in UTF-8.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from training import columns

SIDES = ("prompt", "completion", "chosen", "rejected")
_encode = msgspec.json.Encoder().encode


def of(table: Any) -> Iterator[bytes]:
    """The rows of a table with their columns' names; times in ISO 8601."""
    for row in table.to_pylist():
        yield _encode({name: _plain(name, value) for name, value in row.items()}) + b"\n"


def openai(table: Any) -> Iterator[bytes]:
    """The rows in the forms of OpenAI's fine-tuning: preference pairs, or conversations."""
    for row in table.to_pylist():
        chats = {name: _messages(row[name]) for name in SIDES if row.get(name) is not None}
        about = {"messages": chats["prompt"]}
        if row["tools"] is not None:
            about |= {"tools": msgspec.Raw(row["tools"].encode())}
        if "completion" in chats:
            yield _encode({**about, "messages": chats["prompt"] + chats["completion"]}) + b"\n"
            continue
        preferred = {"preferred_output": chats["chosen"], "non_preferred_output": chats["rejected"]}
        yield _encode({"input": about, **preferred}) + b"\n"


def _messages(chat: list[str]) -> list[dict[str, Any]]:
    """Messages whose calls have their arguments as a text of JSON, and ids where they lack them."""
    found: list[dict[str, Any]] = [msgspec.json.decode(message) for message in chat]
    for message in found:
        for number, call in enumerate(message.get("tool_calls", ()), 1):
            call.setdefault("id", f"call_{number}")
            call["function"]["arguments"] = _encode(call["function"]["arguments"]).decode()
    return found


def _plain(name: str, value: Any) -> Any:
    match columns.sort(name):
        case "chat" if value is not None:
            return [msgspec.Raw(message.encode()) for message in value]
        case "time" if value is not None:
            return value.isoformat()
        case _:
            return value
