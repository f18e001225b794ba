import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.sql import execute
from tinysql.sql.execute import SharedRuns, run
from tinysql.sql.result import ErrorKind, Limits, Result
from tinysql.sql.sample import fill

SCHEMA = "CREATE TABLE t ( a INTEGER, b TEXT )"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "sql" / "hostile.jsonl"
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


def bomb() -> str:
    """A query that is twice as large inside for every name in it."""
    views = ", ".join(f"a{i} AS (SELECT p.x FROM a{i - 1} p, a{i - 1} q)" for i in range(1, 25))
    return f"WITH a0 AS (SELECT 1 x), {views} SELECT x FROM a24"


def test_run_compile_time_bomb_is_stopped_by_the_budget(database: bytes) -> None:
    assert kind(run(bomb(), database)) in (ErrorKind.TIMEOUT, ErrorKind.TOO_LARGE)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "scrambled"])
def test_run_broken_snapshot_raises(damage: str) -> None:
    good = fill(SCHEMA, seed=0)
    broken = {
        "empty": b"",
        "text": b"not a database" * 1000,
        "cut": good[:-500],
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


@pytest.fixture
def shared() -> Iterator[SharedRuns]:
    with closing(SharedRuns()) as shared:
        yield shared


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE u AS SELECT 9 AS a",
        "CREATE TABLE u (a)",
        "CREATE TEMP VIEW t AS SELECT 9 AS a, 9 AS b",
        "ATTACH ':memory:' AS u",
        "DELETE FROM t",
        "INSERT INTO t VALUES (9, 'z') RETURNING a",
        "BEGIN",
        "BEGIN; DROP TABLE t",
        "SAVEPOINT s",
        "PRAGMA query_only=OFF",
        "PRAGMA case_sensitive_like=ON",
        "PRAGMA reverse_unordered_selects=ON",
        "PRAGMA writable_schema=ON",
        "SELECT * FROM pragma_query_only",
        "SELECT a FROM t, u",
        "SELECT date('now'), value FROM json_each('[1]')",
        "SELECT printf('%.1000000000c', 'x')",
        "SELECT 'elf' || zeroblob(9000)",
        "SELECT x'ff' || 1, CAST(x'ff' AS TEXT)",
        ENDLESS + "SELECT count(*) FROM r",
        ENDLESS + "SELECT x FROM r",
        ENDLESS + "SELECT x, row_number() OVER (ORDER BY -x) FROM r",
        bomb(),
    ],
)
def test_shared_runs_see_nothing_of_each_other(
    shared: SharedRuns, database: bytes, sql: str
) -> None:
    after = (
        "SELECT a, b FROM t",
        "SELECT a FROM t WHERE b LIKE 'X'",
        "SELECT name FROM sqlite_schema",
        "SELECT name FROM sqlite_temp_schema",
        "SELECT a FROM u",
        "SELECT changes()",
        "SELECT total_changes()",
        "SELECT last_insert_rowid()",
        "PRAGMA query_only",
        "DELETE FROM t",
        "COMMIT",
        "SELECT date('now'), current_time",
        "SELECT key FROM json_tree('{}')",
        "SELECT random()",
    )
    for _ in range(2):
        assert shared(sql, database) == run(sql, database)
        for each in after:
            assert shared(each, database) == run(each, database)


def test_shared_runs_count_steps_as_run_does(database: bytes) -> None:
    queries = [ENDLESS + f"SELECT x FROM r LIMIT {limit}" for limit in range(1, 200)]
    results = [run(sql, database, limits=Limits(max_steps=1_500)) for sql in queries]
    assert {kind(result) for result in results} == {None, ErrorKind.TIMEOUT}
    with closing(SharedRuns(Limits(max_steps=1_500))) as shared:
        for _ in range(3):
            assert [shared(sql, database) for sql in queries] == results


def test_shared_runs_stopped_by_the_clock_go_on(database: bytes) -> None:
    limits = Limits(max_steps=10**12, max_seconds=0.05)
    with closing(SharedRuns(limits)) as shared:
        assert kind(shared(ENDLESS + "SELECT count(*) FROM r", database)) is ErrorKind.TIMEOUT
        assert len(shared("SELECT a FROM t", database).rows) == 3


def test_shared_runs_open_each_of_the_last_databases_once(
    shared: SharedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(database: bytes, limits: Limits, pragma: str = "") -> execute._Copy:
        opened.append(database)
        return original(database, limits, pragma)

    original = execute._open
    monkeypatch.setattr(execute, "_open", counted)
    monkeypatch.setattr(execute, "_MAX_COPIES", 32)
    used = [fill(SCHEMA, seed=seed) for seed in range(40)]
    for _ in range(3):
        for number, each in enumerate(used[:10]):
            assert shared("SELECT a, b FROM t", each).rows, number
    assert opened == used[:10]
    shared("SELECT a FROM t", bytes(bytearray(used[0])))
    assert opened == used[:10]
    for each in [*used, used[-1], used[-32]]:
        shared("SELECT a FROM t", each)
    assert opened == used
    shared("SELECT a FROM t", used[0])
    assert opened == [*used, used[0]]


def test_shared_runs_never_answer_from_another_database(shared: SharedRuns) -> None:
    for number in range(200):
        # Nothing else holds the database, so that the next one may lie where it lay.
        assert shared("SELECT a FROM t", one_row(number)).rows == [(number,)]


def one_row(number: int) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"{SCHEMA}; INSERT INTO t VALUES ({number}, NULL)")
        return connection.serialize()


def test_shared_runs_hold_few_large_databases(
    shared: SharedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [fill(SCHEMA, seed=seed) for seed in range(3)]
    monkeypatch.setattr(execute, "_MAX_BYTES_OF_COPIES", 2 * len(used[0]))
    for sql in ("SELECT a FROM t", "SELECT b FROM t"):
        for each in used:
            assert shared(sql, each) == run(sql, each)
            assert len(shared._copies) <= 2  # noqa: SLF001
    monkeypatch.setattr(execute, "_MAX_BYTES_OF_COPIES", 1)
    assert shared("SELECT a FROM t", used[0]).rows
    assert list(shared._copies) == [used[0]]  # noqa: SLF001


def test_shared_runs_work_again_after_close(shared: SharedRuns, database: bytes) -> None:
    for _ in range(2):
        assert len(shared("SELECT a FROM t", database).rows) == 3
        shared.close()


def test_shared_runs_of_a_broken_snapshot_raise(shared: SharedRuns, database: bytes) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="broken database snapshot"):
            shared("SELECT a FROM t", database[:-1])
        assert len(shared("SELECT a FROM t", database).rows) == 3


FEW_STEPS = Limits(max_steps=50_000)
SHOPS = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city TEXT, rent REAL ); "
    "CREATE TABLE sales ( sale_id INTEGER PRIMARY KEY, amount INTEGER, shop_id INTEGER )"
)
ORDINARY = [
    "SELECT city, rent FROM shops ORDER BY rent DESC",
    "SELECT COUNT(*) FROM sales WHERE amount > 3",
    "SELECT t1.city, SUM(t2.amount) FROM shops AS t1 JOIN sales AS t2 ON t1.id = t2.shop_id "
    "GROUP BY t1.city",
    "SELECT date('now'), city FROM shops",
    "SELECT value FROM json_each('[1]')",
]
with FIXTURES.open(encoding="utf-8") as lines:
    HOSTILE = [case["sql"] for case in map(json.loads, lines) if "sql" in case]


@cache
def shops(number: int) -> bytes:
    return fill(SHOPS, seed=number)


@cache
def expected(sql: str, number: int) -> str:
    return repr(run(sql, shops(number), limits=FEW_STEPS))


QUERIES = st.sampled_from(HOSTILE) | st.sampled_from(ORDINARY)


@given(st.lists(st.tuples(QUERIES, st.integers(0, 2)), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_shared_runs_are_runs(queries: list[tuple[str, int]]) -> None:
    with closing(SharedRuns(FEW_STEPS)) as shared:
        for sql, number in queries:
            # As text: NaN is not equal to itself, and 1 is equal to 1.0.
            assert repr(shared(sql, shops(number))) == expected(sql, number)
