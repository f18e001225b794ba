"""Every row's parse as Arrow columns, so that nobody has to parse the SQL or the question again."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tinysql.data import conditions as cond
from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.queries import OUTER, SET_OPERATIONS, Query
from tinysql.data.schemas import STAR, Schemas, column_records, foreign_key_records
from tinysql.data.text import (
    Indices,
    Mask,
    Pieces,
    Text,
    gather,
    join_pieces,
    lists,
    pieces,
    records,
)

_AGGREGATES = pieces((*phrasing.AGGREGATES, ""))
_DIRECTIONS = pieces(phrasing.DIRECTIONS)
_FORMS = pieces(cond.FORMS)
_SET_OPERATIONS = pieces((*SET_OPERATIONS, ""))
_OUTER = pieces((*OUTER, ""))
_OPERATORS = pieces(
    operator.name if operator.name.endswith(("SELECT", "EXISTS")) else operator.sql
    for operator in phrasing.OPERATORS
)
_COMPARED = pieces(f"{operator.sql} SELECT" for operator in phrasing.OPERATORS)
_STAR, _ROWS, _UNDERSCORE = pieces(("*", "rows", "_"))

# Filters in the order of their records: what is inside a sub-query follows the filter that has it,
# which is the last of the main ones.
_FILTERS = [*cond.MAIN, cond.INNER, cond.SECOND]
_SCOPES = np.array([0, 0, 0, 1, 2], np.int8)


def row_records(schemas: Schemas, query: Query, question: Text) -> dict[str, pa.Array]:
    """The columns that describe schema and query, by name; docs/data.md lists their fields."""
    chosen = query.from_tables >= 0
    return {
        "tables": _tables(schemas, query, question),
        "columns": column_records(schemas),
        "foreign_keys": foreign_key_records(schemas),
        "from_tables": lists(
            pa.array(query.from_tables[chosen].astype(np.int8)), chosen.sum(axis=1)
        ),
        "joins": _joins(schemas, query),
        "select": _select(schemas, query, question),
        "distinct": pa.array(query.distinct),
        "outer_aggregate": gather(_OUTER[query.outer]),
        "where_form": gather(_FORMS[query.conditions.form]),
        "filters": _filters(schemas, query, question),
        "set_operation": gather(_SET_OPERATIONS[query.set_operation]),
        "group_by": _groups(schemas, query),
        "having": _having(schemas, query, question),
        "order_by": _order(schemas, query, question),
        "limit": pa.array(query.limit.astype(np.int32)),
    }


def _column(schemas: Schemas, used: Mask, slots: Indices) -> dict[str, pa.Array | NDArray]:
    """Table position and name of the used ones among slots of shape (rows, n)."""
    row, _ = np.nonzero(used)
    slot = slots[used]
    names = vocab.NAME_PIECES[schemas.names[row, np.maximum(slot, 0)]]
    return {
        "table": np.where(slot < 0, -1, schemas.table_of(slot)).astype(np.int8),
        "column": gather(np.where(slot == STAR, _STAR, names)),
    }


def _tables(schemas: Schemas, query: Query, question: Text) -> pa.Array:
    used = schemas.tables >= 0
    phrases = question.mentioned("table", used.shape[1])
    named = question.mentioned("operand_table", len(cond.MAIN))
    every = np.arange(len(used))
    for index in cond.MAIN:
        table = query.conditions.table[:, index]
        here = (table >= 0) & (phrases[every, table] == 0)
        phrases[every[here], table[here]] = named[here, index]
    flat = phrases[used]
    return lists(
        records({
            "name": gather(vocab.TABLE_PIECES[schemas.tables[used]]),
            "phrase": gather(np.ma.masked_array(flat, flat == 0)),
        }),
        used.sum(axis=1),
    )  # fmt: skip


def _joins(schemas: Schemas, query: Query) -> pa.Array:
    used = query.join_left >= 0
    left = _column(schemas, used, query.join_left)
    right = _column(schemas, used, query.join_right)
    fields = {
        "left": left["table"], "left_column": left["column"],
        "right": right["table"], "right_column": right["column"],
    }  # fmt: skip
    return lists(records(fields), used.sum(axis=1))


def _select(schemas: Schemas, query: Query, question: Text) -> pa.Array:
    # What an outer aggregate's groups are is in group_by; it is not selected.
    used = query.is_selected & ~(query.is_bare & (query.outer >= 0)[:, None])
    width = used.shape[1]
    row, _ = np.nonzero(used)
    slot, aggregate = query.select[used], query.aggregate[used]
    names = vocab.NAME_PIECES[schemas.names[row, np.maximum(slot, 0)]]
    applied = aggregate >= 0
    parts = [
        _AGGREGATES[aggregate],
        np.where(applied, _UNDERSCORE, 0),
        np.where(applied, np.where(slot == STAR, _ROWS, names), 0),
    ]
    alias = join_pieces(np.stack(parts, axis=1).ravel(), np.full(len(slot), len(parts)), "")
    return lists(
        records({
            **_column(schemas, used, query.select),
            "aggregate": gather(_AGGREGATES[aggregate]),
            "alias": alias,
            "phrase": gather(question.mentioned("select", width)[used]),
            "aggregate_phrase": gather(question.mentioned("select_aggregate", width)[used]),
        }),
        used.sum(axis=1),
    )  # fmt: skip


def _filters(schemas: Schemas, query: Query, question: Text) -> pa.Array:
    conditions = query.conditions
    used = conditions.present[:, _FILTERS]
    slot, operator = conditions.slot[:, _FILTERS], conditions.operator[:, _FILTERS]
    aggregate, table = conditions.aggregate[:, _FILTERS], conditions.table[:, _FILTERS]
    counts = conditions.num_values[:, _FILTERS][used]
    values = conditions.value_sql[:, _FILTERS][used]
    scalar = (table >= 0) & (aggregate >= 0)
    most = len(_FILTERS)
    number = np.cumsum(used, axis=1) - 1
    phrases = [
        np.take_along_axis(question.mentioned(key, most), np.maximum(number, 0), axis=1)[used]
        for key in ("filter", "operator")
    ]
    return lists(
        records({
            "scope": np.broadcast_to(_SCOPES, used.shape)[used],
            **_column(schemas, used, slot),
            "operator": gather(np.where(scalar, _COMPARED[operator], _OPERATORS[operator])[used]),
            "values": lists(gather(values[np.arange(cond.MOST_VALUES) < counts[:, None]]), counts),
            "aggregate": gather(_AGGREGATES[aggregate[used]]),
            "phrase": gather(phrases[0]),
            "operator_phrase": gather(phrases[1]),
        }),
        used.sum(axis=1),
    )  # fmt: skip


def _groups(schemas: Schemas, query: Query) -> pa.Array:
    used = query.is_bare & query.grouped[:, None]
    return lists(records(_column(schemas, used, query.select)), used.sum(axis=1))


def _having(schemas: Schemas, query: Query, question: Text) -> pa.Array:
    conditions = query.conditions
    used = conditions.present[:, [cond.HAVING]]
    here = used[:, 0]
    values = gather(conditions.value_sql[here, cond.HAVING, 0])
    return lists(
        records({
            **_column(schemas, used, conditions.slot[:, [cond.HAVING]]),
            "aggregate": gather(_AGGREGATES[conditions.aggregate[here, cond.HAVING]]),
            "operator": gather(_OPERATORS[conditions.operator[here, cond.HAVING]]),
            "values": lists(values, np.ones(len(values), np.int64)),
            "phrase": gather(question.mentioned("having", 1)[used]),
            "aggregate_phrase": gather(question.mentioned("having_aggregate", 1)[used]),
            "operator_phrase": gather(question.mentioned("having_operator", 1)[used]),
        }),
        used.sum(axis=1),
    )  # fmt: skip


def _order(schemas: Schemas, query: Query, question: Text) -> pa.Array:
    used = query.is_ordered
    width = used.shape[1]

    def said(key: str) -> Pieces:
        return question.mentioned(key, width)[used]

    return lists(
        records({
            **_column(schemas, used, query.order_slot),
            "aggregate": gather(_AGGREGATES[query.order_aggregate[used]]),
            "direction": gather(_DIRECTIONS[query.direction[used]]),
            "phrase": gather(said("order")),
            "direction_phrase": gather(said("direction")),
        }),
        used.sum(axis=1),
    )  # fmt: skip
