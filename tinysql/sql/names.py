"""What the names in a query stand for, whatever aliases it gives to tables and columns.

Names have no case. A table keeps its name; where one stands in a FROM twice, the second is `t#2`. A
sub-query in FROM is `#derived`, the k-th WITH is `#cte<k>`, and their columns are numbered: `n` of
`(SELECT COUNT(*) AS n FROM t) AS s` is `#derived.1`. No bare name has a `#` in it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from math import factorial, prod
from typing import NamedTuple

from sqlglot import exp

Schema = Mapping[str, Sequence[str]]
"""The columns of each table."""

_BARE = re.compile(r"[a-z_][a-z0-9_$]*").fullmatch
_MAX_NUMBERINGS = 24
_UNKNOWN = "#source"


class FromItem(NamedTuple):
    """A table or sub-query in FROM, and how it is joined."""

    node: exp.Expr
    kind: str
    """Empty for the first one and for inner, cross and comma joins; else such as "LEFT"."""
    join: exp.Expr | None

    @property
    def on(self) -> exp.Expr | None:
        """The condition, None where the join has none."""
        found = self.join and self.join.args.get("on")
        # sqlglot writes ON TRUE where the text has no ON.
        return found if found and not isinstance(found, exp.Boolean) else None

    @property
    def using(self) -> list[str]:
        """The columns of USING."""
        found = self.join and self.join.args.get("using")
        return sorted(written(column.name) for column in found or ())


class Source(NamedTuple):
    """What a column can belong to."""

    table: str
    name: str
    """The table, with a number where it stands in the same FROM again."""
    columns: Mapping[str, str] | None
    """What each column is called; None where the columns are not known."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a SELECT can use."""

    schema: Mapping[str, Mapping[str, str]]
    nested: Callable[[exp.Expr, "Scope"], str]
    """Writes a sub-query in a scope."""
    ctes: Mapping[str, Source] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    """By alias, in the order of FROM."""
    outputs: Mapping[str, exp.Expr] = field(default_factory=dict)
    """What the aliases of SELECT stand for."""
    output_texts: dict[tuple[str, object], str] = field(default_factory=dict)
    """The texts of those, kept by alias and `nested`: a query may name one a thousand times."""
    parent: "Scope | None" = None
    numberings: int = _MAX_NUMBERINGS
    """How many ways to number tables may be tried, in all sub-queries together."""

    def column(self, column: exp.Column) -> str | None:
        """The column's name with that of its table; None where no table is known to have it.

        A column of an enclosing query has one ^ per level.
        """
        name, table = column.name.lower(), column.table.lower()
        scope: Scope | None = self
        mark = ""
        while scope is not None:
            found = scope.sources.get(table) if table else scope.owner(name)
            if found is not None:
                known = (found.columns or {}).get(name, written(name))
                return f"{mark}{found.name}.{known}"
            mark += "^"
            scope = scope.parent
        return f"{written(table)}.{written(name)}" if table else None

    def owner(self, name: str) -> Source | None:
        """The only source of this SELECT that has the column, or the only one that may have it."""
        having = [each for each in self.sources.values() if each.columns and name in each.columns]
        if not having:
            having = [each for each in self.sources.values() if each.columns is None]
            if len(having) == 1 and name in self.outputs:
                return None
        return having[0] if len(having) == 1 else None

    def lacks(self, name: str) -> bool:
        """Whether surely no table of this and the enclosing queries has the column."""
        sources = self.sources.values()
        lacking = all(each.columns is not None and name not in each.columns for each in sources)
        return lacking and (self.parent is None or self.parent.lacks(name))


def outermost(schema: Schema | None, nested: Callable[[exp.Expr, Scope], str]) -> Scope:
    """The scope around a query."""
    tables = (schema or {}).items()
    return Scope({table.lower(): _as_written(columns) for table, columns in tables}, nested)


def written(name: str) -> str:
    """A name as the canonical text has it: quoted only if it must be."""
    name = name.lower()
    return name if _BARE(name) else '"' + name.replace('"', '""') + '"'


def _as_written(columns: Iterable[str]) -> dict[str, str]:
    return {column.lower(): written(column) for column in columns}


def from_items(select: exp.Expr) -> list[FromItem]:
    """The tables and sub-queries in FROM, in order."""
    first = select.args.get("from_")
    found = list(_joined(first.this, "", None)) if first else []
    for join in select.args.get("joins") or ():
        found += _joined(join.this, _kind(join), join)
    return found


def _joined(node: exp.Expr, kind: str, join: exp.Expr | None) -> Iterator[FromItem]:
    """A table, or the tables of a join in brackets, which outside of inner joins have a meaning."""
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
        node = node.this
    yield FromItem(node, kind, join)
    for inner in node.args.get("joins") or ():
        yield from _joined(inner.this, f"{kind} ( {_kind(inner)}" if kind else _kind(inner), inner)


def _kind(join: exp.Expr) -> str:
    words = (join.args.get("method"), join.args.get("side"))
    return " ".join(str(word).upper() for word in words if word)


def is_query(node: exp.Expr) -> bool:
    """Whether it is a query, not a join in brackets."""
    return isinstance(node, exp.Query) and not isinstance(node.this, exp.Table)


def with_ctes(query: exp.Expr, scope: Scope) -> tuple[Scope, list[tuple[Source, exp.Expr]]]:
    """The scope with the query's own CTEs, and those with their bodies."""
    clause = query.args.get("with_")
    found = []
    for cte in clause.expressions if clause else ():
        name = f"#cte{len(scope.ctes) + 1}"
        columns = [column.name for column in cte.args["alias"].columns]
        source = Source(name, name, _numbered(columns or output_names(cte.this, scope)))
        scope = replace(scope, ctes={**scope.ctes, cte.alias.lower(): source})
        found.append((source, cte.this))
    return scope, found


def select_scopes(select: exp.Expr, outer: Scope) -> list[Scope]:
    """The scope inside a SELECT, once for each way to number the tables that it has twice."""
    items = from_items(select)
    sources = [_source(item.node, outer) for item in items]
    aliases: list[str] = []
    for place, item in enumerate(items):
        alias = item.node.alias_or_name.lower()
        aliases.append(f"#{place}" if alias in ("", *aliases) else alias)
    outputs = {
        item.alias.lower(): item.this for item in select.expressions if isinstance(item, exp.Alias)
    }
    ways = _numberings([source.table for source in sources], outer.numberings)
    return [
        Scope(
            outer.schema,
            outer.nested,
            outer.ctes,
            {
                alias: source._replace(name=name)
                for alias, source, name in zip(aliases, sources, names, strict=True)
            },
            outputs,
            parent=outer,
            numberings=outer.numberings // len(ways),
        )
        for names in ways
    ]


def _numberings(tables: Sequence[str], most: int) -> list[list[str]]:
    """The tables with numbers after the first of each; by their order where it is too many ways."""
    places = defaultdict(list)
    for place, table in enumerate(tables):
        places[table].append(place)
    same = [found for found in places.values() if len(found) > 1]
    if prod(factorial(min(len(found), 9)) for found in same) > most:
        orders: Iterable[Sequence[Sequence[int]]] = [same]
    else:
        orders = product(*(permutations(found) for found in same))
    ways = []
    for order in orders:
        names = list(tables)
        for found in order:
            for number, place in enumerate(found[1:], start=2):
                names[place] = f"{tables[place]}#{number}"
        ways.append(names)
    return ways


def _source(node: exp.Expr, scope: Scope) -> Source:
    if is_query(node):
        alias = node.args.get("alias")
        columns = [column.name for column in alias.columns] if alias else []
        return Source("#derived", "", _numbered(columns or output_names(node, scope)))
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        return Source(_UNKNOWN, "", None)
    name = node.name.lower()
    if node.db:
        return Source(f"{written(node.db)}.{written(name)}", "", scope.schema.get(name))
    return scope.ctes.get(name) or Source(written(name), "", scope.schema.get(name))


def _numbered(names: Sequence[str] | None) -> dict[str, str] | None:
    if names is None:
        return None
    # Of two equal names the first one is meant.
    return {name.lower(): str(place) for place, name in reversed([*enumerate(names, start=1)])}


def output_names(query: exp.Expr, outer: Scope) -> list[str] | None:
    """What a query's columns are called; None where it selects * of an unknown table."""
    if not isinstance(query, exp.Query):
        return None
    scope, _ = with_ctes(query, outer)
    if not isinstance(query, exp.Select):
        return output_names(query.this, scope)
    names: list[str] = []
    sources: Mapping[str, Source] | None = None
    for item in query.expressions:
        if not item.is_star:
            names.append(item.alias_or_name)
            continue
        if sources is None:
            sources = select_scopes(query, replace(scope, numberings=1))[0].sources
        meant = [sources.get(item.table.lower())] if _has_table(item) else [*sources.values()]
        for source in meant:
            if source is None or source.columns is None:
                return None
            names += source.columns
    return names


def _has_table(item: exp.Expr) -> bool:
    return isinstance(item, exp.Column) and bool(item.table)
