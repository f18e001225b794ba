"""What a question asks, as plain records: the fields of a dataset row, one record per row.

A `Reading` comes either out of a stored row (`stored_reading`) or out of the question itself
(derive.py); the two should be equal. Tables are numbers into the schema, in the schema's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple


class SchemaColumn(NamedTuple):
    """A column of a CREATE TABLE; key is "", "primary" or "foreign"."""

    table: int
    name: str
    type: str
    key: str


class ForeignKey(NamedTuple):
    """A column that refers to a column of another table."""

    table: int
    column: str
    parent: int
    parent_column: str


class Schema(NamedTuple):
    """The tables of a row, their columns and how they refer to each other."""

    tables: tuple[str, ...]
    columns: tuple[SchemaColumn, ...]
    foreign_keys: tuple[ForeignKey, ...]


class Join(NamedTuple):
    """An ON condition: left.left_column = right.right_column."""

    left: int
    left_column: str
    right: int
    right_column: str


class SelectItem(NamedTuple):
    """A selected column or aggregate; table -1 and column "*" for COUNT(*)."""

    table: int
    column: str
    aggregate: str
    alias: str
    phrase: str
    aggregate_phrase: str


class Filter(NamedTuple):
    """A condition; values are SQL literals; scope 1 is inside the filter before it, scope 2 the
    second half of a set operation."""

    scope: int
    table: int
    column: str
    operator: str
    values: tuple[str, ...]
    aggregate: str
    phrase: str
    operator_phrase: str
    operand: tuple[int, str] | None = None
    """The table of a sub-query and what the question calls it, while a question is being read;
    a finished reading has it in table_phrases."""


class GroupKey(NamedTuple):
    """A column of GROUP BY."""

    table: int
    column: str


class Having(NamedTuple):
    """A condition on the aggregate of a group."""

    table: int
    column: str
    aggregate: str
    operator: str
    values: tuple[str, ...]
    phrase: str
    aggregate_phrase: str
    operator_phrase: str


class OrderKey(NamedTuple):
    """A key of ORDER BY with its direction, ASC or DESC."""

    table: int
    column: str
    aggregate: str
    direction: str
    phrase: str
    direction_phrase: str


@dataclass(frozen=True)
class Reading:
    """What one question asks of one schema; the fields are named as in the dataset."""

    from_tables: tuple[int, ...]
    table_phrases: tuple[str, ...] = ()
    """What the question first calls each table of the schema, "" for a table it does not name."""
    joins: tuple[Join, ...] = ()
    select: tuple[SelectItem, ...] = ()
    distinct: bool = False
    outer_aggregate: str = ""
    where_form: str = ""
    filters: tuple[Filter, ...] = ()
    set_operation: str = ""
    group_by: tuple[GroupKey, ...] = ()
    having: tuple[Having, ...] = ()
    order_by: tuple[OrderKey, ...] = ()
    limit: int = 0

    def meaning(self) -> "Reading":
        """The same without the words that it was said in."""
        wordless: dict[str, Any] = {
            name: tuple(part._replace(**_NO_PHRASES[kind]) for part in getattr(self, name))
            for name, kind in _PARTS.items()
        }
        return replace(self, table_phrases=(), **wordless)


_PARTS: dict[str, Any] = {
    "joins": Join,
    "select": SelectItem,
    "filters": Filter,
    "group_by": GroupKey,
    "having": Having,
    "order_by": OrderKey,
}


_NO_PHRASES = {
    kind: {name: "" for name in kind._fields if name.endswith("phrase")}
    for kind in _PARTS.values()
}

_STORED_FIELDS = {
    kind: itemgetter(*(name for name in kind._fields if name != "operand"))
    for kind in (*_PARTS.values(), SchemaColumn, ForeignKey)
}


def stored_reading(row: Mapping[str, Any]) -> Reading:
    """The records of a dataset row."""
    parts = {name: tuple(_part(kind, each) for each in row[name]) for name, kind in _PARTS.items()}
    return Reading(
        from_tables=tuple(row["from_tables"]),
        table_phrases=tuple(table["phrase"] or "" for table in row["tables"]),
        distinct=row["distinct"],
        outer_aggregate=row["outer_aggregate"],
        where_form=row["where_form"],
        set_operation=row["set_operation"],
        limit=row["limit"],
        **parts,
    )


def _part(kind: Any, stored: Mapping[str, Any]) -> Any:
    part = kind(*_STORED_FIELDS[kind](stored))
    return part._replace(values=tuple(part.values)) if "values" in kind._fields else part


def stored_schema(row: Mapping[str, Any]) -> Schema:
    """The schema records of a dataset row."""
    return Schema(
        tuple(table["name"] for table in row["tables"]),
        tuple(_part(SchemaColumn, column) for column in row["columns"]),
        tuple(_part(ForeignKey, key) for key in row["foreign_keys"]),
    )


def read_schema(schema_sql: str) -> Schema:
    """The schema that "CREATE TABLE t ( a INTEGER PRIMARY KEY, b TEXT ); CREATE TABLE ..." makes.

    Raises ValueError where the text is not of that form.
    """
    numbers: dict[str, int] = {}
    columns: list[SchemaColumn] = []
    keys: list[ForeignKey] = []
    for statement in schema_sql.split("; "):
        create, opened, body = statement.partition(" ( ")
        if not (opened and create.startswith("CREATE TABLE ") and body.endswith(" )")):
            raise ValueError(f"not a CREATE TABLE statement of ours: {statement}")
        table = len(numbers)
        numbers[create.removeprefix("CREATE TABLE ")] = table
        for declared in body[:-2].split(", "):
            name, _, sql_type = declared.partition(" ")
            key = ""
            if sql_type.endswith(" PRIMARY KEY"):
                key, sql_type = "primary", sql_type[:-12]
            elif " REFERENCES " in sql_type:
                sql_type, _, target = sql_type.partition(" REFERENCES ")
                parent, _, parent_column = target.removesuffix(" )").partition(" ( ")
                if parent not in numbers:
                    raise ValueError(f"{declared} refers to a table that is not created before it")
                keys.append(ForeignKey(table, name, numbers[parent], parent_column))
                key = "foreign"
            columns.append(SchemaColumn(table, name, sql_type, key))
    return Schema(tuple(numbers), tuple(columns), tuple(keys))
