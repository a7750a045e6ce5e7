"""Write records to numbered files of a split.

In: records, one at a time. Out: Parquet or JSONL files with their row counts and hashes.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import pyarrow.parquet as pq

from training import columns
from training.columns import Record, Split
from training.pairs import Kind

Format = Literal["parquet", "jsonl"]

BATCH = 1_000
"""Rows held in memory at a time, and per Parquet row group."""
SHARD = 100_000
"""Rows per file, so that many processes have files of their own to read."""


class File(NamedTuple):
    """A file of a bundle."""

    path: str
    """Relative to the bundle."""
    sha256: str
    rows: int


class Shards:
    """The files of one split; made when the first row comes."""

    def __init__(self, folder: Path, kind: Kind, split: Split, format_: Format) -> None:
        self.folder = folder
        self.kind: Kind = kind
        self.split: Split = split
        self.format: Format = format_
        self.rows = 0
        self.paths: list[Path] = []
        self._waiting: list[Record] = []
        self._open: pq.ParquetWriter | TextIO | None = None

    def add(self, record: Record) -> None:
        """Write a record, sooner or later."""
        if self.rows % SHARD == 0:
            self.close()
            self._start()
        self._waiting.append(record)
        self.rows += 1
        if len(self._waiting) == BATCH:
            self._flush()

    def _start(self) -> None:
        path = self.folder / f"{self.split}-{len(self.paths):05d}.{self.format}"
        self.paths.append(path)
        if self.format == "jsonl":
            self._open = path.open("w", encoding="utf-8", newline="\n")
        else:
            schema = columns.features(self.kind).arrow_schema
            self._open = pq.ParquetWriter(path, schema, compression="zstd")

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if isinstance(self._open, pq.ParquetWriter):
            if waiting:
                self._open.write_batch(columns.batch(self.kind, waiting))
        elif self._open is not None:
            self._open.writelines(map(columns.line, waiting))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._flush()
        if self._open is not None:
            self._open.close()
            self._open = None

    def files(self, root: Path) -> list[File]:
        """What was written, once closed; paths relative to a folder above."""
        return [
            File(
                path.relative_to(root).as_posix(),
                digest(path),
                min(SHARD, self.rows - number * SHARD),
            )
            for number, path in enumerate(self.paths)
        ]


def digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
