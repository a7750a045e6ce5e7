"""Sending what a desk's steps ask for, and running a tool's body between permit and receipt.

In: a client, steps, a body. Out: what the steps return; the body's result, reported.
`Driver` works in threads, `AsyncDriver` in event loops.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from errata import calls, errors
from errata.agents.desk import Desk, Flow, Step
from errata.agents.standing import Ready
from errata.async_client import AsyncClient
from errata.client import Client
from errata.gate import receipt

T = TypeVar("T")


class _Steps:
    """A flow, and the step that it is at."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.step: Step | None = None
        self.result: Any = None
        self._advance(lambda: next(flow))

    def answer(self, given: Any) -> None:
        self._advance(lambda: self._flow.send(given))

    def fail(self, error: errors.ErrataError) -> None:
        self._advance(lambda: self._flow.throw(error))

    def _advance(self, move: Callable[[], Step]) -> None:
        try:
            self.step = move()
        except StopIteration as end:
            self.step, self.result = None, end.value


class Driver:
    """Drives flows with a synchronous client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def drive(self, flow: Flow[T]) -> T:
        """Do what a flow asks for until it returns."""
        steps = _Steps(flow)
        while steps.step is not None:
            try:
                given = self._do(steps.step)
            except errors.ErrataError as error:
                steps.fail(error)
            else:
                steps.answer(given)
        return steps.result

    def _do(self, step: Step) -> Any:
        if isinstance(step, calls.Call):
            return self.client.send(step)
        return time.sleep(step)

    def run(
        self, desk: Desk, ready: Ready, arguments: dict[str, Any], body: Callable[[], Any]
    ) -> Any:
        """Run a tool's body under its permit, and report what came of it.

        What the policy let run at once is reported while the agent goes on; what people decided,
        before it does.

        Args:
            desk: Whose call it is.
            ready: The call.
            arguments: As JSON, made from what the body is about to use.
            body: Runs once, or not at all.

        Returns:
            The body's result; `Done` where another process has run it.

        Raises:
            DigestMismatch, PermitExpired, PermitRevoked, Halted, Interrupted, TooEarly: From the
                permit; nothing has run.
        """
        done = self.drive(desk.begin(ready, arguments, self.client.patience))
        if done is not None:
            return done
        started = datetime.now(UTC)
        try:
            result = body()
        except Exception as error:
            self.client.report(receipt(ready.permit, started, None, error))
            raise
        told = receipt(ready.permit, started, result, None)
        if ready.begun:
            self.client.report_behind(told)
        else:
            self.client.report(told)
        return result


class AsyncDriver:
    """Drives flows with an asynchronous client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def drive(self, flow: Flow[T]) -> T:
        """Do what a flow asks for until it returns."""
        steps = _Steps(flow)
        while steps.step is not None:
            try:
                given = await self._do(steps.step)
            except errors.ErrataError as error:
                steps.fail(error)
            else:
                steps.answer(given)
        return steps.result

    async def _do(self, step: Step) -> Any:
        if isinstance(step, calls.Call):
            return await self.client.send(step)
        return await asyncio.sleep(step)

    async def run(
        self,
        desk: Desk,
        ready: Ready,
        arguments: dict[str, Any],
        body: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Run a tool's body under its permit; see `Driver.run`."""
        done = await self.drive(desk.begin(ready, arguments, self.client.patience))
        if done is not None:
            return done
        started = datetime.now(UTC)
        try:
            result = await body()
        except Exception as error:
            await self.client.report(receipt(ready.permit, started, None, error))
            raise
        told = receipt(ready.permit, started, result, None)
        if ready.begun:
            self.client.report_behind(told)
        else:
            await self.client.report(told)
        return result
