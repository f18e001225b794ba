"""A dataset row as the corruptions read it: its mentions' words, and columns by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinysql.data import words
from tinysql.interp.roles import Row

Item = Mapping[str, Any]
"""A record of a row that names a table and a column: a select item, a condition, an order key."""

STAR = "*"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the schema; `number` counts over all tables, `family` decides what fits it."""

    number: int
    table: int
    name: str
    kind: str
    family: str

    @property
    def is_key(self) -> bool:
        return not self.kind


def family_of(kind: str) -> str:
    """number, text, date or boolean by the kind of a column, "key" for kind ""; times are dates."""
    if not kind:
        return "key"
    family = words.kinds()[kind].family
    return "date" if family == "timestamp" else family


def is_additive(kind: str) -> bool:
    """Whether the sum of such values makes sense."""
    return bool(kind) and words.kinds()[kind].additive


@dataclass(frozen=True)
class Record:
    """A row with what is said in it."""

    row: Row

    @cached_property
    def texts(self) -> dict[str, str]:
        """The words of every mention, without blanks around them."""
        whole = {
            "question": self.row["question"],
            "schema": self.row["schema_sql"],
            "sql": self.row["gold_sql"],
        }
        return {
            mention["key"]: whole[mention["key"].split(".")[0]][
                mention["start"] : mention["end"]
            ].strip()
            for mention in self.row["mentions"]
        }

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of all tables, in schema order."""
        return tuple(
            Column(number, each["table"], each["name"], each["kind"], family_of(each["kind"]))
            for number, each in enumerate(self.row["columns"])
        )

    @cached_property
    def _by_name(self) -> dict[tuple[int, str], Column]:
        return {(column.table, column.name): column for column in self.columns}

    def column(self, item: Item) -> Column | None:
        """The column that an item is about; None for the rows that COUNT(*) counts."""
        return self._by_name.get((item["table"], item["column"]))

    def family(self, item: Item) -> str:
        """The family of an item's values: what is counted is a number."""
        column = self.column(item)
        counts = item.get("aggregate") == "COUNT" or column is None
        return "number" if counts or column is None else column.family

    def table_name(self, table: int) -> str:
        return self.row["tables"][table]["name"]

    def siblings(self, column: Column) -> Iterator[Column]:
        """The other columns of its table that are no keys."""
        return (
            other
            for other in self.columns
            if other.table == column.table and other != column and not other.is_key
        )

    @cached_property
    def said(self) -> frozenset[str]:
        """Every name of the schema and every word or phrase that is mentioned."""
        names = (table["name"] for table in self.row["tables"])
        return frozenset((*self.texts.values(), *names, *(c.name for c in self.columns)))

    @cached_property
    def chosen(self) -> frozenset[tuple[int, str]]:
        """(table, column) of every select item, condition, group and order key."""
        clauses = ("select", "filters", "group_by", "having", "order_by")
        return frozenset(
            (item["table"], item["column"]) for clause in clauses for item in self.row[clause]
        )


def like_shape(literal: str) -> str:
    """Where the pattern of a LIKE is open: "x%", "%x" or "%x%"; "" for any other literal."""
    text = literal.strip("'")
    before, after = text.startswith("%"), text.endswith("%")
    return "%" * before + "x" + "%" * after if before or after else ""
