"""The conditions of every row: WHERE, the sub-query inside it, the set operation's, and HAVING.

A condition has a slot of its own: MAIN are the up to three of WHERE, INNER is the one inside the
sub-query of the last of them, SECOND that of the second half of a set operation, HAVING the
group's. Values are drawn from the literals of the column's kind, so they are plausible.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinysql.data import phrasing
from tinysql.data import vocabulary as vocab
from tinysql.data.draws import Draws
from tinysql.data.schemas import STAR, Schemas
from tinysql.data.text import Indices, Mask, Pieces

MAIN = (0, 1, 2)
INNER, SECOND, HAVING = 3, 4, 5
NUM_CONDITIONS = 6
MOST_VALUES = 4

FORMS = ("", "A", "A AND B", "A OR B", "A AND B AND C", "A OR B OR C", "( A OR B ) AND C",
         "NOT ( A OR B )")  # fmt: skip
FORM_SIZES = np.array([0, 1, 2, 2, 3, 3, 3, 2])
_NESTED_FORMS = (1, 2)
_REQUIRED_BY = {"A": "A", "A AND B": "AB", "A AND B AND C": "ABC", "( A OR B ) AND C": "C"}
_REQUIRED = np.array([[letter in _REQUIRED_BY.get(form, "") for letter in "ABC"] for form in FORMS])
"""Whether every row that passes meets the condition, by form and main condition."""

OPERATORS = phrasing.OPERATORS
OPERATOR_NUMBER = {operator.name: number for number, operator in enumerate(OPERATORS)}
_NESTING = ("SELECT", "EXISTS")
_PLAIN = [operator.name for operator in OPERATORS if not operator.name.endswith(_NESTING)]
EXISTS = [OPERATOR_NUMBER["EXISTS"], OPERATOR_NUMBER["NOT EXISTS"]]
"""Operators without a column of their own in the text."""
LISTS = [OPERATOR_NUMBER["IN"], OPERATOR_NUMBER["NOT IN"]]
"""Operators with a list of values."""
_PINNING = [OPERATOR_NUMBER["="], OPERATOR_NUMBER["IS NULL"]]
_COMPARISONS = (">", "<", ">=", "<=", "=")
_NUM_VALUES = np.array([
    0 if operator.name.startswith("IS ") or operator.name.endswith(_NESTING)
    else 2 if operator.name.endswith("BETWEEN")
    else MOST_VALUES if operator.name.endswith("IN")
    else 1
    for operator in OPERATORS
])  # fmt: skip


def _fitting(family: str) -> list[int]:
    return [OPERATOR_NUMBER[name] for name in _PLAIN if phrasing.operator_phrases(name, family)]


_FITTING, _NUM_FITTING = vocab.padded([
    _fitting(family) if family != "key" else [0] for family in phrasing.FAMILIES
])
# "neither is not this nor is not that" is more than a reader should be asked to follow.
_POSITIVE, _NUM_POSITIVE = vocab.padded([
    [number for number in row[:size] if "NOT" not in OPERATORS[number].sql + OPERATORS[number].name
     and OPERATORS[number].name != "<>"]
    for row, size in zip(_FITTING.tolist(), _NUM_FITTING.tolist(), strict=True)
])  # fmt: skip
_NEITHER = FORMS.index("NOT ( A OR B )")
_NUMERIC = phrasing.FAMILIES.index("number")


@dataclass(frozen=True)
class Conditions:
    """Arrays of shape (rows, NUM_CONDITIONS), values of (rows, NUM_CONDITIONS, MOST_VALUES)."""

    form: Indices
    """Index into FORMS; shape (rows,)."""
    slot: Indices
    """The column, -1 where there is no condition; of HAVING also STAR."""
    operator: Indices
    """Index into OPERATORS. With an aggregate, the value of a WHERE is a sub-query's."""
    aggregate: Indices
    """Index into phrasing.AGGREGATES of a sub-query or of HAVING, -1 for none."""
    table: Indices
    """Table position of the sub-query, -1 for none."""
    value_text: Pieces
    value_sql: Pieces
    num_values: Indices

    @cached_property
    def present(self) -> Mask:
        return self.slot != -1

    def pinned(self, num_slots: int) -> Mask:
        """Columns with one and the same value in all rows that pass; shape (rows, num_slots)."""
        main = list(MAIN)
        pins = _REQUIRED[self.form] & np.isin(self.operator[:, main], _PINNING)
        row, index = np.nonzero(pins & (self.slot[:, main] >= 0))
        found = np.zeros((len(self.form), num_slots), bool)
        found[row, self.slot[row, index]] = True
        return found


def draw_conditions(
    schemas: Schemas,
    usable: Mask,
    main_table: Indices,
    draws: Draws,
    *,
    filtered: Mask,
    nested: Mask,
    second: Mask,
    having: Mask,
    groups: Mask,
) -> Conditions:
    """Conditions on usable columns, in the rows of each mask; those of `nested` have a sub-query.

    groups: slots of columns that are grouped by, which HAVING leaves alone.
    main_table: position of the only FROM table of the rows with a sub-query.
    """
    num_rows = len(filtered)
    if not (filtered | nested | second | having).any():
        return no_conditions(num_rows)
    order = draws.order("filters", usable)
    num_usable = usable.sum(axis=1)
    form = 1 + draws.below("form", len(FORMS) - 1)
    form = np.where(nested, np.array(_NESTED_FORMS)[draws.below("nested_form", 2)], form)
    form = np.where(second, 1, form)
    # Fewer columns than conditions: fall back to a single one.
    form = np.where(FORM_SIZES[form] > num_usable, 1, form)
    form = np.where(filtered | nested | second, form, 0)
    size = FORM_SIZES[form]

    slot = np.full((num_rows, NUM_CONDITIONS), -1)
    for number in MAIN:
        if number < order.shape[1]:
            slot[:, number] = np.where(number < size, order[:, number], -1)
    # Conditions on one column twice tend to contradict each other.
    row, index = np.nonzero(slot[:, : len(MAIN)] >= 0)
    untouched = usable.copy()
    untouched[row, slot[row, index]] = False
    has_other = np.any(untouched, axis=1, keepdims=True)
    other = draws.choice("second", np.where(has_other, untouched, usable))
    slot[:, SECOND] = np.where(second, other, -1)
    numeric = untouched & ~groups & (vocab.FAMILY_OF_KIND[schemas.kinds] == _NUMERIC)
    counted = draws.choice("having", numeric)
    of_rows = draws.chance("having_rows", 0.5) | (counted < 0)
    slot[:, HAVING] = np.where(having, np.where(of_rows, STAR, counted), -1)

    operator = _draw_operators(schemas, slot, form == _NEITHER, draws)
    aggregate = np.full_like(slot, -1)
    aggregate[:, HAVING] = _having_aggregates(slot[:, HAVING], draws)
    table = np.full_like(slot, -1)
    if nested.any():
        last = size - 1
        _nest(schemas, usable, main_table, draws, nested, last, slot, operator, aggregate, table)
    text, sql, num_values = draw_values(schemas, slot, operator, table, draws)
    return Conditions(form, slot, operator, aggregate, table, text, sql, num_values)


def no_conditions(num_rows: int) -> Conditions:
    """Conditions of rows that have none."""
    none = np.full((num_rows, NUM_CONDITIONS), -1)
    values = np.zeros((num_rows, NUM_CONDITIONS, MOST_VALUES), np.int32)
    zero = np.zeros_like(none)
    return Conditions(zero[:, 0], none, zero, none, none, values, values, zero)


def _draw_operators(schemas: Schemas, slot: Indices, positive: Mask, draws: Draws) -> Indices:
    """Operators that fit the columns' families; none is negative in the rows of `positive`."""
    family = vocab.FAMILY_OF_KIND[schemas.take(schemas.kinds, np.maximum(slot, 0))]
    choice = draws.uniform("operator", NUM_CONDITIONS)
    operator = _FITTING[family, (choice * _NUM_FITTING[family]).astype(np.int64)]
    affirmed = _POSITIVE[family, (choice * _NUM_POSITIVE[family]).astype(np.int64)]
    operator = np.where(positive[:, None], affirmed, operator)
    comparison = np.array([OPERATOR_NUMBER[name] for name in _COMPARISONS])
    operator[:, HAVING] = comparison[(choice[:, HAVING] * len(comparison)).astype(np.int64)]
    return operator


def _having_aggregates(slot: Indices, draws: Draws) -> Indices:
    """COUNT of rows; any aggregate that keeps a number within the range of its column."""
    names = [phrasing.AGGREGATES.index(name) for name in ("AVG", "MIN", "MAX")]
    chosen = np.array(names)[draws.below("having_aggregate", len(names))]
    chosen = np.where(slot == STAR, phrasing.AGGREGATES.index("COUNT"), chosen)
    return np.where(slot == -1, -1, chosen)


def _nest(
    schemas: Schemas,
    usable: Mask,
    main_table: Indices,
    draws: Draws,
    nested: Mask,
    last: Indices,
    slot: Indices,
    operator: Indices,
    aggregate: Indices,
    table: Indices,
) -> None:
    """Turn the last main condition of the nested rows into one with a sub-query, in place.

    A table with a foreign key to the other asks with IN, the other way round with EXISTS, and
    either may compare a number with an aggregate of its whole column.
    """
    every = np.arange(len(nested))
    kind = draws.one("sub_query")
    negated = draws.chance("negated", 0.4)
    other = 1 - main_table
    outgoing = schemas.foreign[every, main_table, other]
    incoming = schemas.foreign[every, other, main_table]
    taken = np.zeros_like(usable)
    first = np.where(last > 0, slot[:, 0], -1)
    taken[every[first >= 0], first[first >= 0]] = True
    numeric = usable & ~taken & (vocab.FAMILY_OF_KIND[schemas.kinds] == _NUMERIC)
    compared = draws.choice("compared", numeric)
    scalar = nested & (kind < 0.4) & (compared >= 0)
    within = nested & ~scalar & (outgoing >= 0)
    exists = nested & ~scalar & ~within & (incoming >= 0)

    def put(where: Mask, array: Indices, values: Indices | int) -> None:
        row = every[where]
        array[row, last[row]] = values if isinstance(values, int) else values[row]

    put(scalar, slot, compared)
    choice = draws.below("scalar", 4)
    names = [(">", "AVG"), ("<", "AVG"), ("=", "MAX"), ("=", "MIN")]
    put(scalar, operator, np.array([OPERATOR_NUMBER[name] for name, _ in names])[choice])
    put(scalar, aggregate, np.array([phrasing.AGGREGATES.index(name) for _, name in names])[choice])
    put(scalar, table, main_table)
    put(within, slot, outgoing)
    put(within, operator, _negatable("IN SELECT", negated))
    put(within, table, other)
    put(exists, slot, incoming)
    put(exists, operator, _negatable("EXISTS", negated))
    put(exists, table, other)

    position = schemas.table_of(np.arange(schemas.names.shape[1]))
    elsewhere = schemas.is_word & (position == other[:, None])
    slot[:, INNER] = np.where(within, draws.choice("inner", elsewhere), -1)
    inner = _draw_operators(schemas, slot, np.zeros(len(slot), bool), draws)
    operator[:, INNER] = inner[:, INNER]


def _negatable(name: str, negated: Mask) -> Indices:
    return np.where(negated, OPERATOR_NUMBER[f"NOT {name}"], OPERATOR_NUMBER[name])


def draw_values(
    schemas: Schemas, slot: Indices, operator: Indices, table: Indices, draws: Draws
) -> tuple[Pieces, Pieces, Indices]:
    """Values in the words of the question and of the SQL, and how many there are.

    The arguments are fields of Conditions; what has a sub-query's table has no values.
    """
    text = np.zeros((*slot.shape, MOST_VALUES), np.int32)
    sql = np.zeros_like(text)
    num_values = np.zeros_like(slot)
    row, index = np.nonzero((slot >= 0) & (table < 0))
    kind = schemas.kinds[row, slot[row, index]]
    used = operator[row, index]
    count = vocab.NUM_LITERALS[kind]
    wanted = 2 + (draws.at("num_values", row, index) * (MOST_VALUES - 1)).astype(np.int64)
    num_values[row, index] = np.minimum(np.minimum(_NUM_VALUES[used], wanted), count)
    # Values a, a + s, a + 2 s, ... around the end are distinct as long as they do not wrap twice.
    base = (draws.at("value", row, index) * count).astype(np.int64)
    stride = 1 + (draws.at("stride", row, index) * (count // MOST_VALUES)).astype(np.int64)
    stride = np.where(stride * MOST_VALUES > count, 1, stride)
    steps = np.arange(MOST_VALUES)
    offset = (base[:, None] + steps * stride[:, None]) % np.maximum(count, 1)[:, None]
    is_range = np.isin(used, [OPERATOR_NUMBER["BETWEEN"], OPERATOR_NUMBER["NOT BETWEEN"]])
    offset[is_range, :2] = np.sort(offset[is_range, :2], axis=1)
    literal = (vocab.FIRST_LITERAL[kind][:, None] + offset) % len(vocab.LITERAL_SQL)
    said, written = vocab.LITERAL_TEXT[literal], vocab.LITERAL_SQL[literal]
    for name, pattern in vocab.LIKE_SQL.items():
        like = used == OPERATOR_NUMBER[name]
        said[like] = vocab.LIKE_TEXT[name][literal[like]]
        written[like] = pattern[literal[like]]
    text[row, index], sql[row, index] = said, written
    of_rows = slot[:, HAVING] == STAR
    # Every group has a row, so a comparison with 1 would be always or never true.
    small = vocab.SMALL_NUMBERS[2 + draws.below("having_value", vocab.MOST_COUNTED - 1)]
    text[:, HAVING, 0] = np.where(of_rows, small, text[:, HAVING, 0])
    sql[:, HAVING, 0] = np.where(of_rows, small, sql[:, HAVING, 0])
    num_values[:, HAVING] = slot[:, HAVING] != -1
    return text, sql, num_values
