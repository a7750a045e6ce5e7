"""What goes through a broker, in words that RabbitMQ and Kafka share.

In: nothing. Out: the names of queues and topics, messages, and what a carrier does with them.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from errata.protocol import Ticket

PREFETCH = 32
"""Messages that are worked on at once; what comes faster waits in the broker."""
LONGEST_REASON = 1000
"""Characters of a reason in a header: brokers bound the headers of a message."""
LONGEST_TICKET = 512 * 1024
"""Bytes of a ticket that is told with its proposal; brokers bound messages too, Kafka at 1 MB."""

_HEADER = re.compile("[!-~]{1,200}")
_ROUTED = re.compile(r"[^A-Za-z0-9_-]")


class Names(NamedTuple):
    """What a deployment calls its queues and topics."""

    prefix: str = "errata"

    @property
    def proposals(self) -> str:
        return f"{self.prefix}.proposals"

    @property
    def parked(self) -> str:
        return f"{self.prefix}.parked"

    @property
    def decisions(self) -> str:
        return f"{self.prefix}.decisions"


class Incoming(NamedTuple):
    """A message with a proposal."""

    body: bytes
    id: str | None
    """As the sender gave it."""
    sent_at: datetime | None
    again: bool = False
    """Whether the broker says that it was delivered before."""
    reply_to: str | None = None
    correlation_id: str | None = None

    @property
    def key(self) -> str:
        """What makes the message one proposal, however often it comes.

        Its id; the hash of the id where it could not stand in an HTTP header as it is, and that of
        the body where there is none.
        """
        if self.id is None:
            return hashlib.sha256(self.body).hexdigest()
        if _HEADER.fullmatch(self.id):
            return self.id
        return hashlib.sha256(self.id.encode(errors="surrogatepass")).hexdigest()


class Parked(NamedTuple):
    """A message that can never be taken in."""

    message: Incoming
    code: str
    reason: str
    field: str | None

    @property
    def headers(self) -> dict[str, str]:
        seen = self.message.sent_at or datetime.now(UTC)
        return {
            "code": self.code,
            "reason": self.reason[:LONGEST_REASON],
            "field": self.field or "",
            "message-id": self.message.id or "",
            "first-seen": seen.isoformat(),
        }


class Told(NamedTuple):
    """A decision on its way out."""

    ticket: Ticket
    seq: int
    """The event of the decision."""

    @property
    def id(self) -> str:
        """The same however often the decision is told."""
        return f"{self.ticket.id}:{self.seq}"

    @property
    def routing_key(self) -> str:
        """`<agent>.<outcome>`; a dot or a wildcard in an agent's id becomes `_`."""
        proposal, decision = self.ticket.proposal, self.ticket.decision
        agent = _ROUTED.sub("_", proposal.agent.id) if proposal else "erased"
        return f"{agent}.{decision.outcome if decision else 'open'}"

    @property
    def body(self) -> bytes:
        """The ticket as JSON, without its proposal where that makes it too long."""
        text = self.ticket.model_dump_json(exclude_none=True).encode()
        if len(text) <= LONGEST_TICKET:
            return text
        return self.ticket.model_dump_json(exclude_none=True, exclude={"proposal"}).encode()


Take = Callable[[Incoming], Awaitable[bool]]
"""Deals with a message; whether it is done with, so that it may be acknowledged."""


class Carrier(Protocol):
    """A broker, as the bridge sees it. What is sent has arrived when the call returns."""

    def listen(self, take: Take) -> None:
        """Say who deals with the messages; before `start`."""
        ...

    async def start(self) -> None:
        """Connect, and let messages come.

        Raises:
            Unavailable: No broker answers, or not to this user.
        """
        ...

    async def stop(self) -> None: ...

    async def park(self, parked: Parked) -> None: ...

    async def reply(self, message: Incoming, answer: dict[str, Any]) -> None: ...

    async def tell(self, told: Told) -> None: ...
