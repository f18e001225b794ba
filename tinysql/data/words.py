"""The vocabulary: table and column names with their SQL types and English synonyms.

The lists are tab-separated files beside this module; several values in one field are separated by
"; ". Order matters: a row refers to a word by its position.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Table:
    """A table name and the words people use for it."""

    name: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column name, the SQL types it may be declared with, and the words people use for it."""

    name: str
    types: tuple[str, ...]
    synonyms: tuple[str, ...]


def _records(file_name: str) -> list[list[str]]:
    text = files("tinysql.data").joinpath("words", file_name).read_text(encoding="ascii")
    return [line.split("\t") for line in text.splitlines()[1:]]


def _values(field: str) -> tuple[str, ...]:
    return tuple(field.split("; "))


@cache
def tables() -> tuple[Table, ...]:
    """Every table, in file order."""
    return tuple(Table(name, _values(synonyms)) for name, synonyms in _records("tables.tsv"))


@cache
def columns() -> tuple[Column, ...]:
    """Every column, in file order."""
    return tuple(
        Column(name, _values(types), _values(synonyms))
        for name, types, synonyms in _records("columns.tsv")
    )
