"""Inert HTML for Argilla's markdown fields.

In: foreign text. Out: HTML on one line in which that text can only be read: it starts no tag, no
markdown, no link, and its invisible characters are shown.

A field is one block-level element without a line break, so Argilla's markdown reader passes it on
as it is; every character of foreign text that could mean anything to HTML or markdown is an
entity, so that it stays text even if that ever changes.
"""

import unicodedata
from collections.abc import Iterable

CUT = 20_000
"""Characters of a text that are shown before the rest is cut, with the number of cut characters."""
FOLD = 1_500
"""Characters from which on a text is folded."""

CHIP = (
    "display:inline-block;padding:1px 8px;margin:0 6px 2px 0;border-radius:9px;font-size:12px;"
    "font-weight:600;border:1px solid"
)
COLOURS = {
    "red": "#b00020",
    "orange": "#a34700",
    "green": "#1b6e2c",
    "blue": "#0b4f9e",
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
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}:
        return f"<code>U+{ord(character):04X}</code>"
    if character.isascii():
        return f"&#{ord(character)};"
    return character


def chip(label: str, colour: str) -> str:
    """A coloured word; the colour repeats what the word says."""
    return f'<span style="{CHIP} {COLOURS[colour]};color:{COLOURS[colour]}">{text(label)}</span>'


def heading(label: str) -> str:
    """A small heading of our own words."""
    style = "margin:12px 0 3px 0;font-size:12px;font-weight:700;color:#555555"
    return f'<div style="{style}">{text(label)}</div>'


def block(value: str, *, colour: str = "grey", limit: int = CUT) -> str:
    """A text as it is, in a box; long ones fold, and what is cut is counted.

    Args:
        value: Foreign text.
        colour: Colour of the bar at its side.
        limit: Characters shown; the caller that must show everything passes a larger one.
    """
    shown, cut = value[:limit], len(value) - limit
    style = (
        "white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0;padding:6px 9px;"
        f"border:1px solid #dddddd;border-left:4px solid {COLOURS[colour]}"
    )
    box = f'<div style="{style}">{text(shown)}</div>'
    if cut > 0:
        box += f'<div style="color:{COLOURS["red"]}">{cut} further characters are not shown</div>'
    if len(value) > FOLD:
        summary = f"{text(shown[:120])} (in all {len(value)} characters, click to unfold)"
        return f"<details><summary>{summary}</summary>{box}</details>"
    return box


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, in the given order."""
    name = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;font-weight:600"
    cell = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace"
    lines = "".join(
        f'<tr><td style="{name}">{text(key)}</td><td style="{cell}">{text(value)}</td></tr>'
        for key, value in rows
    )
    return f"<table>{lines}</table>"


def page(parts: Iterable[str]) -> str:
    """The parts as one field."""
    return f"<div>{''.join(parts)}</div>"
