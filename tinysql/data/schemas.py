"""The schema of every row: its tables, columns and keys, and the CREATE TABLE text.

A column has a slot: each table owns `slots_per_table` of them, first its primary key, then its
vocabulary columns, then its foreign keys; unused slots hold -1. Vocabulary columns are distinct
over all tables of a row, so that no name is ambiguous.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from tinysql.data import vocabulary as vocab
from tinysql.data import words
from tinysql.data.draws import Draws, key_of, mix
from tinysql.data.foreign_keys import groups_of
from tinysql.data.text import (
    Indices,
    Mask,
    Pieces,
    Text,
    either,
    gather,
    lists,
    only,
    pieces,
    records,
)

NUM_BUCKETS = 10
NONE, STAR = -1, -2
"""What stands in place of a slot: no column, and the rows of COUNT(*)."""


@dataclass(frozen=True)
class Layout:
    """Which words and how many of them the schemas of one split have."""

    num_tables: int
    """Tables are drawn from the first so many of the word list."""
    num_columns: int
    """Columns are drawn from the first so many of the word list."""
    alone: tuple[int, int]
    """Fewest and most columns, keys not counted, of a table alone in its schema."""
    first: tuple[int, int]
    """The same of the first table of several."""
    others: tuple[int, int]
    """The same of the other tables of several."""
    held_tables: bool
    """Whether every schema has a held-out table; else none has."""
    held_columns: bool
    """Whether all columns are held-out ones; else none is."""
    buckets: tuple[int, ...]
    """Buckets of (tables, column set) that belong to the split."""
    keys: bool
    """Whether tables of schemas with several have primary and foreign keys."""
    least_tables: int
    most_tables: int

    # Slots must not depend on which rows are drawn together, so both counts come from the layout.
    @property
    def columns_per_table(self) -> int:
        alone = self.alone[1] if self.least_tables == 1 else 0
        return max(alone, self.first[1], self.others[1]) if self.most_tables > 1 else alone

    @property
    def foreign_per_table(self) -> int:
        return min(self.most_tables - 1, words.MOST_PARENTS) if self.keys else 0


@dataclass(frozen=True)
class Schemas:
    """The drawn schemas; tables are positions 0.. in CREATE order, columns are slots."""

    tables: Indices
    """Word list number by table position, -1 for none; shape (rows, most tables)."""
    names: Indices
    """Name (see vocabulary) by slot, -1 for none; shape (rows, slots)."""
    types: Indices
    """Index into vocabulary.TYPES by slot; 0 for keys."""
    kinds: Indices
    """Kind by slot, -1 for keys and none."""
    foreign: Indices
    """[row, child, parent]: slot of the child's foreign key, -1 for none."""
    text_keys: Mask
    """Whether the keys of the row are texts, not integers; shape (rows,)."""
    parent_of: Indices
    """Table position that the foreign key in a slot refers to, -1 for none; shape (rows, slots)."""

    @property
    def slots_per_table(self) -> int:
        return self.names.shape[1] // self.tables.shape[1]

    @cached_property
    def num_tables(self) -> Indices:
        return (self.tables >= 0).sum(axis=1)

    @cached_property
    def is_word(self) -> Mask:
        """Slots of vocabulary columns; shape (rows, slots)."""
        return self.kinds >= 0

    def table_of(self, slots: Indices) -> Indices:
        """Table positions of these slots; -1 of -1."""
        return slots // self.slots_per_table

    def take(self, values: Indices, slots: Indices) -> Indices:
        """values[row, slot] for slots of shape (rows,) or (rows, n), none of them negative."""
        first = np.arange(len(values)) * values.shape[1]
        return values.ravel().take(slots + (first if slots.ndim == 1 else first[:, None]))

    @cached_property
    def ranks(self) -> Indices:
        """Each used slot's number among the used ones of its row; shape (rows, slots)."""
        return np.cumsum(self.names >= 0, axis=1) - 1


def draw_schemas(layout: Layout, num_tables: Indices, draws: Draws) -> Schemas:
    """The schemas of rows with these numbers of tables."""
    num_rows, most = len(num_tables), layout.most_tables
    width = _widths(layout, num_tables, draws)
    pool = _column_pool(layout)
    per_table = layout.columns_per_table
    drawn = pool[draws.distinct("columns", len(pool), most * per_table)]
    drawn = drawn.reshape(num_rows, most, per_table)
    drawn = np.where(np.arange(per_table) < width[:, :, None], drawn, -1)
    tables, references = _draw_tables(layout, num_tables, drawn, draws)

    has_keys = most > 1 and layout.keys
    per_table_slots = has_keys + per_table + layout.foreign_per_table
    names = np.full((num_rows, most, per_table_slots), -1)
    names[:, :, has_keys : has_keys + per_table] = drawn
    foreign = np.full((num_rows, most, most), -1)
    parent_of = np.full((num_rows, most, per_table_slots), -1)
    style = draws.below("key_style", 3)
    if has_keys:
        with_keys = num_tables > 1
        names[:, :, 0] = np.where(
            with_keys[:, None] & (tables >= 0), _primary(tables, style[:, None]), -1
        )
        for child in range(most):
            used = np.zeros(num_rows, np.int64)
            for parent in range(most):
                refers = references[:, child, parent]
                slot = 1 + per_table + used
                row = np.flatnonzero(refers)
                names[row, child, slot[row]] = _foreign(tables[row, parent], style[row])
                parent_of[row, child, slot[row]] = parent
                foreign[row, child, parent] = child * per_table_slots + slot[row]
                used += refers
    flat = names.reshape(num_rows, -1)
    is_word = (flat >= 0) & (flat < vocab.NUM_COLUMNS)
    column = np.where(is_word, flat, 0)
    choice = draws.uniform("types", flat.shape[1])
    types = vocab.COLUMN_TYPES[column, (choice * vocab.NUM_COLUMN_TYPES[column]).astype(np.int64)]
    return Schemas(
        tables=tables,
        names=flat,
        types=np.where(is_word, types, 0),
        kinds=np.where(is_word, vocab.COLUMN_KINDS[column], -1),
        foreign=foreign,
        text_keys=style == 2,
        parent_of=parent_of.reshape(num_rows, -1),
    )


def _primary(tables: Indices, style: Indices) -> Indices:
    """Name of a table's primary key: id, <singular>_id or <singular>_code by style."""
    return np.choose(
        style, [np.full_like(tables, vocab.ID), vocab.TABLE_ID + tables, vocab.TABLE_CODE + tables]
    )


def _foreign(parents: Indices, style: Indices) -> Indices:
    """Name of a foreign key to a table: <singular>_id, or _code where that is its key."""
    return np.where(style == 2, vocab.TABLE_CODE, vocab.TABLE_ID) + parents


def _widths(layout: Layout, num_tables: Indices, draws: Draws) -> Indices:
    """Vocabulary columns per table; shape (rows, most tables)."""
    most = layout.most_tables
    several = (num_tables > 1)[:, None]
    ranges = np.array([layout.first] + [layout.others] * (most - 1))
    low = np.where(several, ranges[:, 0], layout.alone[0])
    high = np.where(several, ranges[:, 1], layout.alone[1])
    width = low + (draws.uniform("num_columns", most) * (high - low + 1)).astype(np.int64)
    return np.where(np.arange(most) < num_tables[:, None], width, 0)


def _column_pool(layout: Layout) -> Indices:
    held = set(words.held_columns())
    return np.array([n for n in range(layout.num_columns) if (n in held) == layout.held_columns])


def _draw_tables(
    layout: Layout, num_tables: Indices, columns: Indices, draws: Draws
) -> tuple[Indices, Mask]:
    """Tables that put the row's (tables, columns) into a bucket of the split, and references."""
    num_rows, most, _ = columns.shape
    hashes = mix(columns.astype(np.uint64) + key_of("column set"))
    set_hash = np.where(columns >= 0, hashes, np.uint64(0)).sum(axis=(1, 2), dtype=np.uint64)
    bucket = np.array(layout.buckets)[draws.below("bucket", len(layout.buckets))]
    residue = (bucket - (set_hash % np.uint64(NUM_BUCKETS)).astype(np.int64)) % NUM_BUCKETS
    uniform = draws.one("table")
    tables = np.full((num_rows, most), -1)
    references = np.zeros((num_rows, most, most), bool)
    for size in np.unique(num_tables).tolist():
        groups = groups_of(size, layout.held_tables, layout.num_tables)
        hashes = mix(groups.tables.sum(axis=1).astype(np.uint64) + key_of("tables"))
        residues = (hashes % np.uint64(NUM_BUCKETS)).astype(np.int64)
        order = np.argsort(residues, kind="stable")
        count = np.bincount(residues, minlength=NUM_BUCKETS)
        first = np.cumsum(count) - count
        row = np.flatnonzero(num_tables == size)
        if len(layout.buckets) == NUM_BUCKETS:
            # Any group may be taken, and there can be too few for every residue.
            first, count = np.zeros_like(first), np.full_like(count, len(order))
        group = order[first[residue[row]] + (uniform[row] * count[residue[row]]).astype(np.int64)]
        tables[row, :size] = groups.tables[group]
        references[row, :size, :size] = groups.references[group]
    return tables, references


def write_schema(schemas: Schemas) -> Text:
    """CREATE TABLE statements, parents first."""
    text = Text("schema", len(schemas.tables))
    ranks = schemas.ranks
    per_table = schemas.slots_per_table
    for table in range(schemas.tables.shape[1]):
        row = np.flatnonzero(schemas.tables[:, table] >= 0)
        name = vocab.TABLE_PIECES[schemas.tables[row, table]]
        parts = ["; " if table else "", "CREATE", " TABLE ", name]
        text.write_items(row, parts, {1: ("create", table, ""), 3: ("table", table, "")})
        _write_columns(text, schemas, ranks, slice(table * per_table, (table + 1) * per_table))
        text.write_items(row, [" )"])
    return text


def _write_columns(text: Text, schemas: Schemas, ranks: Indices, slots: slice) -> None:
    """The column definitions of one table."""
    used = schemas.names[:, slots] >= 0
    row, slot = np.nonzero(used)
    first = np.append(True, row[1:] != row[:-1])[: len(row)]
    kinds, number = schemas.kinds[:, slots][used], ranks[:, slots][used]
    parent = schemas.parent_of[:, slots][used]
    is_text = schemas.text_keys[row]
    refers = parent >= 0
    keys = np.where(refers, either(is_text, *_FOREIGN), either(is_text, *_PRIMARY))
    declared = np.where(kinds >= 0, vocab.DECLARATION_PIECES[schemas.types[:, slots][used]], keys)
    parts: list[str | Pieces] = [
        either(first, " ( ", ", "), vocab.NAME_PIECES[schemas.names[:, slots][used]], declared
    ]  # fmt: skip
    if refers.any():
        parent = np.maximum(parent, 0)
        key = schemas.names[row, parent * schemas.slots_per_table]
        parts += [
            only(refers, " REFERENCES "),
            only(refers, vocab.TABLE_PIECES[schemas.tables[row, parent]]),
            only(refers, " ( "),
            only(refers, vocab.NAME_PIECES[key]),
            only(refers, " )"),
        ]
    text.write_items(
        row, parts,
        {0: ("separator", number, ""), 1: ("column", number, ""), 2: ("type", number, "")},
    )  # fmt: skip


# By whether keys are texts.
_KEY_TYPES = ("VARCHAR(20)", "INTEGER")
_FOREIGN = tuple(f" {declared}" for declared in _KEY_TYPES)
_PRIMARY = tuple(f" {declared} PRIMARY KEY" for declared in _KEY_TYPES)


def column_records(schemas: Schemas) -> pa.Array:
    """Per row the columns as {table, name, type, kind, key}."""
    used = schemas.names >= 0
    row, slot = np.nonzero(used)
    names, kinds = schemas.names[used], schemas.kinds[used]
    refers = schemas.parent_of[used] >= 0
    key = np.where(kinds >= 0, 0, np.where(refers, 2, 1))
    key_types = either(schemas.text_keys, *_KEY_TYPES)[row]
    return lists(
        records({
            "table": schemas.table_of(slot).astype(np.int8),
            "name": gather(vocab.NAME_PIECES[names]),
            "type": gather(np.where(kinds >= 0, vocab.TYPE_PIECES[schemas.types[used]], key_types)),
            "kind": gather(vocab.KIND_PIECES[kinds]),
            "key": gather(pieces(("", "primary", "foreign"))[key]),
        }),
        used.sum(axis=1),
    )  # fmt: skip


def foreign_key_records(schemas: Schemas) -> pa.Array:
    """Per row the foreign keys as {table, column, parent, parent_column}."""
    refers = schemas.parent_of >= 0
    row, slot = np.nonzero(refers)
    parent = schemas.parent_of[refers]
    return lists(
        records({
            "table": schemas.table_of(slot).astype(np.int8),
            "column": gather(vocab.NAME_PIECES[schemas.names[refers]]),
            "parent": parent.astype(np.int8),
            "parent_column": gather(
                vocab.NAME_PIECES[schemas.names[row, parent * schemas.slots_per_table]]
            ),
        }),
        refers.sum(axis=1),
    )  # fmt: skip
