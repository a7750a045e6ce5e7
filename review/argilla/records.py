"""A proposal as an Argilla record.

In: a proposal and what stands around it. Out: the dataset and the record to push.
"""

from datetime import datetime
from typing import Any, NamedTuple

from errata import protocol
from review.argilla import comparison, markup, screen, screenshots, templates
from review.argilla.surface import Record, Suggestion

PRIORITY = {"critical": 3, "high": 2, "normal": 1, "log": 0}


class Asked(NamedTuple):
    """One round in which people are asked."""

    external_id: str
    proposal: protocol.Proposal
    digest: str
    reason: str
    risk: protocol.RiskLevel | None
    expires_at: datetime | None
    note: str | None = None
    correction: str | None = None
    """What the labeler wrote in the answer that was refused."""
    late: str | None = None
    """Whose answer did not count and why: the record asks nothing and only tells that."""
    addressee: str | None = None
    """The labeler whom it tells."""
    changes: tuple[screen.Change, ...] = ()
    """What changed against the proposal that this one follows, and against what the agent asked
    where a person's version has taken its place."""


class Placed(NamedTuple):
    """A record and the dataset that it belongs in."""

    dataset: str
    record: Record


def external_id(proposal_id: str, round_: int) -> str:
    """The record's id: one round of one proposal."""
    return f"{proposal_id}:{round_}"


def place(asked: Asked) -> Placed:
    """Build the record; what cannot be shown whole goes where only reject is offered."""
    dataset = templates.dataset_of(asked.proposal)
    if dataset == templates.UNSHOWABLE:
        return _unshowable(asked, f"it has over {len(screen.LETTERS)} candidates")
    try:
        shot = _screenshot(asked.proposal)
        page = screen.render(
            asked.proposal,
            digest=asked.digest,
            reason=asked.reason,
            risk=asked.risk,
            note=asked.note,
            late=asked.late,
            shot=shot,
            changes=_changes(asked),
        )
    except screenshots.Unreadable as problem:
        return _unshowable(asked, f"its screenshot cannot be shown: {problem}")
    except screen.CannotRender as problem:
        return _unshowable(asked, str(problem))
    fields = {templates.FIELD: markup.page(page)}
    if shot is not None:
        fields = {
            templates.FIELD: page.decision,
            templates.SCREENSHOT: shot.url,
            templates.BACKGROUND: page.background,
        }
    correction = asked.correction if asked.correction is not None else prefill(asked.proposal)
    suggestions = [Suggestion("correction", correction)] if correction and not asked.late else []
    return Placed(dataset, Record(asked.external_id, fields, _metadata(asked), suggestions))


def _screenshot(proposal: protocol.Proposal) -> screenshots.Drawn | None:
    if proposal.kind != "click" or proposal.screenshot is None:
        return None
    return screenshots.draw(proposal.screenshot, proposal.point)


def _changes(asked: Asked) -> list[screen.Change]:
    """Against the proposal before, and by the labeler whose answer was refused."""
    found = list(asked.changes)
    began = prefill(asked.proposal)
    if asked.correction is not None and began is not None and asked.correction != began:
        found.append(screen.Change("What your version changes", began, asked.correction))
    return found


def _unshowable(asked: Asked, problem: str) -> Placed:
    page = screen.render_unshowable(
        asked.proposal,
        digest=asked.digest,
        reason=asked.reason,
        risk=asked.risk,
        problem=problem,
        note=asked.note,
        late=asked.late,
    )
    fields = {templates.FIELD: page}
    return Placed(
        templates.UNSHOWABLE, Record(asked.external_id, fields, _metadata(asked), suggestions=[])
    )


def prefill(proposal: protocol.Proposal) -> str | None:
    """The text in which the correction begins: the draft, or the arguments in canonical order."""
    match proposal.kind:
        case "action":
            assert proposal.action is not None
            return comparison.pretty(proposal.action.arguments)
        case "draft" | "plan":
            return proposal.content or None
        case "click":
            assert proposal.point is not None
            return screenshots.written(proposal.point)
        case "candidates" | "question" | "exception":
            return None


def _metadata(asked: Asked) -> dict[str, Any]:
    proposal = asked.proposal
    values: dict[str, Any] = {
        "priority": PRIORITY[proposal.urgency],
        "agent": proposal.agent.id,
        "risk": asked.risk or "unknown",
        "proposal_id": asked.external_id.rpartition(":")[0],
    }
    if proposal.action is not None:
        values["action"] = proposal.action.name
    if asked.expires_at is not None:
        values["deadline"] = int(asked.expires_at.timestamp())
    assignee = asked.addressee or proposal.metadata.get("assignee")
    if isinstance(assignee, str) and assignee:
        values["assignee"] = assignee
    return values
