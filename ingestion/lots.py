"""Lots: which proposals are drawn for a look that the policy alone would not have asked for.

In: a ruling with its shares. Out: the ruling after the draw, and which lot came out.
"""

import random
from typing import Literal, NamedTuple

from ingestion.ruling import Ruling

Lot = Literal["review", "audit", "dual"]


class Drawn(NamedTuple):
    """A ruling after the lots were drawn."""

    ruling: Ruling
    lot: Lot | None


def draw(ruling: Ruling) -> Drawn:
    """Draw the lots that the policy asks for; the propensity stays the probability before."""
    shares = ruling.shares
    if ruling.route == "auto":
        if _falls(shares.review):
            reason = f"{ruling.reason}; drawn by lot for review"
            return Drawn(ruling._replace(route="queue", reason=reason), "review")
        return Drawn(ruling, "audit" if _falls(shares.audit) else None)
    if ruling.route == "queue" and _falls(shares.dual):
        needed = max(ruling.terms.needed, 2)
        terms = ruling.terms.model_copy(update={"needed": needed, "blind": True})
        reason = f"{ruling.reason}; drawn by lot for two blind reviews"
        return Drawn(ruling._replace(terms=terms, reason=reason), "dual")
    return Drawn(ruling, None)


def _falls(share: float) -> bool:
    """Whether a lot with this probability comes out; nobody outside can know beforehand."""
    return share > 0 and random.SystemRandom().random() < share
