"""SQLite, DuckDB and PostgreSQL behind one idea (see engine.py).

    with open_engine("duckdb") as engine:
        rows = engine.answer(schema_sql, {"shops": [(1, "Oslo")]}, "SELECT city FROM shops")

Every answer starts from an empty namespace: SQLite has a new database in memory; the other two have
one transaction that is rolled back, because opening a database takes them 30 ms and more. A session
that created and dropped thousands of tables gets several times slower, so a new one is opened now
and then.

The query is confined: it must be one SELECT, within limits on time, rows and bytes. SQLite has
the guard of execute.py; DuckDB has no access to files, network and settings; PostgreSQL is asked
through a cursor, which only a SELECT can open. Schema and rows are trusted further than the query:
connect to PostgreSQL in a role that may do nothing else.

Time stands still in SQLite only: DuckDB and PostgreSQL read the clock, so a query that asks for the
time or the date answers differently on another day.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from tinysql.errors import InputError
from tinysql.sql.engine import MAX_SECONDS, Engine, EngineError
from tinysql.sql.execute import run
from tinysql.sql.result import ErrorKind, Row

if TYPE_CHECKING:
    import duckdb
    import psycopg

ENGINES = ("sqlite", "duckdb", "postgresql")
_ANSWERS_PER_CONNECTION = 200
_DUCKDB_KINDS = {
    "ParserException": ErrorKind.SYNTAX,
    "InterruptException": ErrorKind.TIMEOUT,
    "OutOfMemoryException": ErrorKind.TOO_LARGE,
    "PermissionException": ErrorKind.FORBIDDEN,
}
"""By the name of the driver's exception."""
_SQLSTATES = {
    "42601": ErrorKind.SYNTAX,
    "42P01": ErrorKind.UNKNOWN_TABLE,
    "42703": ErrorKind.UNKNOWN_COLUMN,
    "57014": ErrorKind.TIMEOUT,
    "53200": ErrorKind.TOO_LARGE,
    "42501": ErrorKind.FORBIDDEN,
    "25006": ErrorKind.FORBIDDEN,
}
"""By PostgreSQL's error code (postgresql.org/docs/15/errcodes-appendix.html)."""


@contextmanager
def open_engine(name: str, url: str | None = None) -> Iterator[Engine]:
    """An engine by name, one of ENGINES; closed at the end of the block.

    Args:
        url: for PostgreSQL only, such as "postgresql://user@127.0.0.1:5432/database".

    Raises:
        InputError: the name is unknown, or there is no usable PostgreSQL at the URL.
    """
    if name == "sqlite":
        yield _Sqlite()
    elif name == "duckdb":
        with closing(_Duckdb(_connect_duckdb)) as engine:
            yield engine
    elif name == "postgresql":
        with closing(_Postgresql(lambda: _connect_postgresql(url))) as engine:
            yield engine
    else:
        raise InputError(f"engine: got {name!r}, expected one of {', '.join(ENGINES)}")


class _Sqlite(Engine):
    name = "sqlite"
    errors = sqlite3.Error

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as self._connection:
            # ATTACH is how a schema could reach a file.
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            self._connection.execute("PRAGMA foreign_keys=ON")
            yield

    def _execute(self, script: str) -> None:
        self._connection.executescript(script)

    def _query(self, sql: str) -> tuple[Sequence[str], list[Row]]:
        result = run(sql, self._connection.serialize())
        if result.error is not None:
            raise EngineError(self.name, "query", result.error.message, result.error.kind)
        return result.columns, list(result.rows)

    def _kind(self, error: Exception) -> ErrorKind:  # noqa: ARG002
        return ErrorKind.OTHER

    def _is_broken(self, error: Exception) -> bool:  # noqa: ARG002
        return False


class _Session(Engine):
    """An engine in one connection, which is renewed after so many answers."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection = connect()
        self._answers = 0

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _renew(self) -> None:
        self._answers += 1
        if self._answers % _ANSWERS_PER_CONNECTION == 0:
            self._connection.close()
            self._connection = self._connect()


class _Duckdb(_Session):
    name = "duckdb"

    def __init__(self, connect: "Callable[[], duckdb.DuckDBPyConnection]") -> None:
        import duckdb  # noqa: PLC0415

        super().__init__(connect)
        self.errors = duckdb.Error
        self._own_errors = duckdb.InternalException, duckdb.FatalException
        self._select = duckdb.StatementType.SELECT

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        self._renew()
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _execute(self, script: str) -> None:
        self._connection.execute(script)

    def _query(self, sql: str) -> tuple[Sequence[str], list[Row]]:
        statements = self._connection.extract_statements(sql)
        if [statement.type for statement in statements] != [self._select]:
            raise EngineError(self.name, "query", "not one SELECT", ErrorKind.FORBIDDEN)
        alarm = Timer(MAX_SECONDS, self._connection.interrupt)
        alarm.start()
        try:
            cursor = self._connection.execute(statements[0])
            rows = self._limited(iter(cursor.fetchone, None))
            return [column[0] for column in cursor.description], rows
        finally:
            alarm.cancel()

    def _kind(self, error: Exception) -> ErrorKind:
        if isinstance(error, UnicodeError):
            return ErrorKind.SYNTAX
        words, message = type(error).__name__, str(error)
        if words == "BinderException" and "column" in message and "not found" in message:
            return ErrorKind.UNKNOWN_COLUMN
        if words == "CatalogException" and message.startswith("Catalog Error: Table"):
            return ErrorKind.UNKNOWN_TABLE
        return _DUCKDB_KINDS.get(words, ErrorKind.OTHER)

    def _is_broken(self, error: Exception) -> bool:
        return isinstance(error, self._own_errors)


class _Postgresql(_Session):
    name = "postgresql"

    def __init__(self, connect: "Callable[[], psycopg.Connection[Any]]") -> None:
        import psycopg  # noqa: PLC0415

        super().__init__(connect)
        self.errors = psycopg.Error

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        self._renew()
        # What is created in pg_temp is seen by this connection alone.
        self._connection.execute(b"BEGIN; SET LOCAL search_path = pg_temp")
        try:
            yield
        finally:
            if not self._connection.broken:
                self._connection.execute(b"ROLLBACK")

    def _execute(self, script: str) -> None:
        self._connection.execute(script.encode())

    def _query(self, sql: str) -> tuple[Sequence[str], list[Row]]:
        # The binary format sends one statement only.
        with self._connection.cursor(binary=True) as cursor:
            # Not even a function in the query may write.
            cursor.execute(b"SET TRANSACTION READ ONLY")
            cursor.execute(b"DECLARE answer CURSOR FOR " + sql.encode())
            # Row by row: a result that is too large need not all come here.
            with closing(cursor.stream(b"FETCH ALL FROM answer", binary=True)) as found:
                rows = self._limited(found)
            return [column.name for column in cursor.description or ()], rows

    def _kind(self, error: Exception) -> ErrorKind:
        return _SQLSTATES.get(getattr(error, "sqlstate", None) or "", ErrorKind.OTHER)

    def _is_broken(self, error: Exception) -> bool:  # noqa: ARG002
        return self._connection.broken


def _connect_duckdb() -> "duckdb.DuckDBPyConnection":
    import duckdb  # noqa: PLC0415

    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": "512MB",
        "temp_directory": "",  # what does not fit into memory is an error, and no file
        "threads": 1,
        "lock_configuration": True,
    }
    return duckdb.connect(":memory:", config=settings)


def _connect_postgresql(url: str | None) -> "psycopg.Connection[Any]":
    import psycopg  # noqa: PLC0415

    if url is None:
        raise InputError(
            "engine postgresql: no URL; give one such as postgresql://user@127.0.0.1:5432/database"
        )
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=10, prepare_threshold=None
        )
    except psycopg.Error as error:
        # Not the URL itself, which may hold a password.
        reason = str(error).split("\n")[0]
        raise InputError(f"engine postgresql: {reason}; check the URL and the server") from error
    connection.execute(f"SET statement_timeout = {round(MAX_SECONDS * 1000)}".encode())
    if connection.execute(b"SELECT 'B' < 'a'").fetchone() != (True,):
        connection.close()
        raise InputError(
            "engine postgresql: the database sorts text by a language, not by code point as the "
            "other engines do: CREATE DATABASE tinysql TEMPLATE template0 LOCALE 'C'"
        )
    return connection
