"""The canonical text of a query: equal for two queries that differ in spelling alone.

Spelling is: case, blanks, comments, brackets, quotes of names, aliases, a missing table before a
column, the order of what AND and OR connect, of inner joins with their conditions, of GROUP BY and
of IN lists, which side of a comparison comes first, NOT before a comparison, != for <>, ASC, and a
number or an alias for a sort key. Everything else counts: literals, DISTINCT, the order of selected
columns and of sort keys. Queries with the same meaning may well have different canonical texts.

Names are lower case and everything else is upper case, so no name can pose as an operator.
"""

from collections.abc import Sequence

from sqlglot import exp

from tinysql.sql.expressions import output_text, part_text, text, value_text
from tinysql.sql.names import (
    FromItem,
    Scope,
    from_items,
    is_query,
    output_names,
    select_scopes,
    with_ctes,
    written,
)
from tinysql.sql.parsing import bare, operands

_SELECT_PARTS = frozenset(
    ("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "order",
     "limit", "offset", "kind", "hint")
)  # fmt: skip


def query_text(query: exp.Expr, scope: Scope) -> str:
    """The canonical text of a query in a scope."""
    if not isinstance(query, exp.Query):
        return value_text(query, scope)  # VALUES, or a table in brackets
    scope, ctes = with_ctes(query, scope)
    bodies = [f"{source.name} = ({query_text(body, scope)})" for source, body in ctes]
    start = f"WITH {', '.join(bodies)} " if bodies else ""
    if isinstance(query, exp.Select):
        return start + min(_select_text(query, each) for each in select_scopes(query, scope))
    tail = "".join(f" {part}" for part in tail_texts(query, scope))
    if not isinstance(query, exp.SetOperation):
        inner = query_text(query.this, scope)
        return f"{start}({inner}){tail}" if start or tail else inner
    left, right = query_text(query.this, scope), query_text(query.expression, scope)
    return f"{start}({left}) {set_operator(query)} ({right}){tail}"


def set_operator(query: exp.Expr) -> str:
    """UNION, UNION ALL, INTERSECT, EXCEPT, ..."""
    return query.key.upper() + ("" if query.args.get("distinct") else " ALL")


def tail_texts(query: exp.Expr, scope: Scope) -> list[str]:
    """ORDER BY, LIMIT and OFFSET of what is no SELECT."""
    keys = order_texts(query, scope)
    return [f"ORDER BY {', '.join(keys)}"] * bool(keys) + limit_texts(query, scope)


def best_scope(select: exp.Select, outer: Scope) -> Scope:
    """The scope with the numbering of tables that the canonical text has."""
    scopes = select_scopes(select, outer)
    return scopes[0] if len(scopes) == 1 else min(scopes, key=lambda it: _select_text(select, it))


def _select_text(select: exp.Expr, scope: Scope) -> str:
    distinct = select.args.get("distinct")
    parts = [
        "SELECT DISTINCT" if distinct else "SELECT",
        ", ".join(text(item, scope) for item in select.expressions),
    ]
    if select.args.get("from_"):
        parts.append(f"FROM {_from_text(from_items(select), scope)}")
    where, having = select.args.get("where"), select.args.get("having")
    if where:
        parts.append(f"WHERE {text(where.this, scope)}")
    if select.args.get("group"):
        parts.append(f"GROUP BY {', '.join(sorted(group_texts(select, scope)))}")
    if having:
        parts.append(f"HAVING {text(having.this, scope)}")
    for name, value in select.args.items():
        if value and name not in _SELECT_PARTS:
            parts.append(f"{name.upper()} {value_text(value, scope)}")
    return " ".join(parts + tail_texts(select, scope))


def _from_text(items: Sequence[FromItem], scope: Scope) -> str:
    """Inner joins in any order; with another join among them, all as they stand."""
    sources = [source_text(item, scope, place) for place, item in enumerate(items)]
    if not any(item.kind for item in items):
        atoms = sorted(atom for item in items for atom in on_texts(item, scope))
        return " JOIN ".join(sorted(sources)) + (f" ON {' AND '.join(atoms)}" if atoms else "")
    found = sources[0]
    for item, source in zip(items[1:], sources[1:], strict=True):
        atoms = sorted(on_texts(item, scope))
        found += f" {item.kind} JOIN".replace("  ", " ") + f" {source}"
        found += f" ON {' AND '.join(atoms)}" if atoms else ""
    return found


def source_text(item: FromItem, scope: Scope, place: int) -> str:
    """The table that stands at a place in FROM, or its name with what it is derived from."""
    name = [*scope.sources.values()][place].name
    outer = scope.parent or scope
    if is_query(item.node):
        return f"{name} = {text(item.node, outer)}"
    if name.startswith("#source"):
        return f"{name} = {value_text(item.node, outer)}"
    return name


def on_texts(item: FromItem, scope: Scope) -> list[str]:
    """The conditions of a join."""
    found = [f"USING {column}" for column in item.using]
    if item.on is None:
        return found
    parts = operands(item.on) if isinstance(bare(item.on), exp.And) else [item.on]
    return found + [part_text(part, scope) for part in parts]


def group_texts(select: exp.Expr, scope: Scope) -> list[str]:
    """The keys of GROUP BY."""
    group = select.args.get("group")
    return [_meant(key, select, scope) for key in group.expressions] if group else []


def order_texts(query: exp.Expr, scope: Scope) -> list[str]:
    """The keys of ORDER BY, each with its direction."""
    order = query.args.get("order")
    return [_key_text(key, query, scope) for key in order.expressions] if order else []


def _key_text(key: exp.Expr, query: exp.Expr, scope: Scope) -> str:
    aliased = isinstance(key.this, exp.Column) and not key.this.table
    if not isinstance(query, exp.Select):
        found = _output_place(key.this, query, scope) if aliased else text(key.this, scope)
    elif aliased and key.this.name.lower() in scope.outputs:
        # Here, and only here, an alias goes before a column of that name.
        found = output_text(key.this.name.lower(), scope)
    else:
        found = _meant(key.this, query, scope)
    is_descending = bool(key.args.get("desc"))
    nulls_first = bool(key.args.get("nulls_first"))
    nulls = "" if nulls_first != is_descending else f" NULLS {'FIRST' if nulls_first else 'LAST'}"
    return f"{found} {'DESC' if is_descending else 'ASC'}{nulls}"


def _output_place(key: exp.Expr, query: exp.Expr, scope: Scope) -> str:
    """The position of what a set operation is sorted by."""
    names = [name.lower() for name in output_names(query, scope) or ()]
    name = key.name.lower()
    return str(names.index(name) + 1) if name in names else written(name)


def _meant(key: exp.Expr, select: exp.Expr, scope: Scope) -> str:
    """A key's text, or that of the selected column whose number it is."""
    if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.this) <= len(select.expressions):
        key = select.expressions[int(key.this) - 1]
    return text(key, scope)


def limit_texts(query: exp.Expr, scope: Scope) -> list[str]:
    """LIMIT and OFFSET, as far as there are any."""
    found = [(name, query.args.get(name)) for name in ("limit", "offset")]
    return [f"{name.upper()} {text(part.expression, scope)}" for name, part in found if part]
