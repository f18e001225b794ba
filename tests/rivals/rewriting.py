"""Queries made from a gold query by changing its tree or its text."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp


@dataclass(frozen=True)
class Gold:
    """A gold query, and the columns of its tables."""

    sql: str
    columns: Sequence[str]

    @property
    def tree(self) -> exp.Query:
        """A new tree, to be changed."""
        tree = sqlglot.parse_one(self.sql, read="sqlite")
        assert isinstance(tree, exp.Query)
        return tree


Maker = Callable[[Gold], Iterator[str]]
"""Texts made from a gold; none where it does not apply."""


def written(tree: exp.Expr) -> str:
    return tree.sql(dialect="sqlite")


def each_node(gold: Gold, change: Callable[[exp.Expr], exp.Expr | None]) -> Iterator[str]:
    """The gold with one node replaced, for every node that the change has another for."""
    for number, found in enumerate(gold.tree.walk()):
        if change(found) is None or found.parent is None:
            continue
        tree = gold.tree
        node = next(each for place, each in enumerate(tree.walk()) if place == number)
        node.replace(change(node))
        yield written(tree)


def without(gold: Gold, clause: str) -> Iterator[str]:
    tree = gold.tree
    if tree.args.get(clause):
        tree.set(clause, None)
        yield written(tree)


_OUTSIDE_STRINGS = re.compile(r"('(?:[^']|'')*')")


def outside_strings(sql: str, change: Callable[[str], str]) -> str:
    parts = _OUTSIDE_STRINGS.split(sql)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))
