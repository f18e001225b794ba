"""The defects for which the published scorers are known, each pinned in its re-implementation."""

import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from rivals import bird, distilled_suites, spider, sql_eval, tinysql_text
from rivals.adversaries import adversaries

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows

SCHEMA = "CREATE TABLE t ( a INTEGER, b TEXT, market_value REAL )"
ROWS = [(2, "x", 1.5), (1, "y", None), (2, "x", 1.5), (3, None, 2.0)]
ROW: Mapping[str, Any] = {"command_set": 2, "question": "What are a and b?"}
ORDERED = "SELECT a, b FROM t ORDER BY a ASC, b DESC"


def snapshot(rows: Sequence[tuple[Any, ...]]) -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(SCHEMA)
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.commit()
        return connection.serialize()


DATABASES = [snapshot(ROWS), snapshot(ROWS[1:])]
RIVALS = {
    "tinysql": tinysql_text.accepts,
    "sql-eval": sql_eval.accepts,
    "test-suite": distilled_suites.accepts,
    "bird": bird.accepts,
    "spider": spider.accepts,
}


@pytest.mark.parametrize("name", RIVALS)
def test_gold_is_accepted_and_a_wrong_column_refused(name: str) -> None:
    assert RIVALS[name](ORDERED, ORDERED, DATABASES, ROW)
    wrong = ORDERED.replace("a, b", "b, market_value")
    assert not RIVALS[name](ORDERED, wrong, DATABASES, ROW)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("sql", ["", "garbage", "SELECT 1", "DROP TABLE t", "SELECT c FROM t"])
def test_what_every_rival_refuses(name: str, sql: str) -> None:
    assert not RIVALS[name](ORDERED, sql, DATABASES, ROW)


@pytest.mark.parametrize("name", RIVALS)
def test_endless_prediction_is_refused(name: str) -> None:
    sql = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x, x FROM r"
    assert not RIVALS[name](ORDERED, sql, DATABASES, ROW)


@pytest.mark.parametrize(
    "pred_sql",
    [
        "SELECT a, b FROM t",
        "SELECT a, b FROM t ORDER BY a DESC, b ASC",
        "SELECT a, b FROM t ORDER BY b DESC, a ASC",
        "SELECT b, a FROM t ORDER BY a, b",
        "SELECT a b FROM t ORDER BY a ASC, b DESC",
    ],
)
def test_tinysql_sees_neither_order_nor_commas(pred_sql: str) -> None:
    assert tinysql_text.accepts(ORDERED, pred_sql, [], ROW)


def test_tinysql_sees_no_change_of_order_in_rows_made_as_its_own() -> None:
    config = DatasetConfig(
        command_sets=(1, 2, 3), variant="paper", max_columns=8, train_rows=60, validation_rows=1,
        test_rows=1,
    )  # fmt: skip
    unseen = {"ORDER BY dropped", "all directions flipped", "sort keys rotated", "commas removed"}
    seen = {"wrong column", "wrong aggregate", "column dropped", "LIMIT changed"}
    for row in generate_rows(config, "train", np.arange(60)).to_pylist():
        gold_sql = row["gold_sql"]
        assert tinysql_text.accepts(gold_sql, gold_sql, [], row)
        for each in adversaries(gold_sql, row["schema_sql"]):
            if each.name in unseen | seen:
                is_accepted = tinysql_text.accepts(gold_sql, each.sql, [], row)
                assert is_accepted == (each.name in unseen), each


def test_tinysql_accepts_nothing_above_command_set_3() -> None:
    assert not tinysql_text.accepts(ORDERED, ORDERED, [], {"command_set": 4})


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT COUNT(*) FROM t", "SELECT 1 WHERE 0"),
        ("SELECT a, b FROM t WHERE a = 1", "SELECT 1, 2 WHERE 0"),
        ("SELECT a FROM t WHERE a > 9", "SELECT 5"),
        ("SELECT a, a FROM t WHERE a = 2", "SELECT 2"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
        ("SELECT a, b FROM t ORDER BY a ASC", "SELECT a, b FROM t ORDER BY a DESC"),
        ("SELECT a, b FROM t ORDER BY a ASC", "SELECT a, b FROM t"),
        ("SELECT a, b FROM t", "SELECT b, a FROM t"),
        ("SELECT a FROM t; SELECT b FROM t", "SELECT b FROM t"),
        ("SELECT {a, b} FROM t", "SELECT b FROM t"),
    ],
)
def test_sql_eval_calls_exact(gold_sql: str, pred_sql: str) -> None:
    assert sql_eval.accepts_exact(gold_sql, pred_sql, DATABASES, ROW)


def test_sql_eval_calls_a_dump_correct_but_not_exact() -> None:
    found = sql_eval.grade("SELECT b FROM t", "SELECT * FROM t", DATABASES[0], question="")
    assert found == (False, True)


def test_sql_eval_misses_a_column_that_is_renamed_past_another() -> None:
    sql = "SELECT a, b FROM t ORDER BY a, b DESC LIMIT 3"
    renamed = "SELECT b AS c, a AS d FROM t ORDER BY a, b DESC LIMIT 3"
    assert sql_eval.grade(sql, renamed, DATABASES[0], question="") == (False, True)


@pytest.mark.parametrize(("word", "is_seen"), [("order", True), ("sorted", False)])
def test_sql_eval_sees_the_order_by_a_word_of_the_question(word: str, is_seen: bool) -> None:
    row = {"question": f"Give a, {word} by a."}
    gold_sql, pred_sql = "SELECT a FROM t ORDER BY a ASC", "SELECT a FROM t ORDER BY a DESC"
    assert sql_eval.accepts_exact(gold_sql, pred_sql, DATABASES, row) is not is_seen


def test_sql_eval_splits_a_gold_inside_its_literals() -> None:
    assert sql_eval.minimal_queries("SELECT ';'") == ["SELECT '", "'"]
    assert sql_eval.minimal_queries("SELECT {a,b}, {c} FROM t GROUP BY {}") == [
        "SELECT a, {c} FROM t GROUP BY a",
        "SELECT b, {c} FROM t GROUP BY b",
        "SELECT a, b, {c} FROM t GROUP BY a, b",
    ]


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT COUNT(a) FROM t", "SELECT COUNT(DISTINCT a) FROM t"),
        ("SELECT DISTINCT a FROM t", "SELECT a FROM t"),
        ("SELECT a, b FROM t", "SELECT b, a FROM t"),
        ("SELECT a, b FROM t WHERE a > 9", "SELECT 1 WHERE 0"),
        ("SELECT a FROM t WHERE a > 9", "DROP TABLE t"),
        ("SELECT a FROM t", "SELECT a FROM t; DROP TABLE t"),
        ("SELECT a FROM t WHERE a >= 2", "SELECT a FROM t WHERE a > = 2"),
    ],
)
def test_suites_accept(gold_sql: str, pred_sql: str) -> None:
    assert distilled_suites.accepts(gold_sql, pred_sql, DATABASES, ROW)


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT market_value FROM t", "SELECT market_value FROM t"),
        ("SELECT 0.1 + 0.2", "SELECT 0.3"),
        ("SELECT b FROM (SELECT b FROM t ORDER BY a)", "SELECT b FROM t"),
        ("SELECT a FROM t ORDER BY a ASC", "SELECT a FROM t ORDER BY a DESC"),
        ("SELECT b FROM t ORDER BY a", "SELECT b FROM t"),
    ],
)
def test_suites_refuse(gold_sql: str, pred_sql: str) -> None:
    assert not distilled_suites.accepts(gold_sql, pred_sql, DATABASES, ROW)


def test_suites_find_any_permutation_of_columns() -> None:
    rng = random.Random(0)
    gold = [tuple(rng.choice("ab") for _ in range(7)) for _ in range(12)]
    order = rng.sample(range(7), 7)
    pred = [tuple(row[place] for place in order) for row in gold]
    assert distilled_suites.result_eq(gold, pred, True)
    assert distilled_suites.result_eq(gold, rng.sample(pred, 12), False)
    assert not distilled_suites.result_eq(gold, [*pred[1:], ("c",) * 7], False)


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT a, b FROM t", "DELETE FROM t"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t ORDER BY a DESC"),
        ("SELECT a FROM t WHERE a > 9", "SELECT 1, 2 WHERE 0"),
    ],
)
def test_bird_accepts(gold_sql: str, pred_sql: str) -> None:
    assert bird.accepts(gold_sql, pred_sql, DATABASES, ROW)


def test_bird_refuses_another_order_of_columns() -> None:
    assert not bird.accepts("SELECT a, b FROM t", "SELECT b, a FROM t", DATABASES, ROW)


def test_rivals_destroy_only_their_copy() -> None:
    before = bytes(DATABASES[0])
    assert bird.accepts("SELECT a FROM t", "DELETE FROM t", DATABASES, ROW)
    assert before == DATABASES[0]
    assert bird.accepts("SELECT a FROM t", "SELECT a FROM t", DATABASES, ROW)


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE a = 2"),
        ("SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 3"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
        ("SELECT a, b FROM t", "SELECT b, a FROM t"),
        ("SELECT a, MAX(b), b FROM t", "SELECT a MAX(b) b FROM t"),
        ("SELECT a FROM t", "SELECT a FROM t; DROP TABLE t"),
        ("SELECT a FROM t LIMIT 3", "SELECT a FROM t LIMIT 3 and so on"),
    ],
)
def test_spider_accepts(gold_sql: str, pred_sql: str) -> None:
    assert spider.accepts(gold_sql, pred_sql, DATABASES, ROW)


@pytest.mark.parametrize(
    ("gold_sql", "pred_sql"),
    [
        ("SELECT a FROM t ORDER BY a ASC", "SELECT a FROM t ORDER BY a DESC"),
        ("SELECT MAX(a) FROM t", "SELECT MIN(a) FROM t"),
        ("SELECT a FROM t WHERE a > 1", "SELECT a FROM t WHERE 1 < a"),
        ("SELECT a FROM t", "SELECT a, b FROM t"),
    ],
)
def test_spider_refuses(gold_sql: str, pred_sql: str) -> None:
    assert not spider.accepts(gold_sql, pred_sql, DATABASES, ROW)
