"""How fast guarded queries and killable calls are; run with `make bench`. Decides nothing."""

import operator
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from timing import compare, one_core

from tinysql.sql.execute import run
from tinysql.sql.sample import fill
from tinysql.sql.worker import Worker

pytestmark = pytest.mark.benchmark

SCHEMA = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city TEXT, rent REAL ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount INTEGER, "
    "shop_id INTEGER REFERENCES shops ( id ) )"
)
QUERIES = {
    "one table": "SELECT city, rent FROM shops ORDER BY rent DESC",
    "a filter": "SELECT COUNT(*) AS COUNT_rows FROM sales WHERE amount > 3",
    "join, groups, order": "SELECT t1.city, COUNT(*) AS COUNT_rows, MAX(t2.amount) AS MAX_amount "
    "FROM shops AS t1 JOIN sales AS t2 ON t1.id = t2.shop_id WHERE t2.amount > 3 "
    "GROUP BY t1.city ORDER BY COUNT_rows DESC, t1.city ASC",
    "refused: unknown column": "SELECT nothing FROM shops",
    "refused: forbidden": "DELETE FROM shops",
}
ROUND = 500


def plain(sql: str, database: bytes) -> None:
    """The least that a fresh copy takes: connection, copy, query."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        try:
            connection.execute(sql).fetchall()
        except sqlite3.Error:
            return


def times(function: Callable[..., object], *args: object) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(ROUND):
            function(*args)

    return repeated


@pytest.mark.parametrize("name", QUERIES)
def test_guarded_queries_per_second_on_one_core(name: str) -> None:
    sql, database = QUERIES[name], fill(SCHEMA, seed=0)
    sides = {"guarded": times(run, sql, database), "no guard": times(plain, sql, database)}
    with one_core():
        compare(f"a query on a fresh database: {name}", "queries/s", ROUND, sides)


def test_calls_per_second_of_a_worker_that_can_be_killed() -> None:
    sql, database = QUERIES["one table"], fill(SCHEMA, seed=0)
    with Worker() as worker:
        sides = {
            "nothing, in a worker": times(lambda: worker.call(operator.pos, 1, timeout=60)),
            "a query, in a worker": times(lambda: worker.call(run, sql, database, timeout=60)),
            "a query, here": times(run, sql, database),
        }
        compare("calls of a worker", "calls/s", ROUND, sides)


def test_worker_starts_per_second() -> None:
    def start() -> None:
        with Worker() as worker:
            worker.call(operator.pos, 1, timeout=60)

    compare("start a worker, call it, end it", "workers/s", 1, {"start": start})


def test_memory_of_many_queries_is_flat() -> None:
    database = fill(SCHEMA, seed=0)
    for number in range(8):
        for sql in QUERIES.values():
            times(run, sql, database)()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"\npeak after {(number + 1) * ROUND * len(QUERIES):>6,} queries: {peak:,} KiB")
