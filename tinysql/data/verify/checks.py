"""What can be checked of one dataset row and its answers: agreement, order, names."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from tinysql.data import words
from tinysql.sql.result import Row


def is_sorted(row: Mapping[str, Any], answer: Sequence[Row]) -> bool:
    """Whether the answer is in the order of the row's records.

    Keys after the first one that is not selected do not count, nor do rows with a NULL among the
    keys, whose place every engine chooses itself.
    """
    items = [(item["table"], item["column"], item["aggregate"]) for item in row["select"]]
    keys = []
    for key in row["order_by"]:
        item = (key["table"], key["column"], key["aggregate"])
        if item not in items:
            break
        keys.append((items.index(item), key["direction"] == "DESC"))
    kept = [cells for cells in answer if all(cells[index] is not None for index, _ in keys)]
    return all(_in_order(one, other, keys) for one, other in pairwise(kept))


def _in_order(one: Row, other: Row, keys: Sequence[tuple[int, bool]]) -> bool:
    for index, descending in keys:
        left, right = one[index], other[index]
        if left != right:
            return (left > right) == descending  # type: ignore[operator]
    return True


def ambiguous_names(row: Mapping[str, Any]) -> list[str]:
    """The phrases of the question that denote two things of the row, or not the one they should.

    The keys of one name are one thing: a foreign key and what it refers to.
    """
    things: dict[str, set[str]] = {}
    for table in row["tables"]:
        for phrase in _table_phrases(table["name"]):
            things.setdefault(phrase, set()).add(f"table {table['name']}")
    for column in row["columns"]:
        owner = "key" if column["key"] else str(column["table"])
        phrases = (_plain(column["name"]),) if column["key"] else _column_phrases(column["name"])
        for phrase in phrases:
            things.setdefault(phrase, set()).add(f"column {owner}.{column['name']}")
    found = []
    for phrase, name in _mentions(row):
        denoted = things.get(_plain(phrase), set())
        if len(denoted) != 1 or not next(iter(denoted)).endswith((f".{name}", f" {name}")):
            shown = " and ".join(sorted(denoted)) or "nothing"
            found.append(f"{phrase!r} should denote {name} and denotes {shown}")
    return found


def _mentions(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Every phrase of the question with the name that it stands for."""
    for table in row["tables"]:
        if table["phrase"]:
            yield table["phrase"], table["name"]
    for part in ("select", "filters", "having", "order_by"):
        for item in row[part]:
            if item["phrase"] and item["column"] != "*":
                yield item["phrase"], item["column"]


def _plain(phrase: str) -> str:
    return phrase.lower().replace("_", " ")


def _table_phrases(name: str) -> frozenset[str]:
    return _known_tables().get(name, frozenset([_plain(name)]))


def _column_phrases(name: str) -> frozenset[str]:
    return _known_columns().get(name, frozenset([_plain(name)]))


@cache
def _known_tables() -> dict[str, frozenset[str]]:
    return {
        table.name: frozenset(map(_plain, (*table.phrases, table.singular)))
        for table in words.tables()
    }


@cache
def _known_columns() -> dict[str, frozenset[str]]:
    return {column.name: frozenset(map(_plain, column.phrases)) for column in words.columns()}
