"""Regular expressions that take time in proportion to the text, whoever wrote them.

In: a pattern, a text that an agent sent. Out: whether it matches. Python's `re` backtracks: one
pattern such as `(a+)+$` and one long text would stop the server. This is the engine that JSON
Schemas are checked by, an automaton without look-around and back-references.
"""

from functools import lru_cache

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

BOUNDS = RegexOptions(size_limit=1_000_000, dfa_size_limit=4_000_000)
"""Bytes that a compiled pattern may take: `(a{1000}){1000}` is refused when it is read."""
HINT = "patterns have no look-around, no back-references and no large counts"


def problem(pattern: str) -> str | None:
    """What is wrong with a pattern, if anything is."""
    try:
        _compiled(pattern)  # alone, or `a)|(b` would be a pattern once it stands in a group
        _compiled(_whole(pattern))
    except ValidationError:
        return f"{pattern!r} is no regular expression that we take: {HINT}"
    return None


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text matches; `pattern` has no problem."""
    return _compiled(_whole(pattern)).is_valid(text)


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Draft202012Validator:
    return Draft202012Validator({"pattern": pattern}, pattern_options=BOUNDS, offline=True)
