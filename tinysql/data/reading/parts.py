"""What every clause of a question is made of: tables, columns, aggregates, lists of them.

Each function takes the number of a word and yields every (what can be read there, next word).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from tinysql.data.reading import lexing
from tinysql.data.reading.lexing import Phrases, Sentence, name_phrases, phrases, type_family
from tinysql.data.reading.records import ForeignKey, GroupKey, Schema, SchemaColumn

R = TypeVar("R")


class Aggregate(NamedTuple):
    """An aggregate of a column, or of the rows; `sql_type` is that of its value."""

    table: int
    column: str
    name: str
    sql_type: str
    phrase: str
    aggregate_phrase: str


class Question:
    """The words of one question, with the names that its schema gives meaning to."""

    def __init__(self, text: str, schema: Schema) -> None:
        self.end = text[-1:] if text[-1:] in (".", "?") else ""
        self.sentence = Sentence(text.removesuffix(self.end))
        self.words = self.sentence.words
        self.find = self.sentence.find
        self.schema = schema
        self.tables: Phrases[int] = name_phrases((name, i) for i, name in enumerate(schema.tables))
        self.columns: Phrases[SchemaColumn] = name_phrases(
            (column.name, column) for column in schema.columns if not column.key
        )
        # What to answer where there is no reading; the parser itself only sees dead ends.
        self.objection = ""

    def foreign_keys(self) -> Phrases[ForeignKey]:
        """What a question may call the foreign keys: their names only."""
        return phrases(
            (phrase, key)
            for key in self.schema.foreign_keys
            for phrase in (key.column, key.column.replace("_", " "))
        )

    def why_not(self) -> str:
        """Why there is no reading, as far as one can tell."""
        rest = " ".join(self.words[self.sentence.furthest : self.sentence.furthest + 8]).strip()
        return self.objection or f'cannot be read from "{rest}" on'


def table(question: Question, at: int) -> Iterator[tuple[tuple[int, str], int]]:
    """A table: its number in the schema, and what it is called."""
    for number, phrase, i in question.find(question.tables, at):
        yield (number, phrase), i


def group_key(question: Question, at: int) -> Iterator[tuple[GroupKey, int]]:
    """A bare column."""
    for column, _, i in question.find(question.columns, at):
        yield GroupKey(column.table, column.name), i


def aggregate(question: Question, at: int) -> Iterator[tuple[Aggregate, int]]:
    """An aggregate of a column that its phrase fits, or a number of rows."""
    for _, opening, i in question.find(lexing.AGGREGATE_PHRASES, at):
        for column, phrase, j in question.find(question.columns, i):
            known = lexing.AGGREGATES[type_family(column.type)].meanings
            for name in known.get(opening, ()):
                sql_type = column.type if name in ("MIN", "MAX") else "REAL"
                yield Aggregate(column.table, column.name, name, sql_type, phrase, opening), j
        if opening in lexing.AGGREGATES["key"].meanings:
            for star, phrase, j in question.find(lexing.STARS, i):
                yield Aggregate(-1, star, "COUNT", "REAL", phrase, opening), j


def listing(
    question: Question,
    one: Callable[[Question, int], Iterator[tuple[R, int]]],
    joiners: Phrases[str],
    at: int,
) -> Iterator[tuple[tuple[R, ...], int]]:
    """As in "a", "a and b", "a, b and c" and so on; `joiners` stand before the last."""
    for first, i in one(question, at):
        yield (first,), i
        yield from _more(question, (first,), one, joiners, i)


def _more(
    question: Question,
    done: tuple[R, ...],
    one: Callable[[Question, int], Iterator[tuple[R, int]]],
    joiners: Phrases[str],
    at: int,
) -> Iterator[tuple[tuple[R, ...], int]]:
    for _, _, i in question.find(joiners, at):
        for last, j in one(question, i):
            yield (*done, last), j
    if question.words[at] == ",":
        for more, i in one(question, at + 1):
            yield from _more(question, (*done, more), one, joiners, i)
