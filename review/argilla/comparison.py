"""What changed between two versions of a text, for a labeler.

In: the earlier and the later text. Out: HTML in which what went is struck out and what came is
underlined, each with a word for it, since neither colour nor line may be the only sign.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from errata import protocol
from review.argilla import markup, screenshots
from review.argilla.markup import Mark

WORDS = re.compile(r"[\w.+-]+|\s+|[^\w\s]")
LINES = re.compile(r".*\n|.+")
MOST_CELLS = 2_000_000_000
"""Words of one text times those of the other that are aligned in half a second; longer texts are
compared by lines, and where that is too much, as a whole."""
AROUND = 150
"""Characters that are shown of what is alike before and after a change."""


class Piece(NamedTuple):
    """A run of text in one or both versions."""

    mark: Mark
    text: str


def version(proposal: protocol.Proposal, counts: protocol.Effective | None = None) -> str:
    """What a proposal proposes as one text, or the version of it that counts by its decision."""
    action = (counts and counts.action) or proposal.action
    point = (counts and counts.point) or proposal.point
    match proposal.kind:
        case "action":
            assert action is not None
            return _call(action)
        case "draft" | "plan":
            edited = counts.content if counts is not None else None
            return (edited if edited is not None else proposal.content) or ""
        case "click":
            assert point is not None
            return screenshots.written(point)
        case "candidates":
            return _candidates(proposal, counts)
        case "question" | "exception":
            labels = [option.label for option in proposal.options or ()]
            return "\n".join([proposal.message or "", *labels])


def pretty(value: Any) -> str:
    """JSON as a labeler edits it: indented, keys in canonical order."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _call(action: protocol.Action) -> str:
    return f"{action.name}\n{pretty(action.arguments)}"


def _candidates(proposal: protocol.Proposal, counts: protocol.Effective | None) -> str:
    if counts is not None and counts.action is not None:
        return _call(counts.action)
    if counts is not None and counts.content is not None:
        return counts.content
    return "\n\n".join(
        (candidate.content or "") if candidate.action is None else _call(candidate.action)
        for candidate in proposal.candidates or ()
    )


def pieces(before: str, after: str) -> list[Piece]:
    """Both texts as runs that are alike, were removed, or were added, in reading order.

    By words: Levenshtein, "Binary codes capable of correcting deletions, insertions, and
    reversals", 1966, over words and the spaces between them.
    """
    for form in (WORDS, LINES):
        old, new = form.findall(before), form.findall(after)
        if len(old) * len(new) <= MOST_CELLS:
            return _joined(_aligned(old, new))
    return [Piece("removed", before), Piece("added", after)]


def _aligned(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    for step in Levenshtein.opcodes(old, new):
        gone = "".join(old[step.src_start : step.src_end])
        come = "".join(new[step.dest_start : step.dest_end])
        if step.tag == "equal" and not gone.isspace():  # a space alone would chop a change up
            yield Piece("alike", gone)
            continue
        if gone:
            yield Piece("removed", gone)
        if come:
            yield Piece("added", come)


def _joined(found: Iterator[Piece]) -> list[Piece]:
    """Between two runs that are alike: all that was removed, then all that was added."""
    joined: list[Piece] = []
    for alike, run in groupby(found, lambda piece: piece.mark == "alike"):
        parts = list(run)
        for mark in ("alike",) if alike else ("removed", "added"):
            text = "".join(part.text for part in parts if part.mark == mark)
            if text:
                joined.append(Piece(mark, text))
    return joined


def show(before: str, after: str) -> str:
    """The changes in a box, folded if long; what is left out is counted."""
    found = list(_shortened(pieces(before, after)))
    if not found:
        return markup.block("nothing has changed")
    inside, size = "", 0
    for piece in found:
        shown = piece.text[: max(markup.CUT - size, 0)]
        inside += markup.changed(shown, piece.mark) if shown else ""
        size += len(piece.text)
    if size > markup.CUT:
        inside += markup.missing(size - markup.CUT)
    return markup.folding("".join(piece.text for piece in found), markup.box(inside, "blue"))


def _shortened(found: Sequence[Piece]) -> Iterator[Piece]:
    """Changes whole, and what is alike around them; nothing where there is no change."""
    if all(piece.mark == "alike" for piece in found):
        return
    for number, piece in enumerate(found):
        head = AROUND if number > 0 else 0
        tail = AROUND if number < len(found) - 1 else 0
        cut = len(piece.text) - head - tail
        if piece.mark != "alike" or cut <= AROUND:
            yield piece
            continue
        yield Piece("alike", piece.text[:head])
        yield Piece("left out", f"[{cut} characters alike]")
        yield Piece("alike", piece.text[head + cut :])
