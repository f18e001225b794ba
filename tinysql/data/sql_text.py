"""The gold SQL of every row, written from its schema and query.

The text is a function of question and schema alone: tables in the question's order, aliases t1,
t2, ... exactly when there are several, every direction written out.
"""

from collections.abc import Sequence

import numpy as np

from tinysql.data import conditions as cond
from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.queries import OUTER, SET_OPERATIONS, Query
from tinysql.data.schemas import NONE, STAR, Schemas
from tinysql.data.text import Indices, Mask, Pieces, Text, either, only, piece, pieces

_AGGREGATE = pieces((*phrasing.AGGREGATES, ""))
_OPERATOR = pieces(f" {operator.sql}" for operator in phrasing.OPERATORS)
_INVERTED = np.array([operator.name in ("NOT >", "NOT <") for operator in phrasing.OPERATORS])
_AFTER_NOT = pieces(f" {operator.sql.removeprefix('NOT ')}" for operator in phrasing.OPERATORS)
_SHOWN = np.where(_INVERTED, _AFTER_NOT, _OPERATOR)
# These stand first in their condition.
_SHOWN[cond.EXISTS] = pieces(phrasing.OPERATORS[number].sql for number in cond.EXISTS)
_SET_OPERATIONS = pieces(SET_OPERATIONS)
_OUTER = pieces((*OUTER, ""))
_DIRECTIONS = pieces(phrasing.DIRECTIONS)
_ROWS = np.int32(piece("rows"))

# What stands before and after each main condition, by form.
_BEFORE = np.array([
    [piece(f" WHERE {'NOT ( ' * form.startswith('NOT')}{'( ' * form.startswith('(')}"),
     piece(" AND " if form.startswith("A AND") else " OR "),
     piece(" OR " if form.endswith("OR C") else " AND ")]
    for form in cond.FORMS
], np.int32)  # fmt: skip
_AFTER = np.array(
    [[0, piece(" )") if "(" in form else 0, 0] for form in cond.FORMS], np.int32
)


class _Writer:
    """A SQL text being written; holds what every clause needs."""

    def __init__(self, schemas: Schemas, query: Query, *, qualified: bool) -> None:
        self.text = Text("sql", len(schemas.names))
        self.schemas, self.query, self.qualified = schemas, query, qualified
        self.names = vocab.NAME_PIECES[schemas.names]
        self.alias = _aliases(schemas, query) if qualified else None

    def name(self, row: Indices, slot: Indices) -> Pieces:
        """The bare names of columns; "rows" for STAR."""
        return np.where(slot == STAR, _ROWS, self.names[row, np.maximum(slot, 0)])

    def column(self, row: Indices, slot: Indices) -> tuple[Pieces | str, Pieces]:
        """Columns as SQL refers to them: the alias with its dot, and the name ("*" for STAR)."""
        name = np.where(slot == STAR, np.int32(piece("*")), self.name(row, slot))
        if self.alias is None:
            return "", name
        return only(slot >= 0, self.alias[row, np.maximum(slot, 0)]), name

    def table(self, row: Indices, position: Indices) -> Pieces:
        return vocab.TABLE_PIECES[self.schemas.tables[row, np.maximum(position, 0)]]

    def key(self, row: Indices, position: Indices) -> Pieces:
        """The names of tables' primary keys."""
        return self.names[row, np.maximum(position, 0) * self.schemas.slots_per_table]


def _aliases(schemas: Schemas, query: Query) -> Pieces | None:
    """ "t1." by slot where several tables are joined; None where no row has any."""
    several = query.num_from > 1
    if not several.any():
        return None
    alias = np.zeros((len(schemas.names), schemas.tables.shape[1]), np.int32)
    row, number = np.nonzero((query.from_tables >= 0) & several[:, None])
    names = pieces(f"t{n + 1}." for n in range(query.from_tables.shape[1]))
    alias[row, query.from_tables[row, number]] = names[number]
    return np.repeat(alias, schemas.slots_per_table, axis=1)


def write_sql(schemas: Schemas, query: Query, *, qualified: bool) -> Text:
    """The gold SQL; unqualified, joined tables have no aliases either."""
    writer = _Writer(schemas, query, qualified=qualified)
    text = writer.text
    _write_outer(writer)
    text.write("SELECT ")
    text.write("DISTINCT ", query.distinct, key="distinct")
    # Of a grouped sub-query only the aggregate is asked for.
    shown = np.where((query.outer >= 0)[:, None], query.aggregate >= 0, query.is_selected)
    _write_select(writer, shown, keyed=True)
    _write_from(writer)
    _write_conditions(writer, cond.MAIN)
    _write_sub_query(writer)
    _write_set_operation(writer, shown)
    _write_groups(writer)
    text.write(" ) AS per_group", query.outer >= 0)
    _write_order(writer)
    limited = np.flatnonzero(query.limit > 0)
    number = vocab.SMALL_NUMBERS[query.limit[limited]]
    text.write_items(limited, [" LIMIT ", number], {1: ("limit", 0, "")})
    return text


def _write_outer(writer: _Writer) -> None:
    query = writer.query
    row = np.flatnonzero(query.outer >= 0)
    item = np.argmax(query.aggregate[row] >= 0, axis=1)
    outer = _OUTER[query.outer[row]]
    aggregate = _AGGREGATE[query.aggregate[row, item]]
    name = writer.name(row, query.select[row, item])
    writer.text.write_items(
        row,
        ["SELECT ", outer, "(", aggregate, "_", name, ") AS ", outer, "_", aggregate, "_", name,
         " FROM ( "],
        {1: ("outer", 0, "")},
    )  # fmt: skip


def _write_select(writer: _Writer, shown: Mask, *, keyed: bool) -> None:
    """Select items; without keys they are no mentions."""
    query = writer.query
    row, item = np.nonzero(shown)
    slot, aggregate = query.select[row, item], query.aggregate[row, item]
    applied = aggregate >= 0
    first = np.append(True, row[1:] != row[:-1])[: len(row)]
    alias, name = writer.column(row, slot)
    parts: list[str | Pieces] = [either(first, "", ", "), alias, name]
    keys = {2: ("select", item, "")}
    if applied.any():
        called = _AGGREGATE[aggregate]
        parts = [
            parts[0], called, only(applied, "("), alias, name, only(applied, ") AS "), called,
            only(applied, "_"), only(applied, writer.name(row, slot)),
        ]  # fmt: skip
        keys = {1: ("aggregate", item, ""), 4: ("select", item, ""), 8: ("alias", item, "")}
    writer.text.write_items(row, parts, keys if keyed else {})


def _write_from(writer: _Writer) -> None:
    query, schemas = writer.query, writer.schemas
    row, number = np.nonzero(query.from_tables >= 0)
    joined = number > 0
    table = writer.table(row, query.from_tables[row, number])
    parts: list[str | Pieces] = [either(joined, " JOIN ", " FROM "), table]
    if joined.any():
        if writer.qualified:
            called = pieces(f" AS t{n + 1}" for n in range(query.from_tables.shape[1]))
            parts.append(only((query.num_from > 1)[row], called[number]))
        for slots, before in ((query.join_left, " ON "), (query.join_right, " = ")):
            slot = np.maximum(slots[row, number], 0)
            alias, name = writer.column(row, slot)
            if writer.qualified:
                parts += [only(joined, before), only(joined, alias), only(joined, name)]
            else:
                owner = writer.table(row, schemas.table_of(slot))
                parts += [only(joined, before), only(joined, owner), only(joined, "."),
                          only(joined, name)]  # fmt: skip
    writer.text.write_items(row, parts, {1: ("from", number, "")})


def _write_conditions(writer: _Writer, indices: Sequence[int]) -> None:
    """The conditions at these indices but for what is in a sub-query, each with its connectors."""
    conditions = writer.query.conditions
    row, position = np.nonzero(conditions.present[:, list(indices)])
    if not len(row):
        return
    index = np.array(indices)[position]
    slot, operator = conditions.slot[row, index], conditions.operator[row, index]
    form = conditions.form[row]
    main = index <= cond.MAIN[-1]
    within = np.minimum(index, cond.MAIN[-1])
    # Inner and second conditions are numbered after the main ones.
    number = np.where(main, index, cond.FORM_SIZES[form])
    exists = np.isin(operator, cond.EXISTS)
    alias, name = writer.column(row, slot)
    count = conditions.num_values[row, index]
    is_list = np.isin(operator, cond.LISTS)
    parts: list[str | Pieces] = [
        only(main, _BEFORE[form, within]),
        only(_INVERTED[operator], "NOT "),
        only(~exists, alias) if not isinstance(alias, str) else "",
        only(~exists, name),
        _SHOWN[operator],
        only(count > 0, either(is_list, " ( ", " ")),
    ]
    keys = {3: ("filter", number, ""), 4: ("operator", number, "")}
    for value in range(int(count.max())):
        if value:
            parts.append(only(count > value, either(is_list, ", ", " AND ")))
        keys[len(parts)] = ("value", number, f".{value}")
        parts.append(only(count > value, conditions.value_sql[row, index, value]))
    # A sub-query, which only the last condition can have, is closed after it is written.
    nested = conditions.table[row, index] >= 0
    parts += [only(is_list & (count > 0), " )"), only(main & ~nested, _AFTER[form, within])]
    writer.text.write_items(row, parts, keys)


def _write_sub_query(writer: _Writer) -> None:
    """What follows the operator of the last main condition, if that is a sub-query."""
    query, schemas, text = writer.query, writer.schemas, writer.text
    conditions = query.conditions
    if not (conditions.table >= 0).any():
        return
    last = np.maximum(cond.FORM_SIZES[conditions.form] - 1, 0)
    every = np.arange(len(last))
    table, slot = conditions.table[every, last], conditions.slot[every, last]
    operator, aggregate = conditions.operator[every, last], conditions.aggregate[every, last]
    nested = table >= 0
    row = np.flatnonzero(nested & (aggregate >= 0))
    text.write_items(
        row,
        [" ( SELECT ", _AGGREGATE[aggregate[row]], "(", writer.name(row, slot[row]), ") FROM ",
         writer.table(row, table[row]), " )"],
        {1: ("operand", last[row], "")},
    )  # fmt: skip
    exists = np.isin(operator, cond.EXISTS)
    within = nested & (aggregate < 0) & ~exists
    row = np.flatnonzero(within)
    text.write_items(
        row,
        [" ( SELECT ", writer.key(row, table[row]), " FROM ", writer.table(row, table[row]),
         " WHERE "],
        {3: ("operand", last[row], "")},
    )  # fmt: skip
    _write_conditions(writer, (cond.INNER,))
    text.write(" )", within)
    row = np.flatnonzero(nested & exists)
    child, parent = table[row], schemas.parent_of[row, np.maximum(slot[row], 0)]
    text.write_items(
        row,
        [" ( SELECT * FROM ", writer.table(row, child), " WHERE ",
         writer.table(row, child), ".", writer.name(row, slot[row]), " = ",
         writer.table(row, parent), ".", writer.key(row, parent), " )"],
        {1: ("operand", last[row], "")},
    )  # fmt: skip


def _write_set_operation(writer: _Writer, shown: Mask) -> None:
    query = writer.query
    operates = query.set_operation >= 0
    row = np.flatnonzero(operates)
    if not len(row):
        return
    said = _SET_OPERATIONS[query.set_operation[row]]
    writer.text.write_items(row, [" ", said, " SELECT "], {1: ("set_operation", 0, "")})
    _write_select(writer, shown & operates[:, None], keyed=False)
    table = writer.table(row, query.from_tables[row, 0])
    writer.text.write_items(row, [" FROM ", table, " WHERE "])
    _write_conditions(writer, (cond.SECOND,))


def _write_groups(writer: _Writer) -> None:
    query, conditions = writer.query, writer.query.conditions
    row, item = np.nonzero(query.is_bare & query.grouped[:, None])
    first = np.append(True, row[1:] != row[:-1])[: len(row)]
    alias, name = writer.column(row, query.select[row, item])
    number = np.arange(len(row)) - np.flatnonzero(first)[np.cumsum(first) - 1]
    parts = [either(first, " GROUP BY ", ", "), alias, name]
    writer.text.write_items(row, parts, {2: ("group", number, "")})
    row = np.flatnonzero(conditions.present[:, cond.HAVING])
    alias, name = writer.column(row, conditions.slot[row, cond.HAVING])
    writer.text.write_items(
        row,
        [" HAVING ", _AGGREGATE[conditions.aggregate[row, cond.HAVING]], "(", alias, name, ")",
         _OPERATOR[conditions.operator[row, cond.HAVING]], " ",
         conditions.value_sql[row, cond.HAVING, 0]],
        {1: ("having_aggregate", 0, ""), 4: ("having", 0, ""), 6: ("having_operator", 0, ""),
         8: ("having_value", 0, "")},
    )  # fmt: skip


def _write_order(writer: _Writer) -> None:
    query = writer.query
    row, key = np.nonzero(query.order_slot != NONE)
    slot, aggregate = query.order_slot[row, key], query.order_aggregate[row, key]
    of_item = aggregate >= 0
    alias, name = writer.column(row, slot)
    name = np.where(of_item, writer.name(row, slot), name)
    parts: list[str | Pieces] = [either(key > 0, ", ", " ORDER BY "), alias, name]
    if of_item.any():
        plain = only(~of_item, alias) if not isinstance(alias, str) else alias
        parts = [parts[0], _AGGREGATE[aggregate], only(of_item, "_"), plain, name]
    named = len(parts) - 1
    parts += [" ", _DIRECTIONS[query.direction[row, key]]]
    keys = {named: ("order", key, ""), named + 2: ("direction", key, "")}
    writer.text.write_items(row, parts, keys)
