"""What can be wrong with a row of somebody else's dataset: the reasons for quarantine."""

from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """Why a row is quarantined."""

    MALFORMED_ROW = "malformed_row"
    """A field of the format is missing, empty or of another type."""
    TOO_LARGE = "too_large"
    """A text, or the number of tables, is over its limit."""
    NO_SCHEMA = "no_schema"
    """There is no CREATE TABLE for the row."""
    SCHEMA_UNPARSABLE = "schema_unparsable"
    """A CREATE TABLE that is not SQL."""
    SCHEMA_FAILS = "schema_fails"
    """SQLite refuses the schema."""
    DANGLING_FOREIGN_KEY = "dangling_foreign_key"
    """A foreign key refers to a table or column that the schema lacks."""
    RESERVED_NAME = "reserved_name"
    """A table or column is called, without quotes, what SQLite, DuckDB or PostgreSQL reserve."""
    GOLD_UNPARSABLE = "gold_unparsable"
    """The query is not SQL."""
    NOT_A_QUERY = "not_a_query"
    """The statement changes data or tables, or there are several statements."""
    UNKNOWN_TABLE = "unknown_table"
    """The query reads a table that the schema lacks."""
    UNKNOWN_COLUMN = "unknown_column"
    """The query reads a column that its tables lack."""
    AMBIGUOUS_COLUMN = "ambiguous_column"
    """The query names a column that two of its tables have."""
    GOLD_FAILS = "gold_fails"
    """The query fails in SQLite for any other reason."""
    DUPLICATE = "duplicate"
    """The same question, schema and query stand earlier in the split."""
    LEAK = "leak"
    """The question, or the query, with the same schema stands in a split that was read before."""


class Note(StrEnum):
    """What is reported of a row without keeping it out."""

    STRING_REQUOTED = "double_quoted_string"
    """A text in double quotes, which SQLite alone takes for one, got single quotes."""
    TRANSLATED = "translated"
    """The query was translated from another dialect to SQLite's."""
    BARE_COLUMN = "bare_column_beside_aggregate"
    """A plain column stands beside an aggregate without GROUP BY: SQLite picks any row's value."""
    STATEMENTS_LEFT_OUT = "statements_left_out"
    """The schema's text had other statements than CREATE TABLE, which its tables do without."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one row, and which part of it."""

    problem: Problem
    detail: str


class Refused(Exception):
    """A text that cannot be made sense of; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


def refuse(problem: Problem, detail: str) -> Refused:
    """The exception for a finding."""
    return Refused(Finding(problem, detail))
