"""What a question has to tell for a row's query to follow from it, and what it may call things."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from tinysql.data import phrasing, words

Row = Mapping[str, Any]
"""One row of a dataset, by column name."""

HELD_PHRASES = "held_phrases"
"""The split whose questions may use held-out synonyms."""

_KEY_OPERATORS = ("IN SELECT", "NOT IN SELECT", "EXISTS", "NOT EXISTS")


class Named(NamedTuple):
    """A table (kind "table") or column of the schema, by its position there, and its phrases."""

    kind: str
    position: int
    name: str
    phrases: tuple[str, ...]


def needed_columns(row: Row) -> set[tuple[int, str]]:
    """The (table, column) pairs that the question has to name."""
    parts = (*row["select"], *row["group_by"], *row["having"], *row["order_by"])
    needed = {(part["table"], part["column"]) for part in parts}
    needed |= {
        (filter_["table"], filter_["column"])
        for filter_ in row["filters"]
        if filter_["operator"] not in _KEY_OPERATORS
    }
    keys = {(column["table"], column["name"]) for column in row["columns"] if column["key"]}
    return {pair for pair in needed | (_joined(row) - keys) if pair[1] != "*"}


def _joined(row: Row) -> set[tuple[int, str]]:
    return {
        (join[side], join[f"{side}_column"]) for join in row["joins"] for side in ("left", "right")
    }


def allowed_columns(row: Row) -> set[tuple[int, str]]:
    """The columns that the question may name: a join or a sub-query turns on its keys."""
    keys = {
        (filter_["table"], filter_["column"])
        for filter_ in row["filters"]
        if filter_["operator"] in _KEY_OPERATORS
    }
    return needed_columns(row) | _joined(row) | keys


def needed_tables(row: Row) -> set[int]:
    """The positions of the tables that the question has to name."""
    return {*row["from_tables"], *(filter_["table"] for filter_ in row["filters"])} - {-1}


def names(row: Row) -> list[Named]:
    """Every table and column of the row's schema with what a question may call it."""
    held = row["split"] == HELD_PHRASES
    tables = [
        Named("table", number, table["name"], _table_phrases(table["name"], held))
        for number, table in enumerate(row["tables"])
    ]
    columns = [
        Named(
            "column",
            number,
            column["name"],
            _column_phrases(column["name"], column["type"] == "BOOLEAN", held),
        )
        for number, column in enumerate(row["columns"])
    ]
    return [*tables, *columns]


@cache
def _table_phrases(name: str, held: bool) -> tuple[str, ...]:
    table = _known_tables().get(name)
    spoken = name.replace("_", " ")
    if table is None:
        return (spoken,)
    return (spoken, table.singular.replace("_", " "), *_synonyms(table.synonyms, held))


@cache
def _column_phrases(name: str, boolean: bool, held: bool) -> tuple[str, ...]:
    column = _known_columns().get(name)
    spoken = name.replace("_", " ")
    # "Urgent orders" tells is_urgent.
    bare = re.sub("^(?:is|has|was|can) ", "", spoken) if boolean else spoken
    synonyms = _synonyms(column.synonyms, held) if column else ()
    return tuple(dict.fromkeys((spoken, bare, *synonyms)))


@cache
def _known_tables() -> dict[str, words.Table]:
    return {table.name: table for table in words.tables()}


@cache
def _known_columns() -> dict[str, words.Column]:
    return {column.name: column for column in words.columns()}


def _synonyms(synonyms: tuple[str, ...], held: bool) -> tuple[str, ...]:
    usual, kept = phrasing.split_held(synonyms)
    return (*usual, *kept) if held else tuple(usual)


def literals(row: Row) -> set[tuple[str, bool]]:
    """Every SQL literal of the conditions, and whether it is the pattern of a LIKE."""
    return {
        (value, "LIKE" in condition["operator"])
        for condition in (*row["filters"], *row["having"])
        for value in condition["values"]
    }


def needed_cues(row: Row) -> set[str]:
    """Names in cues.py of all that the question has to tell besides names and values."""
    counted = (*row["select"], *row["filters"], *row["having"], *row["order_by"])
    cues = {part["aggregate"] for part in counted} | {row["outer_aggregate"], row["set_operation"]}
    cues |= {key["direction"] for key in row["order_by"]}
    cues |= {_operator(condition) for condition in (*row["filters"], *row["having"])}
    if row["distinct"]:
        cues.add("DISTINCT")
    if row["group_by"] and not row["outer_aggregate"]:
        cues.add("EACH")
    cues |= {word for word in ("OR", "NOT") if f" {word} " in f" {row['where_form']} "}
    return cues - {""}


def _operator(condition: Mapping[str, Any]) -> str:
    """The operator as cues.py names it: a LIKE by the form of its pattern."""
    operator, values = condition["operator"], condition["values"]
    if operator == "LIKE":
        start, end = values[0].startswith("'%"), values[0].endswith("%'")
        return f"LIKE {'%' if start else ''}x{'%' if end else ''}"
    if values == ["FALSE"]:
        return "NOT"
    return str(operator)
