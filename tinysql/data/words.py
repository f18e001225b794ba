"""The vocabulary: tables, columns, and the kinds of values that columns hold.

The lists are tab-separated files beside this module; several values in one field are separated by
"; ". Order matters: a row refers to a word by its position, and so does what is held out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files
from itertools import count
from math import ceil, floor

# One word in ten, and the last synonym of every word, appear only in the held-out splits.
HELD_EVERY = 10
MOST_PARENTS = 3
_MOST_LITERALS = 64


@dataclass(frozen=True)
class Table:
    """A table: its name, one row of it, the words for it, and tables that it may refer to."""

    name: str
    singular: str
    domain: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """What a question may call it: the name and the synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Column:
    """A column: its name, the kind of its values, its possible SQL types, the words for it."""

    name: str
    kind: str
    types: tuple[str, ...]
    synonyms: tuple[str, ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """What a question may call it: the name and the synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Kind:
    """A kind of value; `low` and `high` are the file's text: numbers, ISO dates, or ""."""

    name: str
    family: str  # number | text | date | timestamp | boolean
    additive: bool  # whether SUM has a meaning
    low: str
    high: str
    decimals: int
    values: tuple[str, ...]  # of text only

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """The SQL literals that a condition may use, in rising order for all but text."""
        if self.family == "number":
            return _numbers(Decimal(self.low), Decimal(self.high), self.decimals)
        if self.family == "text":
            return tuple(f"'{value}'" for value in self.values)
        if self.family == "date":
            return _dates(date.fromisoformat(self.low), date.fromisoformat(self.high))
        if self.family == "timestamp":
            return _timestamps(date.fromisoformat(self.low), date.fromisoformat(self.high))
        return ("FALSE", "TRUE")


def _numbers(low: Decimal, high: Decimal, decimals: int) -> tuple[str, ...]:
    """The multiples in [low, high] of the finest round step that gives at most 64 of them."""
    steps = (Decimal(digit).scaleb(power) for power in count(-decimals) for digit in (1, 2, 5))
    multiples = ((step, range(ceil(low / step), floor(high / step) + 1)) for step in steps)
    step, factors = next(pair for pair in multiples if len(pair[1]) <= _MOST_LITERALS)
    return tuple(_plain(factor * step) for factor in factors)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _dates(low: date, high: date) -> tuple[str, ...]:
    """64 dates, each in the middle of one 64th of the range: some rows lie on either side."""
    days = (high - low).days
    middles = (
        low + timedelta((2 * i + 1) * days // (2 * _MOST_LITERALS)) for i in range(_MOST_LITERALS)
    )
    return tuple(f"'{day.isoformat()}'" for day in middles)


def _timestamps(low: date, high: date) -> tuple[str, ...]:
    """64 moments like the dates, at whole minutes."""
    start = datetime(low.year, low.month, low.day, tzinfo=UTC)
    minutes = (high - low).days * 24 * 60
    middles = (
        start + timedelta(minutes=(2 * i + 1) * minutes // (2 * _MOST_LITERALS))
        for i in range(_MOST_LITERALS)
    )
    return tuple(f"'{moment:%Y-%m-%d %H:%M:%S}'" for moment in middles)


def _records(file_name: str) -> list[list[str]]:
    text = files("tinysql.data").joinpath("words", file_name).read_text(encoding="ascii")
    return [line.split("\t") for line in text.splitlines()[1:]]


def _values(field: str) -> tuple[str, ...]:
    return tuple(field.split("; ")) if field else ()


@cache
def tables() -> tuple[Table, ...]:
    """Every table, in file order."""
    return tuple(
        Table(name, singular, domain, _values(synonyms), _values(parents))
        for name, singular, domain, synonyms, parents in _records("tables.tsv")
    )


@cache
def columns() -> tuple[Column, ...]:
    """Every column, in file order."""
    return tuple(
        Column(name, kind, _values(types), _values(synonyms))
        for name, kind, types, synonyms in _records("columns.tsv")
    )


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by name, in file order."""
    return {
        name: Kind(name, family, additive == "yes", low, high, int(decimals or 0), _values(values))
        for name, family, additive, low, high, decimals, values in _records("kinds.tsv")
    }


def held_tables() -> tuple[int, ...]:
    """Positions of the tables that train, validation and test rows never use."""
    return tuple(range(HELD_EVERY - 1, len(tables()), HELD_EVERY))


def held_columns() -> tuple[int, ...]:
    """Positions of the columns that train, validation and test rows never use."""
    return tuple(range(HELD_EVERY - 1, len(columns()), HELD_EVERY))
