"""The query of every row in the grammar of the TinySQL paper, so that results can be compared.

Aggregates stand beside bare columns without GROUP BY, all order keys of a row share one direction,
one to three conditions are joined with AND, and a JOIN is on any two columns of equal base type.
Grammar and rates: withmartian/TinySQL, TinySQL/training_data/generate_cs1.py to generate_cs5.py.
Deviations: the joined table is in the prompt, and it is one related to the main table; words,
types and literals are our own; ORDER BY is drawn per row, not for the first rows of a batch.
"""

from dataclasses import replace

import numpy as np

from tinysql.data import conditions as cond
from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.conditions import Conditions
from tinysql.data.draws import Draws
from tinysql.data.queries import Query, Rates
from tinysql.data.schemas import NONE, Schemas
from tinysql.data.text import Indices, Mask

JOINED_COLUMNS = (1, 4)
"""Fewest and most columns of the joined table."""

_FAMILY_OPERATORS = {
    "number": ("=", ">", "<", ">=", "<="),
    "date": ("=", ">", "<", ">=", "<="),
    "text": ("LIKE %x%",),
    "boolean": ("=",),
    "key": ("=",),
}
_OPERATORS, _NUM_OPERATORS = vocab.padded([
    [cond.OPERATOR_NUMBER[name] for name in _FAMILY_OPERATORS[family]]
    for family in phrasing.FAMILIES
])  # fmt: skip
# Per family the aggregates that its types may have; one more choice is none.
_AGGREGATES, _NUM_AGGREGATES = vocab.padded([
    [n for n, name in enumerate(phrasing.AGGREGATES) if phrasing.aggregate_phrases(name, family)]
    for family in phrasing.FAMILIES
])  # fmt: skip
_BASE_TYPE = np.unique([declared.split("(")[0] for declared in vocab.TYPES], return_inverse=True)[1]


def num_tables_of(command_set: Indices) -> Indices:
    """How many tables are drawn for rows of these command sets."""
    return np.where(command_set == 5, 2, 1)


def draw_queries(
    command_set: Indices, schemas: Schemas, rates: Rates, draws: Draws
) -> tuple[Schemas, Query]:
    """The queries; a second table without a column to join on leaves the schema."""
    left, right = _draw_join(schemas, draws)
    joined = left >= 0
    schemas = _without_second(schemas, ~joined)
    num_rows, most = schemas.tables.shape
    from_tables = np.full((num_rows, most), -1)
    from_tables[:, 0] = 0
    joins = np.full((2, num_rows, most), -1)
    if most > 1:
        from_tables[:, 1] = np.where(joined, 1, -1)
        joins[:, :, 1] = left, right
    usable = schemas.is_word & (schemas.table_of(np.arange(schemas.names.shape[1])) == 0)
    num_usable = usable.sum(axis=1)
    width = schemas.slots_per_table
    item = np.arange(width)

    select = draws.order("select", usable)[:, :width]
    is_item = item < 1 + draws.below("num_select", num_usable)[:, None]
    family = vocab.FAMILY_OF_KIND[schemas.take(schemas.kinds, select)]
    choice = draws.uniform("aggregate", width) * (1 + _NUM_AGGREGATES[family])
    chosen = choice.astype(np.int64) - 1
    aggregate = np.where(chosen < 0, -1, _AGGREGATES[family, np.maximum(chosen, 0)])
    aggregate = np.where((command_set == 3)[:, None] & is_item, aggregate, -1)

    ordered = (command_set >= 2) & draws.chance("ordered", rates.order_by)
    num_order = np.where(ordered, 1 + draws.below("num_order", num_usable), 0)
    order = draws.order("order", usable)[:, :width]
    direction = draws.below("direction", len(phrasing.DIRECTIONS))
    filtered = (command_set >= 4) & draws.chance("filtered", rates.where)
    none = np.full(num_rows, -1)
    return schemas, Query(
        from_tables=from_tables,
        join_left=joins[0],
        join_right=joins[1],
        select=np.where(is_item, select, NONE),
        aggregate=aggregate,
        distinct=np.zeros(num_rows, bool),
        outer=none,
        conditions=_draw_conditions(schemas, usable, filtered, draws),
        set_operation=none,
        grouped=np.zeros(num_rows, bool),
        order_slot=np.where(item < num_order[:, None], order, NONE),
        order_aggregate=np.full((num_rows, width), -1),
        direction=np.broadcast_to(direction[:, None], (num_rows, width)),
        limit=np.zeros(num_rows, np.int64),
    )


def _draw_join(schemas: Schemas, draws: Draws) -> tuple[Indices, Indices]:
    """Slots of a random pair of equal base type, one in each table; -1 where there is none."""
    num_rows, most = schemas.tables.shape
    if most == 1:
        return np.full(num_rows, -1), np.full(num_rows, -1)
    width = schemas.slots_per_table
    base = np.where(schemas.is_word, _BASE_TYPE[schemas.types], -1)
    main, other = base[:, :width], base[:, width:]
    equal = (main[:, :, None] == other[:, None, :]) & (main >= 0)[:, :, None]
    pair = draws.choice("join", equal.reshape(num_rows, -1))
    return np.where(pair < 0, -1, pair // width), np.where(pair < 0, -1, width + pair % width)


def _without_second(schemas: Schemas, where: Mask) -> Schemas:
    if schemas.tables.shape[1] == 1:
        return schemas
    tables = schemas.tables.copy()
    tables[where, 1] = -1
    gone = where[:, None] & (np.arange(schemas.names.shape[1]) >= schemas.slots_per_table)
    return replace(
        schemas,
        tables=tables,
        names=np.where(gone, -1, schemas.names),
        kinds=np.where(gone, -1, schemas.kinds),
    )


def _draw_conditions(schemas: Schemas, usable: Mask, filtered: Mask, draws: Draws) -> Conditions:
    if not filtered.any():
        return cond.no_conditions(len(filtered))
    shape = (len(filtered), cond.NUM_CONDITIONS)
    most = np.minimum(usable.sum(axis=1), len(cond.MAIN))
    size = np.where(filtered, 1 + draws.below("num_filters", most), 0)
    order = draws.order("filters", usable)
    slot = np.full(shape, -1)
    for number in cond.MAIN:
        if number < order.shape[1]:
            slot[:, number] = np.where(number < size, order[:, number], -1)
    family = vocab.FAMILY_OF_KIND[schemas.take(schemas.kinds, np.maximum(slot, 0))]
    choice = draws.uniform("operator", shape[1]) * _NUM_OPERATORS[family]
    operator = _OPERATORS[family, choice.astype(np.int64)]
    none = np.full(shape, -1)
    values = cond.draw_values(schemas, slot, operator, none, draws)
    forms = np.array([cond.FORMS.index(form) for form in ("", "A", "A AND B", "A AND B AND C")])
    return Conditions(forms[size], slot, operator, none, none, *values)
