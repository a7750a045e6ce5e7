"""What all checks found, and which rows stay.

In: the keys and signatures of all rows. Out: which rows stay, and the findings.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errata.errors import Conflict
from training.hygiene import whole
from training.hygiene.checks import CHECKS, MEANING, SINGLE, Care, Check, Finding
from training.keys import Keys, among, identity
from training.sources import Parent


class Swept(NamedTuple):
    """The rows that stay, and what was found."""

    kept: NDArray[np.int64]
    """Their numbers, in their order."""
    findings: Mapping[Check, Finding]
    """By check that was run."""
    known: int = 0
    """Rows that a bundle before holds; they are left out."""


_WHOLE: dict[Check, Callable[[Keys], whole.Found]] = {
    "system": lambda rows: whole.odd(rows["system"]),
    "tools": lambda rows: whole.odd(rows["tools"]),
    "duplicates": whole.duplicates,
    "contradictions": whole.contradictions,
    "leaks": whole.leaks,
}


def sweep(
    rows: Keys, signatures: whole.Signatures, care: Care, parent: Parent | None = None
) -> Swept:
    """Run the checks in their order; what one drops, those after it do not see.

    Raises:
        Conflict: A check that is to refuse the export found a row.
    """
    kept = np.arange(len(rows))
    if parent is not None:
        kept = kept[~among(identity(rows), parent.rows)]
    known, left = len(rows) - len(kept), rows[kept]
    findings: dict[Check, Finding] = {}
    for check in CHECKS:
        if check not in care.run:
            continue
        found = _find(check, left, signatures[kept] if check == "near" else signatures)
        choice, count = care.choice(check), int(found.sum())
        findings[check] = Finding(count, choice)
        if choice == "refuse" and count:
            raise Conflict(
                f"{count} rows are refused by {check!r}: {MEANING[check]}; leave them out with "
                f"--drop {check}"
            )
        if choice == "drop":
            kept, left = kept[~found], left[~found]
    return Swept(kept, findings, known)


def _find(check: Check, rows: Keys, signatures: whole.Signatures) -> whole.Found:
    if check in SINGLE:
        return (rows["faults"] >> SINGLE.index(check)) & 1 == 1
    return whole.near(signatures) if check == "near" else _WHOLE[check](rows)
