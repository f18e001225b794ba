"""The result of one untrusted query on a snapshot of a SQLite database.

A query runs on an in-memory connection, filled from the snapshot by `deserialize`, so no file is
ever opened. The guards are SQLite's own:
an authorizer that allows only SELECT, READ, RECURSIVE and a fixed list of functions
(sqlite.org/c3ref/set_authorizer.html); a budget of virtual machine steps through the progress
handler; run-time limits on cells, attachments and LIKE patterns, each of which can otherwise keep
one step busy for minutes (sqlite.org/limits.html); temporary storage in memory under a heap limit
that counts for the whole process. `run` opens a connection for every query; `SharedRuns` keeps some
open, which gives the same results because nothing that is allowed changes a connection.

The budget counts steps, not seconds, so that a slow or busy machine gives the same verdict; the
wall clock is only a backstop. Time stands still (see functions.py). What a connection needs for
that, and for json_each and json_tree, it gets when a query first asks for it.
"""

import sqlite3
from collections import OrderedDict
from contextlib import closing
from functools import cache
from typing import NamedTuple

from tinysql.sql.functions import replace_functions
from tinysql.sql.guard import STEPS_PER_TICK, Guard
from tinysql.sql.result import DEFAULT_LIMITS, ErrorKind, Limits, QueryError, Result, Row, size

_SQLITE_MAGIC = b"SQLite format 3\0"
_BROKEN_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MANY_STATEMENTS = "one statement at a time"
_MAX_COPIES = 512
"""Open at once: some 50 KB each besides the database."""
_MAX_BYTES_OF_COPIES = 8 * 2**20
class _Copy(NamedTuple):
    """A connection to a copy of a database in memory, and what guards it."""

    connection: sqlite3.Connection
    guard: Guard

    def keep_guard(self) -> None:
        """Guard the connection from here on."""
        self.connection.set_authorizer(self.guard.authorize)
        self.connection.set_progress_handler(self.guard.tick, STEPS_PER_TICK)


def run(sql: str, database: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Result:
    """The result of one query on a fresh copy of the database.

    Args:
        sql: untrusted text; whatever is wrong with it becomes the result's error.
        database: a snapshot made by `sqlite3.Connection.serialize`.
        limits: what the query may use.

    Raises:
        ValueError, sqlite3.DatabaseError: the snapshot is broken; never because of the query.
    """
    if (refused := _unusable(sql, limits)) is not None:
        return Result((), (), refused)
    return _run_once(sql, database, limits)


def run_backwards(sql: str, database: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Result:
    """The same with tables read in reverse wherever the query leaves the order open.

    What differs then depends on how the rows happen to lie (sqlite.org/pragma.html,
    reverse_unordered_selects).
    """
    if (refused := _unusable(sql, limits)) is not None:
        return Result((), (), refused)
    return _run_once(sql, database, limits, "PRAGMA reverse_unordered_selects=ON")


class SharedRuns:
    """`run` with connections that stay open: one for each of the databases used last.

    Queries that may not meet, such as golds and predictions, need a SharedRuns each. Like its
    connections it belongs to one thread.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._copies: OrderedDict[bytes, _Copy] = OrderedDict()
        self._num_bytes = 0

    def __call__(self, sql: str, database: bytes) -> Result:
        """The result of one query on a copy of the database, which other queries share."""
        if (refused := _unusable(sql, self._limits)) is not None:
            return Result((), (), refused)
        try:
            return _run(sql, self._copy(database), self._limits)
        except MemoryError:
            # The heap limit counts what the open copies take, too.
            self.close()
            return _run_once(sql, database, self._limits)

    def close(self) -> None:
        """Close all connections."""
        while self._copies:
            self._close_oldest()

    def _copy(self, database: bytes) -> _Copy:
        if database in self._copies:
            self._copies.move_to_end(database)
            return self._copies[database]
        room = _MAX_BYTES_OF_COPIES - len(database)
        while self._copies and (len(self._copies) == _MAX_COPIES or self._num_bytes > room):
            self._close_oldest()
        self._copies[database] = copy = _open(database, self._limits)
        self._num_bytes += len(database)
        return copy

    def _close_oldest(self) -> None:
        database, copy = self._copies.popitem(last=False)
        self._num_bytes -= len(database)
        copy.connection.close()


def _run_once(sql: str, database: bytes, limits: Limits, pragma: str = "") -> Result:
    copy = _open(database, limits, pragma)
    with closing(copy.connection):
        try:
            return _run(sql, copy, limits)
        except MemoryError:
            return _too_large(f"needs over {limits.max_heap_bytes} bytes of memory")


def _open(database: bytes, limits: Limits, pragma: str = "") -> _Copy:
    _check_snapshot(database)
    _limit_heap(limits.max_heap_bytes)
    # Without a cache of statements every query is compiled, and so authorized, anew.
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    connection.deserialize(database)
    # The schema is read here, so that its steps count for no query.
    connection.executescript(
        "PRAGMA temp_store=MEMORY; PRAGMA query_only=ON; SELECT 1 FROM sqlite_schema LIMIT 0;"
        + pragma
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_cell_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.max_sql_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100)
    copy = _Copy(connection, Guard())
    copy.keep_guard()
    return copy


def _run(sql: str, copy: _Copy, limits: Limits) -> Result:
    """The result. Raises MemoryError: the heap limit is reached."""
    connection, guard = copy
    guard.start(limits)
    try:
        return _fetch(connection.execute(sql), limits)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in _BROKEN_CODES:
            raise
        if _MANY_STATEMENTS in str(error) and (alone := _without_end(sql)) != sql:
            return _run(alone, copy, limits)
        if not guard.wants_extension or guard.is_extended:
            return Result((), (), QueryError(_kind(error, guard), guard.denied or str(error)))
    _extend(copy)
    return _run(sql, copy, limits)


def _without_end(sql: str) -> str:
    """The text up to its closing semicolons, and the blanks and comments between and behind them.

    SQLite itself takes one semicolon and what is blank behind it.
    """
    from sqlglot.dialects.sqlite import SQLite  # noqa: PLC0415
    from sqlglot.errors import TokenError  # noqa: PLC0415
    from sqlglot.tokens import TokenType  # noqa: PLC0415

    try:
        tokens = SQLite().tokenize(sql)
    except TokenError:
        return sql
    ends = [token.end for token in tokens if token.token_type is not TokenType.SEMICOLON]
    return sql[: ends[-1] + 1] if ends else sql


def _extend(copy: _Copy) -> None:
    """Replace what reads the clock, and have SQLite declare the table-valued functions of JSON."""
    connection, guard = copy
    connection.set_authorizer(None)
    connection.set_progress_handler(None, 0)
    replace_functions(connection)
    connection.execute("SELECT 1 FROM json_each('1'), json_tree('1') LIMIT 0")
    copy.keep_guard()
    guard.is_extended = True


def _check_snapshot(database: bytes) -> None:
    # SQLite reads zeros, without an error, where an in-memory image was cut short.
    page_size = int.from_bytes(database[16:18], "big")
    page_size = 65_536 if page_size == 1 else page_size
    num_pages = int.from_bytes(database[28:32], "big")
    if not database.startswith(_SQLITE_MAGIC) or len(database) != page_size * num_pages:
        raise ValueError(
            f"broken database snapshot: got {len(database)} bytes, "
            f"expected a SQLite image of {num_pages} pages of {page_size}"
        )


def _unusable(sql: str, limits: Limits) -> QueryError | None:
    """Why the text cannot be given to SQLite at all, or None."""
    if not sql.strip():
        return QueryError(ErrorKind.NO_SQL, "empty")
    if "\0" in sql:
        return QueryError(ErrorKind.SYNTAX, "NUL in the query")
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        return QueryError(ErrorKind.SYNTAX, "lone surrogate in the query")
    if size > limits.max_sql_bytes:
        return QueryError(ErrorKind.TOO_LARGE, f"query over {limits.max_sql_bytes} bytes")
    return None


@cache
def _limit_heap(max_bytes: int) -> None:
    """Lower the limit of this process; SQLite never raises it again."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA hard_heap_limit={max_bytes}")


def _fetch(cursor: sqlite3.Cursor, limits: Limits) -> Result:
    if cursor.description is None:
        return Result((), (), QueryError(ErrorKind.NO_SQL, "no answer"))
    columns = tuple([column[0] for column in cursor.description])
    widest_row = len(columns) * (limits.max_cell_bytes + 8)
    num_safe = max(1, min(limits.max_rows, limits.max_result_bytes // widest_row))
    rows: list[Row] = cursor.fetchmany(num_safe)
    if len(rows) < num_safe:
        return Result(columns, rows)
    room = limits.max_result_bytes - sum(map(size, rows))
    while room >= 0 and len(rows) <= limits.max_rows:
        row = cursor.fetchone()
        if row is None:
            return Result(columns, rows)
        rows.append(row)
        room -= size(row)
    return _too_large(f"result over {limits.max_rows} rows or {limits.max_result_bytes} bytes")


def _too_large(message: str) -> Result:
    return Result((), (), QueryError(ErrorKind.TOO_LARGE, message))


def _kind(error: sqlite3.Error, guard: Guard) -> ErrorKind:
    """The kind of an error: SQLite has one code for most of them, so its words decide."""
    message = str(error)
    if guard.expired:
        return ErrorKind.TIMEOUT
    if guard.denied or _MANY_STATEMENTS in message:
        return ErrorKind.FORBIDDEN
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG:
        return ErrorKind.TOO_LARGE
    by_words = {
        "no such table": ErrorKind.UNKNOWN_TABLE,
        "no such column": ErrorKind.UNKNOWN_COLUMN,
        "syntax error": ErrorKind.SYNTAX,
        "incomplete input": ErrorKind.SYNTAX,
        "unrecognized token": ErrorKind.SYNTAX,
    }
    return next((kind for words, kind in by_words.items() if words in message), ErrorKind.OTHER)
