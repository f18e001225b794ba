import sqlite3
import time
from contextlib import closing

import pytest

from tinysql.sql.execute import SharedRuns, run
from tinysql.sql.functions import MAX_WIDTH, NOW
from tinysql.sql.result import ErrorKind, Limits
from tinysql.sql.sample import fill

DATABASE = fill("CREATE TABLE t ( a INTEGER, b TEXT, d DATE )", seed=0)


def cell(expression: str) -> object:
    result = run(f"SELECT {expression}", DATABASE)
    assert result.error is None, result.error
    return result.rows[0][0]


def native(expression: str) -> object:
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(f"SELECT {expression}").fetchone()[0]


@pytest.mark.parametrize(
    ("asks", "means"),
    [
        ("CURRENT_DATE", f"date('{NOW}')"),
        ("current_time", f"time('{NOW}')"),
        ("Current_Timestamp", f"datetime('{NOW}')"),
        ("date()", f"date('{NOW}')"),
        ("time()", f"time('{NOW}')"),
        ("datetime()", f"datetime('{NOW}')"),
        ("julianday()", f"julianday('{NOW}')"),
        ("unixepoch()", f"unixepoch('{NOW}')"),
        ("strftime('%Y %s')", f"strftime('%Y %s', '{NOW}')"),
        ("strftime('now')", "'now'"),
        ("date('now')", f"date('{NOW}')"),
        ("\"date\"('NOW')", f"date('{NOW}')"),
        ("date('no' || char(119))", f"date('{NOW}')"),
        ("date('now' || char(0, 1))", f"date('{NOW}')"),
        ("date(x'6e6f77')", f"date('{NOW}')"),
        ("date('now', '-1 year', 'start of month')", f"date('{NOW}', '-1 year', 'start of month')"),
        ("strftime('%H:%M', 'now', 'localtime')", f"strftime('%H:%M', '{NOW}')"),
        ("datetime('2024-02-29 23:00', 'utc')", "'2024-02-29 23:00:00'"),
        ("datetime(86400, 'unixepoch', 'localtime')", "'1970-01-02 00:00:00'"),
        ("date(86400, 'localtime', 'unixepoch')", "NULL"),
        ("(SELECT max(d) FROM (SELECT date(b) AS d FROM (SELECT 'now' AS b)))", f"date('{NOW}')"),
    ],
)
def test_time_stands_still(asks: str, means: str) -> None:
    assert cell(asks) == native(means)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 43), reason="has no timediff")
def test_time_stands_still_between_two_times() -> None:
    assert cell("timediff('now', '2022-07-14')") == native(f"timediff('{NOW}', '2022-07-14')")


@pytest.mark.parametrize(
    "expression",
    [
        "date('2020-01-31', '+1 month')",
        "julianday('2020-01-31 12:00')",
        "unixepoch('2020-01-31')",
        "strftime('%j %W', '2020-01-31')",
        "strftime()",
        "date(NULL)",
        "date('tomorrow')",
        "time(2451545.25)",
        "printf('%05d|%-6s|%.2f|%x|%%|%,d', 42, 'ab', 1.005, 255, 1234567)",
        "format('%*d|%.*f', 5, 1000, 2, 3.14159)",
        "printf('%n%s 500', 'a')",
        "printf('%s', NULL)",
        "printf(NULL)",
        "printf()",
        "printf(12)",
        "printf('%d %d', 'x', x'31')",
    ],
)
def test_everything_else_is_as_in_sqlite(expression: str) -> None:
    assert cell(expression) == native(expression)


def test_now_tells_rows_apart() -> None:
    for comparison in ("<", ">"):
        assert run(f"SELECT a FROM t WHERE d {comparison} date('now')", DATABASE).rows


def test_a_view_that_reads_the_clock_reads_the_same_one() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("CREATE TABLE t (a); CREATE VIEW v AS SELECT date('now') AS d")
        database = connection.serialize()
    assert run("SELECT d FROM v", database).rows == [(native(f"date('{NOW}')"),)]


def test_time_is_the_same_before_and_after_other_queries() -> None:
    with closing(SharedRuns()) as shared:
        for _ in range(2):
            assert shared("SELECT date('now')", DATABASE).rows == [(NOW[:10],)]
            assert shared("SELECT date('2020-01-01')", DATABASE).rows == [("2020-01-01",)]


def test_a_column_may_be_called_like_a_function() -> None:
    database = fill("CREATE TABLE t ( date DATE, format TEXT )", seed=0)
    assert len(run("SELECT date, format FROM t", database).rows) > 1


@pytest.mark.parametrize(
    "expression",
    [
        f"printf('%{MAX_WIDTH + 1}d', 1)",
        f"format('%.{MAX_WIDTH + 1}f', 1)",
        "printf('%.1000000000c', 'x')",
        "printf('%.*c', 2147483647, 'x')",
        "printf('%s%-*d', 'x', -2147483648, 1)",
        "printf('%*d', '1000000000', 1)",
        "printf('%*d', x'393939', 1)",
        "printf('%' || replace(hex(zeroblob(4000)), '0', '9') || 'd', 1)",
        "printf(CAST('%.1000000000c' AS BLOB), 'x')",
    ],
)
def test_printf_over_its_width_is_too_large(expression: str) -> None:
    began = time.monotonic()
    result = run(f"SELECT {expression}", DATABASE)
    assert result.error is not None
    assert result.error.kind is ErrorKind.TOO_LARGE
    assert time.monotonic() - began < 2


def test_printf_up_to_its_width_is_allowed() -> None:
    assert cell(f"printf('%{MAX_WIDTH}d', 1)") == f"{1:{MAX_WIDTH}d}"
    assert cell(f"printf('%.*f', {MAX_WIDTH}, 0.5)") == f"{0.5:.{MAX_WIDTH}f}"


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT value FROM json_each('[1, \"b\"]')", [(1,), ("b",)]),
        ("SELECT fullkey FROM json_tree('{\"a\": [1]}')", [("$",), ("$.a",), ("$.a[0]",)]),
        ("SELECT DISTINCT j.value FROM t, json_each('[1, 2]') AS j", [(1,), (2,)]),
    ],
)
def test_json_can_be_read_as_a_table(sql: str, rows: list) -> None:
    assert run(sql, DATABASE).rows == rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM pragma_table_info('t')",
        "SELECT * FROM json_each('[1]'), pragma_function_list",
        "UPDATE json_each SET value = 1",
        "SELECT date('now'), random()",
    ],
)
def test_what_json_and_dates_need_allows_nothing_else(sql: str) -> None:
    assert run("SELECT date('now') FROM json_each('[1]')", DATABASE).error is None
    assert run(sql, DATABASE).error is not None


def test_json_tables_stay_within_the_budget() -> None:
    steps = ", ".join(f"json_each('[1,2,3,4,5,6,7,8,9]') AS j{number}" for number in range(8))
    result = run(f"SELECT count(*) FROM {steps}", DATABASE)
    assert result.error is not None
    assert result.error.kind is ErrorKind.TIMEOUT


@pytest.mark.parametrize("max_steps", [0, 99, 100, 1_000])
def test_a_small_budget_ends_queries_alone(max_steps: int) -> None:
    limits = Limits(max_steps=max_steps)
    with closing(SharedRuns(limits)) as shared:
        for sql in ("SELECT date('now') FROM t", "SELECT value FROM t, json_each('[1]')"):
            result = run(sql, DATABASE, limits=limits)
            assert result.error is None or result.error.kind is ErrorKind.TIMEOUT
            assert [shared(sql, DATABASE) for _ in range(2)] == [result, result]
