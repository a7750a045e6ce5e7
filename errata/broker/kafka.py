"""Kafka: a consumer group on the proposals, an idempotent producer for the rest.

In: a kafka:// address. Out: a carrier of messages. A consumer works on a batch at once and commits
when all of it is done with; what is not, comes again with the whole batch, which changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from errata.broker.messages import PREFETCH, Incoming, Names, Parked, Take, Told
from errata.errors import Unavailable

log = logging.getLogger("errata.broker.kafka")

LARGEST = 64 * 1024 * 1024
"""Bytes of a message that this side would send; what the broker takes is its own setting."""

Record = ConsumerRecord[Any, Any]
Records = tuple[Record, ...]


async def _parse(
    records: Records, original: Callable[[Records], Awaitable[KafkaMessage]]
) -> KafkaMessage:
    """Parse without the headers: FastStream drops a message with one that is not UTF-8."""
    message = await original(tuple(replace(record, headers=()) for record in records))
    message.raw_message = tuple(records)
    return message


async def _whole(message: KafkaMessage) -> KafkaMessage:
    """In place of decoding: the body is checked by the API."""
    return message


class Kafka:
    """Proposals from a topic; decisions to a topic, keyed by proposal."""

    def __init__(self, url: str, names: Names, prefetch: int = PREFETCH) -> None:
        self._place = url.removeprefix("kafka://").rstrip("/")
        self._names = names
        self._prefetch = prefetch
        self.broker = KafkaBroker(
            self._place.split(","),
            acks="all",
            enable_idempotence=True,
            max_request_size=LARGEST,
            apply_types=False,
            logger=log,
            log_level=logging.DEBUG,
        )

    def listen(self, take: Take) -> None:
        async def handle(message: KafkaMessage) -> None:
            records = message.raw_message
            assert isinstance(records, tuple)
            done = await asyncio.gather(*(take(_incoming(record)) for record in records))
            try:
                await (message.ack() if all(done) else message.nack())
            except KafkaError as error:  # another consumer has the partition now, and the batch
                log.warning("%d messages are not committed: %s", len(done), type(error).__name__)

        self.broker.subscriber(
            self._names.proposals,
            batch=True,
            max_records=self._prefetch,
            group_id=f"{self._names.prefix}.bridge",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            parser=_parse,
            decoder=_whole,
            no_reply=True,
        )(handle)

    async def reach(self) -> None:
        """See that a broker answers: FastStream leaves an open producer behind where none does.

        Raises:
            OSError: None of those that the address names.
        """
        found = [await _answers(server) for server in self._place.split(",")]
        if None not in found:
            raise OSError(f"does not answer ({found[0]})")

    async def start(self) -> None:
        try:
            await self.reach()
            await self.broker.start()
        except (KafkaError, OSError) as error:
            await self.broker.stop()
            raise Unavailable(f"Kafka at {self._place}: {error}") from error

    async def stop(self) -> None:
        await self.broker.stop()

    async def park(self, parked: Parked) -> None:
        await self.broker.publish(parked.message.body, self._names.parked, headers=parked.headers)

    async def reply(self, message: Incoming, answer: dict[str, Any]) -> None:
        """Nobody is answered: `reply_to` is AMQP's."""

    async def tell(self, told: Told) -> None:
        await self.broker.publish(
            told.body,
            self._names.decisions,
            key=told.ticket.id.encode(),
            headers={"message-id": told.id},
        )


async def _answers(server: str) -> Exception | None:
    """Why a server does not answer, if so."""
    host, _, port = server.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 10)
    except (OSError, ValueError) as error:
        return error
    writer.close()
    return None


def _incoming(record: Record) -> Incoming:
    ids = [value for name, value in record.headers if name == "message-id"]
    return Incoming(
        body=record.value or b"",
        id=ids[-1].decode(errors="surrogateescape") if ids else None,
        sent_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )
