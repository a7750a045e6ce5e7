"""What an agent is told of a decision that did not go its way: what was wrong, what is right, what now.

In: a proposal and its outcome. Out: a prompt for the agent's next step. Pure.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from errata import protocol
from errata.digest import canonical

LONGEST = 4_000
"""Characters of a person's version that are quoted; a longer one stands in the decision alone."""
MOST_CHANGES = 20

NEXT: dict[protocol.Outcome, str] = {
    "edit": "Run only the corrected version, under its permit. "
    "Next time, propose it in that form from the start.",
    "reject": "Do not run it, and do not propose the same again. "
    "If the goal still stands, propose something that meets the objection.",
    "regenerate": "Make another attempt that meets the objection, with this proposal as parent_id.",
    "takeover": "A person carries this task on. Do not continue it; go on with other work.",
    "expired": "Nobody answered in time, so it is not approved. Do not run it. "
    "Ask again only if it is still needed.",
    "cancelled": "Do not run it.",
    "blocked": "The policy forbids it, whoever would approve. Do not propose it again; "
    "find another way or tell the user that this cannot be done.",
}


def prompt(
    proposal: protocol.Proposal,
    outcome: protocol.Outcome,
    effective: protocol.Effective,
    reason: str,
) -> str | None:
    """A prompt for the agent.

    Args:
        proposal: What it asked.
        outcome: What was decided.
        effective: What counts.
        reason: Who decided and why.

    Returns:
        The prompt; None where the agent got what it asked for.
    """
    if outcome not in NEXT:
        return None
    what = proposal.action.name if proposal.kind == "action" and proposal.action else proposal.kind
    lines = [f"Your proposal ({what}) was not taken as it stood: {reason}."]
    if outcome == "edit":
        lines += _difference(proposal, effective)
    lines.append(NEXT[outcome])
    return "\n".join(lines)


def _difference(proposal: protocol.Proposal, effective: protocol.Effective) -> Iterator[str]:
    if effective.action is not None:
        before = proposal.action
        old: Any = {} if before is None else before.arguments
        if before is not None and before.name != effective.action.name:
            yield f"Use the tool {effective.action.name}, not {before.name}."
        changes = list(changed(old, effective.action.arguments))
        yield "What was changed:"
        yield from (f"- {change}" for change in changes[:MOST_CHANGES])
        if len(changes) > MOST_CHANGES:
            yield f"- and {len(changes) - MOST_CHANGES} more; see the decision's effective action"
    elif effective.content is not None:
        whole = len(effective.content) <= LONGEST
        yield "The corrected text:" if whole else "The corrected text stands in the decision."
        if whole:
            yield effective.content
    elif effective.point is not None:
        yield f"The right place is {effective.point.x:g},{effective.point.y:g}."


class Change(NamedTuple):
    """One value of the arguments that differs; None where it is absent."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.path}: {self.after} was added"
        if self.after is None:
            return f"{self.path}: {self.before} was taken out"
        return f"{self.path}: {self.after} instead of {self.before}"


def changed(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """The places at which two JSON values differ, in the order of their paths.

    Args:
        before: A JSON value.
        after: Another.
        path: Where they stand.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            here = f"{path}.{key}" if path else key
            if key not in before:
                yield Change(here, None, _written(after[key]))
            elif key not in after:
                yield Change(here, _written(before[key]), None)
            else:
                yield from changed(before[key], after[key], here)
    elif canonical(before) != canonical(after):
        yield Change(path or "value", _written(before), _written(after))


def _written(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
