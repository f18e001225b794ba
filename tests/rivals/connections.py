"""Connections as the rivals open them: writable, without any guard, to a copy of a database."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

Rows = list[tuple[Any, ...]]

_MAX_TICKS = 2_000
_STEPS_PER_TICK = 1_000


@contextmanager
def writable(database: bytes) -> Iterator[sqlite3.Connection]:
    """A connection to a copy in memory, so that what a prediction destroys is only the copy.

    A budget of steps stands for the timeouts that the rivals have, or mean to have.
    """
    ticks = 0

    def tick() -> bool:
        nonlocal ticks
        ticks += 1
        return ticks > _MAX_TICKS

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # the disk is no copy
        connection.set_progress_handler(tick, _STEPS_PER_TICK)
        yield connection


def columns_of(database: bytes) -> dict[str, Sequence[str]]:
    """The column names of each table."""
    with writable(database) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        names = [name for (name,) in tables.fetchall()]
        query = "SELECT name FROM pragma_table_info(?)"
        return {
            name: [column for (column,) in connection.execute(query, (name,))] for name in names
        }
