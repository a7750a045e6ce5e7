"""Every figure with its definition: pure functions of a frame.

In: a frame with the columns of `metrics.frames`. Out: a `Figure`.

Two sets of rows come back in the definitions:

- *reviewed*: decided by people or imported, with outcome approve, edit, reject, regenerate or
  takeover, and not a honeypot, shadow or test;
- *corrected*: reviewed, with any of those outcomes but approve.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metrics import intervals

APPROVE = ("approve", "edit")
CORRECT = ("edit", "reject", "regenerate", "takeover")
PEOPLE = ("people", "import")
TRIM = 0.1


class Spread(NamedTuple):
    """How seconds are distributed.

    Quantiles interpolate between neighbours (type 7 of R. J. Hyndman and Y. Fan, "Sample quantiles
    in statistical packages", The American Statistician 50 (1996)); the trimmed mean leaves out
    the lowest and the highest tenth, each rounded down to whole values.
    """

    p50: float
    p90: float
    p95: float
    trimmed_mean: float


class Figure(NamedTuple):
    """A number with everything needed to judge it."""

    value: float | None
    n: int
    """How many rows, or tasks, the figure rests on."""
    numerator: float | None
    denominator: float | None
    interval: intervals.Interval | None
    """95 %: Wilson for shares, bootstrap for the others; None where one cannot be had."""
    definition: str
    reason: str | None = None
    """Why `value` is None."""
    spread: Spread | None = None
    """For times."""

    def wire(self) -> dict[str, Any]:
        """The figure as JSON-ready data; times carry p50, p90, p95 and trimmed_mean."""
        answer: dict[str, Any] = {
            "value": self.value,
            "n": self.n,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "interval": None if self.interval is None else list(self.interval),
            "definition": self.definition,
        }
        if self.reason is not None:
            answer["reason"] = self.reason
        if self.spread is not None:
            answer |= self.spread._asdict()
        return answer


class Prices(NamedTuple):
    """What people cost, in one currency; None where it is not known."""

    reviewer_per_hour: float | None = None
    human_only_per_task: float | None = None


def nothing(definition: str, reason: str) -> Figure:
    """A figure without a value."""
    return Figure(None, 0, None, None, None, definition, reason)


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are neither honeypot nor shadow nor test."""
    return frame[frame["excluded"].isna()]


def reviewed(frame: pd.DataFrame) -> pd.DataFrame:
    """The universe of the rates, see the head of this module."""
    rows = counted(frame)
    return rows[rows["by"].isin(PEOPLE) & rows["outcome"].isin(("approve", *CORRECT))]


def approval_rate(frame: pd.DataFrame) -> Figure:
    """Outcome approve or edit, of all reviewed."""
    rows = reviewed(frame)
    return _share(rows["outcome"].isin(APPROVE), "approve or edit, of all reviewed", "reviewed")


def strict_approval_rate(frame: pd.DataFrame) -> Figure:
    """Outcome approve (unchanged), of all reviewed."""
    return _outcome_share(frame, "approve", "approve without a change, of all reviewed")


def edit_rate(frame: pd.DataFrame) -> Figure:
    """Outcome edit, of all reviewed."""
    return _outcome_share(frame, "edit", "edit, of all reviewed")


def rejection_rate(frame: pd.DataFrame) -> Figure:
    """Outcome reject, of all reviewed."""
    return _outcome_share(frame, "reject", "reject, of all reviewed")


def regenerate_rate(frame: pd.DataFrame) -> Figure:
    """Outcome regenerate, of all reviewed."""
    return _outcome_share(frame, "regenerate", "regenerate, of all reviewed")


def takeover_rate(frame: pd.DataFrame) -> Figure:
    """Outcome takeover, of all reviewed."""
    return _outcome_share(frame, "takeover", "takeover by a person, of all reviewed")


def timeout_rate(frame: pd.DataFrame) -> Figure:
    """Outcome expired, of all live proposals that were queued, decided or still open."""
    rows = counted(frame)
    queued = rows[rows["queued"]]
    words = "expired before anyone decided, of all queued (those still open included)"
    return _share(queued["outcome"] == "expired", words, "queued")


def autonomous_rate(frame: pd.DataFrame) -> Figure:
    """Executed without a decision by people or import, of all executed."""
    rows = counted(frame)
    executed = rows[rows["executed"]]
    words = "executed without a human decision, of all executed"
    return _share(~executed["by"].isin(PEOPLE), words, "executed")


def edit_distance(frame: pd.DataFrame) -> Figure:
    """Mean over the edited of the token Levenshtein distance divided by the longer side, 0..1.

    Computed once, by ingestion, when the decision is written.
    """
    rows = reviewed(frame)
    distances = rows.loc[rows["outcome"] == "edit", "edit_distance"].dropna()
    words = "Levenshtein over tokens divided by the longer side, mean over the edited"
    return _mean(distances, words, "nothing was edited")


def avg_approval_time(frame: pd.DataFrame) -> Figure:
    """Mean seconds from received (imports: created) to decided, over the reviewed."""
    words = "seconds from received (imports: created) to decided, mean over the reviewed"
    return _time(frame, "approval_s", words, "no reviewed decision states both times")


def wait_time(frame: pd.DataFrame) -> Figure:
    """Mean seconds from received to the first opening, over the reviewed that state it."""
    words = "seconds from received to the first opening, mean over the reviewed that state it"
    return _time(frame, "wait_s", words, "no review states opened_at")


def action_time(frame: pd.DataFrame) -> Figure:
    """Mean seconds from the first action to the decision, over the reviewed that state it."""
    words = "seconds from the first action to the decision, mean over the reviewed that state it"
    return _time(frame, "action_s", words, "no review states first_action_at")


def cost_per_correction(frame: pd.DataFrame, prices: Prices) -> Figure:
    """Cost of all review time, divided by the corrected.

    Approvals cost time too and are paid for in the search for corrections, so the numerator holds
    the time of all reviewed. Rows whose review time is not known are in neither part.
    """
    rows = reviewed(frame)
    rows = rows[rows["review_s"].notna()]
    bounds = int((~rows["measured"]).sum())
    words = (
        "review time of all reviewed x reviewer cost per hour, divided by the corrected (edit, "
        f"reject, regenerate or takeover); {bounds} of {len(rows)} state no opening and count from "
        "received to decided, which bounds the cost from above"
    )
    if prices.reviewer_per_hour is None:
        return nothing(words, "ERRATA_REVIEWER_COST_PER_HOUR is not set")
    costs = rows["review_s"] * prices.reviewer_per_hour / 3600
    return _ratio(costs, rows["outcome"].isin(CORRECT), words, "nothing was corrected")


def cost_saving(frame: pd.DataFrame, prices: Prices) -> Figure:
    """1 - (agent cost + review cost) / (tasks x cost of a task done by people alone).

    Over tasks with a decision by anyone; agent cost is what proposals state, 0 where they do not.
    Tasks with a human decision whose review time is not known are left out.
    """
    words = (
        "1 - (stated agent cost + review time x reviewer cost per hour) / (tasks x cost of a task "
        "by people alone), over decided tasks whose review time is known"
    )
    if prices.human_only_per_task is None:
        return nothing(words, "ERRATA_HUMAN_ONLY_COST_PER_TASK is not set")
    if prices.reviewer_per_hour is None:
        return nothing(words, "ERRATA_REVIEWER_COST_PER_HOUR is not set")
    rows = _decided(frame)
    seconds = rows["review_s"].where(rows["by"].isin(PEOPLE), 0.0)
    costs = rows["agent_usd"] + seconds * prices.reviewer_per_hour / 3600
    known = costs.notna().groupby(rows["task"]).all()
    spent = costs.groupby(rows["task"]).sum()[known]
    human_only = pd.Series(prices.human_only_per_task, index=spent.index, dtype=float)
    return _ratio(human_only - spent, human_only, words, "no task's cost is known")


def interventions_per_1000(frame: pd.DataFrame) -> Figure:
    """1000 x the corrected / tasks; a task is a distinct task_id, else a proposal.

    Tasks are those with a decision by anyone, the policy included: work that needed nobody counts
    below. The interval draws tasks, since interventions within one task depend on each other.
    """
    rows = _decided(frame)
    corrected = rows["by"].isin(PEOPLE) & rows["outcome"].isin(CORRECT)
    by_task = corrected.groupby(rows["task"]).sum()
    words = "1000 x the corrected / decided tasks (distinct task_id, else proposals)"
    return _ratio(1000 * by_task, pd.Series(1.0, index=by_task.index), words, "no task was decided")


def _decided(frame: pd.DataFrame) -> pd.DataFrame:
    rows = counted(frame)
    return rows[rows["outcome"].notna()]


def _outcome_share(frame: pd.DataFrame, outcome: str, definition: str) -> Figure:
    return _share(reviewed(frame)["outcome"] == outcome, definition, "reviewed")


def _share(hits: "pd.Series[bool]", definition: str, done: str) -> Figure:
    n, total = int(hits.sum()), len(hits)
    if total == 0:
        return nothing(definition, f"nothing was {done}")
    return Figure(n / total, total, n, total, intervals.wilson(n, total), definition)


def _time(frame: pd.DataFrame, column: str, definition: str, reason: str) -> Figure:
    seconds = reviewed(frame)[column].dropna()
    figure = _mean(seconds, definition, reason)
    if figure.value is None:
        return figure
    p50, p90, p95 = (float(seconds.quantile(share)) for share in (0.5, 0.9, 0.95))
    cut = int(TRIM * len(seconds))
    middle = np.sort(seconds.to_numpy())[cut : len(seconds) - cut]
    return figure._replace(spread=Spread(p50, p90, p95, float(middle.mean())))


def _mean(values: "pd.Series[float]", definition: str, reason: str) -> Figure:
    return _ratio(values, pd.Series(1.0, index=values.index), definition, reason)


def _ratio(above: pd.Series, below: pd.Series, definition: str, reason: str) -> Figure:
    numerators, denominators = above.to_numpy(float), below.to_numpy(float)
    total, whole = float(numerators.sum()), float(denominators.sum())
    if whole == 0:
        return nothing(definition, reason)
    interval = intervals.ratio(numerators, denominators)
    return Figure(total / whole, len(numerators), total, whole, interval, definition)
