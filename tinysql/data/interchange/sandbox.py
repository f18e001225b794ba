"""Somebody else's schema in SQLite, and a small database with that schema to run a query on.

The schema's own text is only compiled: one CREATE TABLE at a time, in memory, behind an authorizer
that allows nothing else, with limits on size, steps and memory as in tinysql/sql/execute.py. The
database is filled from text of ours with the same names and types and without any constraint.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from tinysql.data.interchange.problems import Problem, refuse
from tinysql.data.interchange.schema import Schema, Table
from tinysql.errors import InputError
from tinysql.sql.result import DEFAULT_LIMITS, Limits
from tinysql.sql.sample import fill

_NUM_ROWS = 5
"""Per table: enough for expressions to be evaluated, few enough for products of many tables."""

_SEED = "import"
_MAX_STEPS = 1_000_000
_INTERNAL = ("sqlite_master", "sqlite_sequence")
_OWN_TABLES = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)
_ALLOWED = (
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
)


def schema_error(statements: Iterable[str], *, limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Why SQLite refuses these CREATE TABLE statements, or None."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA hard_heap_limit={limits.max_heap_bytes}")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(_authorize)
        # One call of the handler is the whole budget: the one that returns true interrupts.
        connection.set_progress_handler(lambda: True, _MAX_STEPS)
        for statement in statements:
            try:
                connection.execute(statement)
            except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError) as error:
                return str(error) or type(error).__name__
    return None


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    del second
    allowed = action in _ALLOWED or (action in _OWN_TABLES and first in _INTERNAL)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def small_database(schema: Schema) -> bytes:
    """A snapshot with the tables of a schema and a few rows in each; refuses what SQLite does."""
    reason = schema_error(schema.statements)
    if reason is not None:
        raise refuse(Problem.SCHEMA_FAILS, reason)
    try:
        return fill("; ".join(map(_bare, schema.tables)), seed=_SEED, num_rows=_NUM_ROWS)
    except InputError as error:
        raise refuse(Problem.SCHEMA_FAILS, str(error)) from error


def _bare(table: Table) -> str:
    columns = ", ".join(
        _quoted(name) + (f" {_quoted(declared)}" if declared else "")
        for name, declared in table.columns
    )
    return f"CREATE TABLE {_quoted(table.name)} ({columns})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
