"""Sends deliveries. In: the outbox, and a hint that something was put there. Out: HTTP requests.

Answers have lanes of their own, so neither a thousand record events nor a slow receiver of
another webhook stands before a new answer. Deliveries of one lane start in order, but a slow or
repeated one may be overtaken; receivers compare `updated_at`.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from datetime import UTC, datetime
from math import floor
from uuid import UUID

import httpx
from argilla_server.database import AsyncSessionLocal
from argilla_server.models import Webhook
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from standardwebhooks.webhooks import Webhook as Signer

from errata_argilla.webhooks import notes, outbox
from errata_argilla.webhooks.outbox import Delivery

_LOGGER = logging.getLogger("errata_argilla")

POLL_SECONDS = 0.5
"""How often rows of other processes and rows to be tried again are looked for."""

TIMEOUT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 60.0
LANE_WIDTH = 4
IN_FLIGHT = 40

# A proxy named in the environment cannot reach this machine's own addresses.
_DIRECT = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


class Dispatcher:
    """The sender of one server process."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, mounts=_DIRECT)
        self._lanes: dict[tuple[UUID, bool], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(LANE_WIDTH)
        )
        self._woken = asyncio.Event()
        self._sending: dict[asyncio.Task[None], Delivery] = {}
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; fails if the outbox is missing."""
        await self._claim()
        self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """Finish nothing: what is under way falls due at once for the next process."""
        assert self._polling is not None
        tasks = [self._polling, *self._sending]
        unsent = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with AsyncSessionLocal() as session, session.begin():
            for delivery in unsent:
                await outbox.postpone(session, delivery, time.time(), delivery.attempts)
        await self._client.aclose()

    def wake(self) -> None:
        """Look into the outbox now."""
        self._woken.set()

    def send(self, delivery: Delivery) -> None:
        """Send a delivery this process has claimed."""
        task = asyncio.create_task(self._send(delivery))
        self._sending[task] = delivery
        task.add_done_callback(lambda done: self._sending.pop(done, None))

    async def _poll(self) -> None:
        while True:
            self._woken.clear()
            try:
                found = await self._claim()
            except SQLAlchemyError as problem:
                _LOGGER.warning("the outbox cannot be read: %s", type(problem).__name__)
                found = 0
            if not found:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)

    async def _claim(self) -> int:
        room = IN_FLIGHT - len(self._sending)
        if room <= 0:
            return 0
        async with AsyncSessionLocal() as session, session.begin():
            claimed = await outbox.claim(session, time.time(), room)
        for delivery in claimed:
            self.send(delivery)
        return len(claimed)

    async def _send(self, delivery: Delivery) -> None:
        async with self._lanes[delivery.webhook_id, delivery.urgent]:
            try:
                await self._try(delivery)
            except SQLAlchemyError as problem:
                # The claim runs out, and the row is then due again.
                _LOGGER.warning("the outbox cannot be written: %s", type(problem).__name__)
        if len(self._sending) >= IN_FLIGHT:
            self.wake()

    async def _try(self, delivery: Delivery) -> None:
        async with AsyncSessionLocal() as session, session.begin():
            ours = await self._hold(session, delivery)
            if ours is None:
                return
            webhook = await outbox.listener(session, ours.webhook_id)
            body = ours.body or await notes.rebuild(session, ours)
            late = time.time() - ours.created_at > outbox.KEEP_SECONDS
            if webhook is None or body is None or late:
                _LOGGER.warning("%s %s is given up", ours.event, ours.message_id)
                await outbox.settle(session, ours)
                return
        ours = ours._replace(body=body)
        arrived = await self._post(webhook, ours)
        async with AsyncSessionLocal() as session, session.begin():
            if arrived:
                await outbox.settle(session, ours)
            else:
                tried = ours.attempts + 1
                await outbox.postpone(session, ours, time.time() + wait_after(tried), tried)

    async def _hold(self, session: AsyncSession, delivery: Delivery) -> Delivery | None:
        """Make sure the claim outlasts one attempt; the delivery may have waited in its lane."""
        now = time.time()
        if delivery.due_at - now > TIMEOUT_SECONDS + 1:
            return delivery
        return await outbox.renew(session, delivery, now)

    async def _post(self, webhook: Webhook, delivery: Delivery) -> bool:
        try:
            response = await self._client.post(
                webhook.url,
                content=delivery.body,
                headers=sign(webhook, delivery, datetime.now(UTC)),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            reason = type(problem).__name__
        else:
            if response.is_success:
                return True
            reason = f"status {response.status_code}"
        _LOGGER.warning("webhook %s did not take %s: %s", webhook.id, delivery.message_id, reason)
        return False


def sign(webhook: Webhook, delivery: Delivery, now: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks, as Argilla writes them."""
    return {
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(floor(now.timestamp())),
        "webhook-signature": Signer(webhook.secret).sign(delivery.message_id, now, delivery.body),
        "content-type": "application/json",
    }


def wait_after(attempts: int) -> float:
    """Return how many seconds to wait after so many failed attempts: 1, 2, 4 ... a minute."""
    return min(2.0 ** (attempts - 1), LONGEST_WAIT_SECONDS)
