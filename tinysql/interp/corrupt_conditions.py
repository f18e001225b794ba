"""Corruptions of conditions: WHERE, the sub-query in it, and HAVING."""

from collections.abc import Iterator

import numpy as np

from tinysql.data import words
from tinysql.interp.corruptions import (
    UNMENTIONED,
    Corruption,
    draw_number,
    schema_targets,
    wordings,
)
from tinysql.interp.records import Column, Item, Record, like_shape
from tinysql.interp.vocabulary import Choice, Vocabulary, having_family, operator_of

_COMPARISONS = ("=", "<>", "<", ">", "<=", ">=")
_ALIKE = (
    _COMPARISONS, ("NOT >", "NOT <"), ("BETWEEN", "NOT BETWEEN"), ("IN", "NOT IN"),
    ("LIKE %x%", "NOT LIKE %x%"), ("IS NULL", "IS NOT NULL"), ("> SELECT", "< SELECT"),
    ("IN SELECT", "NOT IN SELECT"), ("EXISTS", "NOT EXISTS"),
)  # fmt: skip
"""Operators that can take each other's place with the same values, around the same words of SQL."""


def _condition(
    record: Record, rng: np.random.Generator, part: str, *, nested: bool = True
) -> tuple[int, Column] | None:
    """A random condition of WHERE that the question mentions a `part` of, and its column."""
    numbers = [
        number
        for number, item in enumerate(record.row["filters"])
        if f"question.{part}.{number}" in record.texts
        if nested or not item["operator"].endswith("SELECT")
    ]
    number = draw_number(numbers, rng)
    column = None if number is None else record.column(record.row["filters"][number])
    return None if number is None or column is None else (number, column)


def other_where_column(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """WhereField."""
    # A sub-query names the column once more.
    found = _condition(record, rng, "filter", nested=False)
    if found is None:
        return "no condition on a column"
    number, column = found
    key, answer = f"question.filter.{number}", f"sql.filter.{number}"
    used = [record.column(item) for item in record.row["filters"]]
    fitting = [
        other
        for other in record.siblings(column)
        if other not in used and _alike_values(other, column)
    ]
    same_kind = [other for other in fitting if other.kind == column.kind]
    phrase = record.texts[key]
    # A number may be a price or a weight, but a city is no surname.
    for others in (same_kind, [] if column.family == "text" else fitting):
        choice = vocabulary.draw(phrase, wordings(vocabulary, others, column.name, phrase), rng)
        if choice:
            return Corruption(
                {key: choice.phrase, answer: choice.meaning},
                answer,
                _targets(number) | schema_targets(record, column, choice.meaning),
            )
    return "no other column of the same length that the condition fits"


def _alike_values(one: Column, other: Column) -> bool:
    """Whether the values of two columns look alike; those of dates and of times do not."""
    families = [words.kinds()[column.kind].family for column in (one, other) if not column.is_key]
    return len(families) == 2 and families[0] == families[1]


def other_operator(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """WhereOperator."""
    found = _condition(record, rng, "operator")
    if found is None:
        return "no condition"
    number, column = found
    operator = operator_of(record.row["filters"][number])
    key = f"question.operator.{number}"
    choice = vocabulary.draw(
        record.texts[key], _alike(vocabulary, column.family, operator), rng
    )
    if choice is None:
        return "no phrase of another operator of the same length"
    answer = f"sql.operator.{number}"
    return Corruption(
        {key: choice.phrase, answer: _sql_of(choice.meaning)},
        answer,
        _targets(number) | schema_targets(record, column),
    )


def _alike(vocabulary: Vocabulary, family: str, operator: str) -> Iterator[Choice]:
    """Phrases of the operators that can take the place of this one."""
    others = {name for group in _ALIKE if operator in group for name in group} - {operator}
    return (each for each in vocabulary.choices("operator", family) if each.meaning in others)


def _sql_of(operator: str) -> str:
    """The words of SQL between a column and its values."""
    if operator in ("NOT >", "NOT <"):
        return operator.removeprefix("NOT ")
    return operator.removesuffix(" SELECT").removesuffix(" %x%")


def other_value(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """WhereLiteral."""
    places = [
        (number, place)
        for number, item in enumerate(record.row["filters"])
        for place in range(len(item["values"]))
        if f"question.value.{number}.{place}" in record.texts
    ]
    which = draw_number(range(len(places)), rng)
    if which is None:
        return "no value"
    number, place = places[which]
    item = record.row["filters"][number]
    column = record.column(item)
    key, answer = f"question.value.{number}.{place}", f"sql.value.{number}.{place}"
    choices = [] if column is None else _other_values(vocabulary, column, item, place)
    choice = vocabulary.draw(record.texts[key], choices, rng)
    if choice is None or column is None:
        return "no other value of the same kind and length"
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        _targets(number) | {key: "question_value_target"} | schema_targets(record, column),
    )


def _other_values(
    vocabulary: Vocabulary, column: Column, item: Item, place: int
) -> list[Choice]:
    """Values that can take the place of one of a condition, the ends of a range in order."""
    values = item["values"]
    choices = vocabulary.choices("value", f"{column.kind} {like_shape(values[place])}")
    others = [each for each in choices if each.meaning not in values]
    if "BETWEEN" not in item["operator"]:
        return others
    rising = {literal: rank for rank, literal in enumerate(words.kinds()[column.kind].literals)}
    bound = rising[values[1 - place]]
    return [each for each in others if (rising[each.meaning] < bound) == (place == 0)]


def other_having_operator(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """HavingOperator."""
    if not record.row["having"]:
        return "no HAVING"
    key, answer = "question.having_operator.0", "sql.having_operator.0"
    if key not in record.texts:
        return UNMENTIONED
    operator = record.row["having"][0]["operator"]
    choice = vocabulary.draw(record.texts[key], _alike(vocabulary, "number", operator), rng)
    if choice is None:
        return "no phrase of another operator of the same length"
    return Corruption({key: choice.phrase, answer: choice.meaning}, answer, _HAVING_TARGETS)


def other_having_value(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """HavingLiteral."""
    if not record.row["having"]:
        return "no HAVING"
    item = record.row["having"][0]
    key, answer = "question.having_value.0", "sql.having_value.0"
    if key not in record.texts:
        return UNMENTIONED
    others = (
        each
        for each in vocabulary.choices("value", having_family(record, item))
        if each.meaning not in item["values"]
    )
    choice = vocabulary.draw(record.texts[key], others, rng)
    if choice is None:
        return "no other value of the same kind and length"
    targets = _HAVING_TARGETS | {key: "question_value_target"}
    return Corruption({key: choice.phrase, answer: choice.meaning}, answer, targets)


def other_operand(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """SubqueryAggregate."""
    found = _condition(record, rng, "operand_aggregate")
    if found is None:
        return "no sub-query with an aggregate"
    number, column = found
    key, answer = f"question.operand_aggregate.{number}", f"sql.operand.{number}"
    aggregate = record.row["filters"][number]["aggregate"]
    others = (
        each
        for each in vocabulary.choices("aggregate", column.family)
        if each.meaning in _COMPARED and each.meaning != aggregate
    )
    choice = vocabulary.draw(record.texts[key], others, rng)
    if choice is None:
        return "no phrase of another aggregate of the same length"
    targets = _targets(number) | {key: "question_aggregate_target"}
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        targets | schema_targets(record, column),
    )


_COMPARED = ("AVG", "MIN", "MAX")
_HAVING_TARGETS = {
    "question.having.0": "question_column_target",
    "question.having_aggregate.0": "question_aggregate_target",
    "question.having_operator.0": "question_operator_target",
}


def _targets(number: int) -> dict[str, str]:
    return {
        f"question.filter.{number}": "question_column_target",
        f"question.operator.{number}": "question_operator_target",
    }
