"""A server that dies while it takes an answer, for tests. In: a point, a number, a port.

Out: `serve`, but each request that has committed an answer hangs at the point, and with the
so-manieth the process ends, as if killed there.

* `status`        before Argilla brings the record's status up to date, the first thing it does
* `announcement`  before it announces the event, the last
"""

# ruff: noqa: PLC0415 - Argilla reads its settings while it is imported

import asyncio
import os
import sys
from types import ModuleType

from errata_argilla import environment

STATUS = 9


class Death:
    """Waits for a number of requests at its point, then ends the process."""

    def __init__(self, number: int) -> None:
        self._missing = number

    async def meet(self, *_: object) -> None:
        """Hang, or end the process."""
        self._missing -= 1
        if self._missing == 0:
            os._exit(STATUS)
        await asyncio.Event().wait()


def main(point: str, number: str, port: str) -> None:
    """Serve until death."""
    environment.complete()
    from argilla_server.contexts import distribution

    from errata_argilla import server
    from errata_argilla.webhooks import interception

    death = Death(int(number))
    if point == "status":
        distribution.update_record_status = death.meet
    else:
        stand_before(interception, death)
    server.run("127.0.0.1", int(port))


def stand_before(interception: ModuleType, death: Death) -> None:
    """Meet the events of answers before our interception does."""
    install = interception.install

    def install_behind(*given: object) -> None:
        install(*given)
        notify = interception.Event.notify

        async def last_words(self: object, session: object) -> object:
            meet = death.meet if self.event.startswith("response.") else notify
            return await meet(self, session)

        interception.Event.notify = last_words

    interception.install = install_behind


if __name__ == "__main__":
    main(*sys.argv[1:])
