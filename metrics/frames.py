"""Read decided and queued work into data frames.

In: rows of ingestion and review, in one consistent view. Out: two frames, one row per proposal
and one row per counted review, with the columns that the figures use.

Columns of both:

    proposal_id   str
    agent         str         the agent's id
    version       str | None  the agent's version, as it stated it
    action        str | None  the tool's name; None for what is no action
    risk          str | None  low, medium, high or critical, as the agent stated it
    week          str         ISO week of the decision in UTC, `2026-W07`; of the receipt while open
    task          str         task_id, else the proposal's id
    kind, source  str
    excluded      str | None  honeypot, shadow or test: counts in no figure
    outcome       str | None  None while open; in the frame of reviews the reviewer's verdict
    by            str | None  policy, people or import
    edit_distance float       0..1; NaN unless edited
    approval_s    float       seconds from received to decided; NaN where not known
    wait_s        float       seconds from received to the first opening; NaN where not known
    action_s      float       seconds from the first action to the decision; NaN where not known
    review_s      float       seconds of reviewing, see `read`; NaN where not known
    measured      bool        whether every review behind `review_s` says when it was opened
    agent_usd     float       what the agent says its work cost; 0 where it says nothing
    queued        bool        live work that the policy sent to people
    executed      bool        a receipt says that it ran

The frame of reviews has `reviewer` besides.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import TextClause, bindparam, text
from sqlmodel import Session

from errata.db import Utc

PROPOSALS = """
select
    p.id as proposal_id,
    p.agent_id as agent,
    p.agent_version as version,
    p.action_name as action,
    p.risk_level as risk,
    coalesce(p.task_id, p.id) as task,
    p.kind,
    p.source,
    coalesce(p.exclude, case when p.mode <> 'live' then p.mode end) as excluded,
    p.created_at,
    p.received_at,
    d.outcome,
    d."by",
    d.edit_distance,
    d.decided_at,
    coalesce(p.cost_usd, 0) as agent_usd,
    p.source = 'live' and exists (
        select 1 from routing g where g.proposal_id = p.id and g.route = 'queue'
    ) as queued,
    exists (
        select 1 from receipt e where e.proposal_id = p.id and e.status = 'executed'
    ) as executed
from proposal p
left join decision d on d.proposal_id = p.id
where coalesce(d.decided_at, p.received_at) >= :since
    and (
        d.proposal_id is not null
        or exists (select 1 from routing g where g.proposal_id = p.id and g.route = 'queue')
    )
order by coalesce(d.decided_at, p.received_at), p.id
"""

REVIEWS = """
select
    r.id as review_id,
    r.proposal_id,
    r.reviewer,
    r.verdict,
    r.opened_at,
    r.first_action_at,
    r.decided_at as answered_at,
    r.received_at as heard_at
from review r
join decision d on d.proposal_id = r.proposal_id
where r.counted and d.decided_at >= :since
order by r.received_at, r.id
"""

MOMENTS = [
    "created_at",
    "received_at",
    "decided_at",
    "opened_at",
    "first_action_at",
    "answered_at",
    "heard_at",
]
SHARED = [
    "proposal_id",
    "agent",
    "version",
    "action",
    "risk",
    "week",
    "task",
    "kind",
    "source",
    "excluded",
    "outcome",
    "by",
    "edit_distance",
    "approval_s",
    "wait_s",
    "action_s",
    "review_s",
    "measured",
    "agent_usd",
    "queued",
    "executed",
]


class Frames(NamedTuple):
    """What was read; the columns stand at the head of this module."""

    proposals: pd.DataFrame
    reviews: pd.DataFrame


def read(session: Session, since: datetime | None = None) -> Frames:
    """Read all decided and queued proposals and the reviews that were counted.

    Received means the server's receipt; for imports it is `created_at`, and what the file did not
    say (stored as the time of the import) is not known. A negative duration comes from clocks
    that disagree and is not known either.

    `review_s` of a review runs from its opening to its answer. Where no opening was recorded it
    runs from the proposal's receipt, which includes the wait and so bounds the work from above;
    `measured` is then false. A decision's is the sum over its counted reviews, or its `approval_s`
    when it has none.

    Args:
        session: A reading transaction.
        since: Only what was decided (while open: received) at or after this time.
    """
    proposals = _query(session, PROPOSALS, since)
    reviews = _query(session, REVIEWS, since)
    arrived = proposals["received_at"].mask(
        proposals["source"] == "import", proposals["created_at"]
    )
    # An import that states no time gets the time of the import for it.
    unstated = (proposals["source"] == "import") & (arrived == proposals["received_at"])
    proposals["arrived_at"] = arrived.mask(unstated)
    proposals["ended_at"] = proposals["decided_at"].mask(
        (proposals["source"] == "import") & (proposals["decided_at"] == proposals["received_at"])
    )
    proposals["week"] = _week(proposals["decided_at"].fillna(proposals["received_at"]))
    proposals["approval_s"] = _seconds(proposals["arrived_at"], proposals["ended_at"])
    heard = _by_review(proposals, reviews)
    return Frames(_by_proposal(proposals, heard)[SHARED], heard[["reviewer", *SHARED]])


def _query(session: Session, sql: str, since: datetime | None) -> pd.DataFrame:
    start = since or datetime(1, 1, 1, tzinfo=UTC)
    statement: TextClause = text(sql).bindparams(bindparam("since", start, type_=Utc()))
    rows = session.connection().execute(statement)
    frame = pd.DataFrame(rows.mappings().all(), columns=list(rows.keys()), dtype=object)
    for name in frame.columns.intersection(MOMENTS):
        # SQLite gives texts, PostgreSQL times with an offset.
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    for name in frame.columns.intersection(["edit_distance", "agent_usd"]):
        frame[name] = frame[name].astype(float)
    for name in frame.columns.intersection(["queued", "executed"]):
        frame[name] = frame[name].astype(bool)
    return frame


def _by_review(proposals: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """Reviews with their proposal's columns; outcome and times are the reviewer's own."""
    heard = reviews.merge(proposals.drop(columns="edit_distance"), on="proposal_id")
    heard_at = heard["heard_at"].where(
        heard["source"] != "import", heard["answered_at"].fillna(heard["ended_at"])
    )
    # Openings, first actions and answers are told by the same surface, on one clock.
    answered_at = heard["answered_at"].fillna(heard_at)
    heard["outcome"] = heard["verdict"]
    heard["measured"] = heard["opened_at"].notna()
    heard["wait_s"] = _seconds(heard["arrived_at"], heard["opened_at"])
    heard["action_s"] = _seconds(heard["first_action_at"], answered_at)
    heard["approval_s"] = _seconds(heard["arrived_at"], heard_at)
    heard["review_s"] = _seconds(heard["opened_at"], answered_at).where(
        heard["measured"], heard["approval_s"]
    )
    heard["edit_distance"] = _edit_distances(proposals, heard)
    return heard


def _edit_distances(proposals: pd.DataFrame, heard: pd.DataFrame) -> pd.Series:
    """The decision's distance, for the review whose edit it is: the newest."""
    edits = heard[heard["verdict"] == "edit"].drop_duplicates("proposal_id", keep="last")
    distances = proposals.set_index("proposal_id")["edit_distance"]
    return edits["proposal_id"].map(distances).reindex(heard.index)


def _by_proposal(proposals: pd.DataFrame, heard: pd.DataFrame) -> pd.DataFrame:
    grouped = heard.groupby("proposal_id", sort=False)
    about = grouped.agg(
        opened_at=("opened_at", "min"),
        first_action_at=("first_action_at", "min"),
        measured=("measured", "all"),
    )
    about["review_s"] = (
        grouped["review_s"].sum(min_count=1).where(grouped["review_s"].count() == grouped.size())
    )
    joined = proposals.merge(about, left_on="proposal_id", right_index=True, how="left")
    heard_of = joined["proposal_id"].isin(about.index)
    joined["measured"] = joined["measured"].eq(True)
    joined["review_s"] = joined["review_s"].where(heard_of, joined["approval_s"]).astype(float)
    joined["wait_s"] = _seconds(joined["arrived_at"], joined["opened_at"])
    joined["action_s"] = _seconds(joined["first_action_at"], joined["ended_at"])
    return joined


def _seconds(start: pd.Series, end: pd.Series) -> pd.Series:
    gap = (end - start).dt.total_seconds()
    return gap.where(gap >= 0).astype(np.float64)


def _week(moments: pd.Series) -> pd.Series:
    calendar = moments.dt.isocalendar()
    return calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)
