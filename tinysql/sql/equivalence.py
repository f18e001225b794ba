"""Two queries told apart by the smallest database on which they answer differently.

Nothing found is no proof: "equivalent so far" means on so many databases, chosen around the
constants of both queries to tell mutants of either from it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from tinysql.sql.catalog import parents_first, quoted
from tinysql.sql.compare import Run, Verdict
from tinysql.sql.engine import Tables, insert_sql
from tinysql.sql.execute import run
from tinysql.sql.gold import Gold, GoldError, is_ordered
from tinysql.sql.result import Result
from tinysql.sql.snapshot import prepare
from tinysql.sql.suite import make_suite, suite_of_database


@dataclass(frozen=True)
class Counterexample:
    """A database on which two queries answer differently, and their answers."""

    inserts: str
    """One INSERT per table that has rows."""
    results: tuple[Result, Result]
    lacks_order: bool
    """Whether all that differs is that one query has an order of its own and the other none."""


def find_difference(
    schema_sql: str,
    one: Gold,
    other: Gold,
    *,
    seed: str | int = 0,
    num_databases: int = 100,
    run: Run = run,
) -> Counterexample | None:
    """A counterexample without a row that it does not need, or None.

    Columns count by position, names do not; order counts where a query has an ORDER BY,
    and then the other needs one, too.

    Raises:
        GoldError: a query does not run.
        InputError: SQLite refuses the schema.
    """
    _check(schema_sql, one, other, run)
    half = (num_databases + 1) // 2
    for golds in ([one, other], [other, one]):
        suite = make_suite(schema_sql, golds, seed=seed, num_databases=half, run=run)
        for each in suite.answers[0]:
            if _differ(one, other, each.database, run):
                tables = _smallest(schema_sql, one, other, each.database, run)
                database = _database(schema_sql, tables)
                return Counterexample(
                    insert_sql(tables).strip(),
                    (run(one.sql, database), run(other.sql, database)),
                    lacks_order=not _differ(one, other, database, run, by_order=False),
                )
    return None


def _check(schema_sql: str, one: Gold, other: Gold, run: Run) -> None:
    empty = prepare(schema_sql)[0]
    for place, gold in (("first", one), ("second", other)):
        error = run(gold.sql, empty).error
        if error is not None:
            raise GoldError(f"the {place} query {gold.sql!r} fails: {error.message}")


def _differ(
    one: Gold, other: Gold, database: bytes, run: Run, *, by_order: bool = True
) -> bool:
    """Whether either query would be wrong with the other as gold.

    Args:
        by_order: whether it is wrong to have no order where the other has one, too.
    """
    return any(
        suite_of_database(database, [gold], run)
        .judge(pred.sql, run, is_ordered=not by_order or is_ordered(pred.tree))
        .verdict
        is not Verdict.STRICT
        for gold, pred in ((one, other), (other, one))
    )


def _smallest(
    schema_sql: str, one: Gold, other: Gold, database: bytes, run: Run
) -> Tables:
    """The rows left when none can go without the difference going, too."""
    tables = _rows(schema_sql, database)
    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in _without_some(tables):
            if _differ(one, other, _database(schema_sql, smaller), run):
                tables, shrinking = smaller, True
                break
    return tables


def _without_some(tables: Tables) -> Iterator[Tables]:
    """The tables with rows left out: halves of a table first, then single rows."""
    for name, rows in reversed(list(tables.items())):
        size = len(rows)
        while size:
            for start in range(0, len(rows), size):
                yield {**tables, name: [*rows[:start], *rows[start + size :]]}
            size //= 2


def _rows(schema_sql: str, database: bytes) -> Tables:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        names = [quoted(table.name) for table in parents_first(prepare(schema_sql)[1])]
        return {
            name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names
        }


def _database(schema_sql: str, tables: Tables) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(prepare(schema_sql)[0])
        connection.executescript(insert_sql(tables))
        return connection.serialize()
