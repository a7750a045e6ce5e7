"""Routes of oversight: what agents say they ran, the alarms, shadows, feedback.

In: HTTP requests. Out: calls of this stage's modules, one transaction each.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from errata.requests import Db, Reading
from ingestion import alarms, bodies, executions, feedback, keys, shadows, tables
from ingestion.access import Caller, Now

router = APIRouter(prefix="/v1")


@router.post("/executions", status_code=201, openapi_extra=bodies.described(executions.Report))
def execution(caller: Caller, body: bodies.Single, session: Db, now: Now) -> dict[str, Any]:
    """Say that something ran; what no permit covers is raised as a bypass."""
    keys.require(caller, "agent")
    report = bodies.parse(body.raw, executions.Report)
    return executions.record(session, report, caller, now=now)._asdict()


@router.get("/alarms")
def listed(
    session: Reading, caller: Caller, closed: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """The open alarms, the newest first; with `closed=true` those that were closed too."""
    keys.require(caller, "reviewer", "supervisor", "admin", "analyst")
    return {"alarms": [wire(one) for one in alarms.listed(session, closed=closed)]}


@router.post("/alarms/{alarm_id}/close")
def close(alarm_id: str, session: Db, caller: Caller, now: Now) -> dict[str, Any]:
    """Say that somebody has looked at it."""
    keys.require(caller, "supervisor", "admin")
    return wire(alarms.close(session, alarm_id, actor=caller.id, now=now))


@router.get("/shadow")
def shadow(session: Reading, caller: Caller, agent: str | None = None) -> dict[str, Any]:
    """How often silent answers agree with what people decided on the same work."""
    keys.require(caller, "analyst", "admin")
    return shadows.compare(session, agent).wire()


@router.post("/feedback", status_code=201, openapi_extra=bodies.described(feedback.Given))
def give(caller: Caller, body: bodies.Single, session: Db, now: Now) -> dict[str, Any]:
    """A thumb, up or down; an agent's key speaks for an end user."""
    keys.require(caller, "agent", "reviewer", "supervisor")
    given = bodies.parse(body.raw, feedback.Given)
    return feedback.wire(session, [feedback.take(session, given, caller, now=now)])[0]


@router.get("/feedback")
def given(
    session: Reading,
    caller: Caller,
    proposal: str | None = None,
    run: str | None = None,
    task: str | None = None,
) -> dict[str, Any]:
    """What was given, the newest first."""
    keys.require(caller, "analyst", "admin")
    about = feedback.About(proposal, run, task)
    return {"feedback": feedback.wire(session, feedback.listed(session, about))}


def wire(alarm: tables.Alarm) -> dict[str, Any]:
    """An alarm as it goes out."""
    return alarm.model_dump(mode="json")
