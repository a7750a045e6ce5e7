"""Write staged rows to the numbered files of a bundle.

In: the parts of an export and which of their rows go where. Out: Parquet or JSONL files with their
row counts and hashes. The same rows give the same bytes, however they were cut into parts.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training import lines, parts
from training.columns import Split

Format = Literal["parquet", "jsonl", "openai"]
ENDING: dict[Format, str] = {"parquet": "parquet", "jsonl": "jsonl", "openai": "jsonl"}

GROUP = 5_000
"""Rows held in memory at a time, and per Parquet row group."""
SHARD = 100_000
"""Rows per file, so that many processes have files of their own to read."""


class File(NamedTuple):
    """A file of a bundle."""

    path: str
    """Relative to the bundle."""
    sha256: str
    rows: int


class Plan(NamedTuple):
    """A file to be written."""

    path: str
    """Relative to the bundle."""
    split: Split
    format: Format
    places: NDArray[np.int64]
    """Its rows in their order: part and row of that part, an n x 2 array."""


def plan(folder: str, format_: Format, split: Split, places: NDArray[np.int64]) -> list[Plan]:
    """Spread the rows of a split over files of a bounded size."""
    return [
        Plan(
            f"{folder}/{split}-{n:05d}.{ENDING[format_]}",
            split,
            format_,
            places[start : start + SHARD],
        )
        for n, start in enumerate(range(0, len(places), SHARD))
    ]


def write(one: Plan, root: Path, staged: Sequence[Path], schema: Any) -> File:
    """Write one file.

    Args:
        one: The file.
        root: The bundle.
        staged: The files of the parts.
        schema: The types of the columns.
    """
    path = root / one.path
    groups = _groups(one, staged)
    if one.format == "parquet":
        # A dictionary of texts that hardly repeat is only work.
        repeated: Any = [field.name for field in schema if pa.types.is_string(field.type)]
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated) as file:
            for table in groups:
                file.write_table(table.cast(schema), row_group_size=GROUP)
    else:
        with path.open("wb") as file:
            for table in groups:
                file.writelines(lines.openai(table) if one.format == "openai" else lines.of(table))
    return File(one.path, digest(path), len(one.places))


def _groups(one: Plan, staged: Sequence[Path]) -> Iterator[Any]:
    """The rows, so many at a time that they fit in memory."""
    for start in range(0, len(one.places), GROUP):
        places = one.places[start : start + GROUP]
        # As they lie in the parts, so that each batch is read once; then in their order.
        lying = np.lexsort((places[:, 1], places[:, 0]))
        found = [
            _take(staged[part], places[lying[places[lying, 0] == part], 1])
            for part in np.unique(places[:, 0])
        ]
        table = pa.concat_tables(found)
        if (lying[:-1] > lying[1:]).any():
            table = table.take(np.argsort(lying))
        yield table.combine_chunks()


def _take(path: Path, rows: NDArray[np.int64]) -> Any:
    """Rows of a part in rising order; only the batches that hold them are read."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        at = rows // parts.BATCH
        found = [
            reader.get_batch(int(number)).take(pa.array(rows[at == number] % parts.BATCH))
            for number in np.unique(at)
        ]
        return pa.Table.from_batches(found, reader.schema)


def digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
