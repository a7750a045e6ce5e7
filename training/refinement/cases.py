"""What one decision says about how the agent was told to work.

In: episodes. Out: cases: what was proposed, in pieces that other cases may share, and what people
changed about it. Pure.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

from errata.digest import canonical
from ingestion.corrections import changed
from review.history import Episode, Heard
from training import reasons

LONGEST_PHRASE = 12
"""Words of a change that may come again; a longer one is a text of its own."""
REWRITTEN = 0.6
"""Share of the words that may change before two texts have no phrases to compare."""
RESIZED = 0.2
"""Share by which a text's words must grow or shrink to count as longer or shorter."""

Sort = Literal[
    "tool", "value", "always", "add", "drop", "form", "less", "more", "phrase", "shorter", "longer"
]


class Target(NamedTuple):
    """What can be told to the agent, and where."""

    agent: str
    sort: Literal["tool", "prompt"]
    name: str
    """Of the tool; else the kind of what is written."""


class Trait(NamedTuple):
    """A change in a form in which other cases can have it too."""

    sort: Sort
    place: str = ""
    """Path of an argument; `begin` or `end` of a text, empty elsewhere in it."""
    before: str = ""
    """A value as JSON, the form of one, or words; empty where it does not matter."""
    after: str = ""


class Objection(NamedTuple):
    """Why people did not take it as it stood."""

    code: str
    text: str


class Case(NamedTuple):
    """One decision of people."""

    id: str
    target: Target
    fields: dict[str, Any]
    """Proposed arguments by path; those of nested objects each by its own."""
    words: list[str]
    """Of the proposed text."""
    traits: dict[Trait, tuple[str, str]]
    """What was changed, with the very value before and after; empty where nothing was."""
    objections: tuple[Objection, ...]
    is_corrected: bool
    """Whether people edited or refused it."""
    reviewers: frozenset[str]


def read(episodes: Iterable[Episode]) -> Iterator[Case]:
    """Turn decided work into cases; what nobody looked at, or was planted, is passed over."""
    for episode in episodes:
        if reasons.excluded(episode) is not None or episode.decision.by == "policy":
            continue
        if episode.decision.outcome in {"approve", "edit", "reject", "regenerate"}:
            case = _case(episode)
            if case is not None:
                yield case


def _case(episode: Episode) -> Case | None:
    proposal, decision = episode.proposal, episode.decision
    if proposal is None or proposal.kind not in {"action", "draft", "plan"}:
        return None
    fields: dict[str, Any] = {}
    words: list[str] = []
    traits: dict[Trait, tuple[str, str]] = {}
    effective = decision.effective
    if proposal.action is not None:
        target = Target(proposal.agent.id, "tool", proposal.action.name)
        fields = dict(_leaves(proposal.action.arguments))
        if decision.outcome == "edit" and effective.action is not None:
            if effective.action.name != proposal.action.name:
                names = proposal.action.name, effective.action.name
                traits[Trait("tool", after=names[1])] = names
            else:
                traits = _argument_traits(proposal.action.arguments, effective.action.arguments)
    else:
        target = Target(proposal.agent.id, "prompt", proposal.kind)
        words = (proposal.content or "").split()
        if decision.outcome == "edit" and effective.content is not None:
            traits = _text_traits(words, effective.content.split())
    return Case(
        id=episode.row.id,
        target=target,
        fields=fields,
        words=words,
        traits=traits,
        objections=tuple(_objections(episode)),
        is_corrected=decision.outcome != "approve",
        reviewers=frozenset(heard.row.reviewer for heard in _counted(episode)),
    )


def _counted(episode: Episode) -> list[Heard]:
    """The reviews that made the decision."""
    return [heard for heard in episode.reviews if heard.row.counted]


def _objections(episode: Episode) -> Iterator[Objection]:
    for heard in _counted(episode):
        review = heard.review
        if review is None or heard.row.verdict == "approve":
            continue
        code = review.rationale.code if review.rationale else ""
        said = [review.rationale.text if review.rationale else None, review.guidance]
        text = " ".join(dict.fromkeys(one.strip() for one in said if one and one.strip()))
        if code or text:
            yield Objection(code, text)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _argument_traits(before: dict[str, Any], after: dict[str, Any]) -> dict[Trait, tuple[str, str]]:
    traits: dict[Trait, tuple[str, str]] = {}
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for change in changed(before, after):
        pair = change.before or "", change.after or ""
        if change.before is None:
            traits[Trait("add", change.path)] = pair
            traits[Trait("add", change.path, after=pair[1])] = pair
        elif change.after is None:
            traits[Trait("drop", change.path)] = pair
        else:
            traits[Trait("value", change.path, *pair)] = pair
            traits[Trait("always", change.path, after=pair[1])] = pair
            for trait in _kinds(change.path, old.get(change.path), new.get(change.path)):
                traits[trait] = pair
    return traits


def _kinds(path: str, old: Any, new: Any) -> Iterator[Trait]:
    """What a change of a value is an instance of."""
    if is_number(old) and is_number(new):
        yield Trait("less" if new < old else "more", path)
    elif isinstance(old, str) and isinstance(new, str) and form(old) != form(new):
        yield Trait("form", path, form(old), form(new))


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_RUNS = (
    (re.compile(r"\d"), "9"),
    (re.compile(r"[^\W\d_]+"), "a"),
    (re.compile(r"\s+"), " "),
)


def form(text: str) -> str:
    """What a value looks like: digits as 9, words as a, A or Aa by their case, signs as they are."""
    digits, letters, spaces = _RUNS
    found = digits[0].sub(digits[1], text[:100])
    found = letters[0].sub(lambda word: _case_of(word.group()), found)
    return spaces[0].sub(spaces[1], found)


def _case_of(word: str) -> str:
    if word.islower():
        return "a"
    return "A" if word.isupper() and len(word) > 1 else "Aa" if word[0].isupper() else "aA"


def _text_traits(before: list[str], after: list[str]) -> dict[Trait, tuple[str, str]]:
    """Phrases that were put in, taken out or exchanged, and whether the text got another length."""
    traits: dict[Trait, tuple[str, str]] = {}
    whole = " ".join(before), " ".join(after)
    if before and abs(len(after) - len(before)) > RESIZED * len(before):
        traits[Trait("shorter" if len(after) < len(before) else "longer")] = whole
    longest = max(len(before), len(after))
    if longest and Levenshtein.distance(before, after) <= REWRITTEN * longest:
        for step in Levenshtein.opcodes(before, after):
            old = before[step.src_start : step.src_end]
            new = after[step.dest_start : step.dest_end]
            if step.tag != "equal" and max(len(old), len(new)) <= LONGEST_PHRASE:
                ends = step.src_end == len(before), step.dest_end == len(after)
                place = "begin" if step.src_start == 0 else "end" if all(ends) else ""
                pair = " ".join(old), " ".join(new)
                said, meant = map(bare, pair)
                if said != meant:  # another case or sign alone is no phrase
                    traits[Trait("phrase", "" if old else place, said, meant)] = pair
    return traits


def bare(phrase: str) -> str:
    """Words without their case and the signs around them."""
    return " ".join(word.casefold().strip(".,;:!?\"'()[]") for word in phrase.split()).strip()


def could_have(case: Case, trait: Trait) -> bool:
    """Whether a proposal was such that people could have made this change to it."""
    if trait.sort == "tool":
        return True
    if trait.sort in {"shorter", "longer"}:
        return bool(case.words)
    if trait.sort == "phrase":
        text = f" {bare(' '.join(case.words))} "
        return (f" {trait.before or trait.after} " in text) == bool(trait.before)
    if trait.place not in case.fields:
        return trait.sort == "add"
    return _could_change(case.fields[trait.place], trait)


def _could_change(value: Any, trait: Trait) -> bool:
    match trait.sort:
        case "value":
            return canonical(value).decode() == trait.before
        case "always":
            return canonical(value).decode() != trait.after
        case "form":
            return isinstance(value, str) and form(value) == trait.before
        case "less" | "more":
            return is_number(value)
        case _:
            return trait.sort == "drop"
