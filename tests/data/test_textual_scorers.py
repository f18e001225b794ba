"""The oracle: gold scores 1, and changed gold what the original's scorers were measured to give."""

import json
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from textual_scorers import score

NUM_ROWS = 1_000
# Shares among the selected columns of the published command set 3.
AGGREGATES = {"": 35.6, "COUNT": 35.7, "MAX": 10.7, "MIN": 10.6, "SUM": 3.6, "AVG": 3.8}


@dataclass(frozen=True)
class Query:
    """A query of command sets 1 to 3."""

    table: str
    select: Sequence[tuple[str, str]]  # name, aggregate
    order: Sequence[tuple[str, bool]]  # name, ascending

    @property
    def sql(self) -> str:
        items = [f"{agg}({name}) AS {agg}_{name}" if agg else name for name, agg in self.select]
        sql = f"SELECT {', '.join(items)} FROM {self.table}"
        keys = [f"{name} {'ASC' if ascending else 'DESC'}" for name, ascending in self.order]
        return f"{sql} ORDER BY {', '.join(keys)}" if keys else sql

    @property
    def row(self) -> dict[str, Any]:
        return {
            "table_name": self.table,
            "select": json.dumps([{"name": name, "aggregate": agg} for name, agg in self.select]),
            "order_by": json.dumps([{"name": name, "asc": asc} for name, asc in self.order]),
            "sql_statement": self.sql,
        }


def draw_query(command_set: int, draw: random.Random) -> Query:
    """As the original draws: 2 to 12 columns, some selected; most rows ordered one way."""
    columns = [f"column_{number}" for number in range(draw.randint(2, 12))]
    selected = draw.sample(columns, draw.randint(1, len(columns)))
    shares = AGGREGATES if command_set == 3 else {"": 1}
    aggregates = draw.choices(list(shares), list(shares.values()), k=len(selected))
    ordered = command_set >= 2 and draw.random() < 0.9
    keys = draw.sample(columns, draw.randint(1, len(columns))) if ordered else []
    ascending = draw.random() < 0.5
    return Query(
        "orders",
        list(zip(selected, aggregates, strict=True)),
        [(name, ascending) for name in keys],
    )


@cache
def queries(command_set: int) -> list[Query]:
    draw = random.Random(command_set)
    return [draw_query(command_set, draw) for _ in range(NUM_ROWS)]


def scores(command_set: int, change: Callable[[Query], str], at_least: int = 1) -> list[float]:
    """The scores of changed gold SQL, for queries with that many selected columns."""
    return [
        score(command_set, query.row, change(query))
        for query in queries(command_set)
        if len(query.select) >= at_least
    ]


def flipped(query: Query) -> str:
    return replace(query, order=[(name, not ascending) for name, ascending in query.order]).sql


UNNOTICED: dict[str, Callable[[Query], str]] = {
    "gold": lambda query: query.sql,
    "lower case and blanks": lambda query: "  " + query.sql.lower().replace(" ", "\n ") + " ",
    "no ORDER BY": lambda query: replace(query, order=[]).sql,
    "every direction flipped": flipped,
    "ORDER BY reversed": lambda query: replace(query, order=query.order[::-1]).sql,
    "SELECT reversed": lambda query: replace(query, select=query.select[::-1]).sql,
    "no commas": lambda query: query.sql.replace(",", ""),
}


@pytest.mark.parametrize("command_set", [1, 2, 3])
@pytest.mark.parametrize("change", UNNOTICED)
def test_what_the_rules_do_not_look_at_scores_one(command_set: int, change: str) -> None:
    assert set(scores(command_set, UNNOTICED[change])) == {1.0}


@pytest.mark.parametrize("command_set", [2, 3])
def test_second_order_by_is_not_looked_at(command_set: int) -> None:
    ordered = [query for query in queries(command_set) if query.order]
    garbage = " ORDER BY nonsense DROP TABLE orders"
    assert {score(command_set, query.row, query.sql + garbage) for query in ordered} == {1.0}


MEASURED = {
    "semicolon": (lambda query: query.sql + ";", 1, (0.907, 0.953, 0.955)),
    "another table": (lambda query: replace(query, table="users").sql, 1, (0.907, 0.933, 0.936)),
    "one column less": (
        lambda query: replace(query, select=query.select[1:]).sql, 2, (0.971, 0.979, 0.967),
    ),
}


@pytest.mark.parametrize("command_set", [1, 2, 3])
@pytest.mark.parametrize("change", MEASURED)
def test_mean_score_of_a_changed_gold_is_the_measured_one(command_set: int, change: str) -> None:
    changed, at_least, means = MEASURED[change]
    mean = statistics.mean(scores(command_set, changed, at_least))
    # Rounding, and the sampling error of a thousand rows there and here.
    assert mean == pytest.approx(means[command_set - 1], abs=0.0015)


def test_least_score_of_a_semicolon_is_the_measured_one() -> None:
    assert min(scores(3, MEASURED["semicolon"][0])) == pytest.approx(0.889, abs=0.0005)


FLOOR = {
    2: Query("orders", [("price", ""), ("weight", "")], [("price", True)]),
    3: Query("orders", [("price", "SUM"), ("weight", "MAX")], [("price", True), ("weight", True)]),
}


@pytest.mark.parametrize(
    ("command_set", "prediction", "measured"),
    [
        (2, "foo", 0.692), (2, "SELECT", 0.857), (2, "ORDER BY", 0.816),
        (3, "foo", 0.643), (3, "SELECT", 0.800), (3, "ORDER BY", 0.756),
    ],
)
def test_floor_of_a_short_query_is_the_measured_one(
    command_set: int, prediction: str, measured: float
) -> None:
    assert score(command_set, FLOOR[command_set].row, prediction) == pytest.approx(
        measured, abs=0.0005
    )


@pytest.mark.parametrize("command_set", [1, 2, 3])
def test_empty_prediction_scores_nothing(command_set: int) -> None:
    assert score(command_set, FLOOR[2].row, " \n") == 0


def test_missing_order_by_column_costs_a_point() -> None:
    query = replace(FLOOR[2], order=[("price", True), ("weight", True)])
    assert score(2, query.row, FLOOR[2].sql) == (30 + 12) / (30 + 13)


def test_null_order_by_of_command_set_1_loads() -> None:
    query = replace(FLOOR[2], order=[])
    assert score(1, query.row | {"order_by": None}, query.sql) == 1
