"""Finding known phrases in a sentence, word by word.

Every phrase that begins at a word is found, not only the longest one: the reader of questions
(derive.py) follows each of them, and two that lead to a full reading are an ambiguous question.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from tinysql.data import phrasing, words

M = TypeVar("M")

_WORD = re.compile(r",|[^ ,]+")
_ODD_SPACES = re.compile(r"  | ,|,(?! )|^ | $")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
MOST_WORDS_OF_A_VALUE = 3


@dataclass(frozen=True)
class Phrases(Generic[M]):
    """Phrases and what each may mean; `longest` counts words, a comma being one."""

    meanings: dict[str, list[M]]
    longest: int


def phrases(pairs: Iterable[tuple[str, M]]) -> Phrases[M]:
    """The phrases of (phrase, meaning) pairs, blanks around them dropped."""
    meanings: dict[str, list[M]] = {}
    for phrase, meaning in pairs:
        known = meanings.setdefault(phrase.strip(), [])
        if meaning not in known:
            known.append(meaning)
    return Phrases(meanings, max((len(_WORD.findall(phrase)) for phrase in meanings), default=0))


class Sentence:
    """The words of a text, each comma being a word, and the furthest one that was understood."""

    def __init__(self, text: str) -> None:
        self.text = text
        spans = [match.span() for match in _WORD.finditer(text)]
        self.starts = [start for start, _ in spans]
        self.ends = [end for _, end in spans]
        self.count = len(spans)
        # One empty word behind the last spares every reader a test for the end.
        self.words = [text[start:end] for start, end in spans] + [""]
        self.furthest = 0

    def is_well_spaced(self) -> bool:
        """Whether single blanks separate the words, and none stands before a comma."""
        return _ODD_SPACES.search(self.text) is None

    def slice(self, at: int, stop: int) -> str:
        """The text of words [at, stop)."""
        return self.text[self.starts[at] : self.ends[stop - 1]]

    def find(self, known: Phrases[M], at: int) -> Iterator[tuple[M, str, int]]:
        """Every phrase that begins at word `at`: its meaning, its text, the word after it."""
        if at >= self.count:
            return
        self.furthest = max(self.furthest, at)
        text, start, ends, meanings = self.text, self.starts[at], self.ends, known.meanings
        for stop in range(min(at + known.longest, self.count), at, -1):
            phrase = text[start : ends[stop - 1]]
            if phrase in meanings:
                for meaning in meanings[phrase]:
                    yield meaning, phrase, stop

    def find_value(self, sql_type: str, column: str, at: int) -> Iterator[tuple[str, int]]:
        """Every value of a column that begins at word `at`: its SQL literal, the word after it."""
        self.furthest = max(self.furthest, at)
        family = type_family(sql_type)
        if family == "text":
            values = text_values(column)
            for stop in range(min(at + MOST_WORDS_OF_A_VALUE, self.count), at, -1):
                value = self.slice(at, stop)
                if value in values:
                    yield f"'{value}'", stop
        elif family == "date":
            pattern, length = (_TIMESTAMP, 2) if sql_type == "TIMESTAMP" else (_DATE, 1)
            if at + length <= self.count and pattern.fullmatch(self.slice(at, at + length)):
                yield f"'{self.slice(at, at + length)}'", at + length
        elif family == "number":
            if _NUMBER.fullmatch(self.words[at]):
                yield self.words[at], at + 1
        elif self.words[at] in ("true", "false"):
            yield self.words[at].upper(), at + 1


_FAMILY_OF_TYPE = {
    "INTEGER": "number", "BIGINT": "number", "SMALLINT": "number", "REAL": "number",
    "DOUBLE": "number", "DECIMAL": "number", "NUMERIC": "number", "VARCHAR": "text",
    "CHAR": "text", "TEXT": "text", "DATE": "date", "TIMESTAMP": "date", "BOOLEAN": "boolean",
}  # fmt: skip


@cache
def type_family(sql_type: str) -> str:
    """The family of an SQL type, as phrases go by it, "" of an unknown type."""
    return _FAMILY_OF_TYPE.get(sql_type.partition("(")[0].partition(" ")[0], "")


@cache
def text_values(column: str) -> frozenset[str]:
    """The values that the word list gives a text column; none for a column that it lacks."""
    kind = _kinds_by_column().get(column)
    return frozenset(words.kinds()[kind].values) if kind else frozenset()


@cache
def pattern_words(column: str) -> frozenset[str]:
    """The words that a LIKE on a text column may look for."""
    return frozenset(word for value in text_values(column) for word in value.split(" "))


@cache
def _kinds_by_column() -> dict[str, str]:
    return {column.name: column.kind for column in words.columns()}


@cache
def names_of(name: str) -> tuple[str, ...]:
    """What a question may call the table or column of that name: the name and its synonyms."""
    return tuple(dict.fromkeys((name, name.replace("_", " "), *_synonyms().get(name, ()))))


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    return {each.name: each.synonyms for each in words.tables()} | {
        each.name: each.synonyms for each in words.columns()
    }


class Lead(NamedTuple):
    """What opens a clause: its number in derive_clauses.CLAUSES, and what the opening tells."""

    clause: int
    meaning: str


def name_phrases(named: Iterable[tuple[str, M]]) -> Phrases[M]:
    """The phrases of tables or columns, from (name, meaning) pairs."""
    meanings: dict[str, list[M]] = {}
    for name, meaning in named:
        for phrase in names_of(name):
            meanings.setdefault(phrase, []).append(meaning)
    return Phrases(meanings, _longest_name())


@cache
def _longest_name() -> int:
    every_table = [phrase for table in words.tables() for phrase in table.phrases]
    every_column = [phrase for column in words.columns() for phrase in column.phrases]
    return max(phrase.count(" ") + 1 for phrase in every_table + every_column)


STARS = phrases((phrase, "*") for phrase in phrasing.STAR_PHRASES)
DISTINCT = phrases((phrase, True) for phrase in phrasing.DISTINCT_WORDS)
OUTER = phrases((p, name) for name, each in phrasing.OUTER_AGGREGATES.items() for p in each)
LINKS = phrases((phrase, "") for phrase in phrasing.JOIN_LINKS)
JOINERS = phrases(
    (each, "") for joiner in phrasing.JOINERS for each in (joiner, joiner.lstrip(","))
)
ORDER_LINKS = phrases((phrase, "") for phrase in phrasing.ORDER_LINKS)
LEADS = phrases(
    [
        *((phrase, Lead(0, "")) for phrase in phrasing.WHERE_LEADS),
        *((p, Lead(1, name)) for name, each in phrasing.SET_OPERATIONS.items() for p in each),
        *((phrase, Lead(2, "")) for phrase in phrasing.GROUP_LEADS),
        *((phrase, Lead(3, "")) for phrase in phrasing.HAVING_LEADS),
        *((phrase, Lead(4, "")) for phrase in phrasing.ORDER_LEADS),
        *((before, Lead(5, after.strip())) for before, after in phrasing.LIMITS),
    ]
)
AND = phrases([("and", "")])
OR = phrases([("or", "")])
AGGREGATES = {
    family: phrases(
        (phrase, aggregate)
        for aggregate in phrasing.AGGREGATES
        for phrase in phrasing.aggregate_phrases(aggregate, family)
    )
    for family in phrasing.FAMILIES
}
AGGREGATE_PHRASES = phrases(
    (phrase, "") for each in AGGREGATES.values() for phrase in each.meanings
)
_EXISTENCE = ("EXISTS", "NOT EXISTS")
OPERATORS = {
    family: phrases(
        (phrase, operator.name)
        for operator in phrasing.OPERATORS
        if operator.name not in _EXISTENCE
        for phrase in phrasing.operator_phrases(operator.name, family)
    )
    for family in phrasing.FAMILIES
}
EXISTENCE = phrases(
    (phrase, name) for name in _EXISTENCE for phrase in phrasing.operator_phrases(name, "")
)
DIRECTIONS = {
    family: phrases(
        (phrase, direction)
        for direction in phrasing.DIRECTIONS
        for phrase in phrasing.direction_phrases(direction, family)
    )
    for family in phrasing.FAMILIES
}
