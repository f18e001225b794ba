"""Corruptions of aggregates, groups and order keys."""

import numpy as np

from tinysql.interp.corruptions import (
    UNMENTIONED,
    Corruption,
    draw_number,
    is_free,
    other_meanings,
    plain,
    schema_targets,
    selects,
    wordings,
)
from tinysql.interp.records import Column, Record, is_additive
from tinysql.interp.vocabulary import Vocabulary

_NO_COLUMN = "no other column of the same length that the phrase fits"


def _aggregated(record: Record, rng: np.random.Generator) -> tuple[int, Column] | str:
    """A random aggregate of a column among the select items, or why there is none."""
    if record.row["outer_aggregate"]:
        return "the aggregate is inside another one"
    numbers = [
        number
        for number, item in enumerate(record.row["select"])
        if not plain(item)
        if record.column(item) and f"question.select_aggregate.{number}" in record.texts
    ]
    number = draw_number(numbers, rng)
    column = None if number is None else record.column(record.row["select"][number])
    return "no aggregate of a column" if number is None or column is None else (number, column)


def other_aggregate(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """AggregateFunction."""
    found = _aggregated(record, rng)
    if isinstance(found, str):
        return found
    number, column = found
    key, answer = f"question.select_aggregate.{number}", f"sql.aggregate.{number}"
    aggregate = record.row["select"][number]["aggregate"]
    choices = other_meanings(vocabulary, "aggregate", column.family, aggregate)
    fitting = (each for each in choices if each.meaning != "SUM" or is_additive(column.kind))
    choice = vocabulary.draw(record.texts[key], fitting, rng)
    if choice is None:
        return "no phrase of another aggregate of the same length"
    return Corruption(
        {key: choice.phrase, answer: choice.meaning}, answer, _item_targets(record, number, column)
    )


def other_aggregated(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """AggregateField."""
    found = _aggregated(record, rng)
    if isinstance(found, str):
        return found
    number, column = found
    key, answer = f"question.select.{number}", f"sql.select.{number}"
    aggregate = record.row["select"][number]["aggregate"]
    others = (
        other
        for other in record.siblings(column)
        if other.family == column.family and not selects(record, other)
        if aggregate != "SUM" or is_additive(other.kind)
    )
    phrase = record.texts[key]
    choice = vocabulary.draw(phrase, wordings(vocabulary, others, column.name, phrase), rng)
    if choice is None:
        return _NO_COLUMN
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        _item_targets(record, number, column, choice.meaning),
    )


def _item_targets(
    record: Record, number: int, column: Column, corrupted: str | None = None
) -> dict[str, str]:
    return {
        f"question.select.{number}": "question_column_target",
        f"question.select_aggregate.{number}": "question_aggregate_target",
    } | schema_targets(record, column, corrupted)


def other_group(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """GroupByField."""
    number = draw_number(range(len(record.row["group_by"])), rng)
    if number is None:
        return "no GROUP BY"
    column = record.column(record.row["group_by"][number])
    key, answer = f"question.group.{number}", f"sql.group.{number}"
    if column is None or key not in record.texts or answer not in record.texts:
        return UNMENTIONED
    phrase = record.texts[key]
    others = (other for other in record.siblings(column) if is_free(record, other))
    choice = vocabulary.draw(phrase, wordings(vocabulary, others, column.name, phrase), rng)
    if choice is None:
        return "no unused column of the same length"
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        {key: "question_column_target"} | schema_targets(record, column, choice.meaning),
    )


def other_order_column(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """OrderByField."""
    row = record.row
    if not row["order_by"]:
        return "no ORDER BY"
    number = draw_number((n for n, key in enumerate(row["order_by"]) if plain(key)), rng)
    column = None if number is None else record.column(row["order_by"][number])
    if number is None or column is None:
        return "only aggregates are sorted by"
    key, answer = f"question.order.{number}", f"sql.order.{number}"
    keys = [record.column(item) for item in row["order_by"]]
    bound = row["distinct"] or row["set_operation"] or row["group_by"]
    if key not in record.texts:
        return UNMENTIONED
    direction = row["order_by"][number]["direction"]
    told = record.texts[f"question.direction.{number}"]
    others = (
        other
        for other in record.siblings(column)
        if other not in keys
        # Such queries sort by what they select.
        if not bound or any(plain(i) and record.column(i) == other for i in row["select"])
        if told in vocabulary.phrases("direction", other.family).get(direction, ())
    )
    phrase = record.texts[key]
    choice = vocabulary.draw(phrase, wordings(vocabulary, others, column.name, phrase), rng)
    if choice is None:
        return "no other column of the same length that the direction phrase fits"
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        _order_targets(number) | schema_targets(record, column, choice.meaning),
    )


def other_direction(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """OrderByDirection."""
    number = draw_number(range(len(record.row["order_by"])), rng)
    if number is None:
        return "no ORDER BY"
    item = record.row["order_by"][number]
    key, answer = f"question.direction.{number}", f"sql.direction.{number}"
    if key not in record.texts:
        return UNMENTIONED
    opposite = other_meanings(vocabulary, "direction", record.family(item), item["direction"])
    choice = vocabulary.draw(record.texts[key], opposite, rng)
    if choice is None:
        return "no opposite phrase of the same length"
    column = record.column(item)
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        _order_targets(number) | (schema_targets(record, column) if column else {}),
    )


def _order_targets(number: int) -> dict[str, str]:
    return {
        f"question.order.{number}": "question_column_target",
        f"question.order_aggregate.{number}": "question_aggregate_target",
        f"question.direction.{number}": "question_direction_target",
    }
