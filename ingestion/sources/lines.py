"""Read a JSON Lines file, one line in memory at a time.

In: a path. Out: per line the JSON object, or what is wrong with the line.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from errata.errors import ErrataError, Malformed
from errata.protocol import check_json
from ingestion import bodies

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineError(NamedTuple):
    """What is wrong with a line."""

    line: int
    """Counted from 1."""
    field: str | None
    """The path of the field, `proposal.action.arguments`; None for the line as a whole."""
    reason: str


class Line(NamedTuple):
    """One line that is a JSON object."""

    number: int
    value: dict[str, Any]
    size: int
    """Bytes."""


class Read(NamedTuple):
    """A line, or its error; with how far the file has been read."""

    line: Line | LineError
    position: int
    """Bytes from the start of the file to the end of this line."""


def read(path: Path) -> Iterator[Read]:
    """Stream the lines of a file; blank ones are passed over.

    Every value goes through `errata.protocol.check_json`, so that what canonical JSON cannot carry
    is refused with its field named, also where a format takes any text.
    """
    position = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            position += len(raw)
            content = raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
            if content.strip():
                yield Read(_parse(number, content), position)


def _parse(number: int, raw: bytes) -> Line | LineError:
    try:
        return Line(number, _object(raw), len(raw))
    except ErrataError as error:
        return LineError(number, error.field, error.detail)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = bodies.load(raw.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except Malformed as error:
        cut = "" if raw.endswith(b"\n") else "; the file ends within this line"
        raise Malformed(error.detail.replace("line 1 column", "column") + cut) from error
    if not isinstance(value, dict):
        raise Malformed("a line holds one JSON object")
    _check(value)
    return value


def _check(value: dict[str, Any]) -> None:
    try:
        check_json(value)
    except ValueError as error:
        place, _, reason = str(error).partition(": ")
        raise Malformed(reason, field=place) from error
