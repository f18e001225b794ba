"""A database with the rows of every table the other way round.

A query that answers otherwise on it leaves its answer to how the rows happen to lie.
"""

import sqlite3
from contextlib import closing
from functools import lru_cache

import sqlglot

from tinysql.sql.catalog import quoted, read_tables

_CREATED = """
    SELECT type, name, sql FROM given.sqlite_schema
    WHERE type <> 'trigger' AND sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
    ORDER BY rowid
"""


def backwards(database: bytes) -> bytes:
    """A snapshot with the same rows, those of each table inserted in reverse."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("ATTACH ':memory:' AS given")
        connection.deserialize(database, name="given")
        connection.executescript(_script(tuple(connection.execute(_CREATED))))
        return connection.serialize()


@lru_cache(64)
def _script(created: tuple[tuple[str, str, str], ...]) -> str:
    """What creates the same tables, indexes and views, and fills them."""
    statements = [_without_row_ids(sql) if kind == "table" else sql for kind, _, sql in created]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(";".join(statements))
        for table in read_tables(connection):
            columns = ", ".join(quoted(column.name) for column in table.columns)
            name = quoted(table.name)
            copy = f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM given.{name}"
            statements.append(f"{copy} ORDER BY {_place(connection, name)} DESC")
    return ";\n".join(["BEGIN", *statements, "COMMIT"])


def _place(connection: sqlite3.Connection, name: str) -> str:
    """What tells where a row lies; of a table WITHOUT ROWID nothing but its key does."""
    try:
        connection.execute(f"SELECT _rowid_ FROM {name}")
    except sqlite3.OperationalError:
        return "1"
    return "_rowid_"


def _without_row_ids(sql: str) -> str:
    """The CREATE TABLE with keys that do not decide where a row lies, as INTEGER ones do."""
    for token in reversed(sqlglot.tokenize(sql, read="sqlite")):
        word = token.text.upper()
        if word in ("INTEGER", "AUTOINCREMENT"):
            other = "INT" if word == "INTEGER" else ""
            sql = f"{sql[: token.start]}{other}{sql[token.end + 1 :]}"
    return sql
