"""The bridge: what happens with a message, and how decisions get out.

In: a carrier, the API. Out: each message acknowledged only after the API has answered; decisions
told from the event feed, and the cursor moved only after the broker has them.
"""

import asyncio
import logging
from typing import Any

from errata.async_client import AsyncClient
from errata.broker.cursor import Cursor
from errata.broker.messages import Carrier, Incoming, Parked, Told
from errata.calls import LONGEST_POLL, Call
from errata.errors import (
    ErrataError,
    Forbidden,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
)
from errata.protocol import Ticket

log = logging.getLogger("errata.broker")

LARGEST = 32 * 1024 * 1024
"""Bytes that the API still reads of a proposal, to say which field is too large."""
PAUSE_S = 5.0
"""Seconds before a message goes back that neither the API nor the broker could deal with."""
TRIES = 5
"""How often a proposal is handed in that names one which may be on its way beside it."""
FETCHED_AT_ONCE = 20
"""Decisions that are fetched at the same time; they are sent one after the other, in order."""
KNOWN = 1000
"""Tickets that were decided as they were handed in, kept until they are told."""
SMALL = 64 * 1024
"""Bytes of a message whose ticket is kept."""
END_OF_LOG = 2**63 - 1


class Api(AsyncClient):
    """The calls of the bridge that agents do not make."""

    async def hand_in(self, body: bytes, key: str) -> dict[str, Any]:
        """Propose what stands in a message, as it stands there: the API is who checks it."""
        return await self._send(Call("POST", "/v1/proposals", key=key, content=body))

    async def events(self, after: int, wait: float) -> dict[str, Any]:
        """Events after a sequence number, and how far they go."""
        path = f"/v1/events?after={after}&wait={wait:.3f}"
        return await self._send(Call("GET", path, timeout=wait + 15))


class Bridge:
    """One bridge between a broker and the API; any number may take proposals in.

    Args:
        api: With the key of an agent.
        carrier: The broker.
        cursor: How far decisions have been told; None: this bridge tells none.
        pause_s: Seconds before a message goes back.
    """

    def __init__(
        self, api: Api, carrier: Carrier, cursor: Cursor | None, *, pause_s: float = PAUSE_S
    ) -> None:
        self._api = api
        self._carrier = carrier
        self._cursor = cursor
        self._pause_s = pause_s
        self._ended: asyncio.Future[None] | None = None
        self._known: dict[str, dict[str, Any]] = {}
        carrier.listen(self.take)

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            Unauthorized: The key is not valid, or no longer.
            Forbidden: It is no agent's.
            Unavailable: No broker answers at the start.
        """
        self._ended = asyncio.get_running_loop().create_future()
        await self._carrier.start()
        watching = asyncio.create_task(self._watch())
        try:
            await self._ended
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._carrier.stop()

    def stop(self) -> None:
        """End `run`; what is not acknowledged comes again."""
        self._end(None)

    def _end(self, error: ErrataError | None) -> None:
        if self._ended is None or self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def take(self, message: Incoming) -> bool:
        """Hand a message in.

        Returns:
            Whether it is done with; if not, it must come again.
        """
        if message.again:
            log.info("message %s comes again", message.key)
        try:
            return await self._take(message)
        except Exception as error:  # the broker's, of whatever library
            log.warning("message %s goes back: %s", message.key, type(error).__name__)
            await asyncio.sleep(self._pause_s)
            return False

    async def _take(self, message: Incoming) -> bool:
        try:
            answer = await self._hand_in(message)
        except Unavailable as error:  # after all of the client's patience
            log.warning("message %s goes back: %s", message.key, error.detail)
            return False
        except ErrataError as error:
            return await self._refused(message, error)
        self._keep(message, answer)
        if message.reply_to is not None:
            await self._carrier.reply(message, answer)
        return True

    def _keep(self, message: Incoming, answer: dict[str, Any]) -> None:
        """Spare the API a question: it need not be asked again what it has just said."""
        if self._cursor is None or "decision" not in answer or len(message.body) > SMALL:
            return
        if len(self._known) >= KNOWN:
            del self._known[next(iter(self._known))]
        self._known[answer["id"]] = answer

    async def _hand_in(self, message: Incoming) -> dict[str, Any]:
        if len(message.body) > LARGEST:
            raise TooLarge(f"the body is over {LARGEST:,} bytes", field="body")
        for attempt in range(1, TRIES):
            try:
                return await self._api.hand_in(message.body, message.key)
            except ErrataError as error:
                # What it depends on may be one of the messages that are handed in right now.
                if error.field != "depends_on":
                    raise
                await asyncio.sleep(self._pause_s * attempt / 25)
        return await self._api.hand_in(message.body, message.key)

    async def _refused(self, message: Incoming, error: ErrataError) -> bool:
        """Park what the API will never take; keep what it may take later."""
        if isinstance(error, Unauthorized | Forbidden) and error.field != "agent.id":
            self._end(_about_the_key(error))
            return False
        if isinstance(error, TooMany) or error.status >= 500:
            log.warning("message %s goes back: %s", message.key, error.detail)
            await asyncio.sleep(self._pause_s)
            return False
        log.warning("message %s is parked: %s", message.key, error.code)
        await self._carrier.park(Parked(message, error.code, error.detail, error.field))
        if message.reply_to is not None:
            await self._carrier.reply(message, error.wire())
        return True

    async def _watch(self) -> None:
        """Tell decisions; without a cursor only see that the key is good."""
        while True:
            try:
                if self._cursor is None:
                    await self._api.events(END_OF_LOG, 0)
                    return
                await self._tell(self._cursor)
            except (Unauthorized, Forbidden) as error:
                self._end(_about_the_key(error))
                return
            except Exception as error:  # the broker's or the API's; both come back
                log.warning("decisions wait: %s", type(error).__name__)
                await asyncio.sleep(self._pause_s)

    async def _tell(self, cursor: Cursor) -> None:
        """Tell the decisions of the next page of events, in their order."""
        page = await self._api.events(cursor.seq, LONGEST_POLL)
        decided = [one for one in page["events"] if one["type"] == "proposal.decided"]
        for first in range(0, len(decided), FETCHED_AT_ONCE):
            some = decided[first : first + FETCHED_AT_ONCE]
            tickets = await asyncio.gather(*(self._ticket(one["proposal_id"]) for one in some))
            for ticket, one in zip(tickets, some, strict=True):
                await self._carrier.tell(Told(ticket, one["seq"]))
        cursor.move(page["after"])

    async def _ticket(self, id_: str) -> Ticket:
        known = self._known.pop(id_, None)
        return await self._api.get(id_) if known is None else Ticket.model_validate(known)


def _about_the_key(error: ErrataError) -> ErrataError:
    return type(error)(
        f"the API refuses the key of this bridge ({error.detail}); set ERRATA_KEY to an agent's "
        "key: errata key create --role agent --name bridge"
    )
