"""How fast guarded queries and killable calls are; run with `make bench`. Decides nothing."""

import operator
import resource
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial

import pytest
from timing import compare, one_core

from tinysql.sql.compare import Run
from tinysql.sql.execute import SharedRuns, run
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
    "the clock": "SELECT COUNT(*) FROM sales WHERE amount > 3 AND date('now') > '2020-01-01'",
    "refused: unknown column": "SELECT nothing FROM shops",
    "refused: forbidden": "DELETE FROM shops",
}
ROUND = 500
SHORT_ROUND = 50
BEST_OF = 60


def plain(sql: str, database: bytes) -> None:
    """The least that a fresh copy takes: connection, copy, query."""
    with closing(opened(database)) as connection:
        bare(sql, connection)


def opened(database: bytes) -> sqlite3.Connection:
    # Without a cache of statements, as what is judged is mostly new.
    connection = sqlite3.connect(":memory:", cached_statements=0)
    connection.deserialize(database)
    return connection


def bare(sql: str, connection: sqlite3.Connection) -> None:
    try:
        connection.execute(sql).fetchall()
    except sqlite3.Error:
        return


def times(
    function: Callable[..., object], *args: object, number: int = ROUND
) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(number):
            function(*args)

    return repeated


def fastest(title: str, amount: int, sides: Mapping[str, Callable[[], object]]) -> None:
    """Print queries per second of CPU time in each side's best round: noise only slows down."""
    seconds = {name: float("inf") for name in sides}
    for _ in range(BEST_OF):
        for name, side in sides.items():
            started = time.process_time()
            side()
            seconds[name] = min(seconds[name], time.process_time() - started)
    print(f"\n{title}")
    for name, least in seconds.items():
        print(f"  {name:<34}{amount / least:>12,.0f} queries/s")


@pytest.mark.parametrize("name", QUERIES)
def test_guarded_queries_per_second_on_one_core(name: str) -> None:
    sql, database = QUERIES[name], fill(SCHEMA, seed=0)
    with one_core(), closing(SharedRuns()) as shared, closing(opened(database)) as connection:
        sides = {
            "guarded, a connection each": times(run, sql, database, number=SHORT_ROUND),
            "no guard, a connection each": times(plain, sql, database, number=SHORT_ROUND),
            "guarded, one connection": times(shared, sql, database, number=SHORT_ROUND),
            "no guard, one connection": times(bare, sql, connection, number=SHORT_ROUND),
        }
        fastest(f"a query on a copy of a database: {name}", SHORT_ROUND, sides)


def test_guarded_queries_per_second_on_ten_databases() -> None:
    databases = [fill(SCHEMA, seed=seed) for seed in range(10)]
    queries = [QUERIES["one table"], QUERIES["a filter"], QUERIES["join, groups, order"]]

    def all_of(runs: Run) -> None:
        for sql in queries:
            for database in databases:
                runs(sql, database)

    with one_core(), closing(SharedRuns()) as shared:
        sides = {
            "guarded, a connection each": partial(all_of, run),
            "guarded, a connection a database": partial(all_of, shared),
        }
        amount = len(queries) * len(databases)
        fastest("queries, each on ten databases in a row", amount, sides)


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
