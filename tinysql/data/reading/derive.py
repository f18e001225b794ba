"""What a question asks, read from its words and the CREATE TABLE text alone.

The reader knows the word lists and what each phrase of phrasing.py means, but nothing of the row
or of how it was drawn, so that it can check both. It is a recursive-descent parser that follows
every possibility: a question with no reading, or with two, raises DeriveError.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from tinysql.data import phrasing
from tinysql.data.reading import lexing
from tinysql.data.reading.clauses import CLAUSES
from tinysql.data.reading.lexing import Sentence
from tinysql.data.reading.parts import Question, aggregate, listing, table
from tinysql.data.reading.records import (
    GroupKey,
    Join,
    Reading,
    Schema,
    SelectItem,
    read_schema,
)

Fields = dict[str, Any]


class DeriveError(ValueError):
    """Why a question cannot be read, or that it can be read in two ways."""


def derive(question: str, schema_sql: str) -> Reading:
    """The records that the question asks for; raises DeriveError."""
    try:
        schema = read_schema(schema_sql)
    except ValueError as error:
        raise DeriveError(str(error)) from None
    return derive_from(question, schema)


def derive_from(question: str, schema: Schema) -> Reading:
    """The records that the question asks for of a schema; raises DeriveError."""
    words = Question(question, schema)
    if not words.sentence.is_well_spaced():
        raise DeriveError("its blanks and commas are not those of a sentence")
    unknown = [each.type for each in schema.columns if not lexing.type_family(each.type)]
    if unknown:
        raise DeriveError(f"the schema has the unknown type {unknown[0]}")
    readings = list(_readings(words))
    if not readings:
        raise DeriveError(words.why_not())
    first = readings[0]
    for other in readings[1:]:
        if other.meaning() != first.meaning():
            raise DeriveError(f"ambiguous: {first.meaning()} or {other.meaning()}")
    return first


class _CutShape(NamedTuple):
    """A sentence shape with the number of words of its fixed parts."""

    shape: phrasing.Shape
    num_before: int
    num_between: int
    num_tail: int


@cache
def _shapes() -> dict[str, list[_CutShape]]:
    """The sentence shapes by their first word."""
    by_word: dict[str, list[_CutShape]] = {}
    for text in phrasing.SHAPES:
        shape = phrasing.parse_shape(text)
        counts = [Sentence(part).count for part in (shape.before, shape.between, shape.tail)]
        by_word.setdefault(Sentence(shape.before).words[0], []).append(_CutShape(shape, *counts))
    return by_word


def _readings(question: Question) -> Iterator[Reading]:
    text, ends = question.sentence.text, question.sentence.ends
    # Several shapes begin alike, and would read the same slot again.
    read: dict[tuple[Callable[..., Any], int], list[tuple[Fields, int]]] = {}

    def slot(kind: Callable[[Question, int], Iterator[tuple[Fields, int]]], at: int) -> Any:
        if (kind, at) not in read:
            read[kind, at] = list(kind(question, at))
        return read[kind, at]

    for shape, num_before, num_between, num_tail in _shapes().get(question.words[0], ()):
        if shape.end != question.end or not text.startswith(shape.before):
            continue
        one, other = (_columns_slot, _table_slot)[:: 1 if shape.columns_first else -1]
        for first, at in slot(one, num_before):
            if not text.startswith(shape.between, ends[at - 1]):
                continue
            for second, stop in slot(other, at + num_between):
                after = stop + num_tail
                if text[ends[stop - 1] : ends[min(after, len(ends)) - 1]] == shape.tail:
                    yield from _clauses(question, {**first, **second}, after)


def _columns_slot(question: Question, at: int) -> Iterator[tuple[Fields, int]]:
    for items, i in listing(question, _item, lexing.JOINERS, at):
        yield {"select": items}, i
    for _, _, i in question.find(lexing.DISTINCT, at):
        for items, j in listing(question, _item, lexing.JOINERS, i):
            yield {"select": items, "distinct": True}, j
    for outer, _, i in question.find(lexing.OUTER, at):
        for item, j in _item(question, i):
            if item.aggregate and question.words[j : j + 2] == ["for", "each"]:
                for column, _, k in question.find(question.columns, j + 2):
                    group_by = (GroupKey(column.table, column.name),)
                    yield {"select": (item,), "outer_aggregate": outer, "group_by": group_by}, k


def _item(question: Question, at: int) -> Iterator[tuple[SelectItem, int]]:
    for column, phrase, i in question.find(question.columns, at):
        yield SelectItem(column.table, column.name, "", "", phrase, ""), i
    for each, i in aggregate(question, at):
        alias = f"{each.name}_{'rows' if each.column == '*' else each.column}"
        yield SelectItem(
            each.table, each.column, each.name, alias, each.phrase, each.aggregate_phrase
        ), i


def _table_slot(question: Question, at: int) -> Iterator[tuple[Fields, int]]:
    for first, i in table(question, at):
        yield {"from_tables": (first[0],), "named": (first,)}, i
        for _, _, j in question.find(lexing.LINKS, i):
            for others, k in listing(question, table, lexing.AND, j):
                named = (first, *others)
                numbers = tuple(number for number, _ in named)
                joins = _joins(question, numbers)
                if joins:
                    yield {"from_tables": numbers, "named": named, "joins": joins}, k
            yield from _explicit_join(question, first, j)


def _explicit_join(
    question: Question, first: tuple[int, str], at: int
) -> Iterator[tuple[Fields, int]]:
    """A join on any two columns, as the variant paper has it: "customers on city equals town"."""
    for second, i in table(question, at):
        if question.words[i] == "on":
            for left, _, j in question.find(question.columns, i + 1):
                if left.table == first[0] and question.words[j] == "equals":
                    for right, _, k in question.find(question.columns, j + 1):
                        if right.table == second[0]:
                            numbers = (first[0], second[0])
                            join = Join(left.table, left.name, right.table, right.name)
                            named = (first, second)
                            yield {"from_tables": numbers, "named": named, "joins": (join,)}, k


def _joins(question: Question, tables: tuple[int, ...]) -> tuple[Join, ...]:
    """The ON conditions by the foreign keys, () where they do not tell them."""
    joins: list[Join] = []
    for number, joined in enumerate(tables):
        before = tables[:number]
        links = [
            Join(left, left_column, right, right_column)
            for child, column, parent, parent_column in question.schema.foreign_keys
            for left, left_column, right, right_column in (
                (parent, parent_column, child, column),
                (child, column, parent, parent_column),
            )
            if right == joined and left in before
        ]
        if len(links) != (number > 0):
            question.objection = f"{len(links)} foreign keys join {question.schema.tables[joined]}"
            return ()
        joins += links
    return tuple(joins)


def _clauses(
    question: Question, fields: Fields, at: int, first_clause: int = 0
) -> Iterator[Reading]:
    """Every reading of the rest of the sentence, given what was read before it."""
    if at == question.sentence.count:
        yield from _complete(question, dict(fields))
    for lead, _, i in question.find(lexing.LEADS, at):
        if lead.clause >= first_clause:
            clause = CLAUSES[lead.clause]
            for more, j in clause(question, lead.meaning, i, fields["from_tables"]):
                yield from _clauses(question, {**fields, **more}, j, lead.clause + 1)


def _complete(question: Question, fields: Fields) -> Iterator[Reading]:
    filters = fields.pop("filters", ()) + fields.pop("second_half", ())
    named = dict(each.operand for each in filters if each.operand) | dict(fields.pop("named"))
    reading = Reading(
        **fields,
        table_phrases=tuple(named.get(i, "") for i in range(len(question.schema.tables))),
        filters=tuple(each._replace(operand=None) for each in filters),
    )
    known = (-1, *reading.from_tables)
    strange = [
        *(part.column for part in reading.select if part.table not in known),
        *(part.column for part in reading.group_by if part.table not in known),
        *(part.column for part in reading.having if part.table not in known),
        *(part.column for part in reading.order_by if part.table not in known),
    ]
    if strange:
        question.objection = f"{strange[0]} is not a column of the tables it speaks of"
    else:
        yield reading
