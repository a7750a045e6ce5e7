"""The nearest change of one value that makes a condition hold, or fail.

In: a condition of a rule and the value that it looked at. Out: the changed value, in words. Pure;
a change that cannot be named exactly (a pattern, a text just before another) is none.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ingestion.conditions import GLOB, ORDERINGS, SCALES, holds

WORDS = {"lt": "below", "lte": "of at most", "gt": "above", "gte": "of at least"}
OPPOSITE = {"lt": "gte", "lte": "gt", "gt": "lte", "gte": "lt"}
SHOWN = 3
"""Of a long list only so many are tried and named."""


class Change(NamedTuple):
    """Another value for one path."""

    value: Any
    exactly: str
    """In words that speak of this value only."""
    all_such: str | None = None
    """In words that speak of every value for which the condition holds."""


def to_hold(path: str, condition: Any, value: Any) -> Change | None:
    """The nearest change that makes a condition hold that does not."""
    if isinstance(condition, dict):
        found = _into(path, condition, value)
    else:
        wanted = condition if isinstance(condition, list) else [condition]
        found = next(_equal(wanted), None)
    return found if found is not None and holds(condition, found.value, False) else None


def to_fail(path: str, condition: Any, value: Any) -> Iterator[Change]:
    """The nearest changes, one over each bound, that make a condition fail that holds."""
    found: list[Change | None] = []
    if isinstance(condition, dict):
        found = [
            _beyond(path, OPPOSITE[operator], bound, value)
            for operator, bound in _by_distance(condition, value)
        ]
    elif isinstance(condition, bool):
        found = [Change(not condition, f"of {_shown(not condition)}")]
    return (
        one
        for one in found
        if one is not None and not holds(condition, one.value, when_unknown=True)
    )


def _into(path: str, comparisons: dict[str, Any], value: Any) -> Change | None:
    if "in" in comparisons:
        return next(_equal(comparisons["in"]), None)
    if "ne" in comparisons and isinstance(comparisons["ne"], bool):
        return Change(not comparisons["ne"], f"of {_shown(not comparisons['ne'])}")
    broken = [
        (operator, bound)
        for operator, bound in comparisons.items()
        if operator in ORDERINGS and not holds({operator: bound}, value, False)
    ]
    if not broken:
        return None
    operator, bound = broken[0]
    found = _beyond(path, operator, bound, value)
    if found is None or not _is_number(bound) or comparisons.keys() - set(ORDERINGS):
        return found
    rest = [(op, at) for op, at in comparisons.items() if op != operator]
    words = [f"{WORDS[op]} {_shown(at)}" for op, at in [(operator, bound), *rest]]
    return found._replace(
        all_such=" and ".join([words[0], *(w.removeprefix("of ") for w in words[1:])])
    )


def _by_distance(comparisons: dict[str, Any], value: Any) -> list[tuple[str, Any]]:
    bounds = [(op, bound) for op, bound in comparisons.items() if op in ORDERINGS]
    if all(_is_number(bound) for _, bound in bounds) and _is_number(value):
        bounds.sort(key=lambda one: abs(one[1] - value))
    return bounds


def _beyond(path: str, operator: str, bound: Any, value: Any) -> Change | None:
    """The value nearest to a bound for which the comparison with it holds."""
    scale = SCALES.get(path)
    if scale is not None:
        fitting = [word for word in scale if holds({operator: bound}, word, False)]
        at = scale.index(value) if value in scale else 0
        nearest = min(fitting, key=lambda word: abs(scale.index(word) - at), default=None)
        return None if nearest is None else Change(nearest, f"of {_shown(nearest)}")
    if operator in {"lte", "gte"}:
        return Change(bound, f"of {_shown(bound)}")
    if not _is_number(bound):
        return None
    side, word = (-math.inf, "below") if operator == "lt" else (math.inf, "above")
    return Change(math.nextafter(bound, side), f"just {word} {_shown(bound)}")


def _equal(wanted: list[Any]) -> Iterator[Change]:
    """Equal to one of the list; a glob is met by the text without its wildcards."""
    for one in wanted[:SHOWN]:
        if isinstance(one, str) and GLOB & set(one):
            if "[" not in one:
                sample = one.replace("*", "").replace("?", "x")
                yield Change(sample, f"of {sample!r}", f"like {one!r}")
        else:
            yield Change(one, f"of {_shown(one)}", f"of {_shown(one)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else f"{value:.15g}"
