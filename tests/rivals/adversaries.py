"""Predictions made from a gold query, by what each should do to its meaning.

A changed query does not always answer differently (MIN and MAX of a column of equals do not, nor
does a flipped ORDER BY of one row): before a CHANGED one counts, `oracle.differs` must find it to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import sqlglot
from rivals.changes import CHANGED
from rivals.rewordings import KEPT, REORDERED
from rivals.rewriting import Gold, Maker, written
from sqlglot import exp

_MOST_OF_A_KIND = 3


class Effect(StrEnum):
    """What a change does to the answer."""

    CHANGED = "changed"
    """It is another question: right is only to refuse it."""
    KEPT = "kept"
    """It is the same query in other words."""
    REORDERED = "reordered"
    """The same columns in another order: right in a tier of its own."""


@dataclass(frozen=True)
class Adversary:
    """A prediction with the name of what was done to the gold."""

    name: str
    effect: Effect
    sql: str


_MAKERS: Mapping[Effect, Mapping[str, Maker]] = {
    Effect.CHANGED: CHANGED,
    Effect.KEPT: KEPT,
    Effect.REORDERED: REORDERED,
}


def adversaries(gold_sql: str, schema_sql: str) -> list[Adversary]:
    """All that apply to a gold, at most three of a name, each text once and none the gold itself.

    Args:
        gold_sql: one SELECT, or a set operation of two, with blanks between its words.
        schema_sql: its CREATE TABLE statements.
    """
    gold = Gold(gold_sql, _column_names(schema_sql))
    found: dict[str, Adversary] = {}
    for effect, makers in _MAKERS.items():
        for name, maker in makers.items():
            texts = [sql for sql in maker(gold) if sql not in (gold_sql, written(gold.tree))]
            for sql in texts[:_MOST_OF_A_KIND]:
                found.setdefault(sql, Adversary(name, effect, sql))
    return list(found.values())


def _column_names(schema_sql: str) -> list[str]:
    tables = sqlglot.parse(schema_sql, read="sqlite")
    return [column.name for table in tables if table for column in table.find_all(exp.ColumnDef)]
