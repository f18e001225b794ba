"""What the gold query of a dataset row answers on the row's own databases.

Every other database has rows planted so that all conditions hold together somewhere; the others
are random around the values that the conditions turn on. Each kind finds mistakes that the other
one misses.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from tinysql.data.verify.populate import populate
from tinysql.sql.compare import Answer, answer
from tinysql.sql.engine import insert_sql
from tinysql.sql.execute import Limits
from tinysql.sql.hints import hints_of
from tinysql.sql.sample import fill

DatasetRow = Mapping[str, Any]
"""One row of a dataset, by column name."""


def gold_answers(
    row: DatasetRow, *, seed: int, num_databases: int, num_rows: int, limits: Limits
) -> list[Answer]:
    """The gold's answer on each of the row's databases, which depend on seed and row alone.

    Raises:
        RuntimeError: the gold does not run.
    """
    keys = sort_keys(row)
    return [
        answer(row["gold_sql"], keys, database, limit=row["limit"], limits=limits)
        for database in _databases(row, seed, num_databases, num_rows)
    ]


def _databases(
    row: DatasetRow, seed: int, num_databases: int, num_rows: int
) -> Iterator[bytes]:
    """Snapshots of the row's databases."""
    schema, hints = row["schema_sql"], hints_of(row)
    for number in range(num_databases):
        if number % 2:
            planted = populate(row, num_rows=num_rows, seed=seed * num_databases + number)
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.executescript(f"{schema};{insert_sql(planted)}")
                yield connection.serialize()
        else:
            yield fill(schema, seed=f"{seed}/{row['id']}/{number}", num_rows=num_rows, hints=hints)


def sort_keys(row: DatasetRow) -> list[str | int]:
    """Each key of the ORDER BY as its position in the answer, else as the gold query writes it."""
    selected = [_column(item) for item in row["select"]]
    return [
        selected.index(_column(key)) if _column(key) in selected else _qualified(row, key)
        for key in row["order_by"]
    ]


def _qualified(row: DatasetRow, key: Mapping[str, Any]) -> str:
    """A column with the alias of its table, where the gold query gives it one."""
    tables = row["from_tables"]
    if len(tables) == 1 or row["variant"] == "paper":
        return key["column"]
    return f"t{tables.index(key['table']) + 1}.{key['column']}"


def _column(item: Mapping[str, Any]) -> tuple[int, str, str]:
    return item["table"], item["column"], item["aggregate"]
