"""What a labeler entered in Argilla, as a review.

In: a proposal, the digest that was shown, the values of the response. Out: a review, or an error
in words for the labeler.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from errata import protocol
from errata.errors import Malformed
from ingestion import bodies
from review.argilla import records, screenshots
from review.argilla.screen import LETTERS, outside


class Shown(NamedTuple):
    """What the labeler saw."""

    proposal_id: str
    proposal: protocol.Proposal
    digest: str
    correction: str | None
    """The text that the correction began with."""


def review(shown: Shown, values: Mapping[str, Any], decided_at: datetime) -> protocol.Review:
    """Read a response.

    Args:
        shown: What the labeler saw.
        values: Question name to value, as Argilla holds them.
        decided_at: When it was submitted.

    Raises:
        Malformed: It cannot be understood; the message is for the labeler.
    """
    decision = values.get("decision")
    if decision is None:
        raise Malformed("choose a decision", field="decision")
    fields: dict[str, Any] = {
        "proposal_id": shown.proposal_id,
        "digest": shown.digest,
        "verdict": decision,
        "decided_at": decided_at,
        **_version(shown, decision, values),
        **_choice(shown.proposal, values),
        **_words(decision, values),
    }
    try:
        return protocol.Review.model_validate(fields)
    except ValidationError as error:
        raise bodies.complaint(error) from error


def _version(shown: Shown, decision: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The labeler's version; untouched text is none, unless it is sent as an edit."""
    if decision == "respond":
        return {"response": _response(shown.proposal, values)}
    text = values.get("correction")
    untouched = not isinstance(text, str) or text == shown.correction or not text.strip()
    if decision == "edit":
        return _as_version(shown.proposal, values, text if isinstance(text, str) else "")
    if decision == "approve" and not untouched:
        return _as_version(shown.proposal, values, str(text))
    if decision == "approve" and shown.proposal.point is not None:
        problem = _misplaced(shown.proposal, shown.proposal.point)
        if problem is not None:
            raise Malformed(f"{problem}; correct it or reject it", field="decision")
    return {}


def _as_version(
    proposal: protocol.Proposal, values: Mapping[str, Any], text: str
) -> dict[str, Any]:
    match proposal.kind:
        case "draft" | "plan":
            return {"content": text}
        case "click":
            return {"point": _point(proposal, text)}
        case "action":
            assert proposal.action is not None
            return {"action": {"name": proposal.action.name, "arguments": _object(text)}}
        case "candidates":
            return _candidate_version(proposal, values, text)
        case "question" | "exception":
            return {}


def _candidate_version(
    proposal: protocol.Proposal, values: Mapping[str, Any], text: str
) -> dict[str, Any]:
    candidates = proposal.candidates or ()
    names = {candidate.action.name for candidate in candidates if candidate.action is not None}
    if not names:
        return {"content": text}
    chosen = _by_letter(proposal, values.get("best"))
    if chosen is not None and chosen.action is not None:
        names = {chosen.action.name}
    if len(names) > 1:
        raise Malformed("say which candidate your arguments are for", field="best")
    return {"action": {"name": names.pop(), "arguments": _object(text)}}


def _point(proposal: protocol.Proposal, text: str) -> protocol.Point:
    point = screenshots.read(text)
    if problem := _misplaced(proposal, point):
        raise Malformed(problem, field="correction")
    return point


def _misplaced(proposal: protocol.Proposal, point: protocol.Point) -> str | None:
    """What is wrong with a point, where there is a screenshot to hold it to."""
    if proposal.screenshot is None:
        return None
    try:
        size = screenshots.size(proposal.screenshot)
    except screenshots.Unreadable as error:
        return f"the screenshot cannot be shown: {error}"
    return None if size.holds(point) else outside(point, size)


def _object(text: str) -> dict[str, Any]:
    try:
        value = bodies.load(text)
    except Malformed as error:
        raise Malformed(f"the correction: {error.detail}", field="correction") from error
    if not isinstance(value, dict):
        raise Malformed("the correction must be a JSON object: {…}", field="correction")
    return cast(dict[str, Any], value)


def _by_letter(proposal: protocol.Proposal, letter: Any) -> protocol.Candidate | None:
    candidates = proposal.candidates or ()
    index = LETTERS.find(letter) if isinstance(letter, str) and letter else -1
    return candidates[index] if 0 <= index < len(candidates) else None


def _choice(proposal: protocol.Proposal, values: Mapping[str, Any]) -> dict[str, Any]:
    """The best candidate and the ranking, from letters to ids."""
    found: dict[str, Any] = {}
    best = _by_letter(proposal, values.get("best"))
    if best is not None:
        found["candidate"] = best.id
    ranking = values.get("ranking")
    if isinstance(ranking, list) and ranking:
        found["ranking"] = _tiers(proposal, cast(list[dict[str, Any]], ranking))
    return found


def _tiers(proposal: protocol.Proposal, ranking: list[dict[str, Any]]) -> list[list[str]]:
    """Argilla lists options in their own order, each with its rank; equal ranks are ties."""
    tiers: dict[int, list[str]] = {}
    for entry in ranking:
        candidate = _by_letter(proposal, entry.get("value"))
        rank = entry.get("rank")
        if candidate is None or not isinstance(rank, int):
            raise Malformed("rank every candidate, or none", field="ranking")
        tiers.setdefault(rank, []).append(candidate.id)
    return [tiers[rank] for rank in sorted(tiers)]


def _response(proposal: protocol.Proposal, values: Mapping[str, Any]) -> Any:
    """The typed answer: an option by its number, else the text, as JSON where that is asked."""
    number = values.get("option")
    options = proposal.options or ()
    if isinstance(number, str):
        if not 1 <= int(number) <= len(options):
            raise Malformed(f"there is no option {number}", field="option")
        return options[int(number) - 1].id
    text = values.get("answer")
    if not isinstance(text, str) or not text.strip():
        raise Malformed("choose an option or write an answer", field="answer")
    schema = proposal.response_schema
    if schema is None and text.strip() in {f"{n}" for n in range(1, len(options) + 1)}:
        return options[int(text) - 1].id  # what has a number on the screen can be written as it
    if schema is None or schema.get("type") == "string":
        return text
    try:
        return bodies.load(text)
    except Malformed as error:
        raise Malformed(f"the answer: {error.detail}", field="answer") from error


def _words(decision: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The reason and the comment; a comment on a regeneration is guidance."""
    comment = values.get("comment")
    reason = values.get("reason")
    found: dict[str, Any] = {}
    if reason is not None or comment:
        found["rationale"] = {"code": reason or "other", "text": comment or None}
    if decision == "regenerate" and comment:
        found["guidance"] = comment
    return found


def shown(
    proposal_id: str, proposal: protocol.Proposal, digest: str, correction: str | None
) -> Shown:
    """What the labeler saw in a record; `correction` is None where it began with the proposal."""
    began = correction if correction is not None else records.prefill(proposal)
    return Shown(proposal_id, proposal, digest, began)
