"""What the query of a dataset row asks of the rows of its tables, column by column."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tinysql.data.verify.predicates import fits, holds, value_of
from tinysql.sql.result import Cell

Test = Callable[[Cell], bool]
Place = tuple[int, str]
"""Table position and column name."""


@dataclass
class Wish:
    """What the query asks of one column."""

    first: list[Test] = field(default_factory=list)
    """Met by the rows that WHERE is to accept; those of a sub-query's table are to be found."""
    second: list[Test] = field(default_factory=list)
    """Met by the rows that the second half of a set operation is to accept."""
    group: Test | None = None
    """Met by the rows of the group that HAVING is to accept."""
    extreme: str = ""
    """high, low, highest or lowest, where compared with an aggregate of the column itself."""
    refers: bool = True
    """Of a foreign key: whether it may refer to the rows that WHERE is to accept."""
    constants: list[Cell] = field(default_factory=list)
    """What the query compares the column with."""
    patterns: list[str] = field(default_factory=list)
    """... by LIKE."""
    partner: Place | None = None
    """The column of an earlier table that it is joined with and that is no key of it."""
    is_group_key: bool = False
    is_selected: bool = False
    may_be_null: bool = True


@dataclass(frozen=True)
class Blocks:
    """The planted rows, by position in every table, and how foreign keys link them.

    Rows up to `first` meet WHERE and HAVING, up to `second` only WHERE, up to `third` the second
    half of a set operation, or nothing.
    """

    first: int
    second: int
    third: int
    has_groups: bool
    """Whether the first two blocks are the groups of HAVING."""
    has_operands: bool
    """Whether there is a set operation."""
    counted: int
    """Where there are groups: the table whose rows in a block all refer to the block's first."""

    def start(self, position: int) -> int:
        """The first position of the block that a planted row is in."""
        if position < self.first:
            return 0
        return self.first if position < self.second else self.second


def wishes_of(row: Mapping[str, Any], blocks: Blocks) -> dict[Place, Wish]:
    """What is asked of every column; nothing of those that are not mentioned."""
    wishes: dict[Place, Wish] = defaultdict(Wish)
    _read_filters(row, wishes)
    _read_joins(row, wishes)
    for item in row["having"]:
        wish = wishes[item["table"], item["column"]]
        if item["aggregate"] != "COUNT":
            operands = [value_of(text) for text in item["values"]]
            factor = blocks.first if item["aggregate"] == "SUM" else 1
            numbers = [value for value in operands if isinstance(value, int | float)]
            wish.constants += [value / factor for value in numbers] if factor > 1 else operands
            wish.group = partial(_holds_scaled, factor, item["operator"], operands)
        wish.may_be_null = False
    for item in row["group_by"]:
        wishes[item["table"], item["column"]].is_group_key = True
    for item in row["select"]:
        wishes[item["table"], item["column"]].is_selected = True
    if row["limit"]:
        for item in row["order_by"]:
            wishes[item["table"], item["column"]].may_be_null = False
    return wishes


def _read_filters(row: Mapping[str, Any], wishes: dict[Place, Wish]) -> None:
    negated = row["where_form"].startswith("NOT")
    inner_negated = False
    for each in row["filters"]:
        wish = wishes[each["table"], each["column"]]
        operator = each["operator"]
        if operator.endswith("IN SELECT"):
            inner_negated = operator.startswith("NOT ") != negated
        elif operator.endswith("SELECT"):
            wish.extreme = _extreme(operator[0], each["aggregate"], negated)
        elif operator.endswith("EXISTS"):
            wish.refers = operator.startswith("NOT ") == negated
        else:
            operands = [value_of(text) for text in each["values"]]
            if operator.endswith("LIKE"):
                wish.patterns += map(str, operands)
            else:
                wish.constants += operands
            if (negated, inner_negated, False)[each["scope"]]:
                operator = f"NOT {operator}"
            tests = wish.second if each["scope"] == 2 else wish.first
            tests.append(partial(_holds, operator, operands))


def _read_joins(row: Mapping[str, Any], wishes: dict[Place, Wish]) -> None:
    """Let columns that are joined without a foreign key have values in common."""
    columns = {(column["table"], column["name"]): column for column in row["columns"]}
    for join in row["joins"]:
        ends = (join["left"], join["left_column"]), (join["right"], join["right_column"])
        earlier, later = sorted(ends)
        if not columns[earlier]["key"] and not columns[later]["key"]:
            wishes[later].partner = earlier
            wishes[later].may_be_null = False
            fitting = partial(fits, columns[later]["type"])
            wishes[earlier].first += [*wishes[later].first, fitting]


def _extreme(comparison: str, aggregate: str, negated: bool) -> str:
    if comparison == "=":
        low = (aggregate == "MIN") != negated
        return ("low" if low else "high") + ("" if negated else "est")
    return "high" if (comparison == ">") != negated else "low"


def _holds(operator: str, operands: Sequence[Cell], value: Cell) -> bool:
    return holds(value, operator, operands)


def _holds_scaled(factor: int, operator: str, operands: Sequence[Cell], value: Cell) -> bool:
    return isinstance(value, int | float) and holds(value * factor, operator, operands)


def blocks_of(row: Mapping[str, Any], num_rows: int) -> Blocks:
    """How many rows to plant; more than num_rows where a HAVING counts to more."""
    first, second = num_rows // 3, 0
    for item in row["having"]:
        first = second = max(2, num_rows // 4)
        if item["aggregate"] == "COUNT":
            first, second = _counts(item["operator"], [value_of(text) for text in item["values"]])
    return Blocks(
        first=first,
        second=first + second,
        third=first + second + max(2, num_rows // 4),
        has_groups=bool(row["having"]),
        has_operands=bool(row["set_operation"]),
        counted=_counted_table(row),
    )


def _counts(operator: str, operands: Sequence[Cell]) -> tuple[int, int]:
    """A size that meets the condition and one that does not, both as close to it as can be."""
    bound = max(value for value in operands if isinstance(value, int | float))
    sizes = sorted(range(1, int(bound) + 3), key=lambda size: abs(size - bound))
    meeting = (size for size in sizes if holds(size, operator, operands))
    failing = (size for size in sizes if not holds(size, operator, operands))
    return next(meeting, 1), next(failing, 1)


def _counted_table(row: Mapping[str, Any]) -> int:
    """The last table in FROM that no other there refers to: its rows are those of the join."""
    keys = {(key["table"], key["column"]) for key in row["foreign_keys"]}
    parents = set()
    for join in row["joins"]:
        left_refers = (join["left"], join["left_column"]) in keys
        parents.add(join["right"] if left_refers else join["left"])
    return [table for table in row["from_tables"] if table not in parents][-1]
