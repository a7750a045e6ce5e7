"""Routes of runs: begin, step, end, interrupt, resume, look.

In: HTTP requests. Out: runs as they go over the wire, with their texts.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlmodel import Session, col, select
from starlette.concurrency import run_in_threadpool

from errata.db import current
from errata.requests import Db, Reading
from ingestion import bodies, keys, notes, runs, tables
from ingestion.access import Bearer, Caller, Now
from ingestion.bell import Bell
from ingestion.tables import Principal, Run, RunStep

router = APIRouter(prefix="/v1/runs")

STEPS = 200
"""The newest so many are shown."""
MODES = {status: mode for mode, status in runs.INTERRUPTED.items()}


@router.post("", status_code=201, openapi_extra=bodies.described(runs.Opening))
def begin(caller: Caller, body: bodies.Single, session: Db, now: Now) -> dict[str, Any]:
    """Begin a run, or find the one with that id."""
    keys.require(caller, "agent")
    opening = bodies.parse(body.raw, runs.Opening)
    return brief(session, runs.begin(session, opening, caller, now=now))


@router.post("/{run_id}/steps", status_code=201, openapi_extra=bodies.described(runs.Step))
def step(run_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now) -> dict[str, Any]:
    """Note a step; the answer says whether the run may go on."""
    keys.require(caller, "agent")
    said = bodies.parse(body.raw, runs.Step)
    return brief(session, runs.step(session, run_id, said, caller, now=now))


@router.post("/{run_id}/end", openapi_extra=bodies.described(runs.End))
def end(run_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now) -> dict[str, Any]:
    """Say that a run is over."""
    keys.require(caller, "agent")
    said = bodies.parse(body.raw, runs.End)
    return brief(session, runs.end(session, run_id, said, caller, now=now))


@router.post("/{run_id}/interrupt", openapi_extra=bodies.described(runs.Interrupt))
def interrupt(
    run_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Pause a run, take it over or stop it: from the answer on no permit of it is used."""
    keys.require(caller, "supervisor", "admin")
    said = bodies.parse(body.raw, runs.Interrupt)
    return brief(session, runs.interrupt(session, run_id, said, caller, now=now))


@router.post("/{run_id}/resume", openapi_extra=bodies.described(runs.Resumption))
def resume(
    run_id: str, caller: Caller, body: bodies.Single, session: Db, now: Now
) -> dict[str, Any]:
    """Hand a run back to its agent."""
    keys.require(caller, "supervisor", "admin")
    said = bodies.parse(body.raw or b"{}", runs.Resumption)
    return brief(session, runs.resume(session, run_id, said, caller, now=now))


@router.get("")
def listed(
    session: Reading, caller: Caller, status: Annotated[runs.Status | None, Query()] = None
) -> dict[str, Any]:
    """The runs, the newest first; an agent's key sees its own."""
    begun_by = caller.id if "agent" in caller.roles else None
    found = runs.listed(session, begun_by=begun_by, status=status)
    return {"runs": [brief(session, one) for one in found]}


@router.get("/{run_id}")
async def show(
    run_id: str,
    request: Request,
    bearer: Bearer,
    wait: Annotated[float, Query(ge=0, le=60)] = 0,
    after: Annotated[int | None, Query(ge=0, le=2**31)] = None,
) -> dict[str, Any]:
    """A run with its steps.

    With `wait`, as soon as its `version` is above `after`; without `after`, at the next change.
    """
    bell: Bell = request.app.state.bell
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    async with bell.listening(run_id) as woken:
        while True:
            woken.clear()
            found = await run_in_threadpool(_look, run_id, bearer)
            after = found["version"] if after is None else after
            left = end - loop.time()
            if found["version"] > after or left <= 0:
                return found
            try:
                await asyncio.wait_for(woken.wait(), left)
            except TimeoutError:
                return found


def _look(run_id: str, bearer: str | None) -> dict[str, Any]:
    """The run, in a transaction of its own: none is held while waiting."""
    with current().reading() as session:
        caller = keys.authenticate(session, bearer)
        run = runs.load(session, run_id)
        runs.check_visible(run, caller)
        return {**brief(session, run), "steps": _steps(session, run)}


def brief(session: Session, run: Run) -> dict[str, Any]:
    """A run without its steps: what an agent needs to know whether it may go on."""
    values = run.model_dump(mode="json", exclude={"word", "word_by", "word_at", "begun_by"})
    goal = notes.text(session, "run", run.id).get("goal")
    return {**values, "goal": goal, **_word(session, run)}


def _word(session: Session, run: Run) -> dict[str, Any]:
    """Why it is interrupted, or what the agent was told when it was handed back."""
    if run.word is None or run.word_at is None:
        return {}
    text = notes.text(session, "word", run.word).get("text")
    if run.status not in MODES:
        return {"note": text}
    person = session.get(Principal, run.word_by)
    said = {"by": person and person.name, "at": run.word_at.isoformat()}
    return {"interrupt": {"mode": MODES[run.status], "reason": text, **said}}


def _steps(session: Session, run: Run) -> Sequence[dict[str, Any]]:
    statement = (
        select(RunStep)
        .where(RunStep.run_id == run.id)
        .order_by(col(RunStep.number).desc())
        .limit(STEPS)
    )
    rows = session.exec(statement).all()
    said = notes.texts(session, "step", [f"{run.id}:{one.id}" for one in rows])
    return [_step(one, said.get(f"{run.id}:{one.id}", {})) for one in reversed(rows)]


def _step(row: tables.RunStep, said: dict[str, Any]) -> dict[str, Any]:
    return {
        **row.model_dump(mode="json", exclude={"run_id"}),
        "name": said.get("name"),
        "note": said.get("note"),
    }
