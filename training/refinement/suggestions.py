"""What to tell an agent: patterns of corrections, in words.

In: patterns. Out: suggestions with their evidence, as values, JSON and Markdown. Pure.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any, NamedTuple

from training.refinement.cases import Objection, Trait
from training.refinement.patterns import Example, Pattern

SHOWN = 3
"""Examples that are named."""
LONGEST = 240
"""Characters of one quotation."""


class Suggestion(NamedTuple):
    """A proposed addition, for a person to take or leave."""

    agent: str
    to: str
    """`tool NAME`: to its description; `prompt`: to what the agent is told when it writes."""
    text: str
    """The addition."""
    by_model: bool
    """Whether a language model worded it."""
    cases: int
    chances: int
    """Decisions of people in which it could have been corrected so."""
    corrections: int
    """All edits and refusals there."""
    reviewers: int
    saved: float
    """Corrections of as many again that it may save; the order of the list."""
    examples: tuple[Example, ...]

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        examples = [example._asdict() for example in self.examples]
        return {**self._asdict(), "saved": round(self.saved, 2), "examples": examples}


def word(patterns: Iterable[Pattern]) -> list[Suggestion]:
    """Put patterns into words, in their order."""
    return [_suggestion(pattern) for pattern in patterns]


def _suggestion(pattern: Pattern) -> Suggestion:
    target = pattern.target
    return Suggestion(
        agent=target.agent,
        to=f"tool {target.name}" if target.sort == "tool" else "prompt",
        text=_text(pattern),
        by_model=False,
        cases=len(pattern.cases),
        chances=pattern.chances,
        corrections=pattern.corrections,
        reviewers=pattern.reviewers,
        saved=pattern.saved,
        examples=tuple(_shortened(pattern.cases)),
    )


def _shortened(cases: tuple[Example, ...]) -> Iterator[Example]:
    for one in cases[-SHOWN:]:
        yield Example(one.proposal_id, quoted(one.before), quoted(one.after))


def _text(pattern: Pattern) -> str:
    if isinstance(pattern.what, Objection):
        code, said = pattern.what
        why = f" ({quoted(code)})" if code and said else ""
        return f"People refuse or correct this{why}: {quoted(said or code)}."
    if pattern.what.sort in {"less", "more", "shorter", "longer"}:
        return _sized(pattern.what, pattern.cases)
    if pattern.what.sort == "phrase":
        return _phrase(pattern.what, pattern.cases[-1])
    return _argument(pattern.what, pattern.cases[-1])


def _argument(trait: Trait, newest: Example) -> str:
    place, before, after = (quoted(one) for one in (trait.place, trait.before, trait.after))
    match trait.sort:
        case "value":
            return f"{place}: write {after}, not {before}."
        case "always":
            return f"{place}: always {after}."
        case "add":
            return f"Always give {place}: {after}." if after else f"Always give {place}."
        case "drop":
            return f"Leave {place} out."
        case "form":
            good, bad = quoted(newest.after), quoted(newest.before)
            return f"{place}: write it in the form of {good}, not of {bad}."
        case _:
            return f"People use {after} instead of this tool; say when each is meant."


def _phrase(trait: Trait, newest: Example) -> str:
    before, after = quoted(newest.before), quoted(newest.after)
    if not trait.after:
        return f"Do not write “{before}”."
    if trait.before:
        return f"Write “{after}”, not “{before}”."
    verb = {"begin": "Begin with", "end": "End with"}.get(trait.place, "Say")
    return f"{verb} “{after}”."


def _sized(trait: Trait, cases: tuple[Example, ...]) -> str:
    if trait.sort in {"shorter", "longer"}:
        share = median(len(one.after.split()) / len(one.before.split()) for one in cases)
        return f"Write {trait.sort}: people made it {share:.0%} of its words, in the median."
    shares = [float(one.after) / float(one.before) for one in cases if float(one.before)]
    word = "lower" if trait.sort == "less" else "higher"
    told = f"; {median(shares):.0%} of what was proposed, in the median" if shares else ""
    return f"{quoted(trait.place)}: people made it {word}{told}."


def quoted(text: str, longest: int = LONGEST) -> str:
    """What others wrote, on one line, without characters that steer a terminal or hide text."""
    line = " ".join(text.split())
    line = line if len(line) <= longest else f"{line[:longest]}…"
    return "".join(
        f"\\u{ord(sign):04x}" if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co"} else sign
        for sign in line
    )


def markdown(suggestions: Iterable[Suggestion]) -> str:
    """A page to read and to take additions from."""
    lines = [
        "# What to tell the agent",
        "",
        "Found in what people corrected, the most useful first. Each stands beside its evidence; "
        "nothing is changed until a person does it.",
    ]
    for number, one in enumerate(suggestions, start=1):
        lines += ["", f"## {number}. {_escaped(one.agent)}, {_escaped(one.to)}", ""]
        lines += [f"> {_escaped(one.text)}", ""]
        lines += [f"{evidence(one)}.", ""]
        lines += [f"- {_escaped(example)}" for example in map(_told, one.examples)]
    return "\n".join(lines) + "\n"


def evidence(one: Suggestion) -> str:
    """How often, by how many people."""
    people = "1 person" if one.reviewers == 1 else f"{one.reviewers} people"
    return (
        f"{one.cases} of {one.chances} decisions where it could have been; "
        f"{one.cases} of {one.corrections} corrections; {people}"
    )


def _told(example: Example) -> str:
    said = f"{example.before} → {example.after}" if example.before else example.after
    return f"{example.proposal_id}: {said}"


def _escaped(text: str) -> str:
    """Text that Markdown takes as text."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|!&" else sign for sign in text)
