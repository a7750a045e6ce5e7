"""The checks that look at one row at a time.

In: records. Out: a number whose bits say which checks found something, and lengths in tokens.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

from ingestion import schemas
from training.columns import Record
from training.hygiene.checks import SINGLE, Care, Check
from training.turns import Turn


class Look(NamedTuple):
    """What was seen in a row."""

    faults: int
    """Bit n is set where check n of `SINGLE` found something."""
    tokens: dict[str, int]
    """Columns of `columns.TOKENS` with what they hold; none without a model."""


def look(record: Record, care: Care) -> Look:
    """Look for what is wrong with a row, and how long it is."""
    length = module("lengths").measure(record, care.model) if care.model else None
    faults = 0
    for check in SINGLE:
        if check in care.run and _finds(check, record, length):
            faults |= 1 << SINGLE.index(check)
    return Look(faults, length.tokens if length else {})


def prepare(care: Care) -> None:
    """Load what the checks stand on, so that a mistake is told before any work is done.

    Raises:
        Malformed: The model has no tokenizer or no chat template.
    """
    if care.model is not None:
        module("lengths").check(care.model)


def _finds(check: Check, record: Record, length: Any) -> bool:
    if check == "truncated":
        return length is not None and length.useless
    if check == "schema":
        return record.get("label") is not False and not _fits(record)
    if check == "sides":
        return _calls(record.get("chosen")) != _calls(record.get("rejected"))
    return any(map(module(check).stand_in, texts(record)))


@cache
def module(name: str) -> Any:
    """A module of a check that is asked for; what it stands on takes seconds and memory to load."""
    return import_module(f"training.hygiene.{name}")


def texts(record: Record) -> Iterator[str]:
    """All that is said in a row: contents, and calls and tools as JSON."""
    for name in ("prompt", "completion", "chosen", "rejected"):
        for turn in record.get(name) or ():
            yield turn["content"]
            if "tool_calls" in turn:
                yield msgspec.json.encode(turn["tool_calls"]).decode()
    yield from filter(None, (record["tools"], record["guidance"]))


def _calls(turns: list[Turn] | None) -> bool | None:
    """Whether a side makes a call; None of rows without sides."""
    return None if turns is None else any(turn.get("tool_calls") for turn in turns)


def _fits(record: Record) -> bool:
    turns: list[Turn] = record.get("chosen") or record.get("completion") or []
    calls = [call["function"] for turn in turns for call in turn.get("tool_calls", ())]
    if not calls or record["tools"] is None:
        return True
    stated = _schemas(record["tools"])
    return all(_takes(stated.get(call["name"]), call["arguments"]) for call in calls)


def _takes(schema: str | None, arguments: Any) -> bool:
    return schema is None or schemas.fits(schema, arguments)  # None: a tool that states none


@lru_cache(maxsize=256)
def _schemas(tools: str) -> dict[str, str]:
    """The schemas of tools by their names, as `digest.stated_schema` finds them, as JSON."""
    found: dict[str, str] = {}
    for tool in msgspec.json.decode(tools):
        function = tool.get("function", tool)
        if isinstance(function, dict) and isinstance(function.get("parameters"), dict):
            schema = msgspec.json.encode(function["parameters"]).decode()
            found.setdefault(str(function.get("name")), schema)
    return {name: schema for name, schema in found.items() if _usable(schema)}


@cache
def _usable(schema: str) -> bool:
    return schemas.problem(msgspec.json.decode(schema)) is None
