"""Hints: values on both sides of a condition, and where they belong."""

import sqlite3

import pytest

from tinysql.sql.hints import hint_values, hints_of

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


def test_hints_of_a_row_are_by_table_and_column() -> None:
    def condition(table: int, column: str, operator: str, *values: str) -> dict[str, object]:
        return {"table": table, "column": column, "operator": operator, "values": list(values)}

    row = {
        "tables": [{"name": "shops"}, {"name": "sales"}],
        "filters": [condition(1, "amount", "=", "5"), condition(0, "city", "IN", "'Oslo'"),
                    condition(1, "amount", "IS NULL")],
        "having": [condition(-1, "*", ">", "3")],
    }  # fmt: skip
    assert hints_of(row) == {
        "sales": {"amount": [5, 4, 6, None]},
        "shops": {"city": ["Oslo", "new Oslo"]},
    }
