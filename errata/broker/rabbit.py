"""RabbitMQ: durable queues, persistent messages, confirmed publishing.

In: an amqp:// address. Out: a carrier of messages.
"""

import json
import logging
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from aio_pika.exceptions import AMQPError
from faststream import AckPolicy
from faststream.rabbit import (
    Channel,
    ExchangeType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)

from errata.broker.messages import PREFETCH, Incoming, Names, Parked, Take, Told
from errata.errors import Unavailable

CONFIRM_S = 30.0
"""Seconds within which RabbitMQ has to confirm."""


async def _whole(message: RabbitMessage) -> RabbitMessage:
    """In place of decoding: the body is checked by the API."""
    return message


class Rabbit:
    """Proposals from a queue; decisions to a topic exchange, whose queues are the consumers'."""

    def __init__(self, url: str, names: Names, prefetch: int = PREFETCH) -> None:
        self._place = urlsplit(url).hostname
        self._proposals = RabbitQueue(names.proposals, durable=True)
        self._parked = RabbitQueue(names.parked, durable=True)
        self._decisions = RabbitExchange(names.decisions, type=ExchangeType.TOPIC, durable=True)
        self._prefetch = prefetch
        self.broker = RabbitBroker(
            url,
            apply_types=False,
            logger=logging.getLogger("errata.broker.rabbit"),
            log_level=logging.DEBUG,
        )

    def listen(self, take: Take) -> None:
        async def handle(message: RabbitMessage) -> None:
            if await take(_incoming(message)):
                await message.ack()
            else:
                await message.nack(requeue=True)

        self.broker.subscriber(
            self._proposals,
            channel=Channel(prefetch_count=self._prefetch),
            ack_policy=AckPolicy.MANUAL,
            decoder=_whole,
            no_reply=True,
        )(handle)

    async def start(self) -> None:
        try:
            await self.broker.connect()
            await self.broker.declare_queue(self._parked)
            await self.broker.declare_exchange(self._decisions)
            await self.broker.start()
        except (AMQPError, OSError) as error:
            await self.broker.stop()
            raise Unavailable(f"RabbitMQ at {self._place}: {error}") from error

    async def stop(self) -> None:
        await self.broker.stop()

    async def park(self, parked: Parked) -> None:
        await self.broker.publish(
            parked.message.body,
            self._parked,
            headers={**parked.headers},
            message_id=parked.message.id,
            correlation_id=parked.message.correlation_id,
            persist=True,
            timeout=CONFIRM_S,
        )

    async def reply(self, message: Incoming, answer: dict[str, Any]) -> None:
        await self.broker.publish(
            json.dumps(answer).encode(),
            message.reply_to or "",
            content_type="application/json",
            correlation_id=message.correlation_id,
            mandatory=False,  # whoever asked may be gone
            timeout=CONFIRM_S,
        )

    async def tell(self, told: Told) -> None:
        await self.broker.publish(
            told.body,
            exchange=self._decisions,
            routing_key=told.routing_key,
            content_type="application/json",
            message_id=told.id,
            mandatory=False,  # nobody need listen
            persist=True,
            timeout=CONFIRM_S,
        )


def _incoming(message: RabbitMessage) -> Incoming:
    raw = message.raw_message  # FastStream makes up ids where there are none
    sent_at = raw.timestamp if isinstance(raw.timestamp, datetime) else None
    return Incoming(
        body=message.body,
        id=raw.message_id or None,
        sent_at=sent_at,
        again=bool(raw.redelivered),
        reply_to=raw.reply_to or None,
        correlation_id=raw.correlation_id or None,
    )
