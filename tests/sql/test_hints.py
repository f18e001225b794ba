"""Hints: values on both sides of a condition, and where they belong."""

import sqlite3

import pytest

from tinysql.sql.catalog import Column, Table
from tinysql.sql.constants import hints_of_query
from tinysql.sql.hints import hint_values
from tinysql.sql.parsing import parse_query

CONDITIONS = [
    (">", ["5"]), ("<=", ["2.5"]), ("NOT <", ["1200"]), ("=", ["'Paris'"]), ("<>", ["7"]),
    ("BETWEEN", ["3", "9"]), ("NOT BETWEEN", ["'2020-02-28'", "'2021-03-01'"]),
    ("IN", ["1", "2", "6"]), (">", ["'2020-02-28 09:30:00'"]), ("=", ["TRUE"]),
    ("LIKE", ["'Harbor%'"]), ("LIKE", ["'%Harbor'"]), ("NOT LIKE", ["'%Harbor%'"]),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "values"), CONDITIONS)
def test_hints_lie_on_both_sides_of_a_condition(operator: str, values: list[str]) -> None:
    between = f"{values[0]} AND {values[-1]}"
    right = {
        "BETWEEN": between, "NOT BETWEEN": between, "IN": f"( {', '.join(values)} )",
    }.get(operator, values[0])  # fmt: skip
    column, operator_sql = ("NOT v", "<") if operator == "NOT <" else ("v", operator)
    connection = sqlite3.connect(":memory:")
    holds = [
        bool(
            connection.execute(
                f"SELECT {column} {operator_sql} {right} FROM ( SELECT ? AS v )", [value]
            ).fetchone()[0]
        )
        for value in hint_values(operator, values)
    ]
    assert True in holds
    assert False in holds or values == ["TRUE"]


def test_hints_of_missing_values_are_null_and_of_sub_queries_nothing() -> None:
    assert hint_values("IS NULL", []) == [None]
    assert hint_values("IS NOT NULL", []) == []
    assert hint_values("> SELECT", []) == []


def test_hints_of_a_query_are_by_table_and_column() -> None:
    tables = [
        Table("shops", (Column("city", "TEXT", False, None),)),
        Table("sales", (Column("amount", "INTEGER", False, None),)),
    ]
    query = parse_query(
        "SELECT s.city FROM shops AS s JOIN sales ON 1 WHERE amount = 5 AND s.city IN ('Oslo') "
        "AND amount IS NULL GROUP BY s.city HAVING COUNT(*) > 3"
    )
    assert {table: {name: set(values) for name, values in columns.items()}
            for table, columns in hints_of_query(query, tables).items()} == {
        "sales": {"amount": {5, 4, 6, None}},
        "shops": {"city": {"Oslo", "new Oslo"}},
    }  # fmt: skip
