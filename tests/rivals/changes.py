"""What changes the meaning of a gold query, and predictions that have nothing to do with it."""

from collections.abc import Iterator, Mapping

import sqlglot
from rivals.rewriting import Gold, Maker, each_node, without, written
from sqlglot import exp


def _keys(tree: exp.Expr) -> list[exp.Ordered]:
    order = tree.args.get("order")
    return list(order.expressions) if order else []


def _flipped(gold: Gold, places: slice) -> Iterator[str]:
    tree = gold.tree
    for key in _keys(tree)[places]:
        is_descending = not key.args.get("desc")
        key.set("desc", is_descending)
        key.set("nulls_first", not is_descending)  # as SQLite has it, so it is not written
    yield written(tree)


def _flip_all(gold: Gold) -> Iterator[str]:
    return _flipped(gold, slice(None))


def _flip_last(gold: Gold) -> Iterator[str]:
    return _flipped(gold, slice(-1, None))


def _rotate_keys(gold: Gold) -> Iterator[str]:
    tree = gold.tree
    keys = _keys(tree)
    if len(keys) > 1:
        tree.args["order"].set("expressions", [*keys[1:], keys[0]])
        yield written(tree)


def _drop_last_key(gold: Gold) -> Iterator[str]:
    tree = gold.tree
    keys = _keys(tree)
    if len(keys) > 1:
        tree.args["order"].set("expressions", keys[:-1])
        yield written(tree)


def _remove_commas(gold: Gold) -> Iterator[str]:
    head, separator, tail = gold.sql.partition(" FROM ")
    yield head.replace(",", "") + separator + tail


def _append_garbage(gold: Gold) -> Iterator[str]:
    for garbage in (" garbage garbage", " ) )", "; DROP TABLE garbage"):
        yield gold.sql + garbage


def _wrong_literal(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.Literal) or isinstance(
            node.parent, exp.Limit | exp.DataTypeParam
        ):
            return None
        if not node.is_string:
            return exp.Literal.number(f"{float(node.this) + 1:g}")
        core = node.this.strip("%")
        return exp.Literal.string(node.this.replace(core, f"{core}x"))

    return each_node(gold, change)


_OTHER_AGGREGATE: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.Min: exp.Max, exp.Max: exp.Min, exp.Sum: exp.Avg, exp.Avg: exp.Sum, exp.Count: exp.Max,
}  # fmt: skip


def _wrong_aggregate(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        other = _OTHER_AGGREGATE.get(type(node))
        if other is None or isinstance(node.this, exp.Star):
            return None
        return other(this=node.this.copy())

    return each_node(gold, change)


def _count_distinct(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.Count) or not isinstance(node.this, exp.Column):
            return None
        return exp.Count(this=exp.Distinct(expressions=[node.this.copy()]))

    return each_node(gold, change)


def _wrong_column(gold: Gold) -> Iterator[str]:
    """A column for another one of the query's tables, or of the schema, at the same place."""

    def change(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.Column) or len(gold.columns) < 2:
            return None
        place = gold.columns.index(node.name) if node.name in gold.columns else 0
        other = gold.columns[(place + 1) % len(gold.columns)]
        return exp.column(other, table=node.table or None)

    return each_node(gold, change)


def _drop_column(gold: Gold) -> Iterator[str]:
    for place in range(len(gold.tree.selects)):
        tree = gold.tree
        if len(tree.selects) > 1 and isinstance(tree, exp.Select):
            tree.set("expressions", [*tree.selects[:place], *tree.selects[place + 1 :]])
            yield written(tree)


def _toggle_distinct(gold: Gold) -> Iterator[str]:
    tree = gold.tree
    if isinstance(tree, exp.Select):
        tree.set("distinct", None if tree.args.get("distinct") else exp.Distinct())
        yield written(tree)


def _change_limit(gold: Gold) -> Iterator[str]:
    tree = gold.tree
    limit = tree.args.get("limit")
    if limit is None:
        yield written(tree.limit(1))
        return
    number = int(limit.expression.this)
    for other in (number + 1, number - 1):
        yield written(gold.tree.limit(other))
    yield from without(gold, "limit")


def _change_join(gold: Gold) -> Iterator[str]:
    for place in range(len(gold.tree.args.get("joins") or [])):
        tree = gold.tree
        tree.args["joins"][place].set("on", sqlglot.condition("1 = 1"))
        yield written(tree)
        tree = gold.tree
        tree.args["joins"][place].set("side", "LEFT")
        yield written(tree)


def _swap_connector(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.And | exp.Or):
            return None
        other = exp.Or if isinstance(node, exp.And) else exp.And
        return other(this=node.this.copy(), expression=node.expression.copy())

    return each_node(gold, change)


_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE, exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
}  # fmt: skip
_BESIDE: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.LTE, exp.LTE: exp.LT, exp.GT: exp.GTE, exp.GTE: exp.GT,
}  # fmt: skip


def _compare_by(others: dict[type[exp.Expr], type[exp.Expr]], gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        other = others.get(type(node))
        if other is None or isinstance(node.parent, exp.Join):
            return None
        return other(this=node.this.copy(), expression=node.expression.copy())

    return each_node(gold, change)


def _flip_comparison(gold: Gold) -> Iterator[str]:
    return _compare_by(_FLIPPED, gold)


def _move_boundary(gold: Gold) -> Iterator[str]:
    return _compare_by(_BESIDE, gold)


def _drop_not(gold: Gold) -> Iterator[str]:
    return each_node(gold, lambda node: node.this.copy() if isinstance(node, exp.Not) else None)


def _other_set_operation(gold: Gold) -> Iterator[str]:
    words = {"INTERSECT": "EXCEPT", "EXCEPT": "UNION", "UNION": "INTERSECT"}
    for word, other in words.items():
        if f" {word} " in gold.sql:
            yield gold.sql.replace(f" {word} ", f" {other} ")


def _select_star(gold: Gold) -> Iterator[str]:
    yield "SELECT *"
    tree = gold.tree
    if isinstance(tree, exp.Select):
        tree.set("expressions", [exp.Star()])
        yield written(tree)


def _drop_table(gold: Gold) -> Iterator[str]:
    table = gold.tree.find(exp.Table)
    assert table is not None
    yield f"DROP TABLE {table.name}"


def _delete(gold: Gold) -> Iterator[str]:
    table = gold.tree.find(exp.Table)
    assert table is not None
    yield f"DELETE FROM {table.name}"


def _always(sql: str) -> Maker:
    return lambda _gold: iter([sql])


CHANGED: Mapping[str, Maker] = {
    "ORDER BY dropped": lambda gold: without(gold, "order"),
    "all directions flipped": _flip_all,
    "last direction flipped": _flip_last,
    "sort keys rotated": _rotate_keys,
    "last sort key dropped": _drop_last_key,
    "commas removed": _remove_commas,
    "garbage appended": _append_garbage,
    "wrong literal": _wrong_literal,
    "wrong aggregate": _wrong_aggregate,
    "COUNT of distinct values": _count_distinct,
    "wrong column": _wrong_column,
    "column dropped": _drop_column,
    "DISTINCT added or dropped": _toggle_distinct,
    "LIMIT changed": _change_limit,
    "JOIN changed": _change_join,
    "AND and OR swapped": _swap_connector,
    "comparison flipped": _flip_comparison,
    "boundary moved": _move_boundary,
    "NOT dropped": _drop_not,
    "WHERE dropped": lambda gold: without(gold, "where"),
    "HAVING dropped": lambda gold: without(gold, "having"),
    "GROUP BY dropped": lambda gold: without(gold, "group"),
    "other set operation": _other_set_operation,
    "empty": _always(""),
    "SELECT 1": _always("SELECT 1"),
    "SELECT *": _select_star,
    "NULL": lambda _gold: iter(["NULL", "SELECT NULL"]),
    "SELECT 1 WHERE 0": _always("SELECT 1 WHERE 0"),
    "DROP TABLE": _drop_table,
    "DELETE": _delete,
    "endless": _always(
        "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT x FROM r"
    ),
}
