"""What a model says to one prompt, and how it compares to what people said.

In: texts that models wrote, turns of a bundle. Out: whether they are the same, and how far apart. Pure.
"""

import json
from typing import Any, NamedTuple

from errata.digest import canonical
from ingestion import edits
from training.turns import Turn


class Answer(NamedTuple):
    """What one model makes of one row."""

    text: str
    """What it writes, by greedy decoding."""
    exact: bool
    """Whether that is the person's version: words for texts; tool and arguments for calls."""
    distance: float
    """From there to the person's version, as share of tokens, 0 to 1: what is left to correct."""
    prefers: bool | None
    """Whether it finds the preferred turn more likely than the other; None without another."""


def judge(text: str, target: Turn, prefers: bool | None) -> Answer:
    """Compare what a model wrote with a person's version.

    Args:
        text: As decoded, without the template's marks.
        target: The person's version.
        prefers: See `Answer`.
    """
    wanted = target.get("tool_calls")
    if not wanted:
        written, meant = {"content": text}, {"content": target["content"]}
        same = text.split() == target["content"].split()
        return Answer(text, same, edits.distance(written, meant), prefers)
    calls = [one["function"] for one in wanted]
    found = [call for call in read_calls(text) if call is not None]
    same = canonical(found) == canonical(calls)
    distance = edits.distance({"action": found}, {"action": calls}) if found else 1.0
    return Answer(text, same, distance, prefers)


def read_calls(text: str) -> list[dict[str, Any] | None]:
    """The tool calls in what a model wrote.

    Templates put different marks around a call, but nearly all write it as a JSON object with
    `name` and `arguments` (or `parameters`), so every such object counts, whatever stands around.

    Returns:
        `{"name", "arguments"}` of each; None for another JSON object.
    """
    decoder = json.JSONDecoder()
    found: list[dict[str, Any] | None] = []
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            found.append(_call(value))
        at = text.find("{", end)
    return found


def _call(value: dict[str, Any]) -> dict[str, Any] | None:
    arguments = value.get("arguments", value.get("parameters"))
    if not isinstance(value.get("name"), str) or not isinstance(arguments, dict):
        return None
    return {"name": value["name"], "arguments": arguments}
