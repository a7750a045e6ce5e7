"""A proposal as an Argilla record.

In: a proposal and what stands around it. Out: the dataset and the record to push.
"""

import json
from datetime import datetime
from typing import Any, NamedTuple

from errata import protocol
from review.argilla import screen, templates
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
        page = screen.render(
            asked.proposal,
            digest=asked.digest,
            reason=asked.reason,
            risk=asked.risk,
            note=asked.note,
        )
    except screen.CannotRender as problem:
        return _unshowable(asked, str(problem))
    fields = {templates.FIELD: page}
    if asked.proposal.screenshot is not None and templates.template(dataset).screenshot:
        fields[templates.SCREENSHOT] = asked.proposal.screenshot
    correction = asked.correction if asked.correction is not None else prefill(asked.proposal)
    suggestions = [] if correction is None else [Suggestion("correction", correction)]
    return Placed(dataset, Record(asked.external_id, fields, _metadata(asked), suggestions))


def _unshowable(asked: Asked, problem: str) -> Placed:
    page = screen.render_unshowable(asked.proposal, digest=asked.digest, problem=problem)
    fields = {templates.FIELD: page}
    return Placed(
        templates.UNSHOWABLE, Record(asked.external_id, fields, _metadata(asked), suggestions=[])
    )


def prefill(proposal: protocol.Proposal) -> str | None:
    """The text in which the correction begins: the draft, or the arguments in canonical order."""
    match proposal.kind:
        case "action":
            assert proposal.action is not None
            return pretty(proposal.action.arguments)
        case "draft" | "plan":
            return proposal.content or None
        case "click":
            assert proposal.point is not None
            return pretty(proposal.point.model_dump())
        case "candidates" | "question" | "exception":
            return None


def pretty(value: Any) -> str:
    """JSON as a labeler edits it: indented, keys in canonical order."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


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
    return values
