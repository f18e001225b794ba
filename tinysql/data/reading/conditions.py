"""Reading the conditions of a question: WHERE, the half of a set operation, sub-queries.

Each function takes the number of a word and yields every (what can be read there, next word).
"""

from collections.abc import Iterator

from tinysql.data.phrasing import OPERATOR
from tinysql.data.reading import lexing
from tinysql.data.reading.lexing import type_family
from tinysql.data.reading.parts import Question, aggregate, listing, table
from tinysql.data.reading.records import Filter, SchemaColumn

Tables = tuple[int, ...]
Filters = tuple[Filter, ...]

_COMPARED_WITH_SELECT = (">", "<", "=")


def conditions(
    question: Question, at: int, tables: Tables
) -> Iterator[tuple[tuple[str, Filters], int]]:
    """One to three conditions on columns of `tables`: (where_form, filters)."""
    opening = question.words[at]
    if opening == "neither":
        for both, i in _pair(question, at + 1, "nor", tables):
            yield ("NOT ( A OR B )", both), i
    elif opening == "either":
        for both, i in _pair(question, at + 1, "or", tables):
            if question.words[i : i + 2] == [",", "and"]:
                for third, j in condition(question, i + 2, tables):
                    yield ("( A OR B ) AND C", both + third), j
    else:
        yield from _chain(question, at, tables)


def _pair(
    question: Question, at: int, link: str, tables: Tables
) -> Iterator[tuple[Filters, int]]:
    for one, i in condition(question, at, tables):
        if question.words[i] == link:
            for two, j in condition(question, i + 1, tables):
                yield one + two, j


def _chain(
    question: Question, at: int, tables: Tables
) -> Iterator[tuple[tuple[str, Filters], int]]:
    for one, i in condition(question, at, tables):
        yield ("A", one), i
        link = question.words[i]
        if link in ("and", "or"):
            for two, j in condition(question, i + 1, tables):
                yield (f"A {link.upper()} B", one + two), j
                if question.words[j] == link:
                    for three, k in condition(question, j + 1, tables):
                        form = f"A {link.upper()} B {link.upper()} C"
                        yield (form, one + two + three), k


def condition(
    question: Question, at: int, tables: Tables, scope: int = 0
) -> Iterator[tuple[Filters, int]]:
    """One condition on a column of `tables`, and the condition inside of it where it has one."""
    for column, phrase, i in question.find(question.columns, at):
        if column.table not in tables:
            question.objection = f"{column.name} is not a column of the tables it speaks of"
            continue
        for operator, words, j in question.find(lexing.OPERATORS[type_family(column.type)], i):
            for found, k in values(question, operator, column.name, column.type, j):
                yield (
                    Filter(
                        scope, column.table, column.name, stored_operator(operator), found, "",
                        phrase, words,
                    ),
                ), k  # fmt: skip
            if operator in _COMPARED_WITH_SELECT and question.words[j] == "the":
                for name, k in _aggregate_of_all(question, column, j + 1):
                    yield (
                        Filter(
                            scope, column.table, column.name, f"{operator} SELECT", (), name,
                            phrase, words,
                        ),
                    ), k  # fmt: skip
    if question.schema.foreign_keys and scope != 1:
        yield from _reference(question, at, tables, scope)
        yield from _existence(question, at, tables, scope)


def values(
    question: Question, operator: str, column: str, sql_type: str, at: int
) -> Iterator[tuple[tuple[str, ...], int]]:
    """What an operator (by its name in phrasing.OPERATORS) compares with, as SQL literals."""

    def value(question: Question, at: int) -> Iterator[tuple[str, int]]:
        return question.sentence.find_value(sql_type, column, at)

    if operator in ("IS NULL", "IS NOT NULL"):
        yield (), at
    elif "LIKE" in operator:
        word = question.words[at]
        if word in lexing.pattern_words(column):
            pattern = operator.rpartition(" ")[2].replace("x", word)
            yield (f"'{pattern}'",), at + 1
    elif operator in ("IN", "NOT IN"):
        yield from listing(question, value, lexing.OR, at)
    elif operator in ("BETWEEN", "NOT BETWEEN"):
        for low, i in value(question, at):
            if question.words[i] == "and":
                for high, j in value(question, i + 1):
                    yield (low, high), j
    else:
        for one, i in value(question, at):
            yield (one,), i


def stored_operator(operator: str) -> str:
    """An operator's name in the records, which do not tell the kinds of LIKE apart."""
    return OPERATOR[operator].sql if "LIKE" in operator else operator


def _aggregate_of_all(
    question: Question, column: SchemaColumn, at: int
) -> Iterator[tuple[str, int]]:
    """As in "average price of all products", said of the price of products itself."""
    for each, i in aggregate(question, at):
        if question.words[i : i + 2] == ["of", "all"]:
            for (number, _), j in table(question, i + 2):
                if (each.table, each.column) == (number, column.name):
                    yield each.name, j
                else:
                    question.objection = f"it compares {column.name} with {each.column}"


def _reference(
    question: Question, at: int, tables: Tables, scope: int
) -> Iterator[tuple[Filters, int]]:
    """As in "customer_id refers to customers whose city is Paris"."""
    for key, phrase, i in question.find(question.foreign_keys(), at):
        if key.table not in tables:
            continue
        for operator, words, j in question.find(lexing.OPERATORS["key"], i):
            for operand, k in table(question, j):
                if operand[0] == key.parent and question.words[k] == "whose":
                    outer = Filter(
                        scope, key.table, key.column, operator, (), "", phrase, words, operand
                    )
                    for inner, m in condition(question, k + 1, (key.parent,), scope=1):
                        yield (outer, *inner), m


def _existence(
    question: Question, at: int, tables: Tables, scope: int
) -> Iterator[tuple[Filters, int]]:
    """As in "there are matching orders": rows of another table that refer to this one."""
    for operator, words, i in question.find(lexing.EXISTENCE, at):
        for operand, j in table(question, i):
            for key in question.schema.foreign_keys:
                if key.table == operand[0] and key.parent in tables:
                    found = Filter(
                        scope, key.table, key.column, operator, (), "", "", words, operand
                    )
                    yield (found,), j
