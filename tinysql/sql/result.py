"""What a query gave, or why it gave nothing, and how much it may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Cell = int | float | str | bytes | None
Row = tuple[Cell, ...]


class ErrorKind(StrEnum):
    """Why a query has no rows to compare."""

    NO_SQL = "no_sql"
    """Nothing that answers: blanks, comments, or a statement without effect such as REINDEX."""
    SYNTAX = "syntax"
    """The text is not SQL that SQLite can parse."""
    UNKNOWN_TABLE = "unknown_table"
    """A table that the schema does not have."""
    UNKNOWN_COLUMN = "unknown_column"
    """A column that the tables in scope do not have."""
    FORBIDDEN = "forbidden"
    """More than one statement, or anything that is not a pure, repeatable read."""
    TIMEOUT = "timeout"
    """The step budget, or the wall clock behind it, ran out."""
    TOO_LARGE = "too_large"
    """The query, a cell, the result or the memory it needs is over its limit."""
    OTHER = "other"
    """Any other error of SQLite: ambiguous names, misused aggregates, unknown functions, ..."""


@dataclass(frozen=True, slots=True)
class QueryError:
    """What went wrong, by kind and in SQLite's words."""

    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """Column names and rows in the order SQLite gave them; both empty when there is an error."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    error: QueryError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one query may use; far above what a query on a few dozen rows needs."""

    max_steps: int = 1_000_000
    """Steps of SQLite's virtual machine, about 10 ms per million."""
    max_seconds: float = 10.0
    """Wall clock, for whatever the step budget does not see."""
    max_rows: int = 10_000
    """Rows of the result."""
    max_result_bytes: int = 4_000_000
    """Text and blob bytes of the result, with 8 for every cell."""
    max_cell_bytes: int = 8_192
    """Bytes of any one value, also between steps."""
    max_sql_bytes: int = 20_000
    """Bytes of the query."""
    max_heap_bytes: int = 128 * 2**20
    """SQLite's memory in this process, all connections together; once lowered it stays."""


DEFAULT_LIMITS = Limits()


def size(row: Row) -> int:
    """Bytes of a row: of its texts and blobs, and 8 for every cell."""
    return 8 * len(row) + sum([len(cell) for cell in row if isinstance(cell, str | bytes)])
