"""The policy: which proposals run at once, which wait for people, which never run.

In: a policy's parsed file form and a proposal. Out: a ruling. Pure: no clock, no database.
"""

import re
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from errata.protocol import Action, JsonObject, Kind, Name, Proposal, RiskLevel, Text

Routed = Literal["auto", "queue", "block"]
OnTimeout = Literal["reject", "cancel"]
"""What a time-out does; there is no word for approving."""

STRICTER: dict[Routed, int] = {"auto": 0, "queue": 1, "block": 2}
LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")
RUNNABLE: frozenset[Kind] = frozenset({"action", "draft", "plan", "click"})
"""Kinds that can be carried out as they stand; the others need a person's choice or answer."""

DURATION = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h|d)$")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OPERATORS = ("lt", "lte", "gt", "gte", "ne", "in", "not_in", "matches")
PATHS = re.compile(
    r"^(action|kind|agent\.id|urgency|confidence\.value"
    r"|risk\.(level|amount|reversible)|(args|metadata)(\.[^.]+)+)$"
)


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a duration is a number and a unit: 30s, 15m, 24h or 7d")
    match = DURATION.match(value)
    if match is None:
        raise ValueError(f"{value!r} is no duration; write 30s, 15m, 24h or 7d")
    return timedelta(seconds=float(match[1]) * UNIT_SECONDS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Scalar = str | bool | int | float


def _condition(value: Any) -> Any:
    """A scalar, a list of scalars, or a map of comparisons; one message says so, not five."""
    many = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        unknown = [key for key in value if key not in OPERATORS]
        if unknown or not value:
            raise ValueError(f"{unknown or value!r}: comparisons are {', '.join(OPERATORS)}")
        _check_bounds(value)
    elif not many or not all(isinstance(one, str | bool | int | float) for one in many):
        raise ValueError(f"{value!r}: a condition is a value, a list of values or comparisons")
    return value


def _check_bounds(comparisons: dict[str, Any]) -> None:
    for operator, bound in comparisons.items():
        if operator in {"in", "not_in"} and not isinstance(bound, list):
            raise ValueError(f"{operator} takes a list, got {bound!r}")
        if operator in {"lt", "lte", "gt", "gte"} and not isinstance(bound, str | int | float):
            raise ValueError(f"{operator} takes a number or a text, got {bound!r}")
        if operator == "matches":
            try:
                re.compile(str(bound))
            except re.error as error:
                raise ValueError(f"matches: {bound!r} is no regular expression: {error}") from error


Condition = Annotated[Any, BeforeValidator(_condition)]


class Part(BaseModel):
    """Base of the policy's parts: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Default(Part):
    """What holds where no rule says otherwise."""

    route: Routed = "queue"
    quorum: Literal[1] = 1
    expires_in: Duration = timedelta(hours=24)
    on_timeout: OnTimeout = "reject"


class RedLine(Part):
    """Actions that nobody can approve."""

    action: Name


class Tool(Part):
    """What the policy knows of a tool; it outweighs what agents state."""

    parameters: JsonObject | None = Field(default=None, alias="schema")
    reversible: bool | None = None
    risk: RiskLevel | None = None


class Rule(Part):
    """One rule; the first whose conditions all hold decides."""

    name: Text
    when: dict[str, Condition]
    route: Routed
    quorum: Literal[1] = 1
    expires_in: Duration | None = None
    on_timeout: OnTimeout | None = None

    @field_validator("when")
    @classmethod
    def _known_paths(cls, when: dict[str, Condition]) -> dict[str, Condition]:
        for path in when:
            if PATHS.match(path) is None:
                raise ValueError(f"{path!r} is no path that a rule can look at")
        return when


class Policy(Part):
    """The file form, version 1."""

    version: Literal[1]
    default: Default = Default()
    red_lines: list[RedLine] = []
    tools: dict[Name, Tool] = {}
    rules: list[Rule] = []


class Ruling(NamedTuple):
    """What the policy says to one proposal."""

    route: Routed
    rule: str
    reason: str
    needed: int
    expires_in: timedelta
    on_timeout: OnTimeout
    propensity: float
    """Probability that such a proposal goes to people."""


def rule(policy: Policy, proposal: Proposal, action: Action | None = None) -> Ruling:
    """Route a proposal.

    Args:
        policy: The policy in force.
        proposal: What the agent asks.
        action: A person's version of the action, to be routed in place of the proposal's.

    Returns:
        The ruling on the action; for candidates with actions the strictest ruling on any of them.
        What needs a person's choice or answer is never automatic.
    """
    choices = [c.action for c in proposal.candidates or () if c.action is not None]
    actions = [action] if action is not None else choices or [proposal.action]
    rulings = [_rule_one(policy, proposal, one) for one in actions]
    strictest = max(rulings, key=lambda ruling: STRICTER[ruling.route])
    if strictest.route == "auto" and proposal.kind not in RUNNABLE:
        reason = f"a {proposal.kind} needs a person's answer"
        return strictest._replace(route="queue", reason=reason, propensity=1.0)
    return strictest


def _rule_one(policy: Policy, proposal: Proposal, action: Action | None) -> Ruling:
    default = policy.default
    if action is not None:
        for line in policy.red_lines:
            if fnmatchcase(action.name, line.action):
                return Ruling(
                    route="block",
                    rule="red line",
                    reason=f"red line {line.action!r}: no one can approve {action.name!r}",
                    needed=0,
                    expires_in=default.expires_in,
                    on_timeout=default.on_timeout,
                    propensity=0.0,
                )
    facts = _facts(policy, proposal, action)
    for one in policy.rules:
        if all(
            _holds(condition, facts.get(path), one.route != "auto")
            for path, condition in one.when.items()
        ):
            return Ruling(
                route=one.route,
                rule=one.name,
                reason=f"rule {one.name!r}",
                needed=one.quorum,
                expires_in=one.expires_in or default.expires_in,
                on_timeout=one.on_timeout or default.on_timeout,
                propensity=1.0 if one.route == "queue" else 0.0,
            )
    return Ruling(
        route=default.route,
        rule="default",
        reason="no rule matched",
        needed=default.quorum,
        expires_in=default.expires_in,
        on_timeout=default.on_timeout,
        propensity=1.0 if default.route == "queue" else 0.0,
    )


def _facts(policy: Policy, proposal: Proposal, action: Action | None) -> dict[str, Any]:
    """The values that rules look at, by path; absent ones are left out."""
    facts: dict[str, Any] = {
        "kind": proposal.kind,
        "agent.id": proposal.agent.id,
        "urgency": proposal.urgency,
    }
    tool = policy.tools.get(action.name, Tool()) if action is not None else Tool()
    level = risk_level(tool, proposal)
    risk = proposal.risk
    stated = {
        "action": action and action.name,
        "confidence.value": proposal.confidence and proposal.confidence.value,
        "risk.level": level,
        "risk.amount": risk and risk.amount,
        "risk.reversible": risk and risk.reversible if tool.reversible is None else tool.reversible,
    }
    facts |= {path: value for path, value in stated.items() if value is not None}
    _flatten(facts, "args", action.arguments if action is not None else {})
    _flatten(facts, "metadata", proposal.metadata)
    return facts


def risk_level(tool: Tool, proposal: Proposal) -> RiskLevel | None:
    """The higher of what the policy says of the tool and what the agent states."""
    levels: list[RiskLevel] = []
    if tool.risk is not None:
        levels.append(tool.risk)
    if proposal.risk is not None:
        levels.append(proposal.risk.level)
    return max(levels, key=LEVELS.index, default=None)


def _flatten(facts: dict[str, Any], prefix: str, values: dict[str, Any]) -> None:
    for key, value in values.items():
        facts[f"{prefix}.{key}"] = value
        if isinstance(value, dict):
            _flatten(facts, f"{prefix}.{key}", value)


def _holds(condition: Any, value: Any, when_unknown: bool) -> bool:
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
        return any(_equal(one, value, when_unknown) for one in condition)
    return _equal(condition, value, when_unknown)


def _equal(wanted: Scalar, value: Any, when_unknown: bool) -> bool:
    if isinstance(wanted, str) and isinstance(value, str):
        return fnmatchcase(value, wanted)
    if not _alike(wanted, value):
        return when_unknown
    return bool(wanted == value)


def _compare(operator: str, bound: Any, value: Any, when_unknown: bool) -> bool:
    match operator:
        case "in":
            return any(_equal(one, value, when_unknown) for one in bound)
        case "not_in":
            return not any(_equal(one, value, not when_unknown) for one in bound)
        case "ne":
            return not _equal(bound, value, not when_unknown)
        case "matches":
            if not isinstance(value, str):
                return when_unknown
            return re.fullmatch(bound, value) is not None
        case _:
            if not _alike(bound, value) or isinstance(value, bool | list | dict):
                return when_unknown
            return _ordered(operator, bound, value)


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
