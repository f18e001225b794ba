"""What databases must hold for a query to be told from others like it, read off its tree.

Values on which its conditions turn, by table and column, for rows that lie just inside and just
outside of them; and how many rows a table needs for the numbers of HAVING COUNT and LIMIT to
matter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp

from tinysql.sql.catalog import Reference, Table
from tinysql.sql.expressions import quoted
from tinysql.sql.hints import hint_values
from tinysql.sql.preimages import preimages
from tinysql.sql.result import Cell
from tinysql.sql.sample import NO_CROWD, Crowd, Hints

_COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Like, exp.Glob,
)  # fmt: skip
_MOST_ROWS = 2_500


class Constant(NamedTuple):
    """A literal that an expression is compared with, by the name of the operator."""

    compared: exp.Expr
    operator: str
    literal: str


def hints_of_query(tree: exp.Query, tables: Sequence[Table]) -> Hints:
    """Values near those that the query's conditions compare columns with."""
    known = {table.name.lower(): table for table in tables}
    found: dict[str, dict[str, list[Cell]]] = {}
    for compared, operator, literal in _constants(tree, known):
        meant = preimages(compared, hint_values(operator, [literal]))
        if meant is None:
            continue
        for table, name in _named(_meant(meant[0], known), known):
            found.setdefault(table, {}).setdefault(name, []).extend(meant[1])
    return found


def sort_columns(tree: exp.Query, tables: Sequence[Table]) -> dict[str, list[str]]:
    """The columns that the query sorts by, by table, in their order."""
    order = tree.args.get("order")
    known = {table.name.lower(): table for table in tables}
    return _columns_in(order.expressions if order else (), known)


def _columns_in(
    expressions: Sequence[exp.Expr], known: Mapping[str, Table]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for expression in expressions:
        for column in expression.find_all(exp.Column):
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
    counted = max(map(_counted, tree.find_all(exp.Having)), default=0)
    if _is_crowd(counted, usual):
        sizes.append(6 * (counted + 1))
    return min(max(sizes), max(_MOST_ROWS, usual))


def crowded_columns(tree: exp.Query, tables: Sequence[Table], usual: int) -> Crowd:
    """The columns whose groups HAVING COUNT compares with more rows than some of `usual` have."""
    known = {table.name.lower(): table for table in tables}
    crowd = NO_CROWD
    for having in tree.find_all(exp.Having):
        counted, group = _counted(having), having.parent and having.parent.args.get("group")
        if group and _is_crowd(counted, usual) and counted > crowd.size:
            crowd = Crowd(counted, _columns_in(group.expressions, known))
    return crowd


def _counted(having: exp.Having) -> int:
    """The greatest number that a COUNT is compared with."""
    counts = [node for node in having.find_all(*_COMPARISONS) if node.find(exp.Count)]
    literals = (each for node in counts for each in node.find_all(exp.Literal) if each.is_int)
    return max((int(each.name) for each in literals), default=0)


def _is_crowd(counted: int, usual: int) -> bool:
    return 4 * (counted + 1) > usual


def _constants(tree: exp.Query, known: Mapping[str, Table]) -> Iterator[Constant]:
    for node in tree.find_all(*_COMPARISONS):
        for compared, value in ((node.this, node.expression), (node.expression, node.this)):
            yield from _compared(compared, node, value, known)
    for choice in tree.find_all(exp.Between, exp.In):
        bounds = [choice.args[name] for name in ("low", "high") if name in choice.args]
        for value in (*bounds, *choice.expressions):
            yield from _compared(choice.this, choice, value, known)


def _compared(
    compared: exp.Expr, node: exp.Expr, value: exp.Expr, known: Mapping[str, Table]
) -> Iterator[Constant]:
    operator = "LIKE" if isinstance(node, exp.Like) else "="
    if isinstance(value, exp.Date) and isinstance(value.this, exp.Literal):
        value = value.this
    number = value.this if isinstance(value, exp.Neg) else value
    if isinstance(value, exp.Null):
        yield Constant(compared, "IS NULL", "NULL")
    elif isinstance(number, exp.Literal | exp.Boolean):
        literal = value.sql(dialect="sqlite")
        yield Constant(compared, operator, literal)
        # What `_` stands for, and what it does not.
        for letters in ("x", "", "xx") if operator == "LIKE" and "_" in literal else ():
            yield Constant(compared, operator, literal.replace("_", letters))
    elif isinstance(value, exp.Column) and _is_text(value, known):
        yield Constant(compared, operator, quoted(value.name))


def _is_text(column: exp.Column, known: Mapping[str, Table]) -> bool:
    """Whether SQLite takes a name in double quotes for a text, for want of such a column."""
    if column.table or not column.this.args.get("quoted"):
        return False
    name = column.name.lower()
    return not any(name == each.name.lower() for table in known.values() for each in table.columns)


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
