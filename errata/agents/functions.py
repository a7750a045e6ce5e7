"""Plain functions as tools, in a job that can be run again from its start.

In: a client, the name of a job, functions. Out: functions that ask before they run. A job whose
process ended is begun again by another: calls that were made return what they returned, those that
wait go on waiting, and nothing runs twice.

    tool = gated(client, "cfo", thread="payroll-2026-11")
    transfer = tool(transfer)
"""

import inspect
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from errata import calls, errors
from errata.agents.desk import LAPSED, Called, Desk, Flow
from errata.agents.driving import AsyncDriver, Driver
from errata.agents.standing import JSON, Done, Ready, Waiting
from errata.async_client import AsyncClient
from errata.client import Client
from errata.digest import canonical
from errata.gate import Gate, dress
from errata.protocol import Agent

Function = TypeVar("Function", bound=Callable[..., Any])


def gated(
    client: Client | AsyncClient,
    agent: str | Agent,
    *,
    thread: str,
    timeout: float | None = None,
    **fields: Any,
) -> Callable[[Function], Function]:
    """A decorator for the tools of one job.

    Args:
        client: Of an agent's key; an `AsyncClient` for coroutine functions.
        agent: Who calls.
        thread: The job's name: the same name is the same job, in whatever process.
        timeout: Seconds for which a call waits for people; None: until the proposal's deadline.
        fields: Fields of every proposal.

    Raises:
        Refused: From a call that may not run; carries the decision.
        StillOpen: From a call that nobody has decided in time; make it again later.
        RanBefore: From a call that has failed before, or of which nobody knows.
    """
    job = _Job(Desk(agent, **fields), thread, timeout)

    def decorate(function: Function) -> Function:
        gate = Gate.around(function, job.desk.agent, {})
        if isinstance(client, Client):
            return dress(function, _blocking(job, gate, Driver(client)))
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__}: an AsyncClient gates coroutine functions")
        return dress(function, _awaiting(job, gate, AsyncDriver(client)))

    return decorate


class _Job:
    """The calls of one run of a job, in their order."""

    def __init__(self, desk: Desk, thread: str, timeout: float | None) -> None:
        self.desk = desk
        self._thread = thread
        self._timeout = timeout
        self._made: Counter[bytes] = Counter()
        self._counting = Lock()

    def called(self, gate: Gate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Called:
        """A call, told apart from the same call before it in this job."""
        action = gate.action(args, kwargs)
        print_ = canonical([gate.name, action.arguments])
        with self._counting:  # two threads must not take each other's call for their own
            self._made[print_] += 1
            nth = self._made[print_]
        return Called(
            name=gate.name,
            arguments=action.arguments,
            id=str(nth),
            thread=self._thread,
            turn="job",
            schema=gate.schema,
            description=inspect.getdoc(gate.function),
        )

    def settled(self, call: Called) -> Flow[Ready | Done]:
        """Ask, and wait.

        Raises:
            StillOpen: The time is over and nobody has decided.
        """
        end = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            now = yield from self.desk.settle(call, at_once=True)
            if not isinstance(now, Waiting):
                return now
            left = calls.LONGEST_POLL if end is None else end - time.monotonic()
            if left <= 0:
                raise errors.StillOpen(f"proposal {now.ticket.id} is not decided yet")
            yield calls.polling(now.ticket.id, min(left, calls.LONGEST_POLL))


def _blocking(job: _Job, gate: Gate, driver: Driver) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        asked = job.called(gate, args, kwargs)
        while True:
            now = driver.drive(job.settled(asked))
            if isinstance(now, Done):
                return kept(gate, now)
            try:
                given = gate.arguments(now.action)
            except errors.Malformed:
                driver.drive(job.desk.abandon(now))
                raise
            passed = JSON.dump_python(given, mode="json")
            try:
                result = driver.run(job.desk, now, passed, partial(gate.function, **given))
            except LAPSED:
                continue
            return kept(gate, result) if isinstance(result, Done) else result

    return call


def _awaiting(job: _Job, gate: Gate, driver: AsyncDriver) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        asked = job.called(gate, args, kwargs)
        while True:
            now = await driver.drive(job.settled(asked))
            if isinstance(now, Done):
                return kept(gate, now)
            try:
                given = gate.arguments(now.action)
            except errors.Malformed:
                await driver.drive(job.desk.abandon(now))
                raise
            passed = JSON.dump_python(given, mode="json")
            try:
                result = await driver.run(job.desk, now, passed, partial(gate.function, **given))
            except LAPSED:
                continue
            return kept(gate, result) if isinstance(result, Done) else result

    return call


def kept(gate: Gate, done: Done) -> Any:
    """What a call returned before, in the function's own type.

    Raises:
        Refused: It may not run.
        RanBefore: It failed then, or nobody knows.
    """
    if done.ok:
        return gate.returned(done.result)
    ticket = done.ticket
    if ticket is None:
        raise errors.Malformed(done.text)
    if ticket.receipt is None and ticket.status not in {"unknown", "executing"}:
        assert ticket.decision is not None
        raise errors.Refused(done.text, ticket.decision)
    raise errors.RanBefore(done.text)
