"""Whole shards of text-to-SQL rows as Arrow columns, without a Python loop per row.

1. numpy draws the indices of one row from (config, seed, row number) alone (see draws.py);
2. Arrow kernels gather and join the strings.

A row gets into its split (see dataset.py) by drawing the columns first, and then a table among
those that put the two into one of the split's buckets.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tinysql.data import phrasing, words
from tinysql.data.dataset import BUCKETS, NUM_BUCKETS, DatasetConfig
from tinysql.data.draws import Draws, key_of, mix
from tinysql.data.strings import flat_lists, join_lists, pick

Indices = NDArray[np.int64]


def generate_shard(
    out_dir: Path, *, config: DatasetConfig, split: str, start: int, stop: int, file_name: str
) -> dict[str, int]:
    """Write rows [start, stop) as one Parquet file and return its row count."""
    rows = generate_rows(config, split, np.arange(start, stop))
    pq.write_table(rows, out_dir / file_name, compression="zstd")
    return {"rows": rows.num_rows}


def generate_rows(config: DatasetConfig, split: str, row_numbers: Indices) -> pa.Table:
    """The rows with these numbers (any, in any order) of a split, as the dataset's columns."""
    draws = Draws(config.seed, row_numbers.astype(np.uint64))
    schema = _draw_schema(config, split, draws)
    query = _draw_query(config, schema, draws)
    tables = [table.name for table in words.tables()]
    names = [column.name for column in words.columns()]
    table = pick(tables, schema.table)
    columns = flat_lists(names, schema.columns, schema.width)
    types = flat_lists(_TYPES.strings, schema.types, schema.width)
    select = flat_lists(names, query.select, query.num_select)
    order_by = flat_lists(names, query.order, query.num_order)
    directions = flat_lists(list(phrasing.DIRECTIONS), query.direction, query.num_order)
    table_phrase = _table_phrases(config, schema, draws)
    select_phrases = _column_phrases(config, query, draws)
    order_phrases = _order_phrases(schema, query, draws)
    shape = _draw_shape(query, draws)
    question = _questions(
        shape, _listing(select_phrases, draws), table_phrase,
        _order_clause(order_by, order_phrases, draws),
    )
    return pa.table(
        {
            "id": pa.array(row_numbers, pa.int64()),
            "command_set": pa.array(query.command_set, pa.int8()),
            "split": pa.repeat(split, len(row_numbers)),
            "question": question,
            "schema_sql": _create_table(table, columns, types),
            "gold_sql": _select(table, select, order_by, directions),
            "table": table,
            "table_phrase": table_phrase,
            "columns": columns,
            "column_types": types,
            "select": select,
            "select_phrases": select_phrases,
            "order_by": order_by,
            "order_directions": directions,
            "order_phrases": order_phrases,
            "template_id": pa.array(shape, pa.int16()),
        }
    )


class _Schema(NamedTuple):
    table: Indices  # (rows,) index into words.tables()
    width: Indices  # (rows,) number of columns
    columns: Indices  # (rows, max_columns) index into words.columns(); the first `width` count
    types: Indices  # (rows, max_columns) index into _TYPES.strings


class _Query(NamedTuple):
    command_set: Indices  # (rows,)
    num_select: Indices  # (rows,)
    select: Indices  # (rows, max_columns) index into words.columns()
    num_order: Indices  # (rows,)
    order: Indices  # (rows, max_columns) index into words.columns()
    order_slot: Indices  # (rows, max_columns) position of the order key within the schema
    direction: Indices  # (rows, max_columns) index into phrasing.DIRECTIONS


class _TypeTable(NamedTuple):
    strings: list[str]  # every SQL type
    of_column: Indices  # (columns, most types of a column) index into strings
    num_types: Indices  # (columns,)


def _type_table() -> _TypeTable:
    strings = sorted({sql_type for column in words.columns() for sql_type in column.types})
    widest = max(len(column.types) for column in words.columns())
    of_column = np.zeros((len(words.columns()), widest), dtype=np.int64)
    for row, column in zip(of_column, words.columns(), strict=True):
        row[: len(column.types)] = [strings.index(sql_type) for sql_type in column.types]
    num_types = np.array([len(column.types) for column in words.columns()])
    return _TypeTable(strings, of_column, num_types)


_TYPES = _type_table()


def _draw_schema(config: DatasetConfig, split: str, draws: Draws) -> _Schema:
    spread = config.max_columns - config.min_columns + 1
    width = config.min_columns + draws.below("num_columns", spread)
    columns = draws.distinct("columns", len(words.columns()), config.max_columns)
    choice = draws.uniform("types", config.max_columns)
    types = _TYPES.of_column[columns, (choice * _TYPES.num_types[columns]).astype(np.int64)]

    used = np.arange(config.max_columns) < width[:, None]
    hashes = mix(columns.astype(np.uint64) + key_of("column set"))
    set_hash = np.where(used, hashes, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    buckets = np.array(BUCKETS[split])
    bucket = buckets[draws.below("bucket", len(buckets))]
    residue = (bucket - (set_hash % np.uint64(NUM_BUCKETS)).astype(np.int64)) % NUM_BUCKETS
    tables_of_residue = (len(words.tables()) - 1 - residue) // NUM_BUCKETS + 1
    table = residue + NUM_BUCKETS * draws.below("table", tables_of_residue)
    return _Schema(table, width, columns, types)


def _draw_query(config: DatasetConfig, schema: _Schema, draws: Draws) -> _Query:
    command_sets = np.array(config.command_sets)
    command_set = command_sets[draws.below("command_set", len(command_sets))]
    ordered = (command_set >= 2) & (draws.uniform("has_order")[:, 0] < config.order_by_rate)
    select_slot = _shuffled_slots(draws, "select", schema.width, config.max_columns)
    order_slot = _shuffled_slots(draws, "order", schema.width, config.max_columns)
    return _Query(
        command_set=command_set,
        num_select=1 + draws.below("num_select", schema.width),
        select=np.take_along_axis(schema.columns, select_slot, axis=1),
        num_order=np.where(ordered, 1 + draws.below("num_order", schema.width), 0),
        order=np.take_along_axis(schema.columns, order_slot, axis=1),
        order_slot=order_slot,
        direction=(draws.uniform("direction", config.max_columns) < 0.5).astype(np.int64),
    )


def _shuffled_slots(draws: Draws, name: str, width: Indices, max_width: int) -> Indices:
    """Per row a random order of range(width); what follows the first `width` entries is unused."""
    keys = draws.uniform(name, max_width)
    keys[np.arange(max_width) >= width[:, None]] = 2.0
    return np.argsort(keys, axis=1, kind="stable")


def _table_phrases(config: DatasetConfig, schema: _Schema, draws: Draws) -> pa.Array:
    forms = [(table.name, *table.synonyms) for table in words.tables()]
    return _phrases(
        forms, schema.table, draws.uniform("table_synonym")[:, 0] < config.table_synonym_rate,
        draws.uniform("table_synonym_choice")[:, 0],
    )


def _column_phrases(config: DatasetConfig, query: _Query, draws: Draws) -> pa.ListArray:
    forms = [(column.name, *column.synonyms) for column in words.columns()]
    used = np.arange(query.select.shape[1]) < query.num_select[:, None]
    renamed = draws.uniform("column_synonym", query.select.shape[1]) < config.column_synonym_rate
    choice = draws.uniform("column_synonym_choice", query.select.shape[1])
    flat = _phrases(forms, query.select[used], renamed[used], choice[used])
    return join_lists(flat, query.num_select)


def _phrases(
    forms: list[tuple[str, ...]], index: Indices, renamed: NDArray[np.bool_],
    choice: NDArray[np.float64],
) -> pa.Array:
    """`forms[i][0]`, or one of the synonyms `forms[i][1:]` where `renamed`."""
    strings = [form for group in forms for form in group]
    starts = np.cumsum([0] + [len(group) for group in forms[:-1]])
    synonyms = np.array([len(group) - 1 for group in forms])[index]
    offset = np.where(renamed, 1 + (choice * synonyms).astype(np.int64), 0)
    return pick(strings, starts[index] + offset)


def _order_phrases(schema: _Schema, query: _Query, draws: Draws) -> pa.ListArray:
    """The direction phrase of every order key."""
    family_of_type = np.array(
        [phrasing.FAMILIES.index(phrasing.type_family(t)) for t in _TYPES.strings]
    )
    groups = [
        phrasing.direction_phrases(direction, family)
        for direction in phrasing.DIRECTIONS
        for family in phrasing.FAMILIES
    ]
    used = np.arange(query.order.shape[1]) < query.num_order[:, None]
    types = np.take_along_axis(schema.types, query.order_slot, axis=1)[used]
    group = query.direction[used] * len(phrasing.FAMILIES) + family_of_type[types]
    choice = draws.uniform("order_phrase", query.order.shape[1])[used]
    sizes = np.array([len(phrases) for phrases in groups])
    starts = np.cumsum(sizes) - sizes
    strings = [phrase for phrases in groups for phrase in phrases]
    flat = pick(strings, starts[group] + (choice * sizes[group]).astype(np.int64))
    return join_lists(flat, query.num_order)


def _draw_shape(query: _Query, draws: Draws) -> Indices:
    any_shape = draws.below("shape", len(phrasing.SHAPES))
    neutral = np.array(phrasing.NUMBER_NEUTRAL)
    neutral_shape = neutral[draws.below("neutral_shape", len(neutral))]
    return np.where(query.num_select == 1, neutral_shape, any_shape)


def _listing(phrases: pa.ListArray, draws: Draws) -> pa.Array:
    """"a", "a and b", "a, b and c": the columns of a question, one joiner per row."""
    choice = draws.below("joiner", len(phrasing.JOINERS))
    of_two = pick([joiner.lstrip(",") for joiner in phrasing.JOINERS], choice)
    of_more = pick(list(phrasing.JOINERS), choice)
    joiner = pc.if_else(pc.equal(pc.list_value_length(phrases), 2), of_two, of_more)
    return _enumerate(phrases, ", ", joiner)


def _order_clause(order_by: pa.ListArray, phrases: pa.ListArray, draws: Draws) -> pa.Array:
    """", sorted by a ascending, then by b from A to Z", or nothing for rows without order."""
    lead = pick(list(phrasing.ORDER_LEADS), draws.below("lead", len(phrasing.ORDER_LEADS)))
    link = pick(list(phrasing.ORDER_LINKS), draws.below("link", len(phrasing.ORDER_LINKS)))
    items = pc.binary_join_element_wise(order_by.flatten(), phrases.flatten(), " ")
    listing = pc.binary_join(join_lists(items, pc.list_value_length(order_by)), link)
    clause = pc.binary_join_element_wise(lead, listing, "")
    return pc.if_else(pc.greater(pc.list_value_length(order_by), 0), clause, "")


def _enumerate(items: pa.ListArray, separator: str, last_separator: pa.Array) -> pa.Array:
    """The items joined by `separator`, the last one by the row's `last_separator`."""
    count = pc.list_value_length(items).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = items.flatten()
    ends = np.cumsum(count)
    last = flat.take(pa.array(ends - 1))
    is_last = np.zeros(len(flat), dtype=bool)
    is_last[ends - 1] = True
    head = pc.binary_join(join_lists(flat.filter(pa.array(~is_last)), count - 1), separator)
    several = pc.binary_join_element_wise(head, last, last_separator)
    return pc.if_else(pa.array(count > 1), several, last)


def _questions(shape: Indices, listing: pa.Array, table: pa.Array, order: pa.Array) -> pa.Array:
    shapes = [phrasing.parse_shape(text) for text in phrasing.SHAPES]
    columns_first = pa.array(np.array([s.columns_first for s in shapes])[shape])
    return pc.binary_join_element_wise(
        pick([s.before for s in shapes], shape),
        pc.if_else(columns_first, listing, table),
        pick([s.between for s in shapes], shape),
        pc.if_else(columns_first, table, listing),
        pick([s.tail for s in shapes], shape),
        order,
        pick([s.end for s in shapes], shape),
        "",
    )


def _create_table(table: pa.Array, columns: pa.ListArray, types: pa.ListArray) -> pa.Array:
    declared = pc.binary_join_element_wise(columns.flatten(), types.flatten(), " ")
    body = pc.binary_join(join_lists(declared, pc.list_value_length(columns)), ", ")
    return pc.binary_join_element_wise("CREATE TABLE ", table, " ( ", body, " )", "")


def _select(
    table: pa.Array, select: pa.ListArray, order_by: pa.ListArray, directions: pa.ListArray
) -> pa.Array:
    items = pc.binary_join(select, ", ")
    plain = pc.binary_join_element_wise("SELECT ", items, " FROM ", table, "")
    keys = pc.binary_join_element_wise(order_by.flatten(), directions.flatten(), " ")
    listing = pc.binary_join(join_lists(keys, pc.list_value_length(order_by)), ", ")
    ordered = pc.binary_join_element_wise(plain, " ORDER BY ", listing, "")
    return pc.if_else(pc.greater(pc.list_value_length(order_by), 0), ordered, plain)
