"""The conditions of a policy's rules: their form, and whether they hold.

In: a condition as the file states it, a value that an agent sent. Out: whether the rule applies.
Pure. No value is coerced, and a boolean is no number.
"""

import math
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from errata.protocol import RiskLevel
from ingestion import patterns

LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")
SCALES: dict[str, tuple[str, ...]] = {
    "risk.level": LEVELS,
    "urgency": ("log", "normal", "high", "critical"),
}
"""Words that are ordered by meaning, not by the alphabet, from the least on."""
ORDERINGS = ("lt", "lte", "gt", "gte")
OPERATORS = (*ORDERINGS, "ne", "in", "not_in", "matches")
PATHS = re.compile(
    r"(action|kind|agent\.id|urgency|confidence\.value"
    r"|risk\.(level|amount|reversible)|(args|metadata)(\.[^.]+)+)"
)

GLOB = frozenset("*?[")
"""Characters that make a text a glob."""

Scalar = str | bool | int | float


def _condition(value: Any) -> Any:
    """A scalar, a list of scalars, or a map of comparisons; one message says so, not five."""
    many = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        unknown = [key for key in value if key not in OPERATORS]
        if unknown or not value:
            raise ValueError(f"{unknown or value!r}: comparisons are {', '.join(OPERATORS)}")
        _check_bounds(value)
    elif not many or not all(isinstance(one, Scalar) for one in many):
        raise ValueError(f"{value!r}: a condition is a value, a list of values or comparisons")
    return value


def _check_bounds(comparisons: dict[str, Any]) -> None:
    for operator, bound in comparisons.items():
        if operator in {"in", "not_in"} and not (
            isinstance(bound, list) and all(isinstance(one, Scalar) for one in bound)
        ):
            raise ValueError(f"{operator} takes a list of values, got {bound!r}")
        if operator == "ne" and not isinstance(bound, Scalar):
            raise ValueError(f"ne takes a value, got {bound!r}")
        if operator in ORDERINGS and (
            isinstance(bound, bool) or not isinstance(bound, str | int | float)
        ):
            raise ValueError(f"{operator} takes a number or a text, got {bound!r}")
        if operator == "matches":
            _check_pattern(bound)


def _check_pattern(bound: Any) -> None:
    if not isinstance(bound, str):
        raise ValueError(f"matches takes a text, got {bound!r}")
    problem = patterns.problem(bound)
    if problem is not None:
        raise ValueError(f"matches: {problem}")


def _known_path(path: str) -> str:
    if PATHS.fullmatch(path) is None:
        raise ValueError(f"{path!r} is no path that a rule can look at")
    return path


Path = Annotated[str, AfterValidator(_known_path)]
Condition = Annotated[Any, BeforeValidator(_condition)]


def _on_scale(when: dict[str, Any]) -> dict[str, Any]:
    for path, scale in SCALES.items():
        condition = when.get(path)
        bounds = condition if isinstance(condition, dict) else {}
        for operator in ORDERINGS:
            if operator in bounds and bounds[operator] not in scale:
                raise ValueError(f"{path}: {operator} takes one of {', '.join(scale)}")
    return when


When = Annotated[dict[Path, Condition], AfterValidator(_on_scale)]
"""Conditions by the path of the value that each looks at; all must hold."""


def holds(condition: Any, value: Any, when_unknown: bool) -> bool:
    """Whether a condition holds.

    A value that is absent or of another type than the condition speaks of counts against the
    agent: it fails a rule that loosens and satisfies any other.
    """
    if value is None:
        return when_unknown
    if isinstance(condition, dict):
        return all(
            _compare(operator, bound, value, when_unknown) for operator, bound in condition.items()
        )
    if isinstance(condition, list):
        return _any_equal(condition, value, when_unknown)
    return _equal(condition, value, when_unknown)


Test = Callable[[Any], bool]
"""A condition, ready to be put to values."""


def ready(condition: Any, when_unknown: bool) -> Test:
    """A condition as a function of the value: the same answers as `holds`, several times as fast.

    Policies put hundreds of conditions to each proposal, and nearly all are of two simple forms.
    """
    if isinstance(condition, str) and not GLOB & set(condition):
        return lambda value: value == condition if isinstance(value, str) else when_unknown
    if (
        isinstance(condition, dict)
        and condition.keys() <= set(ORDERINGS)
        and all(_alike(0, bound) for bound in condition.values())
    ):
        return _interval(condition, when_unknown)
    return lambda value: holds(condition, value, when_unknown)


def _interval(bounds: dict[str, float], when_unknown: bool) -> Test:
    low, above = bounds.get("gte", -math.inf), bounds.get("gt", -math.inf)
    high, below = bounds.get("lte", math.inf), bounds.get("lt", math.inf)

    def test(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return when_unknown
        return low <= value <= high and above < value < below

    return test


def _any_equal(wanted: list[Any], value: Any, when_unknown: bool) -> bool:
    """Whether one of the list is equal; only those of the value's type have a say."""
    known = [one for one in wanted if _alike(one, value)]
    if wanted and not known:
        return when_unknown
    return any(_equal(one, value, when_unknown) for one in known)


def _equal(wanted: Scalar, value: Any, when_unknown: bool) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        return fnmatchcase(value, wanted)
    if not _alike(wanted, value):
        return when_unknown
    return bool(wanted == value)


def _compare(operator: str, bound: Any, value: Any, when_unknown: bool) -> bool:
    match operator:
        case "in":
            return _any_equal(bound, value, when_unknown)
        case "not_in":
            return not _any_equal(bound, value, not when_unknown)
        case "ne":
            return not _equal(bound, value, not when_unknown)
        case "matches":
            if not isinstance(value, str):
                return when_unknown
            return patterns.fits(bound, value)
        case _:
            if not _alike(bound, value) or isinstance(value, bool | list | dict):
                return when_unknown
            return _ordered(operator, *_places(bound, value))


def _places(bound: Any, value: Any) -> tuple[Any, Any]:
    """What is compared: the places on a scale where both stand on one, else the values."""
    for scale in SCALES.values():
        if bound in scale and value in scale:
            return scale.index(bound), scale.index(value)
    return bound, value


def _ordered(operator: str, bound: Any, value: Any) -> bool:
    match operator:
        case "lt":
            return bool(value < bound)
        case "lte":
            return bool(value <= bound)
        case "gt":
            return bool(value > bound)
        case _:
            assert operator == "gte"
            return bool(value >= bound)


def _alike(a: Any, b: Any) -> bool:
    """Same type; all numbers are one type, and a boolean is not a number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return True
    return type(a) is type(b)
