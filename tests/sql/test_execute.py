import os
import sqlite3
import time

import pytest

from tinysql.sql.execute import ErrorKind, Limits, Result, run
from tinysql.sql.sample import fill

SCHEMA = "CREATE TABLE t ( a INTEGER, b TEXT )"
ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "


@pytest.fixture
def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute(SCHEMA)
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(2, "x"), (1, None), (2, "x")])
    connection.commit()
    return connection.serialize()


def kind(result: Result) -> ErrorKind | None:
    return result.error and result.error.kind


def test_run_returns_names_and_rows_in_order(database: bytes) -> None:
    result = run("SELECT a AS n, b FROM t ORDER BY a", database)
    assert result == Result(("n", "b"), [(1, None), (2, "x"), (2, "x")])


def test_run_accepts_every_allowed_kind_of_read(database: bytes) -> None:
    sql = (
        "WITH c AS (SELECT a, count(*) AS n FROM t GROUP BY a HAVING n > 0) "
        "SELECT upper('x') || max(n) OVER (), date('2020-01-01') FROM c "
        "WHERE a IN (SELECT a FROM t) AND 'abc' LIKE 'A%' UNION SELECT 1, 2"
    )
    assert run(sql, database).error is None


@pytest.mark.parametrize("size", [20_001, 1_000_000])
def test_run_refuses_a_long_query(database: bytes, size: int) -> None:
    assert kind(run("SELECT 1" + " " * size, database)) is ErrorKind.TOO_LARGE


def test_run_counts_query_bytes_not_characters(database: bytes) -> None:
    assert kind(run("SELECT '" + "\u20ac" * 10_000 + "'", database)) is ErrorKind.TOO_LARGE


@pytest.mark.parametrize(
    ("limits", "sql"),
    [
        (Limits(max_rows=2), "SELECT a FROM t"),
        (Limits(max_result_bytes=20), "SELECT a FROM t"),
        (Limits(max_cell_bytes=10), "SELECT 'elf letters'"),
    ],
)
def test_run_holds_each_limit(database: bytes, limits: Limits, sql: str) -> None:
    assert run(sql, database).error is None
    assert kind(run(sql, database, limits=limits)) is ErrorKind.TOO_LARGE


@pytest.mark.parametrize("num_rows", [1, 2, 7, 500, 1_234])
def test_run_counts_rows_and_bytes_exactly(database: bytes, num_rows: int) -> None:
    sql = (
        "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < "
        f"{num_rows}) SELECT x, 'abc', NULL FROM r"
    )
    num_bytes = num_rows * (3 * 8 + 3)
    assert len(run(sql, database, limits=Limits(max_rows=num_rows)).rows) == num_rows
    assert len(run(sql, database, limits=Limits(max_result_bytes=num_bytes)).rows) == num_rows
    for limits in (Limits(max_rows=num_rows - 1), Limits(max_result_bytes=num_bytes - 1)):
        assert kind(run(sql, database, limits=limits)) is ErrorKind.TOO_LARGE


def test_run_stops_at_the_same_step_every_time(database: bytes) -> None:
    def finishes(steps: int) -> bool:
        sql = ENDLESS + "SELECT x FROM r LIMIT 500"
        return run(sql, database, limits=Limits(max_steps=steps)).error is None

    assert not finishes(1_000)
    assert finishes(100_000)
    enough = next(steps for steps in range(1_000, 100_000, 100) if finishes(steps))
    assert not any(finishes(enough - 100) for _ in range(5))
    assert all(finishes(enough) for _ in range(5))


@pytest.mark.parametrize(
    "sql", [ENDLESS + "SELECT count(*) FROM r", ENDLESS + "SELECT x FROM r WHERE x < 0"]
)
def test_run_wall_clock_stops_what_the_budget_allows(database: bytes, sql: str) -> None:
    began = time.monotonic()
    result = run(sql, database, limits=Limits(max_steps=10**12, max_seconds=0.05))
    assert kind(result) is ErrorKind.TIMEOUT
    assert time.monotonic() - began < 5


def test_run_wall_clock_covers_fetching_rows(database: bytes) -> None:
    limits = Limits(max_steps=10**12, max_seconds=0.05, max_rows=10**12, max_result_bytes=10**12)
    assert kind(run(ENDLESS + "SELECT x FROM r", database, limits=limits)) is ErrorKind.TIMEOUT


def test_run_compile_time_bomb_is_stopped_by_the_budget(database: bytes) -> None:
    views = ", ".join(f"a{i} AS (SELECT p.x FROM a{i - 1} p, a{i - 1} q)" for i in range(1, 25))
    sql = f"WITH a0 AS (SELECT 1 x), {views} SELECT x FROM a24"
    assert kind(run(sql, database)) in (ErrorKind.TIMEOUT, ErrorKind.TOO_LARGE)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "scrambled"])
def test_run_broken_snapshot_raises(damage: str) -> None:
    good = fill(SCHEMA, seed=0)
    broken = {
        "empty": b"",
        "text": b"not a database" * 1000,
        "cut": good[:5000],
        "scrambled": good[:100] + b"\xff" * (len(good) - 100),
    }[damage]
    with pytest.raises((ValueError, sqlite3.DatabaseError)):
        run("SELECT a FROM t", broken)


def test_run_leaves_the_snapshot_as_it_was(database: bytes) -> None:
    before = bytes(database)
    for sql in ("DELETE FROM t", "DROP TABLE t", "CREATE TEMP TABLE t AS SELECT 9 AS a"):
        assert kind(run(sql, database)) is ErrorKind.FORBIDDEN
    assert database == before
    assert len(run("SELECT a FROM t", database).rows) == 3


def test_run_leaves_no_open_files(database: bytes) -> None:
    run("SELECT a FROM t", database)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(50):
        run("SELECT a FROM t", database)
        run("ATTACH 'x.db' AS x", database)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before
