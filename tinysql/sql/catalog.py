"""The tables of a SQLite database as records, and an order in which parents come first."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Reference(NamedTuple):
    """A column of a table, both in lower case: SQLite's names have no case."""

    table: str
    column: str

    @classmethod
    def to(cls, table: str, column: str) -> "Reference":
        """The reference to a column under any spelling."""
        return cls(table.lower(), column.lower())


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `is_key`: it alone is the primary key; `parent`: the column that it refers to."""

    name: str
    declared: str
    is_key: bool
    parent: Reference | None
    is_required: bool = False
    """NOT NULL."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def parents(self) -> frozenset[str]:
        """The tables that its foreign keys refer to, in lower case."""
        return frozenset(column.parent.table for column in self.columns if column.parent)


def read_tables(connection: sqlite3.Connection) -> list[Table]:
    """Every table of the database, in the order of their creation."""
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    names = [name for (name,) in found]
    keys = {name.lower(): _primary_key(connection, name) for name in names}
    return [_read_table(connection, name, keys) for name in names]


def _read_table(
    connection: sqlite3.Connection, name: str, keys: dict[str, list[str]]
) -> Table:
    parents: dict[str, Reference] = {}
    listed = connection.execute(f"PRAGMA foreign_key_list({quoted(name)})")
    for _, position, parent, column, target, *_ in listed:
        # REFERENCES without a column means the primary key.
        key = keys.get(parent.lower(), [])
        if target is not None or position < len(key):
            parents[column.lower()] = Reference.to(parent, target or key[position])
    primary = keys[name.lower()]
    columns = connection.execute(f"PRAGMA table_info({quoted(name)})")
    return Table(
        name,
        tuple(
            Column(
                column, declared, primary == [column], parents.get(column.lower()), bool(required)
            )
            for _, column, declared, required, *_ in columns
        ),
    )


def _primary_key(connection: sqlite3.Connection, name: str) -> list[str]:
    columns = connection.execute(f"PRAGMA table_info({quoted(name)})")
    ranked = sorted((rank, column) for _, column, _, _, _, rank in columns if rank)
    return [column for _, column in ranked]


def quoted(name: str) -> str:
    """The name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def parents_first(tables: Iterable[Table]) -> list[Table]:
    """The tables in an order in which parents precede children, as far as there is no cycle."""
    waiting = list(tables)
    ordered: list[Table] = []
    while waiting:
        names = {table.name.lower() for table in waiting}
        free = (table for table in waiting if not table.parents & (names - {table.name.lower()}))
        chosen = next(free, waiting[0])
        ordered.append(chosen)
        waiting.remove(chosen)
    return ordered
