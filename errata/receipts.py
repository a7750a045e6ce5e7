"""Receipts that are sent while the agent goes on, those of a moment together.

In: receipts, one by one. Out: few requests: each costs the server a transaction, and the agent's next
call would wait for all of them.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from errata import calls, errors
from errata.protocol import Receipt

log = logging.getLogger("errata")

GATHER_S = 0.02
"""For how long receipts are gathered."""
MOST = 500
"""Receipts of one request."""


class Behind:
    """Sends receipts from a thread of its own.

    Args:
        send: Makes a call; raises `ErrataError`.
    """

    def __init__(self, send: Callable[[calls.Call], Any]) -> None:
        self._send = send
        self._sender = ThreadPoolExecutor(1, "errata-receipts")  # makes its thread when it is used
        self._lock = threading.Lock()
        self._waiting: list[Receipt] = []
        self._closing = threading.Event()

    def put(self, told: Receipt) -> None:
        """Send a receipt soon."""
        with self._lock:
            self._waiting.append(told)
            first = len(self._waiting) == 1
        if first:
            self._sender.submit(self._flush)

    def close(self) -> None:
        """Send what there is, and end."""
        self._closing.set()
        self._sender.shutdown()

    def _flush(self) -> None:
        self._closing.wait(GATHER_S)
        with self._lock:
            told, self._waiting = self._waiting, []
        for part in parts(told):
            try:
                answered(self._send(calls.reporting_all(part)))
            except errors.ErrataError as error:
                not_taken(part, error)


def parts(told: Sequence[Receipt]) -> list[Sequence[Receipt]]:
    """Receipts as they go into requests."""
    return [told[first : first + MOST] for first in range(0, len(told), MOST)]


def answered(answer: Mapping[str, Any]) -> None:
    """Warn of the receipts that were refused."""
    for one in answer["refused"]:
        log.warning("the receipt of permit %s was not taken: %s", one["permit_id"], one["detail"])


def not_taken(told: Sequence[Receipt], error: errors.ErrataError) -> None:
    """Warn of receipts that could not be sent."""
    for one in told:
        log.warning("the receipt of permit %s was not taken: %s", one.permit_id, error.detail)
