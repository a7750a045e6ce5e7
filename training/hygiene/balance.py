"""What a set of rows leans to.

In: the keys of the rows that stay, and how many rows rest on each reviewer. Out: shares, and words
for those that are out of the ordinary.
"""

from collections.abc import Mapping
from typing import NamedTuple

from training.keys import Keys

EVEN = (0.4, 0.6)
"""Where the share of pairs with the longer side chosen is no lesson in length."""
ONE_PERSON = 0.5
"""Above this share of the rows, a model learns one person's taste."""
FEW = 20
"""Rows below which no share says anything."""


class Balance(NamedTuple):
    """Shares, 0 to 1; None where there is nothing to count."""

    longer_chosen: float | None
    """Of the pairs whose sides differ in length."""
    good: float | None
    """Of the labelled rows."""
    one_reviewer: float | None
    """Of the rows, of the reviewer that most rest on."""

    def warnings(self, rows: int) -> list[str]:
        """What a person should know before training."""
        if rows < FEW:
            return []
        said: list[str] = []
        low, high = EVEN
        if self.longer_chosen is not None and not low <= self.longer_chosen <= high:
            said.append(
                f"the longer side is chosen in {self.longer_chosen:.0%} of the pairs: a model may "
                "learn the length"
            )
        if self.good is not None and not 0.2 <= self.good <= 0.8:
            said.append(f"{self.good:.0%} of the turns are labelled good: weigh the two sorts")
        if self.one_reviewer is not None and self.one_reviewer > ONE_PERSON:
            said.append(f"one reviewer stands behind {self.one_reviewer:.0%} of the rows")
        return said


def of(rows: Keys, reviewers: Mapping[str, int]) -> Balance:
    """The shares of a set of rows.

    Args:
        rows: Their keys.
        reviewers: Rows by pseudonym; a row may rest on several.
    """
    longer, shorter = (int((rows["longer"] == sign).sum()) for sign in (1, -1))
    good, bad = (int((rows["label"] == sign).sum()) for sign in (1, -1))
    most = max(reviewers.values(), default=0)
    return Balance(
        longer_chosen=longer / (longer + shorter) if longer + shorter else None,
        good=good / (good + bad) if good + bad else None,
        one_reviewer=min(1.0, most / len(rows)) if len(rows) and most else None,
    )
