r"""What somebody types into the search box. In: a line of text. Out: what a record must hold.

The language is the one Argilla documents, Elasticsearch's simple query string:

    refund card        both words, in whatever fields      refund | cancel    either
    "card payment"     one after the other                 "card payment"~3   nearly so
    pay*               words that begin like this          paymnt~1           one letter off
    -declined          not this                            ( )                first
    \-                 a sign that means itself

Operators bind from left to right, and nothing anybody types is an error: a quote or a parenthesis
without its partner is passed over.
"""

from typing import NamedTuple

from argilla_server.errors.future import UnprocessableEntityError

from errata_argilla.search.words import split

MOST_EDITS = 2
MOST_OPERATORS = 200
"""Nobody types more; each could deepen the tree by one."""

_BLANK = " \t\n\r"
_ENDS = _BLANK + '"|+()'


class Phrase(NamedTuple):
    """Words one after the other, with up to `slop` moves between them; or a single word."""

    words: tuple[str, ...]
    slop: int = 0


class Prefix(NamedTuple):
    """A word that begins like this."""

    stem: str


class Fuzzy(NamedTuple):
    """A word that differs by so many letters at most."""

    word: str
    edits: int


class Not(NamedTuple):
    """The part must not be there."""

    part: "Query"


class Every(NamedTuple):
    """All parts must be there."""

    parts: tuple["Query", ...]


class Some(NamedTuple):
    """One part must be there."""

    parts: tuple["Query", ...]


class Anything(NamedTuple):
    """Every record will do."""


Query = Phrase | Prefix | Fuzzy | Not | Every | Some | Anything


def parse(text: str) -> Query | None:
    """Read a query; None finds nothing, as when no word was typed."""
    if sum(text.count(sign) for sign in "|+-(") > MOST_OPERATORS:
        raise UnprocessableEntityError(f"a search has at most {MOST_OPERATORS} operators")
    return Anything() if text.strip() == "*" else _Reader(text).read()


class _Reader:
    """Goes through the text once, holding what was read so far and what was said about the next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: Query | None = None
        self._either = False
        self._negated = False

    def read(self) -> Query | None:
        while self._at < len(self._text):
            sign = self._text[self._at]
            start = self._at
            self._at += 1
            match sign:
                case "+":
                    self._either = False
                case "|":
                    self._either = self._found is not None
                case "-":
                    self._negated = not self._negated
                case "(":
                    self._group()
                case '"':
                    self._phrase()
                case _ if sign not in _ENDS:
                    self._at = start
                    self._token()
        return self._found

    def _add(self, part: Query | None) -> None:
        if part is not None:
            part = Not(part) if self._negated else part
            self._found = part if self._found is None else self._joined(self._found, part)
        self._either = self._negated = False

    def _joined(self, before: Query, part: Query) -> Query:
        kind = Some if self._either else Every
        parts = before.parts if isinstance(before, kind) else (before,)
        return kind((*parts, part))

    def _group(self) -> None:
        end = self._closing(")", opening="(")
        if end is not None:
            inner = self._text[self._at : end]
            self._at = end + 1
            self._add(_Reader(inner).read())

    def _phrase(self) -> None:
        end = self._closing('"')
        if end is not None:
            words = split(_plain(self._text[self._at : end]))
            self._at = end + 1
            slop = self._tilde()
            self._add(Phrase(tuple(words), slop or 0) if words else None)

    def _token(self) -> None:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in _ENDS + "~":
            self._at += 2 if self._text[self._at] == "\\" else 1
        raw = self._text[start : self._at]
        edits = self._tilde()
        starred = raw.endswith("*") and not raw.endswith("\\*") and len(raw) > 1
        words = split(_plain(raw))
        if not words:
            # A lone sign holds no word; what was said about the next part still stands.
            return
        if edits is not None:
            edits = min(edits, MOST_EDITS)
            self._add(_all_of([Fuzzy(word, edits) for word in words]))
        elif starred:
            before = [Phrase(tuple(words[:-1]))] if words[1:] else []
            self._add(_all_of([*before, Prefix(words[-1])]))
        else:
            self._add(Phrase(tuple(words)))

    def _tilde(self) -> int | None:
        """Read `~2` behind a word or phrase; `~` alone is as much as there is."""
        if self._at >= len(self._text) or self._text[self._at] != "~":
            return None
        self._at += 1
        start = self._at
        while self._at < len(self._text) and self._text[self._at].isdecimal():
            self._at += 1
        digits = self._text[start : self._at]
        return min(int(digits[:9]), 1_000_000) if digits else MOST_EDITS

    def _closing(self, sign: str, opening: str = "") -> int | None:
        depth, at = 1, self._at
        while at < len(self._text):
            here = self._text[at]
            depth += (here == opening) - (here == sign)
            if depth == 0:
                return at
            at += 2 if here == "\\" else 1
        return None


def _all_of(parts: list[Query]) -> Query:
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _plain(text: str) -> str:
    """Take out the backslashes that were there for the parser."""
    return text.replace("\\", "")
