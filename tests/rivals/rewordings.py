"""The same query in other words, or with its columns in another order."""

import re
from collections.abc import Iterator, Mapping

from rivals.rewriting import Gold, Maker, each_node, outside_strings, written
from sqlglot import exp


def _semicolon(gold: Gold) -> Iterator[str]:
    yield f"{gold.sql};"
    yield f"{gold.sql} ; "


def _change_case(gold: Gold) -> Iterator[str]:
    yield outside_strings(gold.sql, str.lower)
    yield outside_strings(gold.sql, lambda text: re.sub(r"\b[A-Z]+\b", _capitalized, text))


def _capitalized(match: re.Match[str]) -> str:
    return match[0].capitalize()


def _change_blanks(gold: Gold) -> Iterator[str]:
    yield outside_strings(gold.sql, lambda text: text.replace(" ", "  "))
    yield outside_strings(gold.sql, lambda text: text.replace(" ", "\n\t"))
    yield f"  {gold.sql}\n"


def _comment(gold: Gold) -> Iterator[str]:
    yield f"{gold.sql} -- done"
    yield f"/* answer */ {gold.sql}"


def _alias_tables(gold: Gold) -> Iterator[str]:
    """Other aliases for tables that have one; one for a table that has none."""
    tree = gold.tree
    if any(table.alias for table in tree.find_all(exp.Table)):
        yield outside_strings(gold.sql, lambda text: re.sub(r"\bt(\d+)\b", r"alias_\1", text))
    elif isinstance(tree, exp.Select) and len(list(tree.find_all(exp.Table))) == 1:
        table = tree.find(exp.Table)
        assert table is not None
        table.set("alias", exp.TableAlias(this=exp.to_identifier("one")))
        yield written(tree)
        given = {item.alias for item in tree.selects if isinstance(item, exp.Alias)}
        for column in tree.find_all(exp.Column):
            if column.name not in given:
                column.set("table", exp.to_identifier("one"))
        yield written(tree)


def _commute(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.And | exp.Or):
            return None
        # A chain leans to the left, so what moves to the right needs brackets.
        moved = exp.paren(node.this.copy()) if isinstance(node.this, exp.Connector) else node.this
        return type(node)(this=node.expression.copy(), expression=moved.copy())

    return each_node(gold, change)


_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE, exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
}  # fmt: skip


def _mirror_comparison(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        other = _MIRRORED.get(type(node))
        if other is None:
            return None
        return other(this=node.expression.copy(), expression=node.this.copy())

    return each_node(gold, change)


def _add_brackets(gold: Gold) -> Iterator[str]:
    def change(node: exp.Expr) -> exp.Expr | None:
        return exp.paren(node.copy()) if isinstance(node, exp.Predicate) else None

    return each_node(gold, change)


def _reorder_columns(gold: Gold) -> Iterator[str]:
    tree = gold.tree
    if isinstance(tree, exp.Select) and len(tree.selects) > 1:
        for items in (tree.selects[::-1], [*tree.selects[1:], tree.selects[0]]):
            other = gold.tree
            other.set("expressions", [item.copy() for item in items])
            yield written(other)


KEPT: Mapping[str, Maker] = {
    "trailing semicolon": _semicolon,
    "case": _change_case,
    "blanks": _change_blanks,
    "comment": _comment,
    "table alias": _alias_tables,
    "AND or OR commuted": _commute,
    "comparison mirrored": _mirror_comparison,
    "brackets added": _add_brackets,
}

REORDERED: Mapping[str, Maker] = {"column order": _reorder_columns}
