"""How far a person's version is from what was proposed.

In: two versions. Out: whether they are equal, and the share of tokens that changed.
"""

import re
from typing import Any

from rapidfuzz.distance import Levenshtein

from errata.digest import canonical

JSON_TOKEN = re.compile(r"[\w.+-]+|[^\w\s]")


def equal(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether two bodies are the same: actions after canonical JSON, texts exactly."""
    return canonical(before) == canonical(after)


def distance(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Share of tokens that changed, 0 (same) to 1 (nothing in common).

    Levenshtein distance over tokens divided by the token count of the longer side. Tokens of a
    text are its white-space separated words; of an action, its canonical JSON split at
    punctuation.

    Args:
        before: The proposed body (see `errata.digest.body`).
        after: The person's body.
    """
    old, new = tokens(before), tokens(after)
    longer = max(len(old), len(new))
    return Levenshtein.distance(old, new) / longer if longer else 0.0


def tokens(body: dict[str, Any]) -> list[str]:
    """The tokens of a body."""
    text = body.get("content")
    if isinstance(text, str):
        return text.split()
    return JSON_TOKEN.findall(canonical(body).decode())
