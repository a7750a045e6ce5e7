"""Runs: a piece of an agent's work that people watch, interrupt and hand back.

In: what agents say of their progress, what supervisors say to it. Out: rows of `Run` and
`RunStep`; a refusal to use the permits of a run that is interrupted.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from sqlmodel import Session, col, select

from errata import protocol
from errata.errors import Conflict, Forbidden, Interrupted, Malformed, NotFound
from ingestion import events, keys, notes, tables
from ingestion.notes import Words

Status = Literal["running", "paused", "taken_over", "stopped", "done", "failed"]
Mode = Literal["pause", "takeover", "stop"]

INTERRUPTED: dict[Mode, Status] = {"pause": "paused", "takeover": "taken_over", "stop": "stopped"}
ENDED = ("done", "failed")

INTERRUPTION = "its run is interrupted"
"""The reason of what would have run at once and was queued because of its run."""


def _named(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


class Opening(protocol.Value):
    """What an agent sends to begin a run."""

    id: protocol.Id | None = None
    """The same id again is the same run; made up where there is none."""
    agent: Annotated[protocol.Agent, BeforeValidator(_named)]
    """Or its id alone."""
    task_id: protocol.Reference | None = None
    goal: Words | None = None


class Step(protocol.Value):
    """What an agent says it has come to."""

    id: protocol.Id | None = None
    """The same id again is the same step; made up where there is none."""
    name: protocol.Name
    status: Literal["started", "done", "failed"] = "started"
    progress: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    note: Words | None = None
    proposal_id: protocol.Id | None = None


class Interrupt(protocol.Value):
    """A supervisor's word that a run must not go on."""

    mode: Mode
    reason: Words


class Resumption(protocol.Value):
    """A supervisor's word that a run may go on."""

    note: Words | None = None
    """For the agent."""


class End(protocol.Value):
    """What an agent says when it is through."""

    status: Literal["done", "failed"] = "done"


def begin(
    session: Session, opening: Opening, caller: tables.Principal, *, now: datetime
) -> tables.Run:
    """Begin a run, or find the one that was begun with this id.

    Raises:
        Forbidden: The key may not speak for that agent.
        Conflict: The id is another run's.
    """
    keys.require_agent(caller, opening.agent.id)
    known = session.get(tables.Run, opening.id) if opening.id else None
    if known is not None:
        if (known.begun_by, known.agent_id) != (caller.id, opening.agent.id):
            raise Conflict(f"the id {known.id!r} is taken by another run", field="id")
        return known
    run = tables.Run(
        id=opening.id or events.new_id(now),
        agent_id=opening.agent.id,
        task_id=opening.task_id,
        begun_by=caller.id,
        status="running",
        begun_at=now,
        changed_at=now,
    )
    session.add(run)
    notes.keep(session, "run", run.id, {"goal": opening.goal}, run_id=run.id)
    events.append(session, "run.begun", actor=caller.id, now=now, run=run.id)
    return run


def load(session: Session, run_id: str) -> tables.Run:
    """A run.

    Raises:
        NotFound: There is none.
    """
    run = session.get(tables.Run, run_id)
    if run is None:
        raise NotFound(f"no run {run_id!r}")
    return run


def hold(session: Session, run_id: str) -> tables.Run:
    """A run, locked until the transaction ends; taken before the log's lock.

    Raises:
        NotFound: There is none.
    """
    run = session.get(tables.Run, run_id, with_for_update=True)
    if run is None:
        raise NotFound(f"no run {run_id!r}")
    return run


def check_visible(run: tables.Run, caller: tables.Principal) -> None:
    """Let an agent's key see only the runs that it began.

    Raises:
        Forbidden: It is another key's.
    """
    if "agent" in caller.roles and run.begun_by != caller.id:
        raise Forbidden("this run was begun with another agent's key")


def _own(session: Session, run_id: str, caller: tables.Principal) -> tables.Run:
    run = hold(session, run_id)
    if run.begun_by != caller.id:
        raise Forbidden("this run was begun with another key")
    return run


def step(
    session: Session, run_id: str, said: Step, caller: tables.Principal, *, now: datetime
) -> tables.Run:
    """Note a step. One of an interrupted run is noted too: the answer says that it must not go on.

    Raises:
        NotFound: No such run.
        Forbidden: It is another key's.
        Malformed: It names a proposal that this key did not make.
        Conflict: The run has ended.
    """
    run = _own(session, run_id, caller)
    if said.id is not None and session.get(tables.RunStep, (run.id, said.id)) is not None:
        return run
    if run.status in ENDED:
        raise Conflict(f"run {run.id} has ended: {run.status}")
    _check_proposal(session, said, caller)
    _change(session, run, now)
    run.progress = run.progress if said.progress is None else said.progress
    row = tables.RunStep(
        run_id=run.id,
        id=said.id or events.new_id(now),
        number=run.version,
        status=said.status,
        progress=said.progress,
        proposal_id=said.proposal_id,
        at=now,
    )
    session.add(row)
    notes.keep(
        session,
        "step",
        f"{run.id}:{row.id}",
        {"name": said.name, "note": said.note},
        run_id=run.id,
        proposal_id=said.proposal_id,
    )
    events.append(
        session,
        "run.stepped",
        actor=caller.id,
        now=now,
        proposal_id=said.proposal_id,
        run=run.id,
        step=row.id,
        status=said.status,
    )
    return run


def _check_proposal(session: Session, said: Step, caller: tables.Principal) -> None:
    if said.proposal_id is None:
        return
    row = session.get(tables.Proposal, said.proposal_id)
    if row is None or row.proposed_by != caller.id:
        raise Malformed(f"no proposal {said.proposal_id!r} of this agent", field="proposal_id")


def _change(session: Session, run: tables.Run, now: datetime) -> None:
    run.version += 1
    run.changed_at = now
    session.add(run)


def end(
    session: Session, run_id: str, said: End, caller: tables.Principal, *, now: datetime
) -> tables.Run:
    """Note that a run is over; the same again changes nothing.

    Raises:
        NotFound: No such run.
        Forbidden: It is another key's.
        Interrupted: It is interrupted, and stays so: an end would let its permits be used.
        Conflict: It has ended otherwise.
    """
    run = _own(session, run_id, caller)
    if run.status == said.status:
        return run
    if run.status in ENDED:
        raise Conflict(f"run {run.id} has ended: {run.status}")
    _refuse_interrupted(run.id, run.status)
    _change(session, run, now)
    run.status = said.status
    events.append(session, "run.ended", actor=caller.id, now=now, run=run.id, status=said.status)
    return run


def interrupt(
    session: Session, run_id: str, said: Interrupt, caller: tables.Principal, *, now: datetime
) -> tables.Run:
    """Interrupt a run, one that has ended too: what it left waiting must not run.

    From the answer on, no permit of its proposals is used.

    Raises:
        NotFound: No such run.
    """
    run = hold(session, run_id)
    events.hold(session)  # whoever uses a permit holds it too, and then looks at the run
    _change(session, run, now)
    run.status = INTERRUPTED[said.mode]
    _speak(session, run, said.reason, caller, now)
    events.append(session, "run.interrupted", actor=caller.id, now=now, run=run.id, mode=said.mode)
    return run


def resume(
    session: Session, run_id: str, said: Resumption, caller: tables.Principal, *, now: datetime
) -> tables.Run:
    """Hand a run back to its agent.

    Raises:
        NotFound: No such run.
        Conflict: It is not interrupted.
    """
    run = hold(session, run_id)
    if run.status not in INTERRUPTED.values():
        raise Conflict(f"run {run.id} is not interrupted: {run.status}")
    _change(session, run, now)
    run.status = "running"
    _speak(session, run, said.note, caller, now)
    events.append(session, "run.resumed", actor=caller.id, now=now, run=run.id)
    return run


def _speak(
    session: Session, run: tables.Run, text: str | None, caller: tables.Principal, now: datetime
) -> None:
    run.word, run.word_by, run.word_at = f"{run.id}:{run.version}", caller.id, now
    notes.keep(session, "word", run.word, {"text": text}, run_id=run.id)


def is_interrupted(session: Session, run_id: str | None) -> bool:
    """Whether the run that a proposal names is interrupted; one that is not ours never is."""
    return run_id is not None and _status(session, run_id) in INTERRUPTED.values()


def check_running(session: Session, run_id: str | None) -> None:
    """Refuse to go on in a run that is interrupted.

    Raises:
        Interrupted: It is.
    """
    if run_id is not None:
        _refuse_interrupted(run_id, _status(session, run_id))


def _status(session: Session, run_id: str) -> str | None:
    return session.exec(select(tables.Run.status).where(tables.Run.id == run_id)).first()


def _refuse_interrupted(run_id: str, status: str | None) -> None:
    if status in INTERRUPTED.values():
        raise Interrupted(f"run {run_id} is {status}: nothing of it goes on until it is resumed")


def listed(
    session: Session, *, begun_by: str | None = None, status: str | None = None, limit: int = 200
) -> list[tables.Run]:
    """Runs, the newest first.

    Args:
        session: A transaction.
        begun_by: Only those of this principal.
        status: Only those with this status.
        limit: At most so many.
    """
    statement = select(tables.Run)
    if begun_by is not None:
        statement = statement.where(tables.Run.begun_by == begun_by)
    if status is not None:
        statement = statement.where(tables.Run.status == status)
    return list(session.exec(statement.order_by(col(tables.Run.begun_at).desc()).limit(limit)))
