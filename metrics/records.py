"""What versions and reviewers are judged by, read from the database.

In: a reading transaction. Out: data frames, in the order of time.

All but `planted` is live work that is neither honeypot, shadow nor test; times are UTC without an
offset, as in `metrics.facts`. The queries are read alike by SQLite and PostgreSQL.
"""

from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd
from sqlalchemy import bindparam, text
from sqlmodel import Session

from errata.db import Utc
from review.history import DERIVED

LIVE = "p.exclude is null and p.mode = 'live' and p.source = 'live'"
SPOKEN = "('approve', 'edit', 'reject', 'regenerate', 'takeover')"
CONFIDENCE = "cast(t.body -> 'confidence' ->> 'value' as double precision)"
LETTERS = 4.0
"""Characters to a token of English, about."""
SINCE_STAGED = """
from agentversion v
join proposal p on p.agent_id = v.agent_id and p.agent_version = v.version
    and p.received_at >= v.staged_at
"""

WORK = f"""
select
    p.agent_id as agent,
    p.agent_version as version,
    coalesce(p.risk_level, 'not stated') as risk,
    coalesce(p.action_name, p.kind) as action,
    d.outcome,
    d."by",
    case when exists (
        select 1 from routing f
        where f.proposal_id = p.id and f.round = 0 and f.lot = 'review'
    ) then 1 else 0 end as drawn,
    {CONFIDENCE} as confidence
{SINCE_STAGED}
join decision d on d.proposal_id = p.id
left join payload t on t.owner = 'proposal' and t.id = p.id
where {LIVE}
order by d.decided_at, p.id
"""
AUDITS = f"""
select p.agent_id as agent, p.agent_version as version, r.verdict
{SINCE_STAGED}
join task k on k.proposal_id = p.id and k.sort = 'audit' and k.status = 'done'
join review r on r.proposal_id = p.id and r.surface = 'task' and r.accepted
where {LIVE}
order by r.received_at, r.id
"""
SEEN_BY = f"""
select distinct p.agent_id as agent, p.agent_version as version, r.reviewer
{SINCE_STAGED}
join review r on r.proposal_id = p.id and r.counted
where {LIVE}
"""
PLANTED = """
select
    r.reviewer,
    coalesce(r.decided_at, r.received_at) as decided_at,
    r.verdict
from review r
join proposal p on p.id = r.proposal_id
join decision d on d.proposal_id = p.id
left join payload t on t.owner = 'decision' and t.id = p.id
where p.exclude = 'honeypot'
    and r.counted
    and r.verdict <> 'respond'
    and coalesce(r.decided_at, r.received_at) >= :since
    and (d."by" <> 'import' or d.outcome <> 'approve' or t.body ->> 'reason' like :derived)
order by 2, r.id
"""
REVIEWS = f"""
select
    r.reviewer,
    r.proposal_id,
    p.agent_id as agent,
    p.action_name as action,
    r.verdict,
    r.opened_at,
    r.decided_at as answered_at,
    r.received_at as decided_at,
    (length(coalesce(t.body -> 'action' ->> 'arguments', ''))
        + length(coalesce(t.body ->> 'content', ''))) as letters,
    case when exists (
        select 1 from routing f where f.proposal_id = p.id and f.lot = 'dual'
    ) then 1 else 0 end as blind
from review r
join proposal p on p.id = r.proposal_id
left join payload t on t.owner = 'proposal' and t.id = p.id
where r.counted and r.verdict in {SPOKEN} and {LIVE}
order by r.received_at, r.id
"""
TASKS = """
select
    p.agent_id as agent,
    coalesce(p.task_id, p.id) as task,
    d.decided_at as moment,
    d.outcome,
    d."by"
from decision d
join proposal p on p.id = d.proposal_id
where p.exclude is null and p.mode = 'live' and (:agent is null or p.agent_id = :agent)
order by d.decided_at, p.id
"""
STATED = f"""
select
    p.agent_id as agent,
    d.outcome,
    {CONFIDENCE} as confidence
from decision d
join proposal p on p.id = d.proposal_id
join payload t on t.owner = 'proposal' and t.id = p.id
where d."by" in ('people', 'import')
    and d.outcome in {SPOKEN}
    and p.exclude is null
    and p.mode = 'live'
    and (:agent is null or p.agent_id = :agent)
order by d.decided_at, p.id
"""


class Staged(NamedTuple):
    """What registered versions did since they came to their stage."""

    work: pd.DataFrame
    """Decided work: agent, version, risk, action (else the kind), outcome, by; `drawn` bool, a lot
    sent it to people; `confidence` 0..1, NaN where none is stated; `reviewed` bool, as in
    `metrics.definitions`."""
    audits: pd.DataFrame
    """Answers of audits that a lot asked for: agent, version, verdict."""
    seen_by: pd.DataFrame
    """Who reviewed it: agent, version, reviewer."""


def staged(session: Session) -> Staged:
    """What registered versions did since they came to their stage."""
    work = _frame(session, WORK)
    work["drawn"] = work["drawn"].astype(bool)
    work["confidence"] = work["confidence"].astype(float)
    spoken = ("approve", "edit", "reject", "regenerate", "takeover")
    work["reviewed"] = (work["by"] == "people") & work["outcome"].isin(spoken)
    return Staged(work, _frame(session, AUDITS), _frame(session, SEEN_BY))


def planted(session: Session, since: datetime) -> pd.DataFrame:
    """Counted reviews of planted wrong work, of which approving it is the only miss.

    Work of which an import states that to approve it is right is left out, also where the text that
    would tell has been erased.

    Args:
        session: A reading transaction.
        since: Only reviews from this time on.

    Returns:
        `reviewer`, `decided_at`, `caught` bool.
    """
    query = text(PLANTED).bindparams(bindparam("since", since, type_=Utc))
    found = _frame(session, query, derived=f"{DERIVED}%")
    found["decided_at"] = _moments(found["decided_at"])
    found["caught"] = found["verdict"] != "approve"
    return found


def reviews(session: Session) -> pd.DataFrame:
    """Counted reviews, as `metrics.reviewers` takes them, and `blind` bool.

    `review_s` runs from the opening to the answer, by the surface's clock; `tokens` are a fourth
    of the characters of what was proposed. So neither the talk before it nor the evidence beside
    it count as read, and haste is told too seldom rather than too often.
    """
    found = _frame(session, REVIEWS)
    for name in ("opened_at", "answered_at", "decided_at"):
        found[name] = _moments(found[name])
    ended = found["answered_at"].fillna(found["decided_at"])
    seconds = (ended - found["opened_at"]).dt.total_seconds()
    found["review_s"] = seconds.where(seconds >= 0)
    letters = found["letters"].astype(float)
    found["tokens"] = letters.where(letters > 0) / LETTERS
    found["blind"] = found["blind"].astype(bool)
    return found


def tasks(session: Session, agent: str | None = None) -> pd.DataFrame:
    """Decided work, imports too, as `trend.weekly` takes it, and `agent`; of one agent, or all."""
    found = _frame(session, _for(TASKS), agent=agent)
    found["moment"] = _moments(found["moment"])
    return found.assign(excluded=None)


def stated(session: Session, agent: str | None = None) -> pd.DataFrame:
    """Reviewed work that states a confidence: `agent`, `confidence` 0..1, `right` (unchanged)."""
    found = _frame(session, _for(STATED), agent=agent)
    found["confidence"] = found["confidence"].astype(float)
    found["right"] = found["outcome"] == "approve"
    return found[found["confidence"].notna()]


def _for(query: str) -> Any:
    # PostgreSQL must be told what a parameter is that is only compared with null.
    return text(query.replace(":agent is null", "cast(:agent as text) is null"))


def _frame(session: Session, query: Any, **given: Any) -> pd.DataFrame:
    answer = session.connection().execute(text(query) if isinstance(query, str) else query, given)
    rows = [tuple(row) for row in answer]
    return pd.DataFrame(rows, columns=list(answer.keys()), dtype=None if rows else object)


def _moments(times: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    """Times of either database, one of which keeps them as text."""
    return pd.to_datetime(times, utc=True, format="ISO8601").dt.tz_localize(None)
