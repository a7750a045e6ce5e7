"""Build decided work for tests, without a database."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from errata import digest, protocol
from ingestion import tables
from review.history import Episode, Heard
from review.tables import Review
from training import pairs
from training.people import People
from training.preferences import Strategy
from training.rows import Drop, Kind, Row, Tie

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CALL = {"name": "transfer", "arguments": {"amount": 100, "to": "bob"}}


def proposal(id_: str = "p1", kind: str = "draft", **fields: Any) -> protocol.Proposal:
    if kind == "draft":
        fields.setdefault("content", "the agent's text")
    fields.setdefault("agent", {"id": "desk", "version": "3", "model": "small-1"})
    return protocol.Proposal.model_validate({"hap": "1", "id": id_, "kind": kind, **fields})


def decided(
    of: protocol.Proposal,
    outcome: str = "approve",
    *reviews: dict[str, Any],
    effective: dict[str, Any] | None = None,
    by: str = "people",
    exclude: str | None = None,
    source: str = "live",
    after_s: float = 0,
    edit_distance: float | None = None,
    reason: str = "",
) -> Episode:
    """One decided proposal.

    A review is `{"verdict", "reviewer"?, "role"?, "surface"?, "void"?, "counted"?, "opened_s"?,
    …fields of a Review}`; without any there is one by ann that says the outcome where a person can
    say it.
    """
    id_ = of.id or ""
    alone = {"verdict": outcome, **(effective or {})}
    said = reviews or ((alone,) if outcome in get_args(protocol.Verdict) else ())
    at = NOON + timedelta(seconds=after_s)
    asked = digest.digest(
        agent=of.agent.id,
        kind=of.kind,
        body=digest.body(of),
        tool_schema=None,
        policy_version=digest.NO_POLICY,
    )
    decision = protocol.Decision.model_validate(
        {
            "proposal_id": id_,
            "outcome": outcome,
            "by": by,
            "effective": effective or {},
            "digest": asked,
            "policy_version": digest.NO_POLICY,
            "reason": reason,
            "reviews": {"needed": 1, "got": len(said)},
            "decided_at": at,
        }
    )
    row = tables.Proposal(
        id=id_,
        kind=of.kind,
        mode=of.mode,
        source=source,
        exclude=exclude,
        agent_id=of.agent.id,
        agent_version=of.agent.version,
        model_id=of.agent.model,
        task_id=of.task_id,
        group_id=of.group_id,
        parent_id=of.parent_id,
        status="decided",
        digest=asked,
        content_hash="",
        policy_version=digest.NO_POLICY,
        created_at=NOON,
        received_at=NOON,
    )
    decision_row = tables.Decision(
        proposal_id=id_,
        outcome=outcome,
        by=by,
        digest=asked,
        policy_version=digest.NO_POLICY,
        needed=1,
        got=len(said),
        edit_distance=edit_distance,
        decided_at=at,
    )
    heard = tuple(_heard(id_, asked, number, review) for number, review in enumerate(said))
    return Episode(row, of, decision_row, decision, heard)


def _heard(id_: str, asked: str, number: int, said: dict[str, Any]) -> Heard:
    fields: dict[str, Any] = {"digest": asked, **said}
    reviewer, counted = fields.pop("reviewer", "ann"), fields.pop("counted", True)
    opened, role = fields.pop("opened_s", None), fields.pop("role", None)
    surface, void = fields.pop("surface", "api"), fields.pop("void", None)
    review = protocol.Review.model_validate({"proposal_id": id_, **fields})
    row = Review(
        id=f"{id_}-{number}",
        proposal_id=id_,
        round=0,
        digest=review.digest,
        verdict=review.verdict,
        reviewer=reviewer,
        reviewer_role=role,
        surface=surface,
        accepted=True,
        void=void,
        counted=counted,
        opened_at=None if opened is None else NOON - timedelta(seconds=opened),
        received_at=NOON,
    )
    return Heard(row, review)


def candidates(*texts: str) -> list[dict[str, Any]]:
    """Candidates a, b, c … with these texts."""
    return [{"id": chr(97 + n), "content": text} for n, text in enumerate(texts)]


def nobody(_: str) -> Episode | None:
    """For work without retries."""
    return None


def among(episodes: Iterable[Episode]) -> Any:
    """Finds a parent among these episodes."""
    return {episode.row.id: episode for episode in episodes}.get


ABCD: dict[str, Any] = {
    "candidates": candidates("one", "two", "three", "four"),
    "message": "Which?",
}


def read(
    *episodes: Episode,
    kind: Kind = "dpo",
    strategy: Strategy = "best_worst",
    people: People | None = None,
) -> list[Row | Drop | Tie]:
    found = pairs.read(
        episodes, parents=among(episodes), kind=kind, strategy=strategy, people=people
    )
    return list(found)


def rows(*episodes: Episode, **options: Any) -> list[Row]:
    return [item for item in read(*episodes, **options) if isinstance(item, Row)]


def drops(*episodes: Episode, **options: Any) -> list[str]:
    return [item.reason for item in read(*episodes, **options) if isinstance(item, Drop)]


def texts(row: Row) -> tuple[str, str]:
    assert row.rejected is not None
    return row.chosen["content"], row.rejected["content"]


def chose(*reviews: dict[str, Any], **fields: Any) -> Episode:
    said = [{"verdict": "approve", **review} for review in reviews]
    return decided(proposal(kind="candidates", **ABCD), "approve", *said, **fields)


def judged(*judgements: tuple[str, str, str]) -> dict[str, Any]:
    return {"pairwise": [{"a": a, "b": b, "winner": w} for a, b, w in judgements]}
