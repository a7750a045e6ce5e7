"""The demo's ways: somebody at the browser, scripted labelers, or rounds of learning.

In: a started installation. Out: nothing until Ctrl-C; or a summary, or rounds.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from errata import db
from errata.db import Database
from errata.demo import rounds as loop
from errata.demo import run
from errata.demo.rounds import Round
from errata.demo.run import Stage, Summary
from errata.errors import Unavailable
from errata.installation import Plan, Started
from errata.supervisor import Supervisor


@contextmanager
def _stage(plan: Plan, started: Started, say: Callable[[str], None]) -> Generator[Stage]:
    database = Database(plan.settings.database)
    db.use(database)
    try:
        workspace = plan.settings.argilla_workspace
        yield Stage(plan.home, started.credentials, database, workspace, say)
    finally:
        database.close()


def interactive(
    plan: Plan, started: Started, parts: Supervisor, say: Callable[[str], None]
) -> None:
    """Leave the work waiting in Argilla, and act as people answer; until Ctrl-C."""
    with _stage(plan, started, say) as stage:
        run.start_agents(stage)
        say(
            f"\nThe desk's agents wait for you. Open {started.credentials.argilla.url}, choose a "
            "dataset and answer; what happens then is printed here."
        )
        parts.watch()
    say("Stopping …")


def scripted(
    plan: Plan,
    started: Started,
    parts: Supervisor,
    say: Callable[[str], None],
    *,
    train: bool,
) -> Summary:
    """Let scripted labelers answer everything; then export, train (unless not asked) and report.

    Raises:
        Unavailable: It was interrupted, or the training failed.
    """
    # Parts that die meanwhile are started again, as under `errata up`.
    keeper = threading.Thread(target=parts.watch, name="keeper", daemon=True)
    keeper.start()
    with _stage(plan, started, say) as stage:
        work = run.start_agents(stage)
        say("Three scripted labelers answer in Argilla …")
        run.label(stage, lambda: parts.stopping or not work.is_alive())
        if parts.stopping:
            raise Unavailable("interrupted; run it again on the same folder to go on")
        run.settle(stage)
        return run.summarize(stage, train=train)


def rounds(
    plan: Plan, started: Started, parts: Supervisor, say: Callable[[str], None], count: int
) -> list[Round]:
    """Let the mail room's agent learn from its corrections, again and again.

    Raises:
        Conflict, Unavailable: See `rounds.play`.
        Unavailable: It was interrupted.
    """
    threading.Thread(target=parts.watch, name="keeper", daemon=True).start()
    with _stage(plan, started, say) as stage:
        played: list[Round] = []
        for one in loop.play(stage, count):
            played.append(one)
            if parts.stopping:
                raise Unavailable("interrupted; begin anew in another folder")
        return played


def describe(summary: Summary) -> str:
    """The summary for a person."""
    decisions = ", ".join(f"{count} {name}" for name, count in summary.decisions.items())
    losses = ", ".join(
        f"{kind} loss {one['loss_first']:.3f} to {one['loss_last']:.3f}"
        for kind, one in summary.training.items()
    )
    figures = "\n".join(
        f"  {name:24} {_number(figure['value']):>8}  (n = {figure['n']})"
        for name, figure in summary.report.items()
    )
    return (
        f"\n{summary.proposals} proposals, {summary.reviews} reviews, {summary.executed} executed\n"
        f"decisions: {decisions}\n{summary.pairs} preference pairs; {losses or 'no training'}\n"
        f"{figures}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
