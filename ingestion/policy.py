"""The policy's file form: red lines, tools, rules, rates.

In: the parsed file. Out: a checked value, in which the rules that can match an action are found
at once. Pure: no clock, no database.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from errata.protocol import JsonObject, Name, RiskLevel, Route, Text
from ingestion import schemas
from ingestion.conditions import Test, When, ready

OnTimeout = Literal["reject", "escalate", "delegate", "cancel"]
"""What a time-out does; there is no word for approving."""

STRICTER: dict[Route, int] = {"auto": 0, "queue": 1, "takeover": 2, "block": 3}
MOST_VOTES = 20
ONE_DAY = timedelta(days=1)

DURATION = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h|d)$")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=3650)


def duration(value: Any) -> timedelta:
    """A time span as the file writes it.

    Raises:
        ValueError: It is not a number and a unit, or over ten years.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("a duration is a number and a unit: 30s, 15m, 24h or 7d")
    match = DURATION.match(value)
    if match is None:
        raise ValueError(f"{value!r} is no duration; write 30s, 15m, 24h or 7d")
    seconds = float(match[1]) * UNIT_SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{value!r} is over {LONGEST.days} days")
    return timedelta(seconds=seconds)


def _names(value: Any) -> Any:
    """One name or a list of them."""
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


Duration = Annotated[timedelta, BeforeValidator(duration)]
Groups = Annotated[tuple[Name, ...], BeforeValidator(_names)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of the policy's parts: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quorum(Part):
    """Who must agree before something is approved."""

    needed: Annotated[int, Field(ge=1, le=MOST_VOTES)] = 1
    roles: Groups = ()
    """Each needs a distinct person of that group among those who agree."""
    voters: Groups = Field(default=(), alias="from")
    """Only these groups vote or veto; empty: every reviewer."""
    tie_break: Groups = ()
    """Whose word decides where as many as are needed have voted and differ."""

    @model_validator(mode="after")
    def _roles_fit(self) -> "Quorum":
        if len(self.roles) > self.needed:
            raise ValueError(
                f"{len(self.roles)} roles need as many people; needed is {self.needed}"
            )
        return self


def _quorum(value: Any) -> Any:
    """A bare number is short for `{needed: n}`."""
    return {"needed": value} if isinstance(value, int) and not isinstance(value, bool) else value


QuorumForm = Annotated[Quorum, BeforeValidator(_quorum)]


class Confidence(Part):
    """Routing by how sure a trusted agent is: at least auto, at least approve, else takeover."""

    auto: Share
    approve: Share

    @model_validator(mode="after")
    def _in_order(self) -> "Confidence":
        if self.approve > self.auto:
            raise ValueError("approve must not be above auto")
        return self


class Handling(Part):
    """What a rule, and the default, can say besides the route."""

    quorum: QuorumForm | None = None
    rationale: Literal["required", "optional"] | None = None
    expires_in: Duration | None = None
    on_timeout: OnTimeout | None = None
    escalate_to: Groups = ()
    """A chain: each time-out adds the next group to those who may vote."""
    delegate_to: Groups = ()
    """Who votes in place of the others after the time-out."""
    undo_window: Duration | None = None
    review_share: Share = 0.0
    """Share of what would run at once that goes to people all the same."""
    audit_share: Share = 0.0
    """Share of what ran at once that people look at afterwards."""
    dual_share: Share = 0.0
    """Share of what is queued that two people review without seeing each other's version."""

    @model_validator(mode="after")
    def _has_somewhere_to_go(self) -> "Handling":
        for word, groups in (("escalate", self.escalate_to), ("delegate", self.delegate_to)):
            if self.on_timeout == word and not groups:
                raise ValueError(f"on_timeout: {word} needs {word}_to")
            if groups and self.on_timeout != word:
                raise ValueError(f"{word}_to needs on_timeout: {word}")
        return self


class Default(Handling):
    """What holds where no rule says otherwise."""

    route: Route = "queue"
    quorum: QuorumForm | None = Quorum()
    expires_in: Duration | None = ONE_DAY
    on_timeout: OnTimeout | None = "reject"


class Rule(Handling):
    """One rule; the first whose conditions all hold decides."""

    name: Text
    when: When
    route: Route | None = None
    confidence: Confidence | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Rule":
        if (self.route is None) == (self.confidence is None):
            raise ValueError("a rule has either route or confidence")
        return self

    @property
    def loosens(self) -> bool:
        """Whether something can run by this rule without anybody's word."""
        return self.route == "auto" or self.confidence is not None


class RedLine(Part):
    """Actions that nobody can approve."""

    action: Name


class Tool(Part):
    """What the policy knows of a tool; it outweighs what agents state."""

    parameters: JsonObject | None = Field(default=None, alias="schema")
    reversible: bool | None = None
    risk: RiskLevel | None = None
    edits_to: Groups = ()
    """Globs of other tools that a person's version may use."""

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        problem = schemas.problem(parameters) if parameters is not None else None
        if problem is not None:
            raise ValueError(problem)
        return parameters


class Rate(Part):
    """How many proposals agents may send in a time."""

    agent: Name
    """A glob; each agent that it matches has the whole rate to itself."""
    proposals: Annotated[int, Field(ge=1)]
    per: Duration


class Policy(Part):
    """The file form, version 1."""

    version: Literal[1]
    default: Default = Default()
    trusted_confidence: Groups = ()
    """Globs of agents whose stated confidence counts."""
    red_lines: tuple[RedLine, ...] = ()
    tools: dict[Name, Tool] = {}
    rates: tuple[Rate, ...] = ()
    rules: tuple[Rule, ...] = ()

    @field_validator("red_lines", "rates", "rules", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @cached_property
    def lines(self) -> "Lines":
        """The rules by the action that they speak of."""
        return Lines(self.rules)

    def tool(self, name: str) -> Tool:
        """What the policy knows of a tool; nothing of one that it does not name."""
        return self.tools.get(name, NO_TOOL)


NO_TOOL = Tool()


class Section(NamedTuple):
    """The rules that may hold for actions of one name, in the order of the file."""

    rules: tuple[Rule, ...]
    tests: tuple[tuple[tuple[str, Test], ...], ...]
    """Of each rule its conditions by path, those first that tell it from other rules."""

    def first(self, seen: dict[str, Any]) -> int:
        """The place of the first rule whose conditions all hold; past the last where none does.

        What is not known counts against the agent.
        """
        for index, tests in enumerate(self.tests):
            for path, test in tests:
                if not test(seen.get(path)):
                    break
            else:
                return index
        return len(self.rules)


class Lines:
    """Rules found by action name, so that a hundred rules on other tools cost nothing.

    Args:
        rules: In the order of the file.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._uses = Counter(
            (path, repr(condition)) for rule in rules for path, condition in rule.when.items()
        )
        self.about = lru_cache(maxsize=4096)(self._about)

    def _about(self, action: str | None) -> Section:
        """The rules that may hold for an action of that name."""
        if action is None:  # nothing is called, so a rule on calls says nothing; see ADR 0013
            rules = tuple(rule for rule in self._rules if "action" not in rule.when)
        else:
            rules = tuple(r for r in self._rules if _may_match(r.when.get("action"), action))
        return Section(rules, tuple(map(self._tests, rules)))

    def _tests(self, rule: Rule) -> tuple[tuple[str, Test], ...]:
        wanted = [
            (path, condition)
            for path, condition in rule.when.items()
            if path != "action" or _names_only(condition) is None  # the others hold already
        ]
        wanted.sort(key=lambda one: self._uses[one[0], repr(one[1])])
        return tuple((path, ready(condition, not rule.loosens)) for path, condition in wanted)


def _names_only(condition: Any) -> list[str] | None:
    """The globs of a condition on the action's name that is nothing but globs."""
    wanted = [condition] if isinstance(condition, str) else condition
    if isinstance(wanted, list) and all(isinstance(one, str) for one in wanted):
        return wanted
    return None


def _may_match(condition: Any, action: str) -> bool:
    """False only where the condition on the action's name is sure to fail."""
    wanted = _names_only(condition)
    return wanted is None or any(fnmatchcase(action, one) for one in wanted)
