"""Where the episodes of an export come from.

In: episodes in hand, or a database. Out: parts, made here or by several processes side by side.
"""

import gc
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from sqlmodel import Session

from errata.db import Database
from errata.errors import Conflict
from review import extent, history
from review.extent import Span
from review.history import Episode, Parents
from training import grounds, parts, people, unchanged
from training.keys import Numbers
from training.parts import Part, Wanted
from training.people import People

SPAN = 10_000
"""Decisions of a part."""
Do = Callable[..., Iterable[Any]]
"""`map`, or one that other processes work for."""


class Position(NamedTuple):
    """How far an export has read: the newest decision's place in the log."""

    seq: int
    hash: str
    """Of that event: it says which log it is."""


class Parent(NamedTuple):
    """The bundle that an export goes on from."""

    digest: str
    position: Position
    rows: Numbers
    """What it and those before it hold, see `keys.identity`."""


class Source(Protocol):
    """Gives an export its parts."""

    @property
    def workers(self) -> int:
        """Processes to work with."""
        ...

    @property
    def position(self) -> Position | None:
        """How far it reads; None where there is no log."""
        ...

    @property
    def parent(self) -> Parent | None:
        """What it goes on from."""
        ...

    def parts(self, folder: Path, wanted: Wanted, do: Do) -> Iterator[Part]:
        """Lay the rows ready in files of a folder; other processes begin with it at once."""
        ...


class Given:
    """Episodes in hand."""

    workers = 1
    position = None
    parent = None

    def __init__(self, episodes: Iterable[Episode], parents: grounds.Parents) -> None:
        self._episodes = iter(episodes)
        self._parents = parents
        self._names: dict[str, str] = {}

    def parts(self, folder: Path, wanted: Wanted, do: Do) -> Iterator[Part]:  # noqa: ARG002
        """Lay the rows ready; episodes are read once, and here."""
        for number, first in enumerate(self._episodes):
            yield parts.make(
                chain([first], islice(self._episodes, SPAN - 1)),
                folder / f"{number:06d}.arrow",
                parents=self._parents,
                wanted=wanted,
                number=self._number,
            )

    def _number(self, name: str) -> str:
        """Numbers in the order of appearance: unlike hashes of names they cannot be guessed."""
        return self._names.setdefault(name, f"reviewer-{len(self._names) + 1}")


class Stored:
    """The decisions of a database, as they are when this is made."""

    def __init__(
        self, database: Database, *, workers: int | None = None, parent: Parent | None = None
    ) -> None:
        """Look what there is.

        Args:
            database: Where they are stored.
            workers: Processes to work with; None: one for each core, and none too many.
            parent: Only decisions that the log tells of after those of this bundle.

        Raises:
            Conflict: The parent was made of another database.
        """
        self._database = database
        self.parent = parent
        self._after = parent.position.seq if parent else None
        with database.reading() as session:
            if parent and extent.event_hash(session, parent.position.seq) != parent.position.hash:
                raise Conflict(
                    "the bundle to go on from was made of another database, or its log was cut: "
                    "export without --since-bundle"
                )
            newest = extent.newest(session)
            self.position = None if newest is None else Position(*newest)
            self._spans = extent.spans(session, size=SPAN, after=self._after)
            self._names = {
                name: f"reviewer-{n}" for n, name in enumerate(extent.reviewers(session), 1)
            }
        self.workers = max(1, min(workers or os.cpu_count() or 1, len(self._spans)))

    def look(self, min_reliability: float | None = None) -> People:
        """What is known of the reviewers; see `people.look`.

        Of live work a review says something only where it is planted or compares candidates, and
        only that is read.
        """
        with self._database.reading() as session:
            telling = history.read(session, telling=True)
            return people.look(telling, min_reliability=min_reliability)

    def parts(self, folder: Path, wanted: Wanted, do: Do) -> Iterator[Part]:
        """Lay the rows ready, each span in a file of its own."""
        until = self.position.seq if self.position else None
        database = self._database if self.workers == 1 else self._database.url
        tasks = [
            _Task(
                database, span, self._after, until, folder / f"{n:06d}.arrow", wanted, self._names
            )
            for n, span in enumerate(self._spans)
        ]
        return iter(do(_make, tasks))


class _Task(NamedTuple):
    database: Database | str
    span: Span
    after: int | None
    until: int | None
    path: Path
    wanted: Wanted
    names: dict[str, str]


def _make(task: _Task) -> Part:
    database = task.database
    with (_opened(database) if isinstance(database, str) else database).reading() as session:
        return _read(session, task)


@cache
def _opened(url: str) -> Database:
    """The database in another process, which ends with it."""
    return Database(url)


def _read(session: Session, task: _Task) -> Part:
    reach: dict[str, Any] = {"after": task.after, "until": task.until, "span": task.span}
    parents, but = Parents(session), unchanged.condition(task.wanted)
    part = parts.make(
        history.read(session, **reach, but=but, parents=parents),
        task.path,
        parents=parents,
        wanted=task.wanted,
        number=task.names.get,
    )
    if but is None:
        return part
    return part._replace(seen=unchanged.add(part.seen, session, extent.chosen(**reach)))


@contextmanager
def hands(workers: int) -> Generator[Do]:
    """What runs a function over many arguments, in this process or in several.

    The results come in the order of the arguments.
    """
    if workers == 1:
        with _calm():
            yield map
        return
    # Not forked: a copy of a process with threads and open databases may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_settle) as pool:
        pool.map(abs, range(workers))  # so that they start now
        yield pool.map


@contextmanager
def _calm() -> Generator[None]:
    """Settle this process for a while.

    The garbage collector looks less often, since what an export makes has hardly any cycles.
    """
    before, pool = gc.get_threshold(), pa.default_memory_pool()
    _settle()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
        pa.set_memory_pool(pool)


def _settle() -> None:
    gc.freeze()  # what was imported stays until the end
    gc.set_threshold(50_000, 20, 100)
    # Arrow's own allocator keeps what it once had; the system's gives it back.
    pa.set_memory_pool(pa.system_memory_pool())
