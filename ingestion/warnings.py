"""What a policy file allows and most likely does not mean.

In: a policy, and the groups that people belong to where they are known. Out: warnings. Each can be
proved from the file: what only might be a mistake is not mentioned.
"""

import math
from collections.abc import Iterator, Set
from fnmatch import fnmatchcase
from typing import Any

from ingestion.conditions import GLOB, ORDERINGS
from ingestion.policy import Handling, Policy, Quorum, Rule

ALWAYS_THERE = frozenset({"action", "kind", "agent.id", "urgency"})
"""Paths at which a rule never meets an absent value."""


def of(policy: Policy) -> list[str]:
    """What the file by itself gives rise to."""
    found = [warning for rule in policy.rules for warning in _open_ended(rule)]
    found += _never_reached(policy.rules)
    names = [rule.name for rule in policy.rules]
    found += [
        f"{names.count(name)} rules are called {name!r}; the reasons given will not tell which"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if not policy.trusted_confidence and any(rule.confidence for rule in policy.rules):
        found.append("trusted_confidence names no agent: rules with confidence always queue")
    found += [warning for rule in policy.rules for warning in _unchecked_tools(policy, rule)]
    return found


def of_groups(policy: Policy, known: Set[str]) -> list[str]:
    """Groups that are named and that nobody belongs to: nobody could decide there."""
    places: list[tuple[str, Handling]] = [("default", policy.default)]
    places += [(f"rule {rule.name!r}", rule) for rule in policy.rules]
    return [
        f"{place} names the group {group!r} in {key}; nobody belongs to it"
        for place, handling in places
        for key, groups in _named_groups(handling)
        for group in dict.fromkeys(groups)
        if group not in known
    ]


def _named_groups(handling: Handling) -> Iterator[tuple[str, tuple[str, ...]]]:
    quorum = handling.quorum or Quorum()
    yield "quorum.roles", quorum.roles
    yield "quorum.from", quorum.voters
    yield "quorum.tie_break", quorum.tie_break
    yield "escalate_to", handling.escalate_to
    yield "delegate_to", handling.delegate_to


def _open_ended(rule: Rule) -> list[str]:
    """Bounds from above only, where something runs without a word: a negative amount would pass."""
    if not rule.loosens:
        return []
    return [
        f"rule {rule.name!r} is automatic and bounds {path} from above only; "
        "add gte, or a negative value passes"
        for path, condition in rule.when.items()
        if isinstance(condition, dict)
        and condition.keys() & {"lt", "lte"}
        and not condition.keys() & {"gt", "gte"}
    ]


def _unchecked_tools(policy: Policy, rule: Rule) -> list[str]:
    """Tools that run without a word and whose arguments nothing checks."""
    if not rule.loosens:
        return []
    return [
        f"rule {rule.name!r} is automatic and the tool {name!r} has no schema: "
        "its arguments are not checked"
        for name in _texts(rule.when.get("action")) or ()
        if not GLOB & set(name) and policy.tool(name).parameters is None
    ]


def _never_reached(rules: tuple[Rule, ...]) -> Iterator[str]:
    for index, rule in enumerate(rules):
        above = next((one for one in rules[:index] if _covers(one, rule)), None)
        if above is not None:
            how = "covers it" if above.when else "matches everything"
            yield f"rule {rule.name!r} is never reached: {above.name!r} above {how}"


def _covers(above: Rule, below: Rule) -> bool:
    """Whether all that one rule matches is surely matched by the one above it."""
    for path, wide in above.when.items():
        if path not in below.when or not _within(below.when[path], wide):
            return False
        # What is absent fails a rule that loosens, and reaches the stricter one below it.
        if above.loosens and not below.loosens and path not in ALWAYS_THERE:
            return False
    return True


def _within(narrow: Any, wide: Any) -> bool:
    """Whether every value for which one condition holds is surely one for which the other does."""
    if repr(narrow) == repr(wide):
        return True
    names, wider = _texts(narrow), _texts(wide)
    if names is not None and wider is not None:
        return all(any(_covers_name(one, name) for one in wider) for name in names)
    inner, outer = _bounds(narrow), _bounds(wide)
    return inner is not None and outer is not None and outer[0] <= inner[0] and inner[1] <= outer[1]


def _covers_name(wide: str, narrow: str) -> bool:
    if wide in {narrow, "*"}:
        return True
    return not GLOB & set(narrow) and fnmatchcase(narrow, wide)


def _texts(condition: Any) -> list[str] | None:
    """The texts that a condition asks for, if it asks for nothing else."""
    if isinstance(condition, dict) and list(condition) == ["in"]:
        condition = condition["in"]
    wanted = [condition] if isinstance(condition, str) else condition
    if isinstance(wanted, list) and wanted and all(isinstance(one, str) for one in wanted):
        return wanted
    return None


_Edge = tuple[float, bool]


def _bounds(condition: Any) -> tuple[_Edge, _Edge] | None:
    """The ends of a range of numbers, in an order in which a wider range lies around it."""
    if not isinstance(condition, dict) or not condition.keys() <= set(ORDERINGS):
        return None
    if any(isinstance(bound, bool | str) for bound in condition.values()):
        return None
    low = max((condition.get("gte", -math.inf), False), (condition.get("gt", -math.inf), True))
    high = min((condition.get("lte", math.inf), True), (condition.get("lt", math.inf), False))
    return low, high
