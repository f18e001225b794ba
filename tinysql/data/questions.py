"""The English question of every row, written from its schema and query.

Each mention of a table or column draws its own wording: the name, or a synonym. The layout is
shape, then the clauses in a fixed order; which words stand for what is in phrasing.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinysql.data import conditions as cond
from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.draws import Draws
from tinysql.data.queries import OUTER, SET_OPERATIONS, Query
from tinysql.data.schemas import STAR, Schemas
from tinysql.data.text import (
    Indices,
    Key,
    Mask,
    PhraseGroups,
    Pieces,
    Text,
    either,
    only,
    piece,
    pieces,
)


@dataclass(frozen=True)
class Wording:
    """How the questions of a split are worded."""

    table_synonyms: float
    """Share of table mentions by a synonym."""
    column_synonyms: float
    """Share of column mentions by a synonym, in every clause."""
    held: bool
    """Whether shapes, phrases and synonyms are the held-out ones, where there are any."""


def _groups(groups: Sequence[Sequence[str]]) -> PhraseGroups:
    return PhraseGroups([phrasing.split_held(group) for group in groups])


_FAMILIES = len(phrasing.FAMILIES)
_AGGREGATES = _groups([
    phrasing.aggregate_phrases(aggregate, family) or ("",)
    for aggregate in phrasing.AGGREGATES for family in phrasing.FAMILIES
])  # fmt: skip
_DIRECTIONS = PhraseGroups([
    phrasing.split_directions(direction, family)
    for direction in phrasing.DIRECTIONS for family in phrasing.FAMILIES
])  # fmt: skip
_OPERATORS = _groups([
    phrasing.operator_phrases(operator.name, family) or ("",)
    for operator in phrasing.OPERATORS for family in phrasing.FAMILIES
])  # fmt: skip
_ONE = _groups([
    phrasing.STAR_PHRASES, phrasing.DISTINCT_WORDS, phrasing.JOIN_LINKS, phrasing.WHERE_LEADS,
    phrasing.GROUP_LEADS, phrasing.HAVING_LEADS, phrasing.ORDER_LEADS, phrasing.ORDER_LINKS,
])  # fmt: skip
_STAR, _DISTINCT, _LINK, _WHERE, _GROUP, _HAVING, _ORDER, _ORDER_LINK = range(8)
_SET_OPERATIONS = _groups([phrasing.SET_OPERATIONS[name] for name in SET_OPERATIONS])
_OUTER = _groups([phrasing.OUTER_AGGREGATES[name] for name in OUTER])
_JOINERS, _JOINERS_OF_TWO = (
    pieces(phrasing.JOINERS), pieces(joiner.lstrip(",") for joiner in phrasing.JOINERS)
)  # fmt: skip
_LIMITS = [pieces(part) for part in zip(*phrasing.LIMITS, strict=True)]
_COUNT = phrasing.AGGREGATES.index("COUNT")
_NUMBER = phrasing.FAMILIES.index("number")

_FIRST = {"(": "either ", "N": "neither "}
_EITHER = pieces(_FIRST.get(form[:1], "") for form in cond.FORMS)
# What stands before the second and third main condition, by form.
_LINKS = np.array([
    [0,
     piece(" nor " if form[:1] == "N" else " and " if form.startswith("A AND") else " or "),
     piece(", and " if form[:1] == "(" else " or " if form.endswith("OR C") else " and ")]
    for form in cond.FORMS
], np.int32)  # fmt: skip

_SHAPES = [phrasing.parse_shape(text) for text in phrasing.SHAPES]
_SHAPE_PIECES = {
    part: pieces(getattr(shape, part) for shape in _SHAPES)
    for part in ("before", "between", "tail", "end")
}
_BETWEEN = np.array([operator.name.endswith("BETWEEN") for operator in phrasing.OPERATORS])
_COLUMNS_FIRST = np.array([shape.columns_first for shape in _SHAPES])


def draw_shapes(query: Query, wording: Wording, draws: Draws) -> Indices:
    """A sentence shape per row that fits its number of columns and tables."""
    held = np.array([phrasing.held_shape(n) for n in range(len(_SHAPES))]) == wording.held
    one = np.array([phrasing.fits_one_column(text) for text in phrasing.SHAPES])
    join = np.array([phrasing.fits_join(text) for text in phrasing.SHAPES])
    single = (query.is_selected.sum(axis=1) == 1) | (query.outer >= 0)
    shape = np.zeros(len(single), np.int64)
    for is_single in (False, True):
        for is_join in (False, True):
            fitting = np.flatnonzero(held & (one | (not is_single)) & (join | (not is_join)))
            here = (single == is_single) & ((query.num_from > 1) == is_join)
            shape = np.where(here, fitting[draws.below("shape", len(fitting))], shape)
    return shape


class _Writer:
    """A question being written; holds what every clause needs."""

    def __init__(self, schemas: Schemas, query: Query, wording: Wording, draws: Draws) -> None:
        self.text = Text("question", len(schemas.names))
        self.schemas, self.query, self.wording, self.draws = schemas, query, wording, draws

    def phrase(
        self, groups: PhraseGroups, group: Indices | int, draw: str, row: Indices,
        item: Indices | int = 0,
    ) -> Pieces:  # fmt: skip
        """A phrase of a group for every item."""
        uniform = self.draws.at(f"phrase/{draw}", row, item)
        return groups.draw(np.broadcast_to(group, len(row)), uniform, self.wording.held)

    def family(self, row: Indices, slot: Indices) -> Indices:
        """The families of columns; rows (STAR) have none that matters."""
        return vocab.FAMILY_OF_KIND[self.schemas.kinds[row, np.maximum(slot, 0)]]

    def column(self, draw: str, row: Indices, slot: Indices, item: Indices | int = 0) -> Pieces:
        """What the question calls columns; STAR is "rows"."""
        names = self.schemas.names[row, np.maximum(slot, 0)]
        uniform = self.draws.at(f"synonym/{draw}", row, item)
        wording = self.wording
        found = vocab.name_phrases(names, uniform, wording.column_synonyms, wording.held)
        if not (slot == STAR).any():
            return found
        return np.where(slot == STAR, self.phrase(_ONE, _STAR, draw, row, item), found)

    def table(self, draw: str, row: Indices, position: Indices, item: Indices | int = 0) -> Pieces:
        tables = self.schemas.tables[row, position]
        uniform = self.draws.at(f"synonym/{draw}", row, item)
        wording = self.wording
        return vocab.table_phrases(tables, uniform, wording.table_synonyms, wording.held)

    def aggregate(
        self, draw: str, row: Indices, slot: Indices, aggregate: Indices, item: Indices | int = 0
    ) -> Pieces:
        """The phrases of aggregates that fit the columns' families; nothing for -1."""
        group = np.maximum(aggregate, 0) * _FAMILIES + self.family(row, slot)
        said = self.phrase(_AGGREGATES, group, f"{draw}_aggregate", row, item)
        return only(aggregate >= 0, said)


def write_question(
    schemas: Schemas, query: Query, shape: Indices, wording: Wording, draws: Draws,
    *, explicit_joins: bool = False,
) -> Text:  # fmt: skip
    """The question; with explicit joins it names the columns that tables are joined on."""
    writer = _Writer(schemas, query, wording, draws)
    text = writer.text
    columns_first = _COLUMNS_FIRST[shape]
    text.write(_SHAPE_PIECES["before"][shape])
    _write_tables(writer, ~columns_first, explicit_joins)
    text.write(_SHAPE_PIECES["between"][shape], ~columns_first)
    _write_columns(writer)
    text.write(_SHAPE_PIECES["between"][shape], columns_first)
    _write_tables(writer, columns_first, explicit_joins)
    text.write(_SHAPE_PIECES["tail"][shape])
    _write_where(writer)
    _write_groups(writer)
    _write_having(writer)
    _write_order(writer)
    _write_limit(writer)
    text.write(_SHAPE_PIECES["end"][shape])
    return text


def _write_columns(writer: _Writer) -> None:
    """The select list. Of the groups of an outer aggregate: the aggregate, then what they are."""
    text, query = writer.text, writer.query
    row = np.flatnonzero(query.distinct)
    said = writer.phrase(_ONE, _DISTINCT, "distinct", row)
    text.write_items(row, [said], {0: ("distinct", 0, "")})
    outer = query.outer >= 0
    grouped = np.flatnonzero(outer)
    said = writer.phrase(_OUTER, query.outer[grouped], "outer", grouped)
    text.write_items(grouped, [said, " "], {0: ("outer", 0, "")})

    shown = np.where(outer[:, None], query.aggregate >= 0, query.is_selected)
    row, item = np.nonzero(shown)
    slot, aggregate = query.select[row, item], query.aggregate[row, item]
    joiner = writer.draws.below("joiner", len(phrasing.JOINERS))
    total = shown.sum(axis=1)
    last = np.where(total == 2, _JOINERS_OF_TWO[joiner], _JOINERS[joiner])
    number = _rank(row, total)
    separator = np.where(number == total[row] - 1, last[row], np.int32(piece(", ")))
    parts: list[str | Pieces] = [only(number > 0, separator)]
    keys: dict[int, Key] = {}
    if (aggregate >= 0).any():
        keys[1] = ("select_aggregate", item, "")
        said = writer.aggregate("select", row, slot, aggregate, item)
        parts += [said, only(aggregate >= 0, " ")]
    keys[len(parts)] = ("select", item, "")
    parts.append(writer.column("select", row, slot, item))
    text.write_items(row, parts, keys)

    item = np.argmax(query.is_bare[grouped], axis=1)
    said = writer.column("group", grouped, query.select[grouped, item])
    text.write_items(grouped, [" for each ", said], {1: ("group", 0, "")})


def _rank(row: Indices, counts: Indices) -> Indices:
    """Each item's number within its row; counts: items by row."""
    return np.arange(len(row)) - (np.cumsum(counts) - counts)[row]


def _write_tables(writer: _Writer, where: Mask, explicit_joins: bool) -> None:
    query, schemas = writer.query, writer.schemas
    row, number = np.nonzero((query.from_tables >= 0) & where[:, None])
    table = query.from_tables[row, number]
    parts: list[str | Pieces] = []
    joined = number > 0
    if joined.any():
        link = writer.phrase(_ONE, _LINK, "link", row)
        further = either(query.num_from[row] == number + 1, " and ", ", ")
        parts.append(only(joined, np.where(number == 1, link, further)))
    keys: dict[int, Key] = {len(parts): ("table", table, "")}
    parts.append(writer.table("table", row, table, number))
    if explicit_joins and joined.any():
        left, right = query.join_left[row, number], query.join_right[row, number]
        names = [vocab.NAME_PIECES[schemas.names[row, np.maximum(s, 0)]] for s in (left, right)]
        keys |= {len(parts) + 1: ("join", 0, ""), len(parts) + 3: ("join", 1, "")}
        parts += [only(joined, part) for part in (" on ", names[0], " equals ", names[1])]
    writer.text.write_items(row, parts, keys)


def _write_where(writer: _Writer) -> None:
    text, query = writer.text, writer.query
    form = query.conditions.form
    row = np.flatnonzero(form > 0)
    if not len(row):
        return
    text.write_items(row, [writer.phrase(_ONE, _WHERE, "where", row), _EITHER[form[row]]])
    _write_conditions(writer, cond.MAIN)
    _write_sub_query(writer)
    row = np.flatnonzero(query.set_operation >= 0)
    said = writer.phrase(_SET_OPERATIONS, query.set_operation[row], "set_operation", row)
    text.write_items(row, [said], {0: ("set_operation", 0, "")})
    _write_conditions(writer, (cond.SECOND,))


def _write_conditions(writer: _Writer, indices: Sequence[int]) -> None:
    """The conditions at these indices but for what is in a sub-query, each with its connector."""
    conditions = writer.query.conditions
    row, position = np.nonzero(conditions.present[:, list(indices)])
    if not len(row):
        return
    index = np.array(indices)[position]
    slot, operator = conditions.slot[row, index], conditions.operator[row, index]
    form = conditions.form[row]
    main = index <= cond.MAIN[-1]
    # Inner and second conditions are numbered after the main ones.
    number = np.where(main, index, cond.FORM_SIZES[form])
    exists = np.isin(operator, cond.EXISTS)
    group = operator * _FAMILIES + writer.family(row, slot)
    parts: list[str | Pieces] = [
        only(main, _LINKS[form, np.minimum(index, cond.MAIN[-1])]),
        only(~exists, writer.column("filter", row, slot, index)),
        only(~exists, " "),
        writer.phrase(_OPERATORS, group, "operator", row, index),
    ]
    keys: dict[int, Key] = {1: ("filter", number, ""), 3: ("operator", number, "")}
    count = conditions.num_values[row, index]
    for value in range(int(count.max())):
        between = either(count == value + 1, " or ", ", ")
        link = np.where(_BETWEEN[operator], np.int32(piece(" and ")), between)
        parts.append(only(count > value, link if value else " "))
        keys[len(parts)] = ("value", number, f".{value}")
        parts.append(only(count > value, conditions.value_text[row, index, value]))
    writer.text.write_items(row, parts, keys)


def _write_sub_query(writer: _Writer) -> None:
    """What follows the operator of the last main condition, if that is a sub-query."""
    text, conditions = writer.text, writer.query.conditions
    if not (conditions.table >= 0).any():
        return
    last = np.maximum(cond.FORM_SIZES[conditions.form] - 1, 0)
    every = np.arange(len(last))
    table, slot = conditions.table[every, last], conditions.slot[every, last]
    aggregate = conditions.aggregate[every, last]
    row = np.flatnonzero((table >= 0) & (aggregate >= 0))
    text.write_items(
        row,
        [" the ", writer.aggregate("operand", row, slot[row], aggregate[row]), " ",
         writer.column("operand", row, slot[row]), " of all"],
        {1: ("operand_aggregate", last[row], ""), 3: ("operand", last[row], "")},
    )  # fmt: skip
    row = np.flatnonzero(table >= 0)
    said = writer.table("operand_table", row, table[row])
    text.write_items(row, [" ", said], {1: ("operand_table", last[row], "")})
    text.write(" whose ", conditions.present[:, cond.INNER])
    _write_conditions(writer, (cond.INNER,))


def _write_groups(writer: _Writer) -> None:
    query = writer.query
    grouped = query.grouped & (query.outer < 0)
    row, item = np.nonzero(query.is_bare & grouped[:, None])
    total = (query.is_bare & grouped[:, None]).sum(axis=1)
    number = _rank(row, total)
    lead = writer.phrase(_ONE, _GROUP, "group_lead", row)
    link = either(number == total[row] - 1, " and ", ", ")
    said = writer.column("group", row, query.select[row, item], item)
    parts = [np.where(number == 0, lead, link), said]
    writer.text.write_items(row, parts, {1: ("group", number, "")})


def _write_having(writer: _Writer) -> None:
    conditions = writer.query.conditions
    row = np.flatnonzero(conditions.present[:, cond.HAVING])
    slot = conditions.slot[row, cond.HAVING]
    aggregate = conditions.aggregate[row, cond.HAVING]
    group = conditions.operator[row, cond.HAVING] * _FAMILIES + _NUMBER
    writer.text.write_items(
        row,
        [writer.phrase(_ONE, _HAVING, "having_lead", row),
         writer.aggregate("having", row, slot, aggregate), " ",
         writer.column("having", row, slot), " ",
         writer.phrase(_OPERATORS, group, "having_operator", row), " ",
         conditions.value_text[row, cond.HAVING, 0]],
        {1: ("having_aggregate", 0, ""), 3: ("having", 0, ""), 5: ("having_operator", 0, ""),
         7: ("having_value", 0, "")},
    )  # fmt: skip


def _write_order(writer: _Writer) -> None:
    query = writer.query
    row, key = np.nonzero(query.is_ordered)
    slot, aggregate = query.order_slot[row, key], query.order_aggregate[row, key]
    lead = writer.phrase(_ONE, _ORDER, "order_lead", row)
    link = writer.phrase(_ONE, _ORDER_LINK, "order_link", row)
    parts: list[str | Pieces] = [np.where(key == 0, lead, link)]
    keys: dict[int, Key] = {}
    if (aggregate >= 0).any():
        keys[1] = ("order_aggregate", key, "")
        parts += [
            writer.aggregate("order", row, slot, aggregate, key), only(aggregate >= 0, " ")
        ]  # fmt: skip
    keys |= {len(parts): ("order", key, ""), len(parts) + 2: ("direction", key, "")}
    # What is counted is a number; any other aggregate is of its column's family.
    family = np.where(aggregate == _COUNT, _NUMBER, writer.family(row, slot))
    group = query.direction[row, key] * _FAMILIES + family
    said = writer.phrase(_DIRECTIONS, group, "direction", row, key)
    parts += [writer.column("order", row, slot, key), " ", said]
    writer.text.write_items(row, parts, keys)


def _write_limit(writer: _Writer) -> None:
    row = np.flatnonzero(writer.query.limit > 0)
    usual = len(phrasing.LIMITS) - 1
    drawn = writer.draws.below("limit_words", usual)[row]
    way = np.full_like(drawn, usual) if writer.wording.held else drawn
    number = vocab.SMALL_NUMBERS[writer.query.limit[row]]
    parts = [_LIMITS[0][way], number, _LIMITS[1][way]]
    writer.text.write_items(row, parts, {1: ("limit", 0, "")})
