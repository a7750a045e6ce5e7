"""Why a proposal went where it went, and what would have sent it elsewhere.

In: a policy and a proposal. Out: short sentences. Pure. Each changes one fact, and is said only
after the changed facts were put to the rules again: none is a guess.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, NamedTuple

from errata.protocol import Action, Proposal, Route
from ingestion import nearness
from ingestion.nearness import Change
from ingestion.policy import Policy, Rule
from ingestion.ruling import (
    HALTED,
    RUNNABLE,
    Ruling,
    apply_rule,
    confidence_route,
    facts,
    rule,
)

MOST = 5
FIXED = frozenset({"action", "kind"})
"""What a proposal is; another one would not be this proposal."""


class Explanation(NamedTuple):
    """Where a proposal goes, and what would have changed that."""

    ruling: Ruling
    counterfactuals: tuple[str, ...]


def explain(policy: Policy, proposal: Proposal) -> Explanation:
    """Where a policy sends a proposal, and what would have sent it elsewhere."""
    ruling = rule(policy, proposal)
    return Explanation(ruling, counterfactuals(policy, proposal, ruling))


def counterfactuals(
    policy: Policy, proposal: Proposal, ruling: Ruling, *, to: Route | None = None
) -> tuple[str, ...]:
    """What would have sent a proposal elsewhere, at most `MOST` sentences.

    Args:
        policy: The policy that ruled.
        proposal: What was asked.
        ruling: What it ruled, before any lot or halt.
        to: Only what leads to this route.
    """
    line = _red_line(policy, proposal)
    if line is not None:
        return (f"nothing would have let it pass: red line {line!r}.",) if to is None else ()
    if proposal.kind not in RUNNABLE:
        return ()  # it needs an answer whatever the rules say
    return tuple(islice(_Case(policy, proposal, ruling).sentences(to), MOST))


def unasked(policy: Policy, proposal: Proposal, lot: str | None, reason: str) -> tuple[str, ...]:
    """What would have let a proposal run without asking anybody.

    Args:
        policy: The policy that sent it to people.
        proposal: As the agent sent it.
        lot: The lot that was drawn for it, if one was.
        reason: Why it was sent to people.
    """
    ruling = rule(policy, proposal)
    if ruling.route != "auto":
        return counterfactuals(policy, proposal, ruling, to="auto")
    named = _named(ruling)
    if lot == "review":
        return (f"without the lot that was drawn it would have run at once ({named}).",)
    return (f"outside a halt it would have run at once ({named}).",) if reason == HALTED else ()


def terms(ruling: Ruling) -> str:
    """On what terms people decide, in one sentence."""
    asked = ruling.terms
    said = [f"{asked.needed} must agree"]
    said += [f"one from each of {', '.join(asked.roles)}"] if asked.roles else []
    said += [f"only {', '.join(asked.voters)} may vote"] if asked.voters else []
    said += ["each gives a reason"] if asked.rationale else []
    said.append(f"after {ruling.expires_in}: {ruling.on_timeout}")
    chain = asked.escalate_to or asked.delegate_to
    return "; ".join(said) + (f" to {', then '.join(chain)}" if chain else "")


def _named(ruling: Ruling) -> str:
    return f"rule {ruling.rule!r}" if ruling.rule != "default" else "the default"


def _red_line(policy: Policy, proposal: Proposal) -> str | None:
    actions = [one.action for one in proposal.candidates or () if one.action is not None]
    if proposal.kind == "action" and proposal.action is not None:
        actions.append(proposal.action)
    return next(
        (
            line.action
            for action in actions
            for line in policy.red_lines
            if fnmatchcase(action.name, line.action)
        ),
        None,
    )


class _Case:
    """One proposal before one policy."""

    def __init__(self, policy: Policy, proposal: Proposal, ruling: Ruling) -> None:
        action: Action | None = proposal.action if proposal.kind == "action" else None
        self._policy, self._proposal, self._ruling = policy, proposal, ruling
        self._facts = facts(policy, proposal, action)
        self._section = policy.lines.about(None if action is None else action.name)
        self._rules = self._section.rules
        self._at = self._section.first(self._facts)

    def sentences(self, to: Route | None) -> Iterator[str]:
        """What leads elsewhere, in the order of the file."""
        said: set[str] = set()
        for words, ruling in self._found():
            if to is None or ruling.route == to:
                outcome = self._outcome(ruling)
                if outcome is not None and words not in said:
                    said.add(words)
                    yield f"{words} {outcome}."

    def _found(self) -> Iterator[tuple[str, Ruling]]:
        for index, one in enumerate(self._rules[: self._at]):
            failing = self._failing(index)
            if len(failing) == 1 and self._may_change(one, failing[0]):
                yield from self._entering(index, failing[0])
        if self._at < len(self._rules):
            matched = self._rules[self._at]
            yield from self._by_confidence(matched)
            for path in matched.when:
                if self._may_change(matched, path):
                    yield from self._leaving(matched, path)

    def _failing(self, index: int) -> list[str]:
        """The paths whose conditions do not hold; no more than two are looked for."""
        failing: list[str] = []
        for path, test in self._section.tests[index]:
            if not test(self._facts.get(path)):
                failing.append(path)
                if len(failing) == 2:
                    break
        return failing

    def _may_change(self, one: Rule, path: str) -> bool:
        """Whether one fact can be changed and all others stay."""
        if path in FIXED or (path == "confidence.value" and one.confidence is not None):
            return False
        above = path.rpartition(".")[0]
        nested = above.count(".") > 0
        if nested and not isinstance(self._facts.get(above), dict):
            return False
        return not isinstance(self._facts.get(path), dict)

    def _entering(self, index: int, path: str) -> Iterator[tuple[str, Ruling]]:
        """A change by which an earlier rule would have matched."""
        change = nearness.to_hold(path, self._rules[index].when[path], self._facts.get(path))
        if change is None or self._section.first(self._with(path, change)) != index:
            return
        # Every such value meets this rule only if no earlier one looks at the same path.
        alone = not any(path in rival.when for rival in self._rules[:index])
        words = change.all_such if alone and change.all_such else change.exactly
        yield f"{path} {words}", self._ruling_of(index)

    def _leaving(self, matched: Rule, path: str) -> Iterator[tuple[str, Ruling]]:
        """A change by which the rule that matched would not have."""
        for change in nearness.to_fail(path, matched.when[path], self._facts.get(path)):
            index = self._section.first(self._with(path, change))
            if index != self._at:
                yield f"{path} {change.exactly}", self._ruling_of(index)

    def _by_confidence(self, matched: Rule) -> Iterator[tuple[str, Ruling]]:
        """What another confidence, or trust in it, would have done."""
        bounds = matched.confidence
        if bounds is None or any("confidence.value" in one.when for one in self._rules):
            return
        stated = self._proposal.confidence
        agent = self._proposal.agent.id
        if not any(fnmatchcase(agent, glob) for glob in self._policy.trusted_confidence):
            if stated is not None:
                yield from self._at_confidence("a trusted agent with this confidence", stated.value)
            return
        now = stated.value if stated is not None else -1.0
        for bound in (bounds.auto, bounds.approve):
            if now < bound:
                yield from self._at_confidence(f"confidence of at least {bound:g}", bound)
        for bound in (bounds.auto, bounds.approve):
            if now >= bound > 0:
                yield from self._at_confidence(
                    f"confidence just below {bound:g}", bound, below=True
                )

    def _at_confidence(
        self, words: str, value: float, *, below: bool = False
    ) -> Iterator[tuple[str, Ruling]]:
        bounds = self._rules[self._at].confidence
        assert bounds is not None
        route = confidence_route(bounds, value - 1e-9 if below else value).route
        yield words, self._ruling_of(self._at)._replace(route=route)

    def _with(self, path: str, change: Change) -> dict[str, Any]:
        return {**self._facts, path: change.value}

    def _ruling_of(self, index: int) -> Ruling:
        found = self._rules[index] if index < len(self._rules) else None
        return apply_rule(self._policy, found, self._proposal)

    def _outcome(self, other: Ruling) -> str | None:
        """What would have happened; None where it is what did happen."""
        named, here, there = _named(other), self._ruling, other
        if there.route != here.route:
            return f"would have {_deed(there)} ({named})"
        if there.route == "queue" and there.terms.needed != here.terms.needed:
            needed = f"{there.terms.needed} instead of {here.terms.needed}"
            return f"would have needed {needed} to agree ({named})"
        return None


def _deed(ruling: Ruling) -> str:
    match ruling.route:
        case "auto":
            return "run at once"
        case "queue" if ruling.terms.needed > 1:
            return f"waited for {ruling.terms.needed} people"
        case "queue":
            return "waited for a person"
        case "takeover":
            return "been handed to a person"
        case "block":
            return "been blocked"
