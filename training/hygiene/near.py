"""Rows that say nearly the same.

In: records. Out: signatures, by which `whole.near` finds rows that resemble one before them.
"""

import numpy as np
from datasketch import MinHash

from training.columns import Record
from training.hygiene.single import texts
from training.hygiene.whole import PERMUTATIONS

PIECE = 3
"""Words in a piece."""


def signature(record: Record) -> list[int]:
    """A MinHash over the pieces of what a row says.

    Source: A. Broder, "On the resemblance and containment of documents", Compression and Complexity
    of Sequences (1997), pages 21-29.
    """
    words = " ".join(text for text in texts({**record, "tools": None})).split()
    pieces = {" ".join(words[n : n + PIECE]) for n in range(max(1, len(words) - PIECE + 1))}
    made = MinHash(num_perm=PERMUTATIONS)
    made.update_batch([piece.encode() for piece in pieces])
    return made.hashvalues.astype(np.uint32).tolist()
