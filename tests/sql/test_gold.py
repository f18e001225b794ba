"""Gold queries: which orders and cuts are right, against sorting by hand."""

import sqlite3
from contextlib import closing

import pytest

from tinysql.sql.compare import Reason, Verdict, judge
from tinysql.sql.gold import GoldError, answer, is_ordered, read_gold
from tinysql.sql.result import Row
from tinysql.sql.sample import fill

SCHEMA = (
    "CREATE TABLE t ( a INTEGER, b INTEGER, c BOOLEAN ); CREATE TABLE u ( a BOOLEAN, d INTEGER )"
)


@pytest.mark.parametrize(
    ("gold", "keys"),
    [
        ("SELECT a, b FROM t ORDER BY 2", "b"),
        ("SELECT a AS x, b FROM t ORDER BY x DESC", "a DESC"),
        ("SELECT a, b FROM t ORDER BY c, b DESC", "c, b DESC"),
        ("SELECT a, b FROM t ORDER BY b + 1, a", "b + 1, a"),
        ("SELECT a AS x, b FROM t ORDER BY -x", "-a"),
        ("SELECT *, a FROM t ORDER BY b", "b"),
        ("SELECT * FROM t ORDER BY 3, 1", "c, a"),
        ("SELECT t.a FROM t JOIN u ON t.c = u.a ORDER BY u.d", "u.d"),
        ("SELECT b, COUNT(*) AS n FROM t GROUP BY b ORDER BY COUNT(*)", "COUNT(*)"),
        ("SELECT b FROM t GROUP BY b ORDER BY COUNT(*) DESC, b", "COUNT(*) DESC, b"),
        ("SELECT DISTINCT a, b FROM t ORDER BY b", "b"),
        ("SELECT a FROM t UNION SELECT d FROM u ORDER BY a DESC", "a DESC"),
        ("SELECT a FROM t UNION ALL SELECT d FROM u ORDER BY 1", "1"),
    ],
)
def test_rows_with_equal_keys_may_permute_and_no_others(gold: str, keys: str) -> None:
    """A further key only chooses among the orders that the gold leaves open."""
    unsorted = gold.split(" ORDER BY ")[0]
    for seed in range(3):
        expected = [answer(read_gold(gold), fill(SCHEMA, seed=seed))]
        for further in ("1", "1 DESC"):
            allowed = f"{unsorted} ORDER BY {keys}, {further}"
            assert judge(allowed, expected).verdict is Verdict.STRICT, (allowed, seed)
        backwards = f"SELECT * FROM ({gold}) AS q ORDER BY row_number() OVER () DESC"
        assert judge(backwards, expected).reason == Reason.ORDER, seed


def tables(database: bytes) -> list[Row]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(database)
        return connection.execute("SELECT a, b, c FROM t").fetchall()


@pytest.mark.parametrize("offset", [0, 3])
def test_a_limit_leaves_a_choice_among_the_rows_that_tie(offset: int) -> None:
    cut = 0
    for seed in range(8):
        database = fill(SCHEMA, seed=seed)
        gold = f"SELECT a FROM t ORDER BY c LIMIT 2 OFFSET {offset}"
        found = answer(read_gold(gold), database)
        ranked = sorted(tables(database), key=lambda row: (row[2] is not None, row[2] or 0))
        assert sum(len(group.rows) for group in found.groups) == 2
        for group in found.groups:
            keys = {row[2] for row in ranked if (row[0],) in (group.choice or group.rows)}
            tied = [(row[0],) for row in ranked if row[2] in keys]
            assert set(group.choice) <= set(tied)
            cut += bool(group.choice)
        for direction in ("ASC", "DESC"):
            other = f"SELECT a FROM t ORDER BY c, a {direction} LIMIT 2 OFFSET {offset}"
            assert judge(other, [found]).verdict is Verdict.STRICT
        assert judge("SELECT -12345 FROM t LIMIT 2", [found]).verdict is Verdict.WRONG
    assert cut > 4


def test_an_order_that_ignores_case_ties_what_differs_in_case_alone() -> None:
    rows = "INSERT INTO v VALUES ('b'), ('A'), ('a'), (NULL)"
    database = snapshot(f"CREATE TABLE v ( n TEXT ); {rows}")
    found = [answer(read_gold("SELECT n FROM v ORDER BY n COLLATE NOCASE"), database)]
    assert judge("SELECT n FROM v ORDER BY lower(n), n", found).verdict is Verdict.STRICT
    assert judge("SELECT n FROM v ORDER BY lower(n), n DESC", found).verdict is Verdict.STRICT
    assert judge("SELECT n FROM v ORDER BY lower(n) DESC", found).reason == Reason.ORDER


def snapshot(script: str) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(script)
        return connection.serialize()


def test_a_limit_without_order_keeps_any_rows() -> None:
    found = answer(read_gold("SELECT a FROM t LIMIT 3"), fill(SCHEMA, seed=0))
    assert judge("SELECT a FROM t ORDER BY b DESC LIMIT 3", [found]).verdict is Verdict.STRICT
    assert judge("SELECT a FROM t LIMIT 4", [found]).reason == Reason.ROWS
    assert judge("SELECT 12345 FROM t LIMIT 3", [found]).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("cut", "limit", "offset"),
    [
        ("LIMIT 2 + 1", 3, 0),
        ("LIMIT (SELECT 3)", 3, 0),
        ("LIMIT (SELECT COUNT(*) / 8 FROM u) OFFSET 1 + 1", 4, 2),
        ("LIMIT '3'", 3, 0),
        ("LIMIT -1", 32, 0),
        ("LIMIT 1 - 3 OFFSET 5", 27, 5),
        ("LIMIT 3 OFFSET -2", 3, 0),
        ("LIMIT 0", 0, 0),
        ("LIMIT 9223372036854775807", 32, 0),
    ],
)
def test_a_cut_is_as_long_as_its_expression_says(cut: str, limit: int, offset: int) -> None:
    gold = read_gold(f"SELECT a FROM t ORDER BY c {cut}")
    found = [answer(gold, fill(SCHEMA, seed=seed)) for seed in range(3)]
    for direction in ("ASC", "DESC"):
        other = f"SELECT a FROM t ORDER BY c, a {direction} LIMIT {limit} OFFSET {offset}"
        assert judge(other, found).verdict is Verdict.STRICT
    other = f"SELECT a FROM t ORDER BY c, a LIMIT {limit + 1} OFFSET {offset}"
    assert limit + offset == 32 or judge(other, found).verdict is Verdict.WRONG


def test_a_cut_may_count_what_the_query_defines() -> None:
    sql = "WITH q AS (SELECT a FROM t WHERE b > 0) SELECT a FROM t LIMIT (SELECT COUNT(*) FROM q)"
    found = [answer(read_gold(sql), fill(SCHEMA, seed=0))]
    assert judge(sql, found).verdict is Verdict.STRICT
    assert judge("SELECT a FROM t LIMIT 1", found).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "no statement"),
        ("SELECT a FROM t; SELECT 1", "2 statements"),
        ("DROP TABLE t", "expected a query"),
        ("SELECT x FROM t", "no such column: x"),
        ("SELECT a FROM t LIMIT (SELECT x FROM t)", "no such column: x"),
        ("SELECT a FROM t LIMIT 'two'", "mismatch"),
    ],
)
def test_what_cannot_be_judged_by_is_told_in_one_line(sql: str, message: str) -> None:
    with pytest.raises(GoldError, match=message) as caught:
        answer(read_gold(sql), fill(SCHEMA, seed=0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t", False),
        ("SELECT a FROM t ORDER BY b", True),
        ("SELECT a FROM t ORDER BY 1", True),
        ("SELECT a FROM t ORDER BY (1) COLLATE NOCASE", True),
        ("SELECT a FROM t ORDER BY +1", True),
        ("SELECT * FROM t ORDER BY 2", True),
        ("SELECT a FROM t ORDER BY NULL", False),
        ("SELECT a FROM t ORDER BY 'a'", False),
        ("SELECT a FROM t ORDER BY 1 + 1, NULL", False),
        ("SELECT a FROM t ORDER BY NULL, b", True),
        ("SELECT a, 'x' FROM t ORDER BY 2", False),
        ("SELECT a, NULL AS x FROM t ORDER BY x", False),
        ("SELECT a, b AS x FROM t ORDER BY x", True),
        ("SELECT a FROM t GROUP BY a ORDER BY COUNT(*)", True),
        ("SELECT a FROM t GROUP BY a ORDER BY SUM(1) DESC", True),
        ("SELECT 1 UNION SELECT a FROM t ORDER BY 1", True),
        ("SELECT a FROM (SELECT * FROM t ORDER BY b)", True),
        ("SELECT a FROM (SELECT * FROM t ORDER BY NULL)", False),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM x", True),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM X AS y", True),
        ("WITH x AS (SELECT * FROM t ORDER BY b), y AS (SELECT * FROM x) SELECT a FROM y", True),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM (SELECT * FROM x)", True),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM x WHERE a > 0", False),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM main.x", False),
        ("WITH x AS (SELECT * FROM t ORDER BY b) SELECT a FROM t", False),
        ("WITH x AS (SELECT * FROM t) SELECT a FROM x", False),
        ("WITH RECURSIVE x AS (SELECT * FROM x) SELECT a FROM x", False),
    ],
)
def test_an_order_is_a_key_that_varies(sql: str, expected: bool) -> None:
    assert is_ordered(read_gold(sql).tree) is expected
