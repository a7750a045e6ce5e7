"""The policy: which proposals run at once, which wait for people, which never run.

In: a policy's parsed file form and a proposal. Out: a ruling. Pure: no clock, no database.
"""

import re
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from errata.protocol import Action, JsonObject, Kind, Name, Proposal, RiskLevel, Text
from ingestion import schemas
from ingestion.conditions import LEVELS, When, holds

Routed = Literal["auto", "queue", "block"]
OnTimeout = Literal["reject", "cancel"]
"""What a time-out does; there is no word for approving."""

STRICTER: dict[Routed, int] = {"auto": 0, "queue": 1, "block": 2}
RUNNABLE: frozenset[Kind] = frozenset({"action", "draft", "plan", "click"})
"""Kinds that can be carried out as they stand; the others need a person's choice or answer."""

DURATION = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h|d)$")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=3650)


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a duration is a number and a unit: 30s, 15m, 24h or 7d")
    match = DURATION.match(value)
    if match is None:
        raise ValueError(f"{value!r} is no duration; write 30s, 15m, 24h or 7d")
    seconds = float(match[1]) * UNIT_SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{value!r} is over {LONGEST.days} days")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(_duration)]


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

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        problem = schemas.problem(parameters) if parameters is not None else None
        if problem is not None:
            raise ValueError(problem)
        return parameters


class Rule(Part):
    """One rule; the first whose conditions all hold decides."""

    name: Text
    when: When
    route: Routed
    quorum: Literal[1] = 1
    expires_in: Duration | None = None
    on_timeout: OnTimeout | None = None


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
    # An action beside a draft will not run, so it must not bring the draft through either.
    own = proposal.action if proposal.kind == "action" else None
    actions = [action] if action is not None else choices or [own]
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
            holds(condition, facts.get(path), one.route != "auto")
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
        if "." in key:  # or {"a.b": 1} would speak for {"a": {"b": 1000}}
            continue
        facts[f"{prefix}.{key}"] = value
        if isinstance(value, dict):
            _flatten(facts, f"{prefix}.{key}", value)
