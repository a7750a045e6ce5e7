"""Read review history: a proposal with what people said, what was decided and what came of it.

In: one line, `{"proposal", "reviews", "decision"?, "receipts"?, "exclude"?}`. Out: a `History`.
"""

from typing import Any, Literal, NamedTuple

from errata import protocol
from errata.digest import NO_POLICY, fingerprint
from errata.errors import Malformed
from ingestion import bodies, decisions

Exclude = Literal["honeypot", "shadow", "test"]


class _Line(protocol.Value):
    proposal: protocol.Proposal
    reviews: tuple[protocol.JsonObject, ...] = ()
    decision: protocol.JsonObject | None = None
    receipts: tuple[protocol.Receipt, ...] = ()
    exclude: Exclude | None = None


class _Author(protocol.Value):
    reviewer: protocol.Name
    reviewer_role: protocol.Text | None = None


class Said(NamedTuple):
    """A review with its author."""

    reviewer: str
    role: str | None
    review: protocol.Review


class History(NamedTuple):
    """One line; whether its parts fit each other is still to be checked."""

    id: str
    content_hash: str
    """Fingerprint of the whole line."""
    proposal: protocol.Proposal
    digest: str
    """What was asked."""
    policy_version: str
    """As the decision states it, else that of no policy."""
    said: tuple[Said, ...]
    decision: protocol.Decision | None
    receipts: tuple[protocol.Receipt, ...]
    exclude: Exclude | None


def parse(value: dict[str, Any]) -> History:
    """Read one line.

    A proposal without id gets the hash of the canonical line; reviews and the decision may leave
    out `proposal_id`, and reviews without `digest` take the proposal's.

    Args:
        value: The line's JSON, checked by `lines.read`.

    Raises:
        Malformed: What is wrong, with the field's path from the top of the line.
    """
    line = bodies.validate(value, _Line)
    content_hash = fingerprint(value)
    id_ = line.proposal.id or content_hash.removeprefix("sha256:")
    decision = _decision(line.decision, id_)
    policy_version = NO_POLICY if decision is None else decision.policy_version
    schema = decisions.tool_schema(None, line.proposal)
    digest = decisions.asked_digest(line.proposal, schema, policy_version)
    return History(
        id=id_,
        content_hash=content_hash,
        proposal=line.proposal,
        digest=digest,
        policy_version=policy_version,
        said=tuple(
            _said(review, f"reviews[{index}]", id_, digest)
            for index, review in enumerate(line.reviews)
        ),
        decision=decision,
        receipts=line.receipts,
        exclude=line.exclude,
    )


def _decision(stated: dict[str, Any] | None, proposal_id: str) -> protocol.Decision | None:
    if stated is None:
        return None
    decision = _within("decision", {"proposal_id": proposal_id, **stated}, protocol.Decision)
    _require_same(decision.proposal_id, proposal_id, "decision")
    return decision


def _said(stated: dict[str, Any], path: str, proposal_id: str, digest: str) -> Said:
    names = _Author.model_fields
    author = _within(path, {key: stated[key] for key in names if key in stated}, _Author)
    rest = {key: item for key, item in stated.items() if key not in names}
    review = _within(path, {"proposal_id": proposal_id, "digest": digest, **rest}, protocol.Review)
    _require_same(review.proposal_id, proposal_id, path)
    return Said(author.reviewer, author.reviewer_role, review)


def _require_same(stated: str, proposal_id: str, path: str) -> None:
    if stated != proposal_id:
        raise Malformed(
            f"it is about {stated!r}, the proposal is {proposal_id!r}", field=f"{path}.proposal_id"
        )


def _within(path: str, value: dict[str, Any], model: type[bodies.V]) -> bodies.V:
    try:
        return bodies.validate(value, model)
    except Malformed as error:
        raise inside(path, error) from error


def inside(path: str, error: Malformed) -> Malformed:
    """The same mistake, with its field counted from the top of the line."""
    return Malformed(error.detail, field=f"{path}.{error.field}" if error.field else path)
