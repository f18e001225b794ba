"""The query of every row in the default grammar: what is selected, grouped, ordered and limited.

Command sets are cumulative: 1 columns; 2 ORDER BY with a direction per column; 3 aggregates, with
GROUP BY wherever bare columns remain; 4 WHERE; 5 JOIN over a foreign key; 6 HAVING, DISTINCT,
LIMIT; 7 sub-queries and set operations; 8 joins of three tables or more and aggregates of groups.
A column is a slot of the row's schema (see schemas.py), STAR stands for the rows of COUNT(*).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.conditions import Conditions, draw_conditions
from tinysql.data.draws import Draws
from tinysql.data.schemas import NONE, STAR, Schemas
from tinysql.data.text import Indices, Mask

NUM_TABLES = {
    1: (1, 1), 2: (1, 1), 3: (1, 1), 4: (1, 1), 5: (2, 2), 6: (1, 2), 7: (2, 2), 8: (3, 6)
}  # fmt: skip
"""Fewest and most tables in the schemas of a command set."""

OUTER = tuple(phrasing.OUTER_AGGREGATES)
SET_OPERATIONS = tuple(phrasing.SET_OPERATIONS)


@dataclass(frozen=True)
class Rates:
    """How often a clause is there in the rows of the command sets that have it."""

    order_by: float
    aggregate: float
    where: float
    join: float
    first_table: float
    """... and how often FROM begins with the schema's first table by rule, not by chance."""


@dataclass(frozen=True)
class Query:
    """Every array has one entry (or list of entries) per row; -1 stands for none."""

    from_tables: Indices
    """Table positions in FROM order; shape (rows, most tables)."""
    join_left: Indices
    """Per FROM table after the first: the slot of an earlier table it is joined on."""
    join_right: Indices
    """... and its own slot."""
    select: Indices
    """Slots, or STAR; shape (rows, most items)."""
    aggregate: Indices
    """Index into phrasing.AGGREGATES per item, -1 for a bare column."""
    distinct: Mask
    outer: Indices
    """Index into OUTER: the aggregate over the groups."""
    conditions: Conditions
    set_operation: Indices
    """Index into SET_OPERATIONS."""
    grouped: Mask
    """Whether the bare items are grouped by."""
    order_slot: Indices
    """Slots (or STAR) of the order keys."""
    order_aggregate: Indices
    """Their aggregates; a key with one is ordered by the alias of that select item."""
    direction: Indices
    """Index into phrasing.DIRECTIONS per order key."""
    limit: Indices
    """Number of rows, 0 for all."""

    @cached_property
    def num_from(self) -> Indices:
        return (self.from_tables >= 0).sum(axis=1)

    @cached_property
    def is_selected(self) -> Mask:
        return self.select != NONE

    @cached_property
    def is_bare(self) -> Mask:
        return self.is_selected & (self.aggregate < 0)

    @cached_property
    def is_ordered(self) -> Mask:
        return self.order_slot != NONE


def allowed_aggregates() -> tuple[Indices, Indices]:
    """By kind (of -1 the last): the aggregates that make sense, as a padded table, and how many."""
    index = phrasing.AGGREGATES.index
    groups = []
    for kind in vocab.KINDS:
        family = vocab.family(kind)
        fitting = [name for name in phrasing.AGGREGATES if phrasing.aggregate_phrases(name, family)]
        groups.append([index(name) for name in fitting if name != "SUM" or kind.additive])
    return vocab.padded([*groups, [index("COUNT")]])


_ALLOWED, _NUM_ALLOWED = allowed_aggregates()
_COUNT = phrasing.AGGREGATES.index("COUNT")
_NUMERIC = phrasing.FAMILIES.index("number")


def num_tables_of(command_set: Indices, draws: Draws) -> Indices:
    """How many tables the schemas of rows of these command sets have."""
    least, most = np.array([NUM_TABLES.get(number, (0, 0)) for number in range(9)]).T
    low, high = least[command_set], most[command_set]
    return low + draws.below("num_tables", high - low + 1)


def draw_queries(command_set: Indices, schemas: Schemas, rates: Rates, draws: Draws) -> Query:
    """The queries of rows of these command sets."""
    special = draws.one("special")
    set_operation = np.where(
        (command_set == 7) & (special < 0.5), draws.below("set_operation", len(SET_OPERATIONS)), -1
    )
    nested = (command_set == 7) & (special >= 0.5)
    with_outer = (command_set == 8) & (special < 0.35)
    distinct = (command_set == 6) & (special < 0.35) | (
        (command_set == 8) & (special > 0.9)
    )
    with_having = ((command_set == 6) & (special >= 0.35) & (special < 0.75)) | (
        (command_set == 8) & (special >= 0.35) & (special < 0.5)
    )

    from_tables, left, right = _draw_from(command_set, schemas, rates, draws)
    position = schemas.table_of(np.arange(schemas.names.shape[1]))
    in_from = (from_tables[:, :, None] == position).any(axis=1)
    usable = schemas.is_word & in_from

    aggregated = (command_set >= 3) & draws.chance("aggregated", rates.aggregate)
    aggregated &= ~distinct & (set_operation < 0)
    aggregated |= with_having | with_outer
    select, aggregate = _draw_select(schemas, usable, aggregated, with_outer, with_having, draws)
    bare = (select != NONE) & (aggregate < 0)
    grouped = aggregated & bare.any(axis=1)

    groups = np.zeros_like(usable)
    row, item = np.nonzero(bare)
    groups[row, select[row, item]] = True
    conditions = draw_conditions(
        schemas, usable, from_tables[:, 0], draws,
        filtered=(command_set >= 4) & draws.chance("filtered", rates.where),
        nested=nested,
        second=set_operation >= 0,
        having=with_having,
        groups=groups,
    )  # fmt: skip
    may_limit = ~with_outer & (~aggregated | grouped)
    limited = may_limit & (command_set >= 6) & (
        (command_set == 6) & (special >= 0.75) | draws.chance("limited", 0.25)
    )
    ordered = may_limit & (command_set >= 2) & (draws.chance("ordered", rates.order_by) | limited)
    from_items = aggregated | distinct | (set_operation >= 0)
    orderable = usable & ~conditions.pinned(usable.shape[1])
    order_slot, order_aggregate = _draw_order(
        orderable, select, aggregate, ordered, from_items, draws
    )
    # Which rows are the first is only told by an order.
    limited &= order_slot[:, 0] != NONE
    return Query(
        from_tables=from_tables,
        join_left=left,
        join_right=right,
        select=select,
        aggregate=aggregate,
        distinct=distinct,
        outer=np.where(with_outer, draws.below("outer", len(OUTER)), -1),
        conditions=conditions,
        set_operation=set_operation,
        grouped=grouped,
        order_slot=order_slot,
        order_aggregate=order_aggregate,
        direction=(draws.uniform("direction", order_slot.shape[1]) < 0.5).astype(np.int64),
        limit=np.where(limited, 2 + draws.below("limit", vocab.MOST_COUNTED - 1), 0),
    )


def _draw_from(
    command_set: Indices, schemas: Schemas, rates: Rates, draws: Draws
) -> tuple[Indices, Indices, Indices]:
    """FROM tables as a random walk over foreign keys, and the slots each is joined on."""
    num_rows, most = schemas.tables.shape
    joined = draws.chance("joined", rates.join)
    size = np.select(
        [command_set <= 4, command_set == 5, command_set == 6, command_set == 7],
        [1, 1 + joined, schemas.num_tables, 1],
        3 + draws.below("num_joined", schemas.num_tables - 2),
    )
    from_tables = np.full((num_rows, most), -1)
    left = np.full((num_rows, most), -1)
    right = np.full((num_rows, most), -1)
    any_table = draws.choice("from.0", schemas.tables >= 0)
    from_tables[:, 0] = np.where(draws.chance("first_table", rates.first_table), 0, any_table)
    if most == 1:
        return from_tables, left, right
    every = np.arange(num_rows)
    linked = (schemas.foreign >= 0) | (schemas.foreign >= 0).transpose(0, 2, 1)
    inside = from_tables[:, :1] == np.arange(most)
    for step in range(1, most):
        touching = linked & inside[:, None, :]
        table = draws.choice(f"from.{step}", touching.any(axis=2) & ~inside)
        joins = (step < size) & (table >= 0)
        earlier = touching[every, table].argmax(axis=1)
        outgoing = schemas.foreign[every, table, earlier]
        incoming = schemas.foreign[every, earlier, table]
        primary = schemas.slots_per_table
        from_tables[:, step] = np.where(joins, table, -1)
        right[:, step] = np.where(joins, np.where(outgoing >= 0, outgoing, table * primary), -1)
        left[:, step] = np.where(joins, np.where(outgoing >= 0, earlier * primary, incoming), -1)
        inside = inside | (joins[:, None] & (np.arange(most) == table[:, None]))
    return from_tables, left, right


_MOST_OF_SEVERAL = 5


def _draw_select(
    schemas: Schemas,
    usable: Mask,
    aggregated: Mask,
    single: Mask,
    with_bare: Mask,
    draws: Draws,
) -> tuple[Indices, Indices]:
    """Select items and their aggregates.

    Rows of `aggregated` have an aggregate at least; of `single` one aggregate, which gives numbers,
    and one bare column (what the groups are); of `with_bare` a bare column at least.
    """
    order = draws.order("select", usable)
    num_usable = usable.sum(axis=1)
    several = schemas.num_tables > 1
    bound = np.where(several, np.minimum(num_usable, _MOST_OF_SEVERAL), num_usable)
    size = 1 + draws.below("num_select", bound)
    size = np.where(single, 2, np.maximum(size, 1 + with_bare))
    width = most_items(schemas)
    select = order[:, :width]
    item = np.arange(width)
    present = item < size[:, None]

    if not aggregated.any():
        return np.where(present, select, NONE), np.full_like(select, -1)
    kinds = schemas.take(schemas.kinds, select)
    chosen = draws.uniform("aggregate", width) * _NUM_ALLOWED[kinds]
    aggregate = _ALLOWED[kinds, chosen.astype(np.int64)]
    is_aggregate = aggregated[:, None] & (draws.uniform("is_aggregate", width) < 0.5)
    forced = np.where(single, 0, draws.below("forced", size))
    is_aggregate |= aggregated[:, None] & (item == forced[:, None])
    # The item after the forced aggregate (around the end) stays bare.
    is_aggregate &= ~((with_bare | single)[:, None] & (item == ((forced + 1) % size)[:, None]))
    # An outer aggregate takes numbers only, so what is not one is counted.
    number = vocab.FAMILY_OF_KIND[kinds] == _NUMERIC
    aggregate = np.where(single[:, None] & ~number, _COUNT, aggregate)
    star = is_aggregate & (item == forced[:, None]) & draws.chance("star", 0.2)[:, None]
    aggregate = np.where(star, _COUNT, aggregate)
    select = np.where(present, np.where(star, STAR, select), NONE)
    return select, np.where(present & is_aggregate, aggregate, -1)


def most_items(schemas: Schemas) -> int:
    """The most select items and order keys that a row can have."""
    return min(schemas.names.shape[1], max(schemas.slots_per_table, _MOST_OF_SEVERAL))


def _draw_order(
    orderable: Mask,
    select: Indices,
    aggregate: Indices,
    ordered: Mask,
    from_items: Mask,
    draws: Draws,
) -> tuple[Indices, Indices]:
    """Order keys: orderable columns, or where `from_items` select items: of them, or aggregates."""
    width = select.shape[1]
    if not ordered.any():
        return np.full_like(select, NONE), np.full_like(select, -1)
    row, item = np.nonzero((select >= 0) & (aggregate < 0))
    fitting = select != NONE
    fitting[row, item] = orderable[row, select[row, item]]
    by_item = draws.order("order_items", fitting)
    by_slot = draws.order("order", orderable)[:, :width]
    available = np.where(
        from_items, fitting.sum(axis=1), np.minimum(orderable.sum(axis=1), width)
    )
    size = np.where(ordered & (available > 0), 1 + draws.below("num_order", available), 0)
    present = np.arange(width) < size[:, None]
    item_slot = np.take_along_axis(select, by_item, axis=1)
    item_aggregate = np.take_along_axis(aggregate, by_item, axis=1)
    slot = np.where(from_items[:, None], item_slot, by_slot)
    return (
        np.where(present, slot, NONE),
        np.where(present & from_items[:, None], item_aggregate, -1),
    )
