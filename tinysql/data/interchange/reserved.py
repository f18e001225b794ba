"""Words that a table or column cannot be called without quotes, for each of three engines.

SQLite is asked; DuckDB's list is that of sqlglot but for words that DuckDB 2.0 takes; PostgreSQL's
is what the appendix "SQL Key Words" of its documentation (release 17) marks as reserved, also where
functions or types may have them.
"""

import sqlite3
from contextlib import closing
from functools import cache

from sqlglot.dialects.duckdb import DuckDB

_POSTGRES_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window
    with
"""
_POSTGRES = frozenset(_POSTGRES_WORDS.split())
_DUCKDB_TAKES = {"columns", "generated", "grant", "map", "struct", "try_cast", "tuple"}
_DUCKDB = frozenset(DuckDB.generator_class.RESERVED_KEYWORDS) - _DUCKDB_TAKES


@cache
def reserved_in(word: str) -> tuple[str, ...]:
    """The engines in which the word, unquoted, is no name of a table or column."""
    lower = word.lower()
    engines = {
        "SQLite": _reserved_in_sqlite(lower),
        "DuckDB": lower in _DUCKDB,
        "PostgreSQL": lower in _POSTGRES,
    }
    return tuple(engine for engine, reserved in engines.items() if reserved)


def _reserved_in_sqlite(word: str) -> bool:
    if not (word.isascii() and word.isidentifier()):
        return False
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"CREATE TABLE {word} (x)")
            connection.execute(f"CREATE TABLE other_name ({word} INTEGER)")
        except sqlite3.OperationalError as error:
            return "syntax error" in str(error)
    return False
