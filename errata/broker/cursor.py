"""How far decisions have been told: one number in a file.

In: sequence numbers of the event log. Out: the last one, after a crash too. A lost file loses no
decision: all are told again, under the ids that they had.
"""

import os
from pathlib import Path

from errata.errors import Malformed


class Cursor:
    """The sequence number of the last event that was dealt with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seq = self._read()

    def _read(self) -> int:
        """What the file says; 0 where there is none yet.

        Raises:
            Malformed: It holds something else than a number.
        """
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return 0
        except UnicodeDecodeError:
            text = ""
        if not text.isdecimal():
            raise Malformed(
                f"{self._path} holds no cursor; give another --cursor FILE, or delete this one to "
                "tell all decisions again"
            )
        return int(text)

    def move(self, seq: int) -> None:
        """Write it down: the old number or the new one is there, whatever happens meanwhile."""
        if seq == self.seq:
            return
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        with beside.open("w", encoding="ascii") as file:
            file.write(f"{seq}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self.seq = seq
