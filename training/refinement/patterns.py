"""Corrections that come again, and how sure it is that they will.

In: cases. Out: patterns, those first that telling the agent would save most corrections. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rapidfuzz import fuzz, utils

from training.refinement.cases import Case, Objection, Target, Trait, could_have

ALIKE = 70
"""Percent of words in common (rapidfuzz's `token_set_ratio`) from which objections are one."""
COVERED = 0.8
"""Share of a pattern's cases that a stronger one may explain before it says nothing new."""
LEAST_SHARE = 0.1
"""Of the decisions in which it could have been: what people change more rarely is no rule."""
MOST_TRAITS = 500
"""Traits of one target whose chances are counted; rarer ones cannot rank high."""


class Example(NamedTuple):
    """One case of a pattern."""

    proposal_id: str
    before: str
    after: str


class Pattern(NamedTuple):
    """What people keep changing, or objecting to, in one place."""

    target: Target
    what: Trait | Objection
    cases: tuple[Example, ...]
    """All of them, oldest first."""
    chances: int
    """Decisions of people in which it could have been changed so, these included."""
    corrections: int
    """Edits and refusals of the target."""
    reviewers: int
    """People who said so."""

    @property
    def share(self) -> float:
        """The cases among the chances, by Laplace's rule of succession: one of one is not all."""
        return (len(self.cases) + 1) / (self.chances + 2)

    @property
    def saved(self) -> float:
        """Corrections that telling the agent would save in as many decisions again, as a guess."""
        return len(self.cases) * self.share


def find(cases: Iterable[Case], *, least: int = 2) -> list[Pattern]:
    """The patterns of decided work, the most useful first.

    Args:
        cases: What was decided.
        least: Cases that make a pattern, at least 2.
    """
    by_target: defaultdict[Target, list[Case]] = defaultdict(list)
    for case in cases:
        by_target[case.target].append(case)
    found: list[Pattern] = []
    for target, members in by_target.items():
        both = [*_changes(target, members, least), *_objections(target, members, least)]
        found += _distinct(both)
    return sorted((one for one in found if one.share >= LEAST_SHARE), key=_rank)


def _rank(pattern: Pattern) -> tuple[float, Target, str]:
    return (-pattern.saved, pattern.target, repr(pattern.what))


def _changes(target: Target, cases: Sequence[Case], least: int) -> list[Pattern]:
    having: defaultdict[Trait, list[Case]] = defaultdict(list)
    for case in cases:
        for trait in case.traits:
            having[trait].append(case)
    corrections = sum(case.is_corrected for case in cases)
    often = [trait for trait, those in having.items() if len(those) >= least]
    often.sort(key=lambda trait: (-len(having[trait]), trait))
    return [
        Pattern(
            target,
            trait,
            tuple(Example(case.id, *case.traits[trait]) for case in having[trait]),
            sum(trait in case.traits or could_have(case, trait) for case in cases),
            corrections,
            len(frozenset[str]().union(*(case.reviewers for case in having[trait]))),
        )
        for trait in often[:MOST_TRAITS]
    ]


def _objections(target: Target, cases: Sequence[Case], least: int) -> list[Pattern]:
    """Objections of one code, grouped by their words; one without words joins the code's largest."""
    groups: defaultdict[str, list[tuple[str, list[tuple[Case, Objection]]]]] = defaultdict(list)
    silent: list[tuple[Case, Objection]] = []
    for case in cases:
        for objection in case.objections:
            words = utils.default_process(objection.text)
            if not words:
                silent.append((case, objection))
                continue
            near = [g for g in groups[objection.code] if fuzz.token_set_ratio(g[0], words) >= ALIKE]
            if near:
                near[0][1].append((case, objection))
            else:
                groups[objection.code].append((words, [(case, objection)]))
    for case, objection in silent:
        known = groups[objection.code]
        if not known:
            known.append(("", []))
        max(known, key=lambda group: len(group[1]))[1].append((case, objection))
    corrections = sum(case.is_corrected for case in cases)
    return [
        _objection(target, members, len(cases), corrections)
        for known in groups.values()
        for _, members in known
        if len({case.id for case, _ in members}) >= least
    ]


def _objection(
    target: Target, members: list[tuple[Case, Objection]], chances: int, corrections: int
) -> Pattern:
    """The pattern of one group; the words that most people used stand for all."""
    said = Counter(objection for _, objection in members if objection.text)
    stands = max(said, key=lambda one: (said[one], -len(one.text), one.text), default=members[0][1])
    by_case = {case.id: objection.text for case, objection in members}
    reviewers = frozenset[str]().union(*(case.reviewers for case, _ in members))
    return Pattern(
        target,
        stands,
        tuple(Example(id_, "", text) for id_, text in by_case.items()),
        chances,
        corrections,
        len(reviewers),
    )


def _distinct(patterns: list[Pattern]) -> list[Pattern]:
    """Without those whose cases a stronger one of the same place explains."""
    kept: list[Pattern] = []
    for pattern in sorted(patterns, key=_strength):
        ids = {case.proposal_id for case in pattern.cases}
        rivals = [other for other in kept if _is_rival(other, pattern)]
        known = {case.proposal_id for other in rivals for case in other.cases}
        if len(ids & known) < COVERED * len(ids):
            kept.append(pattern)
    return kept


_PRECISE = ("value", "add", "always", "form", "phrase", "drop", "tool")
"""Of changes that explain the same cases, those that say more go first."""


def _strength(pattern: Pattern) -> tuple[float, int, str]:
    what = pattern.what
    is_precise = isinstance(what, Trait) and what.sort in _PRECISE
    order = _PRECISE.index(what.sort) if isinstance(what, Trait) and is_precise else len(_PRECISE)
    says_what = isinstance(what, Trait) and bool(what.after)
    return (-pattern.saved, order - says_what, repr(what))


def _is_rival(one: Pattern, other: Pattern) -> bool:
    """Whether one may explain the cases of another: of one argument, or a phrase and a length."""
    if isinstance(one.what, Objection) or isinstance(other.what, Objection):
        return isinstance(one.what, Objection) and isinstance(other.what, Objection)
    if other.what.sort == "phrase":
        return False
    if other.what.sort in {"shorter", "longer"}:
        return one.what.sort == "phrase"
    return one.what.place == other.what.place
