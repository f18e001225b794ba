"""One class per wrong prediction, and the lowest command set that a query fits into."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.sql.components import components
from tinysql.sql.parsing import parse_query
from tinysql.sql.taxonomy import ErrorClass, command_set, error_class

SCHEMA = {"t": ["a", "b", "k"], "u": ["c", "d", "k"]}
PLAIN = "SELECT a, COUNT(b) FROM t WHERE b > 1 GROUP BY a ORDER BY a LIMIT 3"
NESTED = "SELECT a FROM t WHERE k IN (SELECT k FROM u WHERE c = 1)"
JOINED = "SELECT t.a FROM t JOIN u ON t.k = u.k"
UNITED = "SELECT a FROM t UNION SELECT c FROM u"


@pytest.mark.parametrize(
    ("gold", "old", "new", "expected"),
    [
        (PLAIN, "a, COUNT(b)", "a", ErrorClass.WRONG_COLUMNS),
        (PLAIN, "a, COUNT(b)", "a, COUNT(b), b", ErrorClass.WRONG_COLUMNS),
        (PLAIN, "a, COUNT(b)", "COUNT(b), a", ErrorClass.WRONG_COLUMNS),
        (PLAIN, "a, COUNT(b)", "a, COUNT(k)", ErrorClass.WRONG_COLUMNS),
        (PLAIN, "COUNT(b)", "SUM(b)", ErrorClass.WRONG_AGGREGATE),
        (PLAIN, "COUNT(b)", "COUNT(DISTINCT b)", ErrorClass.WRONG_AGGREGATE),
        (PLAIN, "COUNT(b)", "b", ErrorClass.WRONG_AGGREGATE),
        (PLAIN, "COUNT(b)", "'COUNT(b)'", ErrorClass.WRONG_AGGREGATE),
        (PLAIN, "b > 1", "b > 2", ErrorClass.WRONG_FILTER),
        (PLAIN, "b > 1", "NOT b > 1", ErrorClass.WRONG_FILTER),
        (PLAIN, "WHERE b > 1", "", ErrorClass.WRONG_FILTER),
        (PLAIN, "BY a ORDER", "BY a HAVING COUNT(*) > 1 ORDER", ErrorClass.WRONG_FILTER),
        (PLAIN, "GROUP BY a", "GROUP BY a, b", ErrorClass.WRONG_GROUP),
        (PLAIN, "ORDER BY a", "ORDER BY a DESC", ErrorClass.WRONG_ORDER),
        (PLAIN, "ORDER BY a", "", ErrorClass.WRONG_ORDER),
        (PLAIN, "LIMIT 3", "LIMIT 30", ErrorClass.WRONG_LIMIT),
        (PLAIN, "LIMIT 3", "LIMIT 3 OFFSET 1", ErrorClass.WRONG_LIMIT),
        (PLAIN, "SELECT", "SELECT DISTINCT", ErrorClass.WRONG_DISTINCT),
        (PLAIN, "FROM t", "FROM t, u", ErrorClass.WRONG_JOIN),
        (JOINED, "JOIN", "LEFT JOIN", ErrorClass.WRONG_JOIN),
        (JOINED, "t.k = u.k", "t.k = u.c", ErrorClass.WRONG_JOIN),
        (NESTED, "c = 1", "c = 2", ErrorClass.WRONG_NESTING),
        (NESTED, "SELECT k FROM u WHERE c = 1", "1, 2", ErrorClass.WRONG_NESTING),
        (UNITED, "UNION", "UNION ALL", ErrorClass.WRONG_SET_OPERATION),
        (UNITED, "UNION SELECT c FROM u", "", ErrorClass.WRONG_SET_OPERATION),
        (PLAIN, "b > 1", "1 < b", ErrorClass.OTHER),
        # The more fundamental difference is the one that is named.
        (PLAIN, "FROM t WHERE b > 1", "FROM t JOIN u WHERE b > 2", ErrorClass.WRONG_JOIN),
        (PLAIN, "COUNT(b) FROM t WHERE b > 1", "SUM(b) FROM t", ErrorClass.WRONG_AGGREGATE),
    ],
)
def test_a_wrong_prediction_has_the_class_of_its_change(
    gold: str, old: str, new: str, expected: ErrorClass
) -> None:
    assert old in gold
    pred = gold.replace(old, new)
    parts = (components(parse_query(sql), SCHEMA) for sql in (gold, pred))
    assert error_class(*parts) is expected


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("SELECT a, b FROM t", 1),
        ("SELECT a FROM t ORDER BY a DESC", 2),
        ("SELECT COUNT(*) FROM t", 3),
        ("SELECT a FROM t GROUP BY a ORDER BY a", 3),
        ("SELECT a FROM t WHERE b = 1 ORDER BY a", 4),
        ("SELECT a FROM t JOIN u ON t.k = u.k WHERE b = 1", 5),
        ("SELECT DISTINCT a FROM t", 6),
        ("SELECT a FROM t LIMIT 1", 6),
        ("SELECT COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 1", 6),
        (NESTED, 7),
        (UNITED, 7),
        ("SELECT n FROM (SELECT COUNT(*) AS n FROM t GROUP BY a)", 7),
        ("SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM t GROUP BY a)", 8),
        ("SELECT a FROM t JOIN u ON t.k = u.k JOIN u AS v ON u.c = v.d", 8),
    ],
)
def test_command_set_is_that_of_the_highest_feature(sql: str, number: int) -> None:
    assert command_set(parse_query(sql)) == number


@settings(deadline=None, max_examples=8)
@given(
    number=st.integers(1, 8),
    rows=st.lists(st.integers(0, 10**9), min_size=1, max_size=15, unique=True),
)
def test_generated_queries_fit_into_their_command_set(number: int, rows: Sequence[int]) -> None:
    config = DatasetConfig(command_sets=(number,), higher_command_set=None)
    for row in generate_rows(config, "train", np.array(rows)).to_pylist():
        found = command_set(parse_query(row["gold_sql"]))
        # What makes a query one of sets 7 and 8 is always there; the clauses below are drawn.
        assert found == number if number >= 7 else found <= number
