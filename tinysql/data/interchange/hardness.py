"""The Spider hardness of a query: easy, medium, hard or extra.

Source: eval_hardness, count_component1, count_component2 and count_others of taoyds/spider,
evaluation.py, with what follows from how its parser stores a query: of a set operation only the
first SELECT is counted, and what orders the whole is not its own; a NOT before a condition counts
as an aggregate; aggregates in HAVING do not count, but AND and OR there do. Sub-queries in
FROM do not count as nested. Spider has no column aliases, no IS NOT NULL and no NOT before
parentheses: a sort key that is the alias of an aggregate counts as one, the other two as no NOT.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

_SET_OPERATIONS = (exp.Union, exp.Intersect, exp.Except)


@dataclass(frozen=True)
class Components:
    """The three counts that a query's hardness depends on."""

    clauses: int
    """Clauses, joined tables, ORs and LIKEs."""
    nested: int
    """Set operations and conditions with a sub-query."""
    others: int
    """Of four: several aggregates, selected columns, conditions, grouping columns."""


def hardness(query: exp.Expression) -> str:
    """easy, medium, hard or extra."""
    count = components(query)
    clauses, nested, others = count.clauses, count.nested, count.others
    if nested == 0 and clauses <= 1 and others == 0:
        return "easy"
    if nested == 0 and (clauses <= 1 and others <= 2 or clauses <= 2 and others < 2):
        return "medium"
    if (
        nested == 0
        and (clauses <= 2 and others > 2 or clauses == 3 and others <= 2)
        or nested <= 1
        and clauses <= 1
        and others == 0
    ):
        return "hard"
    return "extra"


def components(query: exp.Expression) -> Components:
    """What Spider counts in a query."""
    first, num_set_operations = _first_select(query)
    where = _clause(first, "where")
    having = _clause(first, "having")
    joined = [atom for join in first.args.get("joins") or () for atom in _joined_on(join)]
    conditions = [*joined, *_atoms(where), *_atoms(having)]
    group = first.args.get("group")
    order = first.args.get("order")
    grouping = list(group.expressions) if group else []
    present = (where, group, order, first.args.get("limit"))
    clauses = sum(part is not None for part in present) + len(first.args.get("joins") or ())
    clauses += sum(_num_or(part) for part in (*_join_conditions(first), where, having))
    clauses += sum(isinstance(_bare(atom), exp.Like) for atom in conditions)
    aliases = {item.alias.lower() for item in first.expressions if _has_aggregate(item)} - {""}
    keys = [ordered.this for ordered in order.expressions] if order else []
    in_having = list(_atoms(having))
    aggregates = sum(map(_has_aggregate, (*first.expressions, *grouping, *keys)))
    aggregates += sum(isinstance(key, exp.Column) and key.name.lower() in aliases for key in keys)
    aggregates += sum(map(_is_negated, (*_atoms(where), *in_having))) + max(0, len(in_having) - 1)
    several = (
        aggregates > 1,
        len(first.expressions) > 1,
        len(list(_atoms(where))) > 1,
        len(grouping) > 1,
    )
    nested = num_set_operations + sum(_num_queries(atom) for atom in conditions)
    return Components(clauses, nested, sum(several))


def _first_select(query: exp.Expression) -> tuple[exp.Expression, int]:
    """The SELECT that counts, and whether a set operation follows it (1 or 0)."""
    count = 0
    while not isinstance(query, exp.Select):
        if isinstance(query, _SET_OPERATIONS):
            count = 1
        query = query.this
    return query, count


def _clause(select: exp.Expression, name: str) -> exp.Expression | None:
    found = select.args.get(name)
    return found.this if found else None


def _join_conditions(select: exp.Expression) -> Iterator[exp.Expression]:
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield join.args["on"]


def _joined_on(join: exp.Expression) -> Sequence[exp.Expression]:
    return list(_atoms(join.args.get("on")))


def _atoms(condition: exp.Expression | None) -> Iterator[exp.Expression]:
    """The conditions that AND and OR combine, each with the NOT before it."""
    if condition is None:
        return
    waiting = [condition]
    while waiting:
        part = waiting.pop()
        inner = _bare(part)
        if isinstance(inner, exp.And | exp.Or):
            waiting += [inner.expression, inner.this]
        else:
            yield part


def _is_negated(atom: exp.Expression) -> bool:
    while isinstance(atom, exp.Paren):
        atom = atom.this
    if atom.args.get("negate"):
        return True  # NOT LIKE
    return isinstance(atom, exp.Not) and not isinstance(_bare(atom), exp.Is)


def _bare(atom: exp.Expression) -> exp.Expression:
    while isinstance(atom, exp.Not | exp.Paren):
        atom = atom.this
    return atom


def _num_or(condition: exp.Expression | None) -> int:
    if condition is None:
        return 0
    # Those of a sub-query are its own.
    return sum(isinstance(node, exp.Or) for node in _own_nodes(condition))


def _own_nodes(root: exp.Expr) -> Iterator[exp.Expr]:
    yield from root.walk(prune=lambda node: isinstance(node, exp.Query))


def _has_aggregate(item: exp.Expression) -> bool:
    return any(isinstance(node, exp.AggFunc) for node in _own_nodes(item))


def _num_queries(atom: exp.Expression) -> int:
    """Sub-queries directly inside a condition, not those inside of them."""
    found = 0
    for node in _own_nodes(atom):
        found += isinstance(node, exp.Query) and not isinstance(node, exp.Subquery)
        found += isinstance(node, exp.Subquery)
    return found
