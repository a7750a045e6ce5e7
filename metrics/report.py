"""The report: all figures, for everything or per group, as JSON and as a table for a terminal.

In: a reading transaction, the time, the prices. Out: a `Report`.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast, get_args

import pandas as pd
from rich.table import Table
from sqlmodel import Session

from errata.errors import Malformed
from metrics import figures, frames
from metrics.figures import Figure, Prices

Key = Literal["agent", "version", "action", "risk", "reviewer", "week"]
KEYS: tuple[Key, ...] = get_args(Key)

SECONDS = ("avg_approval_time", "wait_time", "action_time")
SHARES = (
    "approval_rate",
    "strict_approval_rate",
    "edit_rate",
    "rejection_rate",
    "regenerate_rate",
    "takeover_rate",
    "timeout_rate",
    "autonomous_rate",
    "cost_saving",
)
OF_PROPOSALS = ("timeout_rate", "autonomous_rate", "cost_saving")
"""Figures that cannot be divided among the reviewers of a proposal."""


class Group(NamedTuple):
    """The figures of the rows that share the values in `by`."""

    by: dict[str, str | None]
    figures: dict[str, Figure]


class Report(NamedTuple):
    """One report."""

    since: datetime | None
    until: datetime
    by: tuple[Key, ...]
    groups: tuple[Group, ...]
    """In the order of their values; exactly one, with an empty `by`, when nothing was asked for."""

    def wire(self) -> dict[str, Any]:
        """The report as `errata report --json` prints it."""
        head = {
            "since": None if self.since is None else self.since.isoformat(),
            "until": self.until.isoformat(),
        }
        if not self.by:
            return head | {"figures": _wire(self.groups[0].figures)}
        return head | {
            "groups": [{"by": group.by, "figures": _wire(group.figures)} for group in self.groups]
        }


def keys(names: str) -> tuple[Key, ...]:
    """The keys in a comma-separated list, as `--by` takes it.

    Raises:
        Malformed: A name that is none of `KEYS`.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in KEYS:
            raise Malformed(f"by: {name!r} is none of {', '.join(KEYS)}", "by")
    return tuple(key for key in KEYS if key in wanted)


def build(
    session: Session,
    *,
    now: datetime,
    since: datetime | None = None,
    by: Sequence[Key] = (),
    prices: Prices = Prices(),  # noqa: B008 - a frozen value
) -> Report:
    """Compute every figure.

    Args:
        session: A reading transaction.
        now: The end of the window.
        since: Its start, by the time of the decision; None for everything.
        by: Group by these; with `reviewer` the rows are reviews, otherwise proposals.
        prices: What people cost.
    """
    read = frames.read(session, since)
    reviews = "reviewer" in by
    frame = read.reviews if reviews else read.proposals
    groups = tuple(
        Group(values, _figures(rows, prices, reviews)) for values, rows in _split(frame, by)
    )
    return Report(since, now, tuple(by), groups)


def _split(
    frame: pd.DataFrame, by: Sequence[Key]
) -> Iterator[tuple[dict[str, str | None], pd.DataFrame]]:
    if not by:
        yield {}, frame
        return
    for values, rows in figures.counted(frame).groupby(list(by), dropna=False):
        named = zip(by, cast("tuple[object, ...]", values), strict=True)
        yield {key: value if isinstance(value, str) else None for key, value in named}, rows


def _figures(frame: pd.DataFrame, prices: Prices, reviews: bool) -> dict[str, Figure]:
    answer = {
        "approval_rate": figures.approval_rate(frame),
        "strict_approval_rate": figures.strict_approval_rate(frame),
        "edit_rate": figures.edit_rate(frame),
        "rejection_rate": figures.rejection_rate(frame),
        "regenerate_rate": figures.regenerate_rate(frame),
        "takeover_rate": figures.takeover_rate(frame),
        "timeout_rate": figures.timeout_rate(frame),
        "autonomous_rate": figures.autonomous_rate(frame),
        "edit_distance": figures.edit_distance(frame),
        "avg_approval_time": figures.avg_approval_time(frame),
        "wait_time": figures.wait_time(frame),
        "action_time": figures.action_time(frame),
        "cost_per_correction": figures.cost_per_correction(frame, prices),
        "cost_saving": figures.cost_saving(frame, prices),
        "interventions_per_1000": figures.interventions_per_1000(frame),
    }
    if reviews:
        for name in OF_PROPOSALS:
            answer[name] = figures.nothing(
                answer[name].definition, "counts proposals, which reviewers share"
            )
    return answer


def _wire(figures_: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.wire() for name, figure in figures_.items()}


def tables(report: Report) -> Iterator[Table]:
    """One table per group, for a terminal: value, interval, n and definition of every figure."""
    for group in report.groups:
        table = Table(title=", ".join(f"{key}: {value}" for key, value in group.by.items()) or None)
        table.add_column("figure", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("95 % interval", justify="right", no_wrap=True)
        table.add_column("n", justify="right", no_wrap=True)
        table.add_column("definition")
        for name, figure in group.figures.items():
            table.add_row(name, *_cells(name, figure))
        yield table


def _cells(name: str, figure: Figure) -> tuple[str, str, str, str]:
    interval = (
        ""
        if figure.interval is None
        else " to ".join("∞" if end is None else _number(name, end) for end in figure.interval)
    )
    words = figure.definition if figure.reason is None else f"{figure.reason} ({figure.definition})"
    return (
        "-" if figure.value is None else _number(name, figure.value),
        interval,
        str(figure.n),
        words,
    )


def _number(name: str, value: float) -> str:
    if name in SHARES:
        return f"{100 * value:.1f} %"
    if name in SECONDS:
        return f"{value:,.1f} s"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 3)}f}"
