"""A query's canonical text, its parts, and how many of the gold's parts a prediction has.

Each component is a bag of short canonical texts (see canonical.py), so spelling does not count but
literals, negation, directions and the position of sort keys do. A sub-query is `(...)` where it
stands and has its own canonical text among the nested ones; so has each WITH and what follows a
UNION. What was selected in which order is no part of a component: only canonical texts tell.

Precision, recall and F1 are those of bags: with g parts in the gold, p in the prediction and c in
both, c/p, c/g and 2c/(g+p). Source of the idea, and of why all-or-nothing per component is not
enough: taoyds/spider evaluation.py, get_scores; see spider.py for that.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from tinysql.sql.canonical import (
    best_scope,
    group_texts,
    limit_texts,
    on_texts,
    order_texts,
    query_text,
    set_operator,
    source_text,
)
from tinysql.sql.expressions import part_text, text, value_text
from tinysql.sql.names import Schema, Scope, from_items, is_query, outermost, with_ctes
from tinysql.sql.parsing import bare, operands

COMPONENTS = (
    "select", "distinct", "from", "where", "group", "having", "order", "limit", "set_ops", "nested",
)  # fmt: skip

Parts = Mapping[str, Counter[str]]
"""The bag of each component's parts."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well a bag of predicted parts covers the gold's; each from 0 to 1."""

    precision: float
    recall: float
    f1: float


def canonical(query: exp.Query, schema: Schema | None) -> str:
    """The canonical text of a query: equal for queries that differ in spelling alone.

    Args:
        schema: the columns of each table; None: columns without a table stay as they are, except
            where there is only one table they can belong to.
    """
    return query_text(query, outermost(schema, query_text))


def components(query: exp.Query, schema: Schema | None) -> Parts:
    """The parts of a query, of a set operation those of its first SELECT and of the whole.

    Args:
        schema: the columns of each table; None: see canonical.
    """
    parts: Parts = {name: Counter() for name in COMPONENTS}
    _add_query(query, outermost(schema, query_text), parts)
    return parts


def score_components(gold: exp.Query, pred: exp.Query, schema: Schema | None) -> dict[str, Score]:
    """The scores of each component that either query has, and "all": those of all parts."""
    return score_parts(components(gold, schema), components(pred, schema))


def score_parts(
    gold: Parts, pred: Parts
) -> dict[str, Score]:
    """The same for parts already found."""
    counts = {
        name: (gold[name].total(), pred[name].total(), (gold[name] & pred[name]).total())
        for name in COMPONENTS
        if gold[name] or pred[name]
    }
    all_gold, all_pred, all_common = (sum(column) for column in zip(*counts.values(), strict=True))
    counts["all"] = (all_gold, all_pred, all_common)
    return {name: _score(*count) for name, count in counts.items()}


def _score(num_gold: int, num_pred: int, num_common: int) -> Score:
    return Score(
        num_common / num_pred if num_pred else 0.0,
        num_common / num_gold if num_gold else 0.0,
        2 * num_common / (num_gold + num_pred),
    )


def _add_query(query: exp.Expr, scope: Scope, parts: Parts) -> None:
    if not isinstance(query, exp.Query):
        parts["select"][value_text(query, scope)] += 1  # VALUES
        return
    scope, ctes = with_ctes(query, scope)
    parts["nested"].update(query_text(body, scope) for _, body in ctes)
    if isinstance(query, exp.Select):
        _add_select(query, scope, parts)
        return
    if isinstance(query, exp.SetOperation):
        parts["set_ops"][set_operator(query)] += 1
        parts["nested"][query_text(query.expression, scope)] += 1
    _add_query(query.this, scope, parts)
    _add_tail(query, scope, parts)


def _add_select(select: exp.Select, outer: Scope, parts: Parts) -> None:
    full = best_scope(select, outer)
    scope = replace(full, nested=_hidden)
    parts["nested"].update(_sub_queries(select, full))
    parts["select"].update(text(item, scope) for item in select.expressions)
    parts["from"].update(_from_parts(select, scope))
    parts["group"].update(group_texts(select, scope))
    for name in ("where", "having"):
        clause = select.args.get(name)
        parts[name].update(condition_parts(clause.this, scope) if clause else ())
    if select.args.get("distinct"):
        parts["distinct"]["DISTINCT"] += 1
    _add_tail(select, scope, parts)


def _hidden(_query: exp.Expr, _scope: Scope) -> str:
    return "..."


def _add_tail(query: exp.Expr, scope: Scope, parts: Parts) -> None:
    keys = order_texts(query, scope)
    parts["order"].update(f"{place}. {key}" for place, key in enumerate(keys, start=1))
    parts["limit"].update(limit_texts(query, scope))


def _from_parts(select: exp.Select, scope: Scope) -> Iterator[str]:
    """The tables with their kind of join, and the conditions; an outer join's name their table."""
    for place, item in enumerate(from_items(select)):
        source = source_text(item, replace(scope, parent=scope), place)
        joined = f"{item.kind} JOIN {source}" if item.kind else source
        yield joined
        for atom in on_texts(item, scope):
            yield f"{joined} ON {atom}" if item.kind else f"ON {atom}"


def condition_parts(condition: exp.Expr, scope: Scope) -> list[str]:
    """Conditions, the ANDs and ORs between them, and each bracketed group as a whole.

    Without the groups `(a AND b) OR c` and `a AND (b OR c)` would have the same parts.
    """
    node = bare(condition)
    if not isinstance(node, exp.Connector):
        return [text(node, scope)]
    inner = operands(node)
    parts = [node.key.upper()] * (len(inner) - 1)
    for part in inner:
        parts += condition_parts(part, scope)
        if isinstance(part, exp.Connector):
            parts.append(part_text(part, scope))
    return parts


def _sub_queries(select: exp.Select, scope: Scope) -> Iterator[str]:
    """The canonical texts of the queries directly inside of a SELECT."""
    for item in from_items(select):
        if is_query(item.node):
            yield query_text(item.node, scope.parent or scope)
    clauses = (select.args.get(name) for name in ("where", "group", "having", "order", "limit"))
    conditions = (item.on for item in from_items(select))
    for part in (*select.expressions, *clauses, *conditions):
        for query in direct_queries([part] if part else []):
            yield query_text(query, scope)


def direct_queries(nodes: Iterable[exp.Expr]) -> Iterator[exp.Expr]:
    """The queries in expressions, but not those inside of them."""
    for node in nodes:
        for found in node.walk(prune=lambda inner: isinstance(inner, exp.Query)):
            if isinstance(found, exp.Query):
                yield found
