"""A query in the form in which Spider's metric sees it.

Source: taoyds/spider, process_sql.py, whose grammar is the comment at its top. What follows from
it: conditions are a flat list of units and connectors, whatever the brackets; the last direction
written is that of all sort keys; UNION, INTERSECT and EXCEPT lean to the right, so of a chain each
SELECT has the next one in it and the last one has what orders the whole; a column without a table
belongs to the first table in FROM that has it.

Spider refuses what its grammar lacks; here it gets the nearest form. A condition may have brackets,
EXISTS, IS and IS NOT; IN may have a list; the alias of a selected column may be a sort key; outer
joins are joins and UNION ALL is a UNION. Aliases are looked up per SELECT, not per text, and what
follows an OR is kept (Spider loses it where a column is compared with a column before), and a
comma counts (Spider reads `SELECT a b` as two columns).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlglot import exp

from tinysql.sql.canonical import query_text
from tinysql.sql.components import direct_queries
from tinysql.sql.expressions import text
from tinysql.sql.names import (
    Schema,
    Scope,
    from_items,
    is_query,
    outermost,
    select_scopes,
    with_ctes,
)
from tinysql.sql.parsing import bare, operands

NONE = "none"
_AGGREGATES: Mapping[type[exp.Expr], str] = {
    exp.Max: "max", exp.Min: "min", exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg",
}  # fmt: skip
_ARITHMETIC: Mapping[type[exp.Expr], str] = {exp.Sub: "-", exp.Add: "+", exp.Mul: "*", exp.Div: "/"}
_OPERATORS: Mapping[type[exp.Expr], str] = {
    exp.Between: "between", exp.EQ: "=", exp.GT: ">", exp.LT: "<", exp.GTE: ">=", exp.LTE: "<=",
    exp.NEQ: "!=", exp.In: "in", exp.Like: "like", exp.Is: "is", exp.Exists: "exists",
}  # fmt: skip


class ColumnUnit(NamedTuple):
    """A column, perhaps aggregated; the text of an expression that Spider does not know."""

    aggregate: str
    column: str
    is_distinct: bool | None


class ValueUnit(NamedTuple):
    """One column unit, or two with an arithmetic operator between them."""

    operator: str
    first: ColumnUnit
    second: ColumnUnit | None

    @property
    def aggregates(self) -> int:
        """How many of its column units are aggregated."""
        return sum(unit is not None and unit.aggregate != NONE for unit in self[1:])


class Condition(NamedTuple):
    """A condition that stands between connectors."""

    is_negated: bool
    operator: str
    left: ValueUnit
    values: tuple["Form | str | None", "Form | str | None"]
    """What it is compared with: both ends of BETWEEN, else the second is None."""

    @property
    def forms(self) -> list["Form"]:
        """Its sub-queries."""
        return [value for value in self.values if isinstance(value, Form)]


class Conditions(NamedTuple):
    """A WHERE, HAVING or ON: `connectors` stand between the units."""

    units: tuple[Condition, ...] = ()
    connectors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """A SELECT with what Spider stores of it."""

    is_distinct: bool | None = False
    select: tuple[tuple[str, ValueUnit], ...] = ()
    """Aggregate and what it is of."""
    tables: tuple["str | Form", ...] = ()
    joined: Conditions = Conditions()
    where: Conditions = Conditions()
    group: tuple[ColumnUnit, ...] = ()
    having: Conditions = Conditions()
    order: tuple[str, tuple[ValueUnit, ...]] | None = None
    """Direction and sort keys."""
    limit: str | None = None
    then: tuple[str, "Form"] | None = None
    """The set operator behind it, and what follows that."""


class _Leaf(NamedTuple):
    """A SELECT of a chain: the operator before it, and the whole's ORDER BY and LIMIT if last."""

    operator: str
    select: exp.Expr
    scope: Scope
    tails: tuple[exp.Expr, ...]


def spider_form(query: exp.Expr, schema: Schema | None) -> Form:
    """The form of a query; `schema` is as in components.canonical."""
    return _form(query, outermost(schema, query_text))


def _form(query: exp.Expr, scope: Scope) -> Form:
    then: tuple[str, Form] | None = None
    for leaf in reversed(_leaves(query, scope, "", ())):
        then = (leaf.operator, _select_form(leaf, then))
    assert then is not None
    return then[1]


def _leaves(
    query: exp.Expr, scope: Scope, operator: str, tails: tuple[exp.Expr, ...]
) -> list[_Leaf]:
    if not isinstance(query, exp.Query):
        return [_Leaf(operator, exp.Select(), scope, ())]
    scope, _ = with_ctes(query, scope)
    tails = (query, *tails)
    if isinstance(query, exp.SetOperation):
        left = _leaves(query.this, scope, operator, ())
        return left + _leaves(query.expression, scope, query.key, tails)
    if isinstance(query, exp.Select):
        return [_Leaf(operator, query, scope, tails)]
    return _leaves(query.this, scope, operator, tails)


def _select_form(leaf: _Leaf, then: tuple[str, Form] | None) -> Form:
    select = leaf.select
    scope = select_scopes(select, replace(leaf.scope, numberings=1))[0]
    items = from_items(select)
    sources = [*scope.sources.values()]
    order = [tail.args["order"] for tail in leaf.tails if tail.args.get("order")]
    limit = [tail.args["limit"] for tail in leaf.tails if tail.args.get("limit")]
    clauses = {name: select.args.get(name) for name in ("where", "group", "having")}
    group = clauses["group"]
    return Form(
        bool(select.args.get("distinct")),
        tuple(_item(item, scope) for item in select.expressions),
        tuple(
            _form(item.node, leaf.scope) if is_query(item.node) else source.table
            for item, source in zip(items, sources, strict=True)
        ),
        _conditions([item.on for item in items if item.on is not None], scope),
        _conditions([clauses["where"].this] if clauses["where"] else [], scope),
        tuple(_column_unit(key, scope) for key in group.expressions) if group else (),
        _conditions([clauses["having"].this] if clauses["having"] else [], scope),
        _order(order[-1], scope) if order else None,
        text(limit[-1].expression, scope) if limit else None,
        then,
    )


def _item(item: exp.Expr, scope: Scope) -> tuple[str, ValueUnit]:
    item = bare(item.this if isinstance(item, exp.Alias) else item)
    aggregate, inner, is_distinct = _aggregated(item)
    unit = _value_unit(inner, scope)
    if aggregate == NONE:
        return NONE, unit
    return aggregate, unit._replace(first=unit.first._replace(is_distinct=is_distinct))


def _aggregated(node: exp.Expr) -> tuple[str, exp.Expr, bool]:
    """An aggregate's name, its argument, and whether it is DISTINCT; or "none" and the node."""
    aggregate, inner = _AGGREGATES.get(type(node), NONE), node.this
    if aggregate == NONE or not isinstance(inner, exp.Expr):
        return NONE, node, False
    if isinstance(inner, exp.Distinct) and inner.expressions:
        return aggregate, inner.expressions[0], True
    return aggregate, inner, False


def _value_unit(node: exp.Expr, scope: Scope) -> ValueUnit:
    node = bare(node)
    if type(node) in _ARITHMETIC:
        sides = [_column_unit(side, scope) for side in (node.this, node.expression)]
        return ValueUnit(_ARITHMETIC[type(node)], *sides)
    return ValueUnit(NONE, _column_unit(node, scope), None)


def _column_unit(node: exp.Expr, scope: Scope) -> ColumnUnit:
    node = bare(node)
    aggregate, inner, is_distinct = _aggregated(node)
    if aggregate == NONE and not isinstance(node, exp.Query):
        inside = node.find(exp.AggFunc)
        aggregate = inside.key if inside else NONE
    return ColumnUnit(aggregate, _column(inner, scope), is_distinct)


def _column(node: exp.Expr, scope: Scope) -> str:
    if isinstance(node, exp.Column) and not node.table:
        name = node.name.lower()
        for source in scope.sources.values():
            if source.columns and name in source.columns:
                return f"{source.table}.{source.columns[name]}"
    found = text(node, scope)
    if isinstance(node, exp.Column):
        table, dot, column = found.partition(".")
        return table.split("#")[0] + dot + column if table[0] != "#" else found
    return found


def _conditions(clauses: list[exp.Expr], scope: Scope) -> Conditions:
    """The units of one clause after the other, with AND in between."""
    units: list[Condition] = []
    connectors: list[str] = []
    for clause in clauses:
        connectors += ["and"] * bool(units)
        for part in _flat(clause):
            if isinstance(part, str):
                connectors.append(part)
            else:
                units.append(_condition(part, scope))
    return Conditions(tuple(units), tuple(connectors))


def _flat(condition: exp.Expr) -> Iterator[exp.Expr | str]:
    inner = _unnegated(condition)
    if not isinstance(inner, exp.Connector):
        yield condition
        return
    for place, part in enumerate(operands(inner)):
        if place:
            yield inner.key
        yield from _flat(part)


def _unnegated(condition: exp.Expr) -> exp.Expr:
    while isinstance(condition, exp.Not | exp.Paren):
        condition = condition.this
    return condition


def _condition(atom: exp.Expr, scope: Scope) -> Condition:
    atom, inner = bare(atom), _unnegated(atom)
    # Spider has no IS NOT: it is no negation.
    is_not = isinstance(inner, exp.Is)
    is_negated = bool(inner.args.get("negate")) or (isinstance(atom, exp.Not) and not is_not)
    operator = _OPERATORS.get(type(inner), NONE)
    left = None if operator in (NONE, "exists") else inner.this
    names = ("query", "field", "low", "high", "expression")
    right = [inner.args[name] for name in names if inner.args.get(name)]
    if operator == "exists":
        right = [inner.this]
    elif operator == NONE:
        right = [*direct_queries([inner])]
    values = [_value(node, scope) for node in right]
    queries = [*direct_queries([left])] if left is not None else []
    values += [_form(query, scope) for query in queries]
    hidden = scope if not queries else replace(scope, nested=lambda *_: "...")
    unit = _value_unit(left if left is not None else inner, hidden)
    first, second = [*values, None, None][:2]
    return Condition(is_negated, operator, unit, (first, second))


def _value(node: exp.Expr, scope: Scope) -> Form | str:
    """A sub-query, or the text of any other value; numbers are the same as floats."""
    node = bare(node)
    for query in direct_queries([node]):
        return _form(query, scope)
    if isinstance(node, exp.Literal) and not node.is_string:
        return str(float(node.this))
    return text(node, scope)


def _order(order: exp.Expr, scope: Scope) -> tuple[str, tuple[ValueUnit, ...]]:
    keys = []
    direction = "asc"
    for key in order.expressions:
        if key.args.get("desc") is not None:
            direction = "desc" if key.args["desc"] else "asc"
        meant = None
        if isinstance(key.this, exp.Column) and not key.this.table:
            meant = scope.outputs.get(key.this.name.lower())
        keys.append(_value_unit(key.this if meant is None else meant, scope))
    return direction, tuple(keys)
