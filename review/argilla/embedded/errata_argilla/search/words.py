"""Text as words. In: the fields of a record. Out: passages, each a list of words in lower case.

Argilla's UI searches whole words. Words end at everything that is neither letter, digit nor
underscore, so `refund` finds `refund.amount`; scripts written without spaces are cut into signs.
"""

import re
from collections.abc import Iterator
from typing import Any

# Han and Hiragana one sign at a time; everything else in runs.
_WORD = re.compile(
    r"[\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)

Passage = list[str]
"""Words that follow each other; a phrase is never found across two passages."""


def split(text: str) -> Passage:
    """Cut text into words."""
    return _WORD.findall(text.lower())


def passages(value: Any) -> Iterator[Passage]:
    """Read the value of a field: a text, the messages of a chat, or any JSON."""
    match value:
        case None:
            return
        case str():
            yield split(value)
        case dict():
            for name, part in value.items():
                yield split(name)
                yield from passages(part)
        case list():
            for part in value:
                yield from passages(part)
        case other:
            yield split(str(other))


def chat(messages: list[dict[str, Any]] | None) -> Iterator[Passage]:
    """Read a chat: who speaks and what is said, not the names of the keys."""
    for message in messages or []:
        yield from passages(list(message.values()))
