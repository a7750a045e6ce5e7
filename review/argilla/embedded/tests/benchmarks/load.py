"""Records to measure with. In: a number. Out: the same records every time, and what to search for.

Texts follow Zipf's law over 20,000 invented words, as words of a language do, so that some words
are in half of the records and most in a few.
"""

import random
from collections.abc import Iterator
from itertools import accumulate

WORDS_PER_RECORD = 50
VOCABULARY = 20_000
BULK = 500
"""Argilla's limit for one request."""

_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]


def _word(number: int) -> str:
    syllables = ""
    number += 70
    while number:
        number, rest = divmod(number, len(_SYLLABLES))
        syllables += _SYLLABLES[rest]
    return syllables


_WORDS = [_word(number) for number in range(VOCABULARY)]
_WEIGHTS = list(accumulate(1 / (rank + 10) for rank in range(VOCABULARY)))


def text(seed: int) -> str:
    """Write the text of one record."""
    return " ".join(random.Random(seed).choices(_WORDS, cum_weights=_WEIGHTS, k=WORDS_PER_RECORD))


def bulks(count: int, questions: dict[str, str], first: int = 0) -> Iterator[list[dict]]:
    """Make records with two suggestions and three metadata values, in requests of 500."""
    for start in range(first, first + count, BULK):
        yield [
            _record(number, questions) for number in range(start, min(start + BULK, first + count))
        ]


def _record(number: int, questions: dict[str, str]) -> dict:
    draw = random.Random(-number - 1)
    return {
        "fields": {"text": text(number)},
        "external_id": f"r{number}",
        "metadata": {
            "agent": f"agent-{draw.randrange(20)}",
            "prio": draw.randrange(10),
            "cost": draw.random() * 100,
        },
        "suggestions": [
            {"question_id": questions["decision"], "value": "approve", "score": draw.random()},
            {"question_id": questions["comment"], "value": text(number + 10_000_000)},
        ],
    }


def searches(count: int) -> list[str]:
    """Write what people might type: one or two words, frequent and rare, a phrase, a beginning."""
    draw = random.Random(7)
    kinds = [
        lambda words: words[0],
        lambda words: f"{words[0]} {words[1]}",
        lambda words: f"{words[0]} | {words[1]}",
        lambda words: f"{words[0]} -{words[1]}",
        lambda words: f'"{words[0]} {words[1]}"',
        lambda words: f"{words[0][:4]}*",
    ]
    return [
        kinds[number % len(kinds)](draw.choices(_WORDS, cum_weights=_WEIGHTS, k=2))
        for number in range(count)
    ]
