"""What a labeler sees of a proposal.

In: a proposal as it stands in the record. Out: the HTML of the record's field. The order is that
of a decision: who asks and why; exactly what will run; what is at stake; what it rests on, trusted
and untrusted apart; the agent's own account; why it came here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errata import protocol
from errata.digest import body, canonical
from review.argilla import background, comparison, markup, screenshots

LARGEST = 200_000
"""Characters of what is to be decided; what is longer cannot be shown whole, so not approved."""
LARGEST_PAGE = 4_000_000
"""Characters of a whole page, which Argilla takes and a browser shows."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

RISK_COLOURS = {"low": "green", "medium": "orange", "high": "red", "critical": "red"}


class CannotRender(Exception):
    """The proposal cannot be shown whole."""


class Change(NamedTuple):
    """Two versions to be compared."""

    heading: str
    before: str
    after: str


def size(proposal: protocol.Proposal) -> int:
    """Characters of what is to be decided, in its canonical form."""
    return len(canonical(body(proposal)))


class Page(NamedTuple):
    """The fields of a record."""

    decision: str
    """What is asked."""
    background: str
    """What it rests on; it stands below, with a screenshot between the two."""


def render(
    proposal: protocol.Proposal,
    *,
    digest: str,
    reason: str,
    risk: protocol.RiskLevel | None,
    note: str | None = None,
    late: str | None = None,
    shot: screenshots.Drawn | None = None,
    changes: Sequence[Change] = (),
) -> Page:
    """The record's fields.

    Args:
        proposal: What is asked.
        digest: What an answer will be bound to.
        reason: Why the policy sent it to people.
        risk: The level in force: the higher of the agent's and the policy's.
        note: Why the last answer was refused.
        late: Why nothing is asked any more.
        shot: The screenshot of a click.
        changes: What is compared.

    Raises:
        CannotRender: What is to be decided, or all that stands around it, is too long.
    """
    if size(proposal) > LARGEST:
        raise CannotRender(f"it has {size(proposal)} characters, {LARGEST} can be shown")
    page = Page(
        markup.page(
            [
                *_note(note, late),
                *_head(proposal, risk),
                *_why_now(proposal),
                *_asked(proposal),
                *_screenshot(proposal, shot),
                *_changes(changes),
            ]
        ),
        markup.page(background.render(proposal, digest, reason)),
    )
    if len(page.decision) + len(page.background) > LARGEST_PAGE:
        raise CannotRender("what stands around it is too long")
    return page


def render_unshowable(
    proposal: protocol.Proposal,
    *,
    digest: str,
    reason: str,
    risk: protocol.RiskLevel | None,
    problem: str,
    note: str | None = None,
    late: str | None = None,
) -> str:
    """The field of a proposal that cannot be shown whole and so can only be rejected."""
    start = canonical(body(proposal)).decode()
    return markup.page(
        [
            *_note(note, late),
            markup.chip("cannot be shown", "red"),
            markup.block(
                f"This proposal cannot be shown whole: {problem}. "
                "What cannot be read cannot be approved; only reject and takeover are offered.",
                colour="red",
            ),
            *_head(proposal, risk),
            markup.heading("The beginning of what is asked"),
            markup.block(start, limit=2_000),
            *background.provenance(proposal, digest, reason, ("reject", "takeover")),
        ]
    )


def _note(note: str | None, late: str | None) -> Iterator[str]:
    if late is not None:
        yield markup.chip("nothing is asked here", "red")
        yield markup.block(late, colour="red")
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
        yield markup.chip(f"amount {markup.exact(proposal.risk.amount)}", "orange")
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
    if proposal.message and proposal.kind not in {"question", "exception"}:
        rows.append(("message", proposal.message))
    if rows:
        yield markup.facts(rows, label="said by the agent, checked by nobody")


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
            x, y = screenshots.written(proposal.point).split(",")
            yield markup.table([("x", x), ("y", y)], colour="blue")
        case "question" | "exception":
            yield from _question(proposal)


def _whole(asked: str) -> str:
    """What is to be decided: all of it, and not folded away."""
    return markup.block(asked, colour="blue", limit=LARGEST, unfolded=True)


def _screenshot(proposal: protocol.Proposal, shot: screenshots.Drawn | None) -> Iterator[str]:
    """Which picture stands beside the record, and whether the point lies on it."""
    if proposal.kind != "click":
        return
    assert proposal.point is not None
    if shot is None:
        yield markup.block("The agent has sent no screenshot: where this is cannot be seen.")
        return
    if not shot.size.holds(proposal.point):
        yield markup.block(outside(proposal.point, shot.size), colour="red")
    rows = [("size", str(shot.size)), ("file", f"sha256:{shot.sha256}")]
    if shot.moves:
        rows.append(("moves", "only the first of its pictures is shown"))
    yield markup.heading("The screenshot; the grid and the ring are drawn by us")
    yield markup.facts(rows)


def outside(point: protocol.Point, size: screenshots.Size) -> str:
    """That a point does not lie on its screenshot."""
    return (
        f"The point {screenshots.written(point)} lies outside of the screenshot, which is {size}: "
        f"x goes from 0 to {size.width - 1}, y from 0 to {size.height - 1}"
    )


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        yield markup.heading(change.heading)
        yield comparison.show(change.before, change.after)


def _action(action: protocol.Action) -> str:
    """The call from the digest's own input, arguments in canonical order."""
    rows = [("tool", action.name)]
    rows += [(key, markup.exact(action.arguments[key])) for key in sorted(action.arguments)]
    return markup.table(rows, colour="blue")


def _candidates(proposal: protocol.Proposal) -> Iterator[str]:
    for letter, candidate in zip(LETTERS, proposal.candidates or (), strict=False):
        yield markup.heading(f"Candidate {letter}")
        if candidate.score is not None:
            yield markup.chip(f"the agent's score {markup.exact(candidate.score)}", "grey")
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
        yield markup.block(markup.exact(proposal.response_schema), limit=LARGEST)
