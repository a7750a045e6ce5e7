"""A part of an export: decided work turned into rows that lie ready in a file.

In: episodes. Out: a staged Arrow file, the keys of its rows, and what was seen.
Parts are made side by side; which of their rows a bundle gets is decided when all are there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from review.history import Episode
from training import columns, keys, pairs, splits
from training.columns import Record
from training.grounds import Parents
from training.hygiene import single
from training.hygiene.checks import Care
from training.hygiene.whole import PERMUTATIONS, Signatures
from training.keys import Key, Keys
from training.people import People
from training.preferences import Strategy
from training.reasons import REASONS, Reason
from training.rows import Drop, Kind, Row, Tie

BATCH = 1_000
"""Rows of a staged batch, which is what is read back at a time."""
ORDER = "errata order 1"
"""The seed of the order of KTO's rows, which TRL takes as they come (its KL estimate needs it)."""
Number = Callable[[str], str | None]
"""The pseudonym of a reviewer; None for somebody who came after the export began."""


class Wanted(NamedTuple):
    """What an export is to hold."""

    kind: Kind
    strategy: Strategy
    share: float
    """Of the groups that go to the test split."""
    people: People = People()
    """What is known of the reviewers."""
    care: Care = Care()
    """What to look for in the rows."""


class Seen(NamedTuple):
    """What was read."""

    decisions: int = 0
    first: datetime | None = None
    last: datetime | None = None
    policies: frozenset[str] = frozenset()
    reviewers: Mapping[str, int] = {}
    """Rows by pseudonym."""
    dropped: Mapping[Reason, int] = {}
    ties: int = 0
    """Candidates that came out equal, two by two."""
    without_context: int = 0
    """Rows whose prompt says nothing."""


class Part(NamedTuple):
    """Rows that lie ready."""

    path: Path
    """An Arrow file with batches of `BATCH` rows; the last may have fewer."""
    keys: Keys
    seen: Seen
    signatures: Signatures
    """Where near duplicates are looked for."""


class _Notes:
    """Collects what a part has seen."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.decisions = 0
        self.policies: set[str] = set()
        self.reviewers: Counter[str] = Counter()
        self.dropped: Counter[Reason] = Counter()
        self.ties = 0
        self.without_context = 0

    def over(self, episodes: Iterable[Episode]) -> Iterator[Episode]:
        """The episodes, noted while they pass."""
        for episode in episodes:
            decision = episode.decision_row
            at = decision.decided_at
            self.decisions += 1
            self.policies.add(decision.policy_version)
            if self.first is None or at < self.first:
                self.first = at
            if self.last is None or at > self.last:
                self.last = at
            yield episode

    def seen(self) -> Seen:
        return Seen(
            self.decisions,
            self.first,
            self.last,
            frozenset(self.policies),
            dict(self.reviewers),
            dict(self.dropped),
            self.ties,
            self.without_context,
        )


def make(
    episodes: Iterable[Episode],
    path: Path,
    *,
    parents: Parents,
    wanted: Wanted,
    number: Number,
) -> Part:
    """Turn episodes into rows and lay them ready.

    Args:
        episodes: The decided work, read once.
        path: The file to make.
        parents: Finds the refused first attempt of a retry.
        wanted: What the rows are for.
        number: Gives reviewers their pseudonyms.
    """
    notes = _Notes()
    found: list[Key] = []
    signatures: list[list[int]] = []
    near = single.module("near") if "near" in wanted.care.run else None
    with pa.OSFile(str(path), "wb") as file:
        staging = _Staging(file, wanted)
        items = pairs.read(
            notes.over(episodes),
            parents=parents,
            kind=wanted.kind,
            strategy=wanted.strategy,
            people=wanted.people,
        )
        for item in items:
            if isinstance(item, Drop):
                notes.dropped[item.reason] += 1
                continue
            if isinstance(item, Tie):
                notes.ties += 1
                continue
            record = _record(item, wanted, notes, number)
            place = ORDER if wanted.kind == "kto" else ""
            look = single.look(record, wanted.care)
            record |= look.tokens
            found.append(keys.key(record, place, look.faults))
            if near is not None:
                signatures.append(near.signature(record))
            staging.add(record)
        staging.close()
    shape = (len(signatures), PERMUTATIONS)
    marks = np.array(signatures, np.uint32).reshape(shape)
    return Part(path, np.array(found, keys.KEYS), notes.seen(), marks)


def _record(row: Row, wanted: Wanted, notes: _Notes, number: Number) -> Record:
    names = sorted({heard.row.reviewer for heard in row.heard})
    reviewers = [known for name in names if (known := number(name)) is not None]
    for reviewer in reviewers:
        notes.reviewers[reviewer] += 1
    notes.without_context += not any(turn["content"] for turn in row.prompt)
    return columns.record(wanted.kind, row, splits.of(row, wanted.share), reviewers)


class _Staging:
    """The staged file; a batch of rows is held at a time."""

    def __init__(self, file: Any, wanted: Wanted) -> None:
        self._file = file
        self._batch = partial(columns.batch, wanted.kind, counted=wanted.care.counts)
        self._waiting: list[Record] = []
        # Compressed, for a disk holds every row twice until the bundle is done.
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_file(file, self._batch([]).schema, options=options)

    def add(self, record: Record) -> None:
        columns.pack(record)
        self._waiting.append(record)
        if len(self._waiting) == BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_batch(self._batch(self._waiting))
            self._waiting = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def add(seen: Sequence[Seen]) -> Seen:
    """What all parts have seen together."""
    dropped = sum((Counter(each.dropped) for each in seen), Counter[Reason]())
    return Seen(
        decisions=sum(each.decisions for each in seen),
        first=min((each.first for each in seen if each.first), default=None),
        last=max((each.last for each in seen if each.last), default=None),
        policies=frozenset[str]().union(*(each.policies for each in seen)),
        reviewers=sum((Counter(each.reviewers) for each in seen), Counter[str]()),
        dropped={reason: dropped[reason] for reason in REASONS if dropped[reason]},
        ties=sum(each.ties for each in seen),
        without_context=sum(each.without_context for each in seen),
    )
