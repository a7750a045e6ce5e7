"""A query in the language of the database's index. In: a query. Out: an expression, and its worth.

Every line of words holds the mark of its dataset, so "all records but" can be said, and other
datasets are passed over inside the index. What the index cannot say exactly is said too widely;
then the records it finds are looked at one by one.
"""

from typing import NamedTuple, assert_never
from uuid import UUID

from errata_argilla.search import words
from errata_argilla.search.query import Anything, Every, Fuzzy, Not, Phrase, Prefix, Query, Some

DEEPEST = 20
"""Parentheses in each other that SQLite's parser surely takes."""


class Lookup(NamedTuple):
    """What to ask the index for."""

    expression: str
    exact: bool
    """Whether it finds only what fits; it always finds all that fits."""


class Language(NamedTuple):
    """How an index writes things."""

    every: str
    some: str
    but: str
    prefix: str
    phrases: bool
    """Whether it knows that words stand one after the other."""

    def quote(self, text: str) -> str:
        """Quote words, which hold letters, digits and underscores only."""
        return f'"{text}"' if self.phrases else f"'{text}'"


LANGUAGES = {
    "sqlite": Language(every=" AND ", some=" OR ", but=" NOT ", prefix=" *", phrases=True),
    "postgresql": Language(every=" & ", some=" | ", but=" & !", prefix=":*", phrases=False),
}


def compile(query: Query, dataset: UUID, dialect: str, everywhere: bool) -> Lookup:
    """Say a query to the index of a dialect, for one dataset.

    Args:
        query: What a record must hold.
        dataset: Whose records are meant.
        dialect: The name of the database.
        everywhere: Whether in any field; the index does not tell fields apart.
    """
    compiler = _Compiler(LANGUAGES[dialect], words.mark(dataset), everywhere)
    found = compiler.compile(query, 0)
    everything = compiler.everything.expression
    return Lookup(f"{everything}{compiler.language.every}{found.expression}", found.exact)


class _Compiler:
    def __init__(self, language: Language, everything: str, everywhere: bool) -> None:
        self.language = language
        self.everywhere = everywhere
        self.everything = Lookup(language.quote(everything), exact=True)

    def compile(self, query: Query, depth: int) -> Lookup:
        match query:
            case _ if depth > DEEPEST:
                return self.everything._replace(exact=False)
            case Phrase(found, slop):
                return self._phrase(found, slop)
            case Prefix(stem):
                return Lookup(self.language.quote(stem) + self.language.prefix, self.everywhere)
            case Every(parts):
                return self._every(parts, depth)
            case Some(parts):
                return self._join(
                    [self.compile(part, depth + 1) for part in parts], self.language.some
                )
            case Not(_):
                return self._every((query,), depth)
            case Fuzzy() | Anything():
                return self.everything._replace(exact=query == Anything())
            case other:
                assert_never(other)

    def _phrase(self, found: tuple[str, ...], slop: int) -> Lookup:
        quote = self.language.quote
        if len(found) == 1 or (self.language.phrases and not slop):
            return Lookup(quote(" ".join(found)), self.everywhere)
        return self._join([Lookup(quote(word), exact=False) for word in found], self.language.every)

    def _every(self, parts: tuple[Query, ...], depth: int) -> Lookup:
        """Join what must be there, less what must not."""
        wanted = [self.compile(part, depth + 1) for part in parts if not isinstance(part, Not)]
        found = self._join(wanted or [self.everything], self.language.every)
        for part in parts:
            if isinstance(part, Not):
                unwanted = self.compile(part.part, depth + 1)
                # Too much of what must not be there would be too little: leave it to the reader.
                if unwanted.exact:
                    expression = f"({found.expression}{self.language.but}{unwanted.expression})"
                    found = found._replace(expression=expression)
                else:
                    found = found._replace(exact=False)
        return found

    @staticmethod
    def _join(parts: list[Lookup], sign: str) -> Lookup:
        exact = all(part.exact for part in parts)
        return Lookup(f"({sign.join(part.expression for part in parts)})", exact)
