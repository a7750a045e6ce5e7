"""Rows as numbers, by which a million of them can be compared.

In: records. Out: an array with one entry per row; equal rows have equal numbers.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.columns import Record
from training.turns import Turn

Keys = NDArray[np.void]
"""One entry per row, of `KEYS`."""
Numbers = NDArray[np.uint64]
KEYS = np.dtype(
    [
        ("prompt", "u8"),  # with the tools, which the model sees as well
        ("chosen", "u8"),
        ("rejected", "u8"),  # 0 where a row has no other side
        ("place", "u8"),  # in a shuffled order
        ("longer", "i1"),  # 1: the chosen side is the longer one, -1: the rejected one is
        ("label", "i1"),  # 1: good, -1: bad, 0: no label
        ("faults", "u1"),  # see `hygiene.single`
        ("system", "?"),  # whether the prompt has a system turn
        ("tools", "?"),  # whether tools are stated
        ("test", "?"),
    ]
)
_encode = msgspec.json.Encoder(order="sorted").encode
_SPACES = bytes(ord(" ") if chr(code).isspace() else code for code in range(256))
"""What makes every ASCII white space a space."""
_LABELS = {True: 1, False: -1, None: 0}
Key = tuple[int, int, int, int, int, int, int, bool, bool, bool]


def key(record: Record, place: str, faults: int = 0) -> Key:
    """The entry of a row.

    Two turns are equal as `turns.same` has it: white space and the order of keys make no difference.

    Args:
        record: The row, with its turns as values.
        place: The seed of a shuffled order; none where rows stay in theirs.
        faults: What was found in it.
    """
    prompt: list[Turn] = record["prompt"]
    chosen: list[Turn] = record.get("chosen") or record.get("completion") or []
    rejected: list[Turn] = record.get("rejected") or []
    ours, theirs = pieces(chosen), pieces(rejected)
    longer = sum(map(len, ours)) - sum(map(len, theirs)) if rejected else 0
    asked = _after(record["tools"] or "").copy()
    asked.update(normal(pieces(prompt)))
    return (
        int.from_bytes(asked.digest()),
        number(normal(ours)),
        number(normal(theirs)) if rejected else 0,
        number(f"{place}\n{record['pair_id']}".encode()) if place else 0,
        (longer > 0) - (longer < 0),
        _LABELS[record.get("label")],
        faults,
        "system" in [turn["role"] for turn in prompt],
        record["tools"] is not None,
        record["split"] == "test",
    )


@lru_cache(maxsize=256)
def _after(tools: str) -> Any:
    """The hash of tools, which are long and few, and of what stands between them and a prompt."""
    return blake2b(normal([tools, ""]), digest_size=8)


def together(parts: Iterable[Keys]) -> Keys:
    """The entries of several parts."""
    return np.concatenate([np.empty(0, KEYS), *parts])


def identity(rows: Keys) -> Numbers:
    """One number per row: the same where two rows say the same."""
    return mix(rows["prompt"], rows["chosen"], rows["rejected"], rows["label"].astype(np.uint64))


def mix(*columns: Numbers) -> Numbers:
    """One number from several, entry by entry."""
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)  # odd, so nothing is lost
        mixed ^= mixed >> np.uint64(32)
    return mixed


def among(some: Numbers, others: Numbers) -> NDArray[np.bool_]:
    """Which of some numbers are among others: `numpy.isin`, which takes nine times as long here."""
    known = np.sort(others)
    return np.searchsorted(known, some) < np.searchsorted(known, some, "right")


def number(data: bytes) -> int:
    """64 bits of a hash: of 10 million rows two differing ones meet once in 300,000 exports."""
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def size(chat: list[Turn]) -> int:
    """Characters that the turns say, calls as JSON."""
    return sum(
        len(turn["content"]) + (len(_encode(turn["tool_calls"])) if "tool_calls" in turn else 0)
        for turn in chat
    )


def pieces(chat: list[Turn]) -> list[str]:
    """What the turns say: of each its role and content, and its calls as JSON."""
    said: list[str] = []
    for turn in chat:
        said += (turn["role"], turn["content"])
        if "tool_calls" in turn:
            said.append(_encode(turn["tool_calls"]).decode())
    return said


def normal(said: list[str]) -> bytes:
    """Pieces with white space made one; U+0000 between them is no white space."""
    text = "\0".join(said)
    if not text.isascii():
        return " ".join(unicodedata.normalize("NFC", text).split()).encode()
    # The same for ASCII without making a string of every word.
    plain = text.encode().translate(_SPACES)
    while b"  " in plain:
        plain = plain.replace(b"  ", b" ")
    return plain.strip(b" ")
