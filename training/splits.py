"""Which split a row goes to.

In: rows. Out: train or test: the same for all rows of a group, and as the data grow.
"""

import hashlib
from functools import lru_cache

from training import keys
from training.columns import Split
from training.rows import Row

SALT = "errata split 2"
"""Another salt would move rows between train and test."""


def of(row: Row, share: float) -> Split:
    """The split of a row.

    Args:
        row: The row. Its group is the stated one, else its task, else its prompt, in which white
            space makes no difference.
        share: Share of the groups in the test split.
    """
    own, first = row.episode.row, row.origin.row
    if group := own.group_id or first.group_id:
        key = f"group {group}"
    elif task := own.task_id or first.task_id:
        key = f"task {task}"
    else:
        key = f"prompt {keys.normal(keys.pieces(row.prompt)).decode()}"
    return "test" if _place(key) < share * 2**64 else "train"


@lru_cache(maxsize=1024)  # what belongs together often comes together
def _place(key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{SALT}\n{key}".encode()).digest()[:8])
