"""What every database engine does: answer a query on given rows in an empty namespace.

The rows go in as literals, which is what SQLite, DuckDB and PostgreSQL all read fastest at this
size. Cells come back as SQLite has them, so that answers can be compared: truth values are 0 and 1,
dates are ISO text, decimals are int or float. The engines themselves are in engines.py.
"""

import math
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tinysql.sql.catalog import Column, parents_first, read_tables
from tinysql.sql.result import DEFAULT_LIMITS, Cell, ErrorKind, QueryError, Result, Row, size

Tables = Mapping[str, Sequence[Row]]
"""Rows to insert by table name, as SQL writes the name; parents before children."""

MAX_ROWS = DEFAULT_LIMITS.max_rows
"""Rows of an answer."""
MAX_BYTES = DEFAULT_LIMITS.max_result_bytes
"""Of an answer, as `execute.size` counts them."""
MAX_SECONDS = DEFAULT_LIMITS.max_seconds
"""Wall clock of a query."""


class EngineError(Exception):
    """An engine refuses the schema, the rows or the query; `part` says which of the three."""

    def __init__(
        self, engine: str, part: str, message: str, kind: ErrorKind = ErrorKind.OTHER
    ) -> None:
        super().__init__(engine, part, message, kind)  # its args, so that it can be pickled
        self.engine = engine
        self.part = part
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.engine} refuses the {self.part}: {self.message}"


class Engine(ABC):
    """A database engine that is ready to answer."""

    name: str
    errors: type[Exception]
    """What its driver raises."""

    def answer(self, schema_sql: str, tables: Tables, sql: str) -> list[Row]:
        """The rows of the query, in the engine's order, on tables with this schema and these rows.

        Raises:
            EngineError: the engine refuses the schema, the rows or the query.
            Exception: whatever the driver raises when the engine itself is broken.
        """
        return self._answer(schema_sql, tables, sql)[1]

    def run(self, sql: str, database: bytes) -> Result:
        """The result of an untrusted query on a copy of a SQLite snapshot; its errors are data.

        Raises:
            EngineError: the engine refuses the snapshot's schema or rows.
        """
        if not sql.strip():
            return Result((), (), QueryError(ErrorKind.NO_SQL, "empty"))
        schema_sql, tables = contents(database)
        try:
            columns, rows = self._answer(schema_sql, tables, sql)
        except EngineError as error:
            if error.part != "query":
                raise
            return Result((), (), QueryError(error.kind, error.message))
        return Result(columns, rows)

    def _answer(
        self, schema_sql: str, tables: Tables, sql: str
    ) -> tuple[tuple[str, ...], list[Row]]:
        part = "schema"
        with self._namespace():
            try:
                self._execute(schema_sql)
                part = "rows"
                self._execute(insert_sql(tables))
                part = "query"
                sql.encode()
                columns, rows = self._query(sql)
            except (self.errors, UnicodeError) as error:
                if self._is_broken(error):
                    raise
                message = str(error).split("\n")[0]
                raise EngineError(self.name, part, message, self._kind(error)) from error
        return tuple(columns), rows

    def _limited(self, found: Iterable[Sequence[Any]]) -> list[Row]:
        """The rows as SQLite would have them. Raises EngineError: they are too large together."""
        rows: list[Row] = []
        room = MAX_BYTES
        for values in found:
            row = tuple([_cell(value) for value in values])
            room -= size(row)
            if room < 0 or len(rows) == MAX_ROWS:
                message = f"result over {MAX_ROWS} rows or {MAX_BYTES} bytes"
                raise EngineError(self.name, "query", message, ErrorKind.TOO_LARGE)
            rows.append(row)
        return rows

    @abstractmethod
    def _namespace(self) -> AbstractContextManager[None]:
        """An empty namespace that is gone afterwards."""

    @abstractmethod
    def _execute(self, script: str) -> None:
        """Run statements that have no answer."""

    @abstractmethod
    def _query(self, sql: str) -> tuple[Sequence[str], list[Row]]:
        """The columns and rows of one SELECT, within the limits."""

    @abstractmethod
    def _kind(self, error: Exception) -> ErrorKind:
        """What kind of error of the SQL it is."""

    @abstractmethod
    def _is_broken(self, error: Exception) -> bool:
        """Whether the error is the engine's own rather than the SQL's."""


@lru_cache(32)
def contents(database: bytes) -> tuple[str, Tables]:
    """The CREATE TABLE statements of a SQLite snapshot and its rows, parents before children.

    A name is quoted where the statement quotes it: PostgreSQL takes `Shops` and `"Shops"` for two.

    Truth values, which SQLite keeps as 0 and 1, become such where the column is declared so.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        tables = parents_first(read_tables(connection))
        created = dict(
            connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
        )
        rows = {}
        for table in tables:
            quoted = '"' + table.name.replace('"', '""') + '"'
            is_bare = created[table.name].startswith(f"CREATE TABLE {table.name}")
            found = connection.execute(f"SELECT * FROM {quoted}").fetchall()
            rows[table.name if is_bare else quoted] = [_typed(table.columns, row) for row in found]
    return "; ".join(created[table.name] for table in tables), rows


def _typed(columns: Sequence[Column], row: Row) -> Row:
    return tuple(
        bool(cell) if cell is not None and "BOOL" in column.declared.upper() else cell
        for column, cell in zip(columns, row, strict=True)
    )


def insert_sql(tables: Tables) -> str:
    """One INSERT per table that has rows, as literals that every engine reads."""
    inserts = []
    for table, rows in tables.items():
        values = ", ".join([f"({', '.join(map(_literal, row))})" for row in rows])
        if values:
            inserts.append(f"INSERT INTO {table} VALUES {values}; ")
    return "".join(inserts)


def _literal(cell: Cell) -> str:
    if cell is None:
        return "NULL"
    if isinstance(cell, str):
        quoted = cell.replace("'", "''")
        return f"'{quoted}'"
    if isinstance(cell, bytes):
        return f"x'{cell.hex()}'"  # SQLite's; the others have no common one
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int) or (isinstance(cell, float) and cell - cell == 0):
        return repr(cell)
    raise ValueError(f"cell {cell!r} has no literal that every engine reads")


def _cell(value: Any) -> Cell:
    """The value as SQLite would have it."""
    if value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        # An integral SUM is a decimal in PostgreSQL.
        return float(value) if value.as_tuple().exponent else int(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else str(value)
