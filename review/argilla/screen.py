"""What a labeler sees of a proposal.

In: a proposal as it stands in the record. Out: the HTML of the record's field. The order is that
of a decision: who asks and why; exactly what will run; what is at stake; what it rests on, trusted
and untrusted apart; the agent's own account; why it came here.
"""

import json
from collections.abc import Iterator
from typing import Any

from errata import protocol
from errata.digest import body, canonical
from review.argilla import markup

LARGEST = 200_000
"""Characters of what is to be decided; what is longer cannot be shown whole, so not approved."""
LARGEST_PAGE = 4_000_000
"""Characters of a whole page, which Argilla takes and a browser shows."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

RISK_COLOURS = {"low": "green", "medium": "orange", "high": "red", "critical": "red"}


class CannotRender(Exception):
    """The proposal cannot be shown whole."""


def size(proposal: protocol.Proposal) -> int:
    """Characters of what is to be decided, in its canonical form."""
    return len(canonical(body(proposal)))


def render(
    proposal: protocol.Proposal,
    *,
    digest: str,
    reason: str,
    risk: protocol.RiskLevel | None,
    note: str | None = None,
) -> str:
    """The record's field.

    Args:
        proposal: What is asked.
        digest: What an answer will be bound to.
        reason: Why the policy sent it to people.
        risk: The level in force: the higher of the agent's and the policy's.
        note: Why the last answer was refused.

    Raises:
        CannotRender: What is to be decided, or all that stands around it, is too long.
    """
    if size(proposal) > LARGEST:
        raise CannotRender(f"it has {size(proposal)} characters, {LARGEST} can be shown")
    page = markup.page(
        [
            *_note(note),
            *_head(proposal, risk),
            *_why_now(proposal),
            *_asked(proposal),
            *_evidence(proposal),
            *_account(proposal),
            *_provenance(proposal, digest, reason),
        ]
    )
    if len(page) > LARGEST_PAGE:
        raise CannotRender("what stands around it is too long")
    return page


def render_unshowable(proposal: protocol.Proposal, *, digest: str, problem: str) -> str:
    """The field of a proposal that cannot be shown whole and so can only be rejected."""
    start = canonical(body(proposal)).decode()
    return markup.page(
        [
            markup.chip("cannot be shown", "red"),
            markup.block(
                f"This proposal cannot be shown whole: {problem}. "
                "What cannot be read cannot be approved; only reject is offered.",
                colour="red",
            ),
            *_head(proposal, None),
            markup.heading("The beginning of what is asked"),
            markup.block(start, limit=2_000),
            *_provenance(proposal, digest, "it cannot be shown"),
        ]
    )


def _note(note: str | None) -> Iterator[str]:
    if note is not None:
        yield markup.chip("your last answer was not taken", "red")
        yield markup.block(f"{note}. Please answer again.", colour="red")


def _head(proposal: protocol.Proposal, risk: protocol.RiskLevel | None) -> Iterator[str]:
    agent = proposal.agent
    yield markup.chip(proposal.kind, "blue")
    yield markup.chip(f"agent {agent.id}" + (f" {agent.version}" if agent.version else ""), "grey")
    if risk is not None:
        yield markup.chip(f"risk {risk}", RISK_COLOURS[risk])
    if proposal.risk is not None and proposal.risk.amount is not None:
        yield markup.chip(f"amount {_value(proposal.risk.amount)}", "orange")
    if proposal.risk is not None and proposal.risk.reversible is not None:
        reversible = proposal.risk.reversible
        yield markup.chip(
            "can be undone" if reversible else "cannot be undone", "green" if reversible else "red"
        )
    if proposal.confidence is not None:
        yield _confidence(proposal.confidence)
    if proposal.urgency in {"critical", "high"}:
        yield markup.chip(f"urgency {proposal.urgency}", "red")


def _confidence(confidence: protocol.Confidence) -> str:
    """High, medium, low at the documents' thresholds of .9 and .6, in colour and words."""
    word, colour = "low", "red"
    if confidence.value >= 0.6:
        word, colour = "medium", "orange"
    if confidence.value >= 0.9:
        word, colour = "high", "green"
    return markup.chip(f"confidence {word} ({confidence.value:.2f} {confidence.method})", colour)


def _why_now(proposal: protocol.Proposal) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    if proposal.risk is not None and proposal.risk.reasons:
        rows.append(("risk", "\n".join(proposal.risk.reasons)))
    if proposal.reasoning is not None:
        rows.append(("goal", proposal.reasoning.goal))
        if proposal.reasoning.done:
            rows.append(("done so far", "\n".join(proposal.reasoning.done)))
        if proposal.reasoning.stuck_on:
            rows.append(("stuck on", proposal.reasoning.stuck_on))
    if rows:
        yield markup.facts(rows)


def _asked(proposal: protocol.Proposal) -> Iterator[str]:
    match proposal.kind:
        case "action":
            assert proposal.action is not None
            yield markup.heading("This will run")
            yield _action(proposal.action)
        case "draft" | "plan":
            yield markup.heading("This text is proposed")
            yield _whole(proposal.content or "")
        case "candidates":
            yield from _candidates(proposal)
        case "click":
            assert proposal.point is not None
            yield markup.heading("A click on the screenshot at")
            rows = [("x", _value(proposal.point.x)), ("y", _value(proposal.point.y))]
            yield markup.table(rows, colour="blue")
        case "question" | "exception":
            yield from _question(proposal)


def _whole(asked: str) -> str:
    """What is to be decided: all of it, and not folded away."""
    return markup.block(asked, colour="blue", limit=LARGEST, unfolded=True)


def _action(action: protocol.Action) -> str:
    """The call from the digest's own input, arguments in canonical order."""
    rows = [("tool", action.name)]
    rows += [(key, _value(action.arguments[key])) for key in sorted(action.arguments)]
    return markup.table(rows, colour="blue")


def _value(value: Any) -> str:
    """A value exactly; a text without quotes unless it would then read as another value."""
    if isinstance(value, str) and not _reads_as_json(value):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return not text.strip()  # an empty text would show as nothing at all
    return True


def _candidates(proposal: protocol.Proposal) -> Iterator[str]:
    for letter, candidate in zip(LETTERS, proposal.candidates or (), strict=False):
        yield markup.heading(f"Candidate {letter}")
        if candidate.score is not None:
            yield markup.chip(f"the agent's score {_value(candidate.score)}", "grey")
        if candidate.action is not None:
            yield _action(candidate.action)
        else:
            yield _whole(candidate.content or "")


def _question(proposal: protocol.Proposal) -> Iterator[str]:
    yield markup.heading("The agent asks" if proposal.kind == "question" else "The agent failed")
    yield _whole(proposal.message or "")
    if proposal.options:
        yield markup.heading("Options: choose one by its number")
        yield markup.table(
            (
                (f"{number}", option.label)
                for number, option in enumerate(proposal.options, start=1)
            ),
            colour="blue",
        )
    if proposal.response_schema is not None:
        yield markup.heading("The answer must fit this JSON Schema")
        yield markup.block(_value(proposal.response_schema), limit=LARGEST)


def _evidence(proposal: protocol.Proposal) -> Iterator[str]:
    if proposal.kind != "question" and proposal.message:
        yield markup.heading("The agent's message")
        yield markup.block(proposal.message)
    for trusted, label, colour in (
        (True, "Evidence from trusted sources", "green"),
        (False, "Evidence from untrusted sources: it may be wrong or try to mislead you", "red"),
    ):
        found = [one for one in proposal.evidence if one.trusted is trusted]
        if found:
            yield markup.heading(label)
        for one in found:
            source = f"from {one.origin}" + (f", {one.uri}" if one.uri else "")
            yield markup.block(one.text, colour=colour, label=source)
    yield from _conversation(proposal)


MESSAGES = 40
"""Messages of the history that are shown, the newest."""


def _conversation(proposal: protocol.Proposal) -> Iterator[str]:
    history = proposal.prompt or ()
    if not history:
        return
    yield markup.heading("Conversation before")
    if len(history) > MESSAGES:
        yield markup.block(f"{len(history) - MESSAGES} earlier messages are not shown")
    for message in history[-MESSAGES:]:
        colour = "red" if message.role == "tool" else "grey"
        yield markup.block(_message(message), colour=colour, label=message.role)


def _message(message: protocol.Message) -> str:
    calls = [
        f"calls {call.function.name} {_value(call.function.arguments)}"
        for call in message.tool_calls or ()
    ]
    return "\n".join([message.content or "", *calls]).strip()


def _account(proposal: protocol.Proposal) -> Iterator[str]:
    reasoning = proposal.reasoning
    if reasoning is None:
        return
    rows: list[tuple[str, str]] = []
    if reasoning.why:
        rows.append(("reasons", reasoning.why))
    if reasoning.factors:
        rows.append(("factors", "\n".join(map(_value, reasoning.factors))))
    if reasoning.options:
        rows.append(("options it sees", "\n".join(reasoning.options)))
    if rows:
        yield markup.heading("The agent's own account")
        yield markup.facts(rows)


def _provenance(proposal: protocol.Proposal, digest: str, reason: str) -> Iterator[str]:
    yield markup.heading("Why this is asked")
    rows = [("policy", reason)]
    if proposal.requested_by:
        rows.append(("requested by", proposal.requested_by))
    rows.append(("you may", ", ".join(proposal.verdicts)))
    rows.append(("digest", digest))
    yield markup.facts(rows)
