"""Reading the clauses behind the slots of a question: WHERE to LIMIT.

Each clause takes what its opening tells, the number of the word behind it and the tables of FROM,
and yields every (fields of a Reading, next word).
"""

from collections.abc import Callable, Iterator

from tinysql.data.reading import lexing
from tinysql.data.reading.conditions import condition, conditions, stored_operator, values
from tinysql.data.reading.lexing import type_family
from tinysql.data.reading.parts import Question, aggregate, group_key, listing
from tinysql.data.reading.records import Having, OrderKey

Tables = tuple[int, ...]
Found = Iterator[tuple[dict[str, object], int]]


def where(question: Question, _: str, at: int, tables: Tables) -> Found:
    for (form, filters), i in conditions(question, at, tables):
        yield {"where_form": form, "filters": filters}, i


def set_operation(question: Question, name: str, at: int, tables: Tables) -> Found:
    for second_half, i in condition(question, at, tables, scope=2):
        yield {"set_operation": name, "second_half": second_half}, i


def group(question: Question, _: str, at: int, __: Tables) -> Found:
    for keys, i in listing(question, group_key, lexing.AND, at):
        yield {"group_by": keys}, i


def having(question: Question, _: str, at: int, __: Tables) -> Found:
    for each, i in aggregate(question, at):
        known = lexing.OPERATORS[type_family(each.sql_type)]
        for operator, words, j in question.find(known, i):
            for found, k in values(question, operator, each.column, each.sql_type, j):
                having = Having(
                    each.table, each.column, each.name, stored_operator(operator), found,
                    each.phrase, each.aggregate_phrase, words,
                )  # fmt: skip
                yield {"having": (having,)}, k


def order(question: Question, _: str, at: int, __: Tables) -> Found:
    for keys, i in _order_keys(question, at):
        yield {"order_by": keys}, i


def _order_keys(question: Question, at: int) -> Iterator[tuple[tuple[OrderKey, ...], int]]:
    for key, i in _order_key(question, at):
        yield (key,), i
        for _, _, j in question.find(lexing.ORDER_LINKS, i):
            for keys, k in _order_keys(question, j):
                yield (key, *keys), k


def _order_key(question: Question, at: int) -> Iterator[tuple[OrderKey, int]]:
    find = question.find
    for column, phrase, i in find(question.columns, at):
        for direction, words, j in find(lexing.DIRECTIONS[type_family(column.type)], i):
            yield OrderKey(column.table, column.name, "", direction, phrase, words), j
    for each, i in aggregate(question, at):
        for direction, words, j in find(lexing.DIRECTIONS[type_family(each.sql_type)], i):
            yield OrderKey(each.table, each.column, each.name, direction, each.phrase, words), j


def limit(question: Question, after: str, at: int, _: Tables) -> Found:
    stop = at + 1 + bool(after)
    if question.words[at].isdecimal() and " ".join(question.words[at + 1 : stop]) == after:
        yield {"limit": int(question.words[at])}, stop


CLAUSES: tuple[Callable[[Question, str, int, Tables], Found], ...] = (
    where, set_operation, group, having, order, limit,
)  # fmt: skip
"""The clauses in the order that a question must keep; lexing.LEADS tells them by their number."""
