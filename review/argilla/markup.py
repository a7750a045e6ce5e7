"""Inert HTML for Argilla's markdown fields.

In: foreign text. Out: HTML on one line in which that text can only be read: it starts no tag, no
markdown, no link, and its invisible characters are shown.

A field is one block-level element without a line break, so Argilla's markdown reader passes it on
as it is; every character of foreign text that could mean anything to HTML or markdown is an
entity, so that it stays text even if that ever changes.
"""

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

CUT = 20_000
"""Characters of a text that are shown before the rest is cut, with the number of cut characters."""
FOLD = 1_500
FOLD_LINES = 25
"""Characters or lines from which on a text is folded, so that it pushes nothing out of sight."""

HIDDEN_CATEGORIES = {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}
HIDDEN = {
    0x034F,
    *range(0x115F, 0x1161),
    *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810),
    0x2800,
    0x3164,
    *range(0xFE00, 0xFE0F),  # the sixteenth makes emoji of signs; it comes with every other emoji
    0xFFA0,
    *range(0xE0100, 0xE01F0),
}
"""Letters and marks that show nothing: those of Unicode's Default_Ignorable_Code_Point that the
categories above leave out, and the blank Braille cell."""

CHIP = (
    "display:inline-block;padding:1px 8px;margin:0 6px 2px 0;border-radius:9px;font-size:12px;"
    "font-weight:600;border:1px solid"
)
SMALL = "font-size:12px;font-weight:600"
COLOURS = {
    "red": "#b00020",
    "orange": "#a34700",
    "green": "#1b6e2c",
    "blue": "#0b4f9e",
    "violet": "#6a1b9a",
    "grey": "#555555",
}


def text(value: str) -> str:
    """Foreign text as entities; controls, format and bidirectional characters made visible."""
    return "".join(map(_character, value))


def _character(character: str) -> str:
    if character.isascii() and (character.isalnum() or character == " "):
        return character
    if character in "\n\r\t":
        return {"\n": "&#10;", "\r": "<code>CR</code>", "\t": "&#9;"}[character]
    if unicodedata.category(character) in HIDDEN_CATEGORIES or ord(character) in HIDDEN:
        return f"<code>U+{ord(character):04X}</code>"
    if character.isascii():
        return f"&#{ord(character)};"
    return character


def exact(value: Any) -> str:
    """A value exactly; a text without quotes unless it would then read as another value."""
    if isinstance(value, str) and not _reads_as_json(value):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return not text.strip()  # an empty text would show as nothing at all
    return True


def chip(label: str, colour: str) -> str:
    """A coloured word; the colour repeats what the word says."""
    return f'<span style="{CHIP} {COLOURS[colour]};color:{COLOURS[colour]}">{text(label)}</span>'


def heading(label: str) -> str:
    """A small heading of our own words."""
    style = f"margin:12px 0 3px 0;{SMALL};color:#555555"
    return f'<div style="{style}">{text(label)}</div>'


WRAP = "white-space:pre-wrap;overflow-wrap:anywhere"


def box(inside: str, colour: str) -> str:
    """A box with a coloured bar; a red one is red all around."""
    edge, ground = ("#dddddd", "#ffffff") if colour != "red" else (COLOURS["red"], "#fff5f5")
    style = (
        f"{WRAP};margin:2px 0;padding:6px 9px;background:{ground};"
        f"border:1px solid {edge};border-left:4px solid {COLOURS[colour]}"
    )
    return f'<div style="{style}">{inside}</div>'


def block(
    value: str,
    *,
    colour: str = "grey",
    label: str | None = None,
    limit: int = CUT,
    unfolded: bool = False,
) -> str:
    """A text as it is, in a box; long ones fold, and what is cut is counted.

    Args:
        value: Foreign text.
        colour: Colour of the bar at its side.
        label: Where it comes from, at the head of the box.
        limit: Characters shown; the caller that must show everything passes a larger one.
        unfolded: Whether a long one is open from the start.
    """
    head = _label(label, colour) if label else ""
    return folding(value, box(head + _shown(value, limit), colour), unfolded=unfolded)


def folding(value: str, shown: str, *, unfolded: bool = False) -> str:
    """What is shown of a text, under a line that folds it if the text is long.

    Args:
        value: The text.
        shown: Its HTML.
        unfolded: Whether a long one is open from the start.
    """
    lines = value.count("\n") + 1
    if len(value) <= FOLD and lines <= FOLD_LINES:
        return shown
    start = "" if unfolded else f"{text(value[:120].replace(chr(10), ' '))} … "
    size = f"{len(value)} characters" + (f", {lines} lines" if lines > 1 else "")
    opened = " open" if unfolded else ""
    summary = f"<summary>{start}({size}; click to fold or unfold)</summary>"
    return f"<details{opened}>{summary}{shown}</details>"


def _shown(value: str, limit: int) -> str:
    """The text; if it is too long its beginning, and how much is missing."""
    cut = len(value) - limit
    if cut <= 0:
        return text(value)
    return text(value[:limit]) + missing(cut)


def missing(cut: int) -> str:
    """That so many characters are not shown."""
    return f'<div style="color:{COLOURS["red"]}">{cut} further characters are not shown</div>'


Mark = Literal["alike", "removed", "added", "left out"]


def changed(value: str, mark: Mark) -> str:
    """A run of a comparison: struck out or underlined, with the word for it in brackets."""
    tags: dict[Mark, tuple[str, str, str]] = {
        "removed": ("del", "red", "#fff0f0"),
        "added": ("ins", "green", "#eefaf0"),
    }
    if mark == "left out":
        return f'<span style="{SMALL};color:{COLOURS["grey"]}">{text(value)}</span>'
    if mark not in tags:
        return text(value)
    tag, colour, ground = tags[mark]
    word = f'<span style="{SMALL};color:{COLOURS[colour]}">{text(f"[{mark}:")} </span>'
    end = f'<span style="{SMALL};color:{COLOURS[colour]}">{text("]")}</span>'
    style = f"background:{ground};color:{COLOURS[colour]};unicode-bidi:isolate"
    return f'{word}<{tag} style="{style}">{text(value)}</{tag}>{end}'


def table(rows: Iterable[tuple[str, str]], *, colour: str = "grey") -> str:
    """Names and exact values, in the given order and whole, in a box."""
    name = "vertical-align:top;padding:1px 14px 1px 0;font-weight:600"
    cell = f"{WRAP};padding:1px 0;font-family:monospace"
    return box(_table(((key, text(value)) for key, value in rows), name, cell), colour)


def facts(rows: Iterable[tuple[str, str]], *, label: str | None = None) -> str:
    """Names of ours, each with a text beside it; long ones fold, and what is cut is counted.

    Args:
        rows: Names and texts.
        label: Who says all of it: they then stand in a box under this.
    """
    name = f"vertical-align:top;white-space:nowrap;padding:3px 14px 3px 0;{SMALL};color:#555555"
    cell = f"{WRAP};padding:1px 0;width:100%"
    inside = _table(((key, folding(value, _shown(value, CUT))) for key, value in rows), name, cell)
    return inside if label is None else box(_label(label, "violet") + inside, "violet")


def _label(words: str, colour: str) -> str:
    return f'<div style="{SMALL};color:{COLOURS[colour]}">{text(words)}</div>'


def _table(rows: Iterable[tuple[str, str]], name: str, cell: str) -> str:
    lines = "".join(
        f'<tr><td style="{name}">{text(key)}</td><td style="{cell}">{inside}</td></tr>'
        for key, inside in rows
    )
    return f'<table style="border-collapse:collapse">{lines}</table>'


def page(parts: Iterable[str]) -> str:
    """The parts as one field."""
    return f"<div>{''.join(parts)}</div>"
