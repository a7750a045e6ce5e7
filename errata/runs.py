"""Runs for agents: say where one stands, stop when told to, ask when one fails.

In: a client. Out: runs with steps; `retrying`, which asks a person after the last attempt. Needs
nothing but what the client has.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from errata import errors
from errata.protocol import Agent, Decision, Proposal, Ticket

T = TypeVar("T")

Send = Callable[[str, str, Any, float], Any]
"""A call to the server: method, path, JSON, seconds; the answer."""
AsyncSend = Callable[[str, str, Any, float], Awaitable[Any]]
StepStatus = Literal["started", "done", "failed"]

POLL = 30.0
"""Seconds that one long poll for a resume is held."""
SLACK = 15.0
"""Seconds more in which the answer may come."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts, at most."""


def opening(agent: str | Agent, goal: str | None, task_id: str | None) -> dict[str, Any]:
    """What begins a run; its id is made up here, so that a repetition begins no second one."""
    named = {"id": agent} if isinstance(agent, str) else agent.wire()
    given = {"id": uuid.uuid4().hex, "agent": named, "goal": goal, "task_id": task_id}
    return {name: value for name, value in given.items() if value is not None}


def _step(
    name: str,
    status: StepStatus,
    progress: float | None,
    note: str | None,
    proposal: Ticket | str | None,
) -> dict[str, Any]:
    given = {
        "id": uuid.uuid4().hex,
        "name": name,
        "status": status,
        "progress": progress,
        "note": note,
        "proposal_id": proposal.id if isinstance(proposal, Ticket) else proposal,
    }
    return {key: value for key, value in given.items() if value is not None}


def _check(run: dict[str, Any]) -> bool:
    """Whether a run may go on; False while it is paused.

    Raises:
        Interrupted: It is stopped or taken over.
    """
    if run["status"] == "paused":
        return False
    word = run.get("interrupt")
    if word is not None:
        error = errors.Interrupted(f"{word['mode']}: {word['reason'] or 'the reason was erased'}")
        error.mode, error.reason = word["mode"], word["reason"]
        raise error
    return True


class _Wait:
    """The time in which a pause is waited out."""

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def seconds(self, run: dict[str, Any]) -> float:
        """How long the next poll is to be held.

        Raises:
            StillOpen: The time is over.
        """
        left = POLL if self._end is None else self._end - time.monotonic()
        if left <= 0:
            raise errors.StillOpen(f"run {run['id']} is paused still")
        return min(left, POLL)


def _poll(run: dict[str, Any], seconds: float) -> tuple[str, str, None, float]:
    path = f"/v1/runs/{run['id']}?wait={seconds:.3f}&after={run['version']}"
    return "GET", path, None, seconds + SLACK


def _end(failed: bool) -> dict[str, str]:
    return {"status": "failed" if failed else "done"}


class Run:
    """A run of a `Client`; ends with its `with` block, as `failed` where that raises."""

    def __init__(self, send: Send, begun: dict[str, Any]) -> None:
        self._send = send
        self.id: str = begun["id"]
        """For `run_id` of proposals: their permits wait while the run is interrupted."""

    def step(
        self,
        name: str,
        *,
        status: StepStatus = "started",
        progress: float | None = None,
        note: str | None = None,
        proposal: Ticket | str | None = None,
        timeout: float | None = None,
    ) -> str | None:
        """Say where the run stands; while it is paused, wait until it is handed back.

        Args:
            name: What begins, or has ended.
            status: Whether it begins, is done or has failed.
            progress: 0 to 1, of the whole run.
            note: For whoever watches.
            proposal: What the step is about.
            timeout: Seconds to wait out a pause; None: as long as it takes.

        Returns:
            What a supervisor told the agent when the run was handed back last, if anything.

        Raises:
            Interrupted: The run is stopped or taken over: leave the task; `mode`, `reason`.
            StillOpen: It is paused still.
        """
        said = _step(name, status, progress, note, proposal)
        run = self._send("POST", f"/v1/runs/{self.id}/steps", said, POLL)
        wait = _Wait(timeout)
        while not _check(run):
            run = self._send(*_poll(run, wait.seconds(run)))
        return run.get("note")

    def end(self, *, failed: bool = False) -> None:
        """Say that the run is over.

        Raises:
            Interrupted: It is interrupted, and stays so.
        """
        self._send("POST", f"/v1/runs/{self.id}/end", _end(failed), POLL)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()
            return
        with suppress(errors.ErrataError):  # what went wrong in the block says more
            self.end(failed=True)


class AsyncRun:
    """A run of an `AsyncClient`; see `Run`. It begins with its `async with` block."""

    def __init__(self, send: AsyncSend, opened: dict[str, Any]) -> None:
        self._send = send
        self._opened = opened
        self.id: str = opened["id"]

    async def step(
        self,
        name: str,
        *,
        status: StepStatus = "started",
        progress: float | None = None,
        note: str | None = None,
        proposal: Ticket | str | None = None,
        timeout: float | None = None,
    ) -> str | None:
        """Say where the run stands; see `Run.step`."""
        said = _step(name, status, progress, note, proposal)
        run = await self._send("POST", f"/v1/runs/{self.id}/steps", said, POLL)
        wait = _Wait(timeout)
        while not _check(run):
            run = await self._send(*_poll(run, wait.seconds(run)))
        return run.get("note")

    async def end(self, *, failed: bool = False) -> None:
        """Say that the run is over; see `Run.end`."""
        await self._send("POST", f"/v1/runs/{self.id}/end", _end(failed), POLL)

    async def __aenter__(self) -> "AsyncRun":
        await self._send("POST", "/v1/runs", self._opened, POLL)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            await self.end()
            return
        with suppress(errors.ErrataError):
            await self.end(failed=True)


# --- asking after the last attempt ---


class Asks(Protocol):
    """What `retrying` needs of a client."""

    def propose(self, proposal: Proposal | None = None, **fields: Any) -> Ticket:
        """Ask."""
        ...

    def wait(self, ticket: Ticket | str, timeout: float | None = None) -> Ticket:
        """Wait for the decision."""
        ...


class AsksAsync(Protocol):
    """What `retrying_async` needs of a client."""

    async def propose(self, proposal: Proposal | None = None, **fields: Any) -> Ticket:
        """Ask."""
        ...

    async def wait(self, ticket: Ticket | str, timeout: float | None = None) -> Ticket:
        """Wait for the decision."""
        ...


class _Attempts(NamedTuple):
    """How often to try, and what is said to people in the end."""

    most: int
    delay: float
    agent: str | Agent
    goal: str
    extra: dict[str, Any]

    def pause(self, number: int) -> float:
        """Seconds before the attempt after this one: doubling, with jitter."""
        return random.uniform(0.5, 1.0) * min(self.delay * 2**number, LONGEST_PAUSE)

    def question(self, failures: list[Exception]) -> dict[str, Any]:
        """The exception proposal."""
        words = [f"{type(one).__name__}: {one}" for one in failures]
        named = {"id": self.agent} if isinstance(self.agent, str) else self.agent.wire()
        return {
            "kind": "exception",
            "agent": named,
            "message": f"{self.goal}: failed {len(failures)} times; {words[-1]}",
            "reasoning": {
                "goal": self.goal,
                "done": [f"attempt {at}: {said}" for at, said in enumerate(words, start=1)],
                "stuck_on": words[-1],
            },
            **self.extra,
        }


def _attempts(
    attempts: int, delay: float, agent: str | Agent, goal: str, extra: dict[str, Any]
) -> _Attempts:
    if attempts < 1:
        raise errors.Malformed("attempts: at least one", field="attempts")
    return _Attempts(attempts, delay, agent, goal, extra)


def answer(decision: Decision | None, because: Exception) -> Any:
    """What a person said to an exception: the response, or the version of an edit.

    Raises:
        Refused: Nobody gave an answer: rejected, taken over, expired.
    """
    assert decision is not None
    told = decision.effective
    if decision.outcome == "respond":
        return told.response
    if decision.outcome == "edit":
        return told.content if told.action is None else told.action
    raise errors.Refused(f"{decision.outcome}: {decision.reason}", decision) from because


def retrying(
    fn: Callable[[], T],
    attempts: int = 3,
    *,
    client: Asks,
    agent: str | Agent,
    goal: str,
    delay: float = 0.5,
    timeout: float | None = None,
    **extra: Any,
) -> T | Any:
    """Try something that may fail, and ask a person after the last attempt.

    Args:
        fn: What to try. What Errata itself raises is passed on at once: a refusal is no failure.
        attempts: How often.
        client: Asks.
        agent: Who tries.
        goal: What for; shown to the person.
        delay: Seconds before the second attempt; doubles, with jitter, up to half a minute.
        timeout: Seconds to wait for the person.
        extra: Further fields of the proposal, such as `run_id`, `options` or `task_id`.

    Returns:
        What `fn` returned, or the person's answer: a response, or an edit's action or content. An
        action is advice, not a permit: propose it.

    Raises:
        Refused: The person gave no answer; carries the decision, with the last failure as cause.
        StillOpen: Nobody has answered in time.
    """
    plan = _attempts(attempts, delay, agent, goal, extra)
    failures: list[Exception] = []
    while True:
        try:
            return fn()
        except errors.ErrataError:
            raise
        except Exception as error:
            failures.append(error)
        if len(failures) == plan.most:
            ticket = client.wait(client.propose(**plan.question(failures)), timeout)
            return answer(ticket.decision, failures[-1])
        time.sleep(plan.pause(len(failures) - 1))


async def retrying_async(
    fn: Callable[[], Awaitable[T]],
    attempts: int = 3,
    *,
    client: AsksAsync,
    agent: str | Agent,
    goal: str,
    delay: float = 0.5,
    timeout: float | None = None,
    **extra: Any,
) -> T | Any:
    """Try something that may fail, and ask a person after the last attempt; see `retrying`."""
    plan = _attempts(attempts, delay, agent, goal, extra)
    failures: list[Exception] = []
    while True:
        try:
            return await fn()
        except errors.ErrataError:
            raise
        except Exception as error:
            failures.append(error)
        if len(failures) == plan.most:
            asked = await client.propose(**plan.question(failures))
            return answer((await client.wait(asked, timeout)).decision, failures[-1])
        await asyncio.sleep(plan.pause(len(failures) - 1))
