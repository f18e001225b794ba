"""Which tables stand together in one schema: connected groups in the net of plausible foreign keys.

A group's foreign keys form a tree, so how to join its tables is never ambiguous. Groups are grown
at random from every table in turn, with a generator of their own: they are part of the vocabulary,
the same whatever the dataset.
"""

import random
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tinysql.data import words
from tinysql.data.text import Indices

_MOST_GROUPS = 4_000


@dataclass(frozen=True)
class Groups:
    """Groups of `size` tables."""

    tables: Indices
    """Table numbers, parents before children; shape (groups, size)."""
    references: NDArray[np.bool_]
    """[group, child, parent] by position; shape (groups, size, size)."""


@cache
def groups_of(size: int, held: bool, num_tables: int) -> Groups:
    """The groups of that size among the first `num_tables` tables.

    No group has a held-out table, or if `held` each has at least one.
    """
    held_tables = {number for number in words.held_tables() if number < num_tables}
    if held:
        found = [group for group in _grow(size, num_tables, frozenset()) if held_tables & {*group}]
    else:
        found = _grow(size, num_tables, frozenset(held_tables))
    parents = _parents()
    tables = np.array([_parents_first(group) for group in found], np.int64).reshape(-1, size)
    references = np.array(
        [[[p in parents[c] for p in group] for c in group] for group in tables.tolist()], bool
    ).reshape(-1, size, size)
    return Groups(tables, references)


@cache
def _parents() -> list[frozenset[int]]:
    number = {table.name: i for i, table in enumerate(words.tables())}
    return [frozenset(number[name] for name in table.parents) for table in words.tables()]


@cache
def _grow(size: int, num_tables: int, without: frozenset[int]) -> list[tuple[int, ...]]:
    usable = [number for number in range(num_tables) if number not in without]
    if size == 1:
        return [(number,) for number in usable]
    parents = _parents()
    neighbors: dict[int, set[int]] = {number: set() for number in usable}
    for child in usable:
        for parent in parents[child] & neighbors.keys():
            neighbors[child].add(parent)
            neighbors[parent].add(child)
    rng = random.Random(size)
    found = dict.fromkeys(
        group
        for _ in range(_MOST_GROUPS // len(usable) + 1)
        for start in usable
        if (group := _tree_from(start, size, neighbors, rng))
    )
    return list(found)


def _tree_from(
    start: int, size: int, neighbors: dict[int, set[int]], rng: random.Random
) -> tuple[int, ...]:
    """A random tree of tables around a first one, () where it cannot grow to that size."""
    group = {start}
    while len(group) < size:
        # A table next to two of the group would close a cycle.
        edge = sorted({n for member in group for n in neighbors[member]} - group)
        edge = [number for number in edge if len(neighbors[number] & group) == 1]
        if not edge:
            return ()
        group.add(rng.choice(edge))
    return tuple(sorted(group))


def _parents_first(group: tuple[int, ...]) -> list[int]:
    parents = _parents()
    left, placed = list(group), []
    while left:
        ready = next(number for number in left if not parents[number] & set(left) - {number})
        left.remove(ready)
        placed.append(ready)
    return placed
