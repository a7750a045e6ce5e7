"""The checks that compare rows with each other.

In: the keys of all rows, in the order of their decisions. Out: which rows were found, as booleans.
"""

import numpy as np
from numpy.typing import NDArray

from training.keys import Keys, among, identity, mix

Found = NDArray[np.bool_]
Signatures = NDArray[np.uint32]
"""One row each, of `PERMUTATIONS` numbers; no rows where none were made."""
PERMUTATIONS = 64
BANDS = 16
"""Two rows are compared where all four numbers of a band are equal: of pairs that have nine
tenths of their pieces in common, all but 4 in 100 million."""
ALIKE = 0.9
"""Share of the pieces that two rows must have in common, as the signatures estimate it."""


def duplicates(rows: Keys) -> Found:
    """Rows that say what one before them says."""
    _, first = np.unique(identity(rows), return_index=True)
    found = np.ones(len(rows), np.bool_)
    found[first] = False
    return found


def contradictions(rows: Keys) -> Found:
    """Rows that prefer two turns one way where another row prefers them the other way round.

    Of labelled rows: a turn that is good in one row and bad in another.
    """
    if not len(rows):
        return np.zeros(0, np.bool_)
    if rows["rejected"].any():
        low, high = (f(rows["chosen"], rows["rejected"]) for f in (np.minimum, np.maximum))
        sign = rows["chosen"] < rows["rejected"]
    else:
        low, high, sign = rows["chosen"], rows["chosen"], rows["label"] > 0
    _, group = np.unique(mix(rows["prompt"], low, high), return_inverse=True)
    ways = np.zeros((group.max() + 1, 2), np.bool_)
    ways[group, sign.astype(np.int64)] = True
    return np.asarray(ways.all(axis=1))[group]


def odd(form: Found) -> Found:
    """Rows whose form is that of fewer rows; of two forms as frequent, those that have the mark.

    Rows of both forms are legal, and TRL trains on them. But many chat templates write a system turn
    of their own where a row has none, and then the model reads what nobody said.

    Args:
        form: For each row whether it has the mark, such as a system turn.
    """
    return form == (2 * int(form.sum()) <= len(form))


def leaks(rows: Keys) -> Found:
    """Test rows whose prompt, with its tools, is one of the training rows'."""
    test, prompts = rows["test"], rows["prompt"]
    found = np.zeros(len(rows), np.bool_)
    found[test] = among(prompts[test], prompts[~test])
    return found


def near(rows: Signatures) -> NDArray[np.bool_]:
    """Rows that resemble one before them, the first of those that share a band."""
    found = np.zeros(len(rows), np.bool_)
    wide = PERMUTATIONS // BANDS
    for start in range(0, PERMUTATIONS if len(rows) else 0, wide):
        band = np.ascontiguousarray(rows[:, start : start + wide])
        _, first, group = np.unique(band, axis=0, return_index=True, return_inverse=True)
        leader = first[group.reshape(-1)]
        later = np.flatnonzero(leader < np.arange(len(rows)))
        common = (rows[later] == rows[leader[later]]).mean(axis=1)
        found[later[common >= ALIKE]] = True
    return found
