"""What the policy says to a proposal: the route, and on what terms people decide.

In: a policy and a proposal, or a person's version of its action. Out: a ruling. Pure: no clock,
no chance, no database; what is drawn by lot is drawn at the intake.
"""

from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from errata.protocol import Action, Kind, Proposal, RiskLevel, Route
from ingestion.conditions import LEVELS
from ingestion.policy import (
    NO_TOOL,
    ONE_DAY,
    STRICTER,
    Confidence,
    Handling,
    OnTimeout,
    Policy,
    Quorum,
    Rule,
    Tool,
)

RUNNABLE: frozenset[Kind] = frozenset({"action", "draft", "plan", "click"})
"""Kinds that can be carried out as they stand; the others need a person's choice or answer."""


HALTED = "the fleet is halted"
"""The reason of what would have run at once and was queued during a halt."""


class Terms(BaseModel):
    """On what terms people decide; stored with the routing, so that it outlives the policy."""

    model_config = ConfigDict(frozen=True)

    needed: int = 1
    roles: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()
    """Only these groups vote or veto; empty: every reviewer."""
    tie_break: tuple[str, ...] = ()
    rationale: bool = False
    escalate_to: tuple[str, ...] = ()
    """The groups still to come, one at each time-out."""
    delegate_to: tuple[str, ...] = ()
    undo_window_s: float = 0.0
    expires_in_s: float = 0.0
    blind: bool = False
    """Two people review it, and neither is shown the other's version."""


class Shares(NamedTuple):
    """Probabilities by which lots are drawn at the intake."""

    review: float = 0.0
    audit: float = 0.0
    dual: float = 0.0


class Ruling(NamedTuple):
    """What the policy says to one proposal."""

    route: Route
    rule: str
    reason: str
    terms: Terms
    expires_in: timedelta
    on_timeout: OnTimeout
    propensity: float
    """Probability that such a proposal goes to people."""
    shares: Shares = Shares()


def rule(policy: Policy, proposal: Proposal) -> Ruling:
    """Route a proposal.

    Args:
        policy: The policy in force.
        proposal: What the agent asks.

    Returns:
        The ruling on the action; for candidates with actions the strictest on any of them. What
        needs a person's choice or answer is never automatic.
    """
    choices = [c.action for c in proposal.candidates or () if c.action is not None]
    # An action beside a draft will not run, so it must not bring the draft through either.
    own = proposal.action if proposal.kind == "action" else None
    rulings = [judge(policy, proposal, one) for one in choices or [own]]
    strictest = max(rulings, key=_strictness)
    if strictest.route == "auto" and proposal.kind not in RUNNABLE:
        reason = f"a {proposal.kind} needs a person's answer"
        return strictest._replace(route="queue", reason=reason, propensity=1.0)
    return strictest


def _strictness(ruling: Ruling) -> tuple[int, int, int]:
    return STRICTER[ruling.route], ruling.terms.needed, len(ruling.terms.roles)


def judge(
    policy: Policy, proposal: Proposal, action: Action | None, *, by_agent: bool = True
) -> Ruling:
    """The ruling on one action of a proposal, or on what has none.

    Args:
        policy: The policy.
        proposal: What was asked.
        action: Its action, a candidate's, or a person's version of it.
        by_agent: Whether the agent speaks; its confidence says nothing about a person's version.
    """
    if action is not None:
        for line in policy.red_lines:
            if fnmatchcase(action.name, line.action):
                reason = f"red line {line.action!r}: no one can approve {action.name!r}"
                return _ruling(policy, policy.default, "block", "red line", reason)
    seen = facts(policy, proposal, action)
    section = policy.lines.about(None if action is None else action.name)
    at = section.first(seen)
    first = section.rules[at] if at < len(section.rules) else None
    return apply_rule(policy, first, proposal, by_agent=by_agent)


def apply_rule(
    policy: Policy, one: Rule | None, proposal: Proposal, *, by_agent: bool = True
) -> Ruling:
    """What a rule says where it is the first that matches; None: no rule does."""
    if one is None:
        default = policy.default
        return _ruling(policy, default, default.route, "default", "no rule matched")
    said = f"rule {one.name!r}"
    if one.route is not None:
        return _ruling(policy, one, one.route, one.name, said)
    assert one.confidence is not None
    trusted = any(fnmatchcase(proposal.agent.id, glob) for glob in policy.trusted_confidence)
    stated = proposal.confidence.value if proposal.confidence and trusted and by_agent else None
    why = confidence_route(one.confidence, stated)
    return _ruling(policy, one, why.route, one.name, f"{said}: {why.reason}")


class _ByConfidence(NamedTuple):
    route: Route
    reason: str


def confidence_route(bounds: Confidence, stated: float | None) -> _ByConfidence:
    """The route by a trusted confidence; None, for absent or untrusted, goes to people."""
    if stated is None:
        return _ByConfidence("queue", "no confidence that counts")
    if stated >= bounds.auto:
        return _ByConfidence("auto", f"confidence {stated:g} is at least {bounds.auto:g}")
    if stated >= bounds.approve:
        return _ByConfidence("queue", f"confidence {stated:g} is at least {bounds.approve:g}")
    return _ByConfidence("takeover", f"confidence {stated:g} is below {bounds.approve:g}")


def _ruling(policy: Policy, said: Handling, route: Route, name: str, reason: str) -> Ruling:
    default = policy.default
    # What runs at once and is stopped all the same, by a halt or a lot, needs one person's word.
    quorum = Quorum() if route == "auto" else said.quorum or default.quorum or Quorum()
    expires_in = said.expires_in or default.expires_in or ONE_DAY
    # A time-out and those it turns to come from one place: half of each would go nowhere.
    after: Handling = said if said.on_timeout is not None else default
    return Ruling(
        route=route,
        rule=name,
        reason=reason,
        terms=_terms(said, default, quorum, after, expires_in),
        expires_in=expires_in,
        on_timeout=after.on_timeout or "reject",
        propensity=said.review_share if route == "auto" else float(route == "queue"),
        shares=Shares(said.review_share, said.audit_share, said.dual_share),
    )


def _terms(
    said: Handling, default: Handling, quorum: Quorum, after: Handling, expires_in: timedelta
) -> Terms:
    window = said.undo_window or default.undo_window or timedelta()
    return Terms(
        needed=quorum.needed,
        roles=quorum.roles,
        voters=quorum.voters,
        tie_break=quorum.tie_break,
        rationale=(said.rationale or default.rationale) == "required",
        escalate_to=after.escalate_to,
        delegate_to=after.delegate_to,
        undo_window_s=window.total_seconds(),
        expires_in_s=expires_in.total_seconds(),
        blind=False,
    )


def facts(policy: Policy, proposal: Proposal, action: Action | None) -> dict[str, Any]:
    """The values that rules look at, by path; absent ones are left out."""
    seen: dict[str, Any] = {
        "kind": proposal.kind,
        "agent.id": proposal.agent.id,
        "urgency": proposal.urgency,
    }
    tool = policy.tool(action.name) if action is not None else NO_TOOL
    risk = proposal.risk
    stated = {
        "action": action and action.name,
        "confidence.value": proposal.confidence and proposal.confidence.value,
        "risk.level": risk_level(tool, proposal),
        "risk.amount": risk and risk.amount,
        "risk.reversible": risk and risk.reversible if tool.reversible is None else tool.reversible,
    }
    seen |= {path: value for path, value in stated.items() if value is not None}
    seen.update(_flat("args", action.arguments if action is not None else {}))
    seen.update(_flat("metadata", proposal.metadata))
    return seen


def risk_level(tool: Tool, proposal: Proposal) -> RiskLevel | None:
    """The higher of what the policy says of the tool and what the agent states."""
    levels: list[RiskLevel] = []
    if tool.risk is not None:
        levels.append(tool.risk)
    if proposal.risk is not None:
        levels.append(proposal.risk.level)
    return max(levels, key=LEVELS.index, default=None)


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if "." in key:  # or {"a.b": 1} would speak for {"a": {"b": 1000}}
            continue
        yield f"{prefix}.{key}", value
        if isinstance(value, dict):
            yield from _flat(f"{prefix}.{key}", value)
