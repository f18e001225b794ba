"""Words that are no names without quotes, against what the engines themselves say."""

import sqlite3
from contextlib import closing

import pytest

from tinysql.data.interchange.reserved import reserved_in

WORDS = (
    "values", "order", "group", "user", "end", "columns", "map", "struct", "grant", "window",
    "offset", "index", "primary", "select", "table", "case", "left", "year", "date", "name", "type",
    "text", "key", "rank", "value", "status", "level", "position", "comment", "condition",
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "engines"),
    [
        ("order", ("SQLite", "DuckDB", "PostgreSQL")),
        ("ORDER", ("SQLite", "DuckDB", "PostgreSQL")),
        ("values", ("SQLite",)),
        ("user", ("DuckDB", "PostgreSQL")),
        ("year", ()),
        ("Home Town", ()),
        ("x); DROP TABLE y; --", ()),
        ("", ()),
    ],
)
def test_engines_are_told(word: str, engines: tuple[str, ...]) -> None:
    assert reserved_in(word) == engines


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_is_free_in_sqlite_can_be_used_there(word: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"CREATE TABLE {word} ({word} INTEGER)")
            connection.execute(f"SELECT {word} FROM {word} WHERE {word} > 1 ORDER BY {word}")
            free = True
        except sqlite3.OperationalError:
            free = False
    assert free == ("SQLite" not in reserved_in(word))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_is_free_in_duckdb_can_be_used_there(word: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    if word == "user":
        return  # taken as a name, but a SELECT of it calls the function
    with duckdb.connect() as connection:
        try:
            connection.execute(f"CREATE TABLE {word} ({word} INTEGER)")
            connection.execute(f"SELECT {word} FROM {word} WHERE {word} > 1 ORDER BY {word}")
            free = True
        except duckdb.Error:
            free = False
    assert free == ("DuckDB" not in reserved_in(word))
