"""Text as words. In: the fields of a record. Out: passages, each a list of words in lower case.

Argilla's UI searches whole words. Words end at everything that is neither letter, digit nor
underscore, so `refund` finds `refund.amount`; scripts written without spaces are cut into signs.
A record's passages can be written down as one line, and read from it again.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from uuid import UUID

# Han and Hiragana one sign at a time; everything else in runs.
_WORD = re.compile(
    r"[\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)

LONGEST_WORD = 255
"""Characters of a word that count: PostgreSQL's index refuses words above 2 kB."""

_MARK = "\ue000"
"""Begins the words that nobody wrote: for private use in Unicode, and so never part of a word."""

Passage = list[str]
"""Words that follow each other; a phrase is never found across two passages."""


def split(text: str) -> Passage:
    """Cut text into words."""
    return [word[:LONGEST_WORD] for word in _WORD.findall(text.lower())]


def read(kind: str, value: Any) -> Iterator[Passage]:
    """Read the value of a field of a kind; an image holds no words."""
    match kind:
        case "image":
            return iter(())
        case "chat":
            return _chat(value)
        case _:
            return _passages(value)


def mark(thing: UUID) -> str:
    """Return the mark of a dataset or field."""
    return _MARK + thing.hex[:8]


def write_down(dataset: UUID, fields: Iterable[tuple[UUID, Iterable[Passage]]]) -> str:
    """Write a record's words as one line; dataset, fields and passages are set off by marks."""
    line = [mark(dataset)]
    for field, found in fields:
        line.append(mark(field))
        for passage in found:
            line += [*passage, _MARK]
    return " ".join(line)


def read_again(line: str, fields: Collection[UUID]) -> list[Passage]:
    """Return the passages of the given fields in a line."""
    marks = {mark(field) for field in fields}
    read_now = False
    found: list[Passage] = [[]]
    for word in line.split(" "):
        if word.startswith(_MARK):
            read_now = word in marks if len(word) > 1 else read_now
            found.append([])
        elif read_now:
            found[-1].append(word)
    return [passage for passage in found if passage]


def _passages(value: Any) -> Iterator[Passage]:
    match value:
        case None:
            return
        case str():
            yield split(value)
        case dict():
            for name, part in value.items():
                yield split(name)
                yield from _passages(part)
        case list():
            for part in value:
                yield from _passages(part)
        case other:
            yield split(str(other))


def _chat(messages: list[dict[str, Any]] | None) -> Iterator[Passage]:
    """Read a chat: who speaks and what is said, not the names of the keys."""
    for message in messages or []:
        yield from _passages(list(message.values()))
