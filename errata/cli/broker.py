"""`errata broker`: the bridge to RabbitMQ or Kafka.

In: the command line, the key of an agent. Out: a running bridge.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from errata.broker.messages import Carrier, Names


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(broker)


def broker(
    url: Annotated[
        str,
        typer.Option(
            envvar="ERRATA_BROKER_URL",
            help="amqp://…, amqps://… or kafka://host:port,host:port; with a password in it, "
            "better from the environment.",
        ),
    ],
    api: Annotated[
        str | None,
        typer.Option(envvar="ERRATA_URL", help="The API; default: this machine's."),
    ] = None,
    cursor: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Also tell decisions, and keep here how far; for one bridge of several.",
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="What the names of queues and topics begin with.")
    ] = "errata",
    prefetch: Annotated[
        int, typer.Option(min=1, max=1000, help="Proposals that are handed in at once.")
    ] = 32,
) -> None:
    """Take proposals from RabbitMQ or Kafka, and tell decisions there.

    Needs the extra `broker`, and in ERRATA_KEY the key of an agent.

    Example: ERRATA_KEY=errata_… errata broker --url amqp://localhost --cursor decisions.cursor
    """
    import asyncio
    import logging
    import signal

    from errata.broker.bridge import Api, Bridge
    from errata.broker.cursor import Cursor
    from errata.broker.messages import Names

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("errata").setLevel(logging.INFO)
    carrier = _carrier(url, Names(prefix), prefetch)

    async def work() -> None:
        async with Api(api) as client:
            bridge = Bridge(client, carrier, Cursor(cursor) if cursor else None)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, bridge.stop)
            await bridge.run()

    asyncio.run(work())


def _carrier(url: str, names: "Names", prefetch: int) -> "Carrier":
    scheme = url.partition("://")[0]
    if scheme in {"amqp", "amqps"}:
        from errata.broker.rabbit import Rabbit

        return Rabbit(url, names, prefetch)
    if scheme == "kafka":
        from errata.broker.kafka import Kafka

        return Kafka(url, names, prefetch)
    raise typer.BadParameter(
        "begins with none of amqp://, amqps:// and kafka://", param_hint="--url"
    )
