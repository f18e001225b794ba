"""What databases must hold for a query to be told from others like it, read off its tree.

Values on which its conditions turn, by table and column, for rows that lie just inside and just
outside of them; and how many rows a table needs for the numbers of HAVING COUNT and LIMIT to
matter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp

from tinysql.sql.catalog import Reference, Table
from tinysql.sql.execute import Cell
from tinysql.sql.hints import hint_values
from tinysql.sql.sample import Hints

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.Like, exp.Glob)
_MOST_ROWS = 200


class Constant(NamedTuple):
    """A literal that a column is compared with, by the name of the operator."""

    column: exp.Column
    operator: str
    literal: str


def hints_of_query(tree: exp.Query, tables: Sequence[Table]) -> Hints:
    """Values near those that the query's conditions compare columns with."""
    known = {table.name.lower(): table for table in tables}
    found: dict[str, dict[str, list[Cell]]] = {}
    for constant in _constants(tree):
        for table, name in _named(_meant(constant.column, known), known):
            values = found.setdefault(table, {}).setdefault(name, [])
            values += hint_values(constant.operator, [constant.literal])
    return found


def sort_columns(tree: exp.Query, tables: Sequence[Table]) -> dict[str, list[str]]:
    """The columns that the query sorts by, by table, in their order."""
    known = {table.name.lower(): table for table in tables}
    found: dict[str, list[str]] = {}
    order = tree.args.get("order")
    for key in order.expressions if order else ():
        for column in key.find_all(exp.Column):
            for table, name in _named(_meant(column, known), known):
                columns = found.setdefault(table, [])
                columns += [name] if name not in columns else []
    return found


def rows_needed(tree: exp.Query, usual: int) -> int:
    """Rows per table with which LIMIT and the size of groups can matter; `usual` at least."""
    sizes = [usual]
    for clause in tree.find_all(exp.Limit, exp.Offset):
        number = clause.args.get("expression")
        if isinstance(number, exp.Literal) and number.is_int:
            sizes.append(2 * int(number.name) + 2)
    for having in tree.find_all(exp.Having):
        counts = [node for node in having.find_all(*_COMPARISONS) if node.find(exp.Count)]
        for literal in (n for node in counts for n in node.find_all(exp.Literal) if n.is_int):
            sizes.append(4 * (int(literal.name) + 1))
    return min(max(sizes), max(_MOST_ROWS, usual))


def _constants(tree: exp.Query) -> Iterator[Constant]:
    for node in tree.find_all(*_COMPARISONS):
        left, right = node.this, node.expression
        if isinstance(right, exp.Column):
            left, right = right, left
        if isinstance(left, exp.Column):
            yield from _compared(left, node, right)
    for choice in tree.find_all(exp.Between, exp.In):
        if isinstance(choice.this, exp.Column):
            bounds = [choice.args[name] for name in ("low", "high") if name in choice.args]
            for value in (*bounds, *choice.expressions):
                yield from _compared(choice.this, choice, value)


def _compared(column: exp.Column, node: exp.Expr, value: exp.Expr) -> Iterator[Constant]:
    if isinstance(value, exp.Null):
        yield Constant(column, "IS NULL", "NULL")
    elif isinstance(value, exp.Literal | exp.Neg | exp.Boolean):
        operator = "LIKE" if isinstance(node, exp.Like) else "="
        yield Constant(column, operator, value.sql(dialect="sqlite"))


def _named(
    places: Sequence[Reference], known: Mapping[str, Table]
) -> Iterator[tuple[str, str]]:
    """Tables and columns as the schema spells them."""
    for place in places:
        table = known[place.table]
        yield table.name, next(c.name for c in table.columns if c.name.lower() == place.column)


def _meant(column: exp.Column, known: Mapping[str, Table]) -> list[Reference]:
    """The columns of tables that a name in the query may mean: one, unless it is ambiguous."""
    scope = column.find_ancestor(exp.Select)
    aliases: dict[str, str] = {}
    while scope is not None:
        for table in scope.find_all(exp.Table):
            aliases.setdefault(table.alias_or_name.lower(), table.name.lower())
        scope = scope.find_ancestor(exp.Select)
    if column.table:
        named = aliases.get(column.table.lower())
        tables = [named] if named else []
    else:
        tables = list(dict.fromkeys(aliases.values()))
    wanted = column.name.lower()
    return [
        Reference(table, wanted)
        for table in tables
        if table in known and any(c.name.lower() == wanted for c in known[table].columns)
    ]
