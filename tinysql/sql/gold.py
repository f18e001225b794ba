"""A gold query made ready to judge by: which orders of its rows, and which cuts, are right.

SQL fixes the order of rows only up to rows with equal sort keys, and with a LIMIT that cuts through
such rows any of them may be kept. So the gold is run as its probe: without LIMIT and OFFSET, and
with the keys that it does not select as hidden columns behind the others.

An ORDER BY term is, in this order: the number of a result column, the name of one, an expression
equal to one, or an expression of its own (sqlite.org/lang_select.html, "The ORDER BY clause"). Of
DISTINCT and set operations only the first three have a key for every row; others are compared
in the gold's own order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import cast

from sqlglot import exp

from tinysql.sql.compare import Answer, Run, Ties, ties
from tinysql.sql.execute import run
from tinysql.sql.parsing import Unparsable, parse_query
from tinysql.sql.result import Result

_BIGGEST = 2**31


class GoldError(ValueError):
    """The gold cannot be judged by: it does not parse, or does not run."""


@dataclass(frozen=True)
class Gold:
    """A parsed gold query."""

    sql: str
    tree: exp.Query

    @cached_property
    def is_cut(self) -> bool:
        """Whether it has a LIMIT or an OFFSET."""
        return any(self.tree.args.get(name) for name in ("limit", "offset"))

    @cached_property
    def keys(self) -> Sequence[int | exp.Expr] | None:
        """Each sort key as a position from 0 or as a hidden column; None where one has no value."""
        return _sort_keys(self.tree)

    @cached_property
    def is_ordered(self) -> bool:
        """Whether the whole answer has an order."""
        return _sorts(self.tree)

    @cached_property
    def hidden(self) -> Sequence[exp.Expr]:
        """The keys that are not selected."""
        return [key for key in self.keys or () if not isinstance(key, int)]

    @cached_property
    def probe(self) -> str:
        """The query whose rows tell the key of every row of the answer."""
        if self.keys is None or not (self.is_cut or self.hidden):
            return self.sql
        tree = self.tree.copy()
        tree.set("limit", None)
        tree.set("offset", None)
        if self.hidden:
            tree = cast("exp.Select", tree).select(*(key.copy() for key in self.hidden), copy=False)
        return tree.sql(dialect="sqlite", comments=False)


@lru_cache(1024)
def read_gold(sql: str) -> Gold:
    """The gold in a text. Raises GoldError in one line."""
    try:
        gold = Gold(sql, parse_query(sql))
    except Unparsable as error:
        raise GoldError(f"gold query cannot be parsed: {error}") from error
    return gold


def answer(gold: Gold, database: bytes, run: Run = run) -> Answer:
    """What the gold answers on one database, and which other answers are as right.

    Raises GoldError: the query does not run there.
    """
    result = _result(gold.sql, database, run)
    if not gold.is_ordered and not gold.is_cut:
        return Answer(database, result, (Ties(result.rows),))
    if gold.keys is None:
        return Answer(database, result, tuple(Ties((row,)) for row in result.rows))
    probed = result if gold.probe == gold.sql else _result(gold.probe, database, run)
    width = len(result.columns)
    places = _places(gold.keys, width)
    rows = [row[:width] for row in probed.rows]
    keys = [tuple(row[place] for place in places) for row in probed.rows]
    limit, offset = (_number(gold, name, database, run) for name in ("limit", "offset"))
    found = ties(rows, keys, offset or 0, limit)
    if sum(len(each.rows) for each in found) != len(result.rows):
        raise GoldError(f"gold query {gold.sql!r} and its sort keys give different rows")
    return Answer(database, result, tuple(found))


def is_ordered(tree: exp.Query) -> bool:
    """Whether a query has an order of its own, or passes on that of the one it selects all from."""
    named: dict[str, exp.Expr] = {}
    while tree.args.get("order") is None:
        named |= {cte.alias.lower(): cte.this for cte in tree.ctes}
        inner = _passed_on(tree, named)
        if inner is None:
            return False
        tree = inner
    return _sorts(tree)


def _passed_on(tree: exp.Query, named: dict[str, exp.Expr]) -> exp.Query | None:
    """The query whose rows are selected as they come; one that is named is taken out, once."""
    source = tree.args.get("from_")
    changes = any(tree.args.get(part) for part in ("joins", "where", "group", "distinct", "having"))
    if changes or not isinstance(source, exp.From):
        return None
    inner: exp.Expr | None = source.this
    if isinstance(inner, exp.Subquery):
        inner = inner.this
    elif isinstance(inner, exp.Table):
        inner = None if inner.db else named.pop(inner.name.lower(), None)
    return inner if isinstance(inner, exp.Query) else None


def _sorts(tree: exp.Query) -> bool:
    """Whether some term of its ORDER BY can differ from row to row."""
    order = tree.args.get("order")
    return order is not None and any(_varies(term.this, tree) for term in order.expressions)


def _varies(term: exp.Expr, tree: exp.Query) -> bool:
    key, outputs = _compared(term), list(tree.selects)
    place = _place(key, outputs, _names(outputs))
    if place is not None:
        # What a star or another part of a set operation has there is not known.
        known = isinstance(tree, exp.Select) and not any(each.is_star for each in outputs)
        if not known or not 0 <= place < len(outputs):
            return True
        key = outputs[place]
    return key.find(exp.Column, exp.Star, exp.AggFunc) is not None


def _result(sql: str, database: bytes, run: Run) -> Result:
    result = run(sql, database)
    if result.error is not None:
        raise GoldError(f"gold query {sql!r} fails: {result.error.message}")
    return result


def _places(keys: Sequence[int | exp.Expr], width: int) -> list[int]:
    """Where each key stands in a row of the probe: hidden ones follow the first `width` cells."""
    hidden = iter(range(width, width + len(keys)))
    return [key if isinstance(key, int) else next(hidden) for key in keys]


def _number(gold: Gold, name: str, database: bytes, run: Run) -> int | None:
    """Rows that a LIMIT or OFFSET is about, None where it is about none: a negative one is not."""
    clause = gold.tree.args.get(name)
    if clause is None:
        return None
    expression = clause.expression
    if isinstance(expression, exp.Literal) and expression.is_int:
        return min(int(expression.name), _BIGGEST)
    alone = exp.select(expression.copy())
    alone.set("with_", gold.tree.args.get("with_"))
    [[number]] = _result(alone.sql(dialect="sqlite", comments=False), database, run).rows
    if not isinstance(number, int | float | str):
        raise GoldError(f"gold query has a {name} that is no number: {number!r}")
    return min(int(number), _BIGGEST) if int(number) >= 0 else None


def _sort_keys(tree: exp.Query) -> Sequence[int | exp.Expr] | None:
    order = tree.args.get("order")
    if order is None:
        return ()
    outputs = list(tree.selects)
    names = _names(outputs)
    may_hide = isinstance(tree, exp.Select) and tree.args.get("distinct") is None
    keys: list[int | exp.Expr] = []
    for ordered in order.expressions:
        key = _compared(ordered.this)
        place = _place(key, outputs, names)
        # What a star stands for shifts the columns behind it.
        shifted = place is not None and any(output.is_star for output in outputs[: place + 1])
        if place is not None and (key.is_int or not shifted):
            keys.append(place)
        elif may_hide:
            keys.append(_without_aliases(key, outputs))
        else:
            return None
    return keys


def _names(outputs: Sequence[exp.Expr]) -> list[str]:
    """What ORDER BY may call the result columns."""
    return [output.alias or (output.name if isinstance(output, exp.Column) else "")
            for output in outputs]


def _compared(key: exp.Expr) -> exp.Expr:
    """What the order compares: texts in lower case where it ignores their case."""
    key = key.unnest()
    if isinstance(key, exp.Collate) and key.this.unnest().is_int:
        return key.this.unnest()
    ignores_case = isinstance(key, exp.Collate) and key.expression.name.upper() == "NOCASE"
    return exp.Lower(this=key.this.copy()) if ignores_case else key


def _place(key: exp.Expr, outputs: Sequence[exp.Expr], names: Sequence[str]) -> int | None:
    """The position of the result column that a term of ORDER BY names."""
    if key.is_int:
        return int(key.name) - 1
    if isinstance(key, exp.Column) and not key.table:
        lowered = [name.lower() for name in names]
        if key.name.lower() in lowered:
            return lowered.index(key.name.lower())
    return next((n for n, output in enumerate(outputs) if output.unalias() == key), None)


def _without_aliases(key: exp.Expr, outputs: Sequence[exp.Expr]) -> exp.Expr:
    """The term with the names of result columns replaced by what they stand for.

    Inside an expression a column of a table goes first where it has the same name, so a name that
    is used for a column in the query, too, is left alone.
    """
    used = {column.name.lower() for output in outputs for column in output.find_all(exp.Column)}
    meant = {
        output.alias.lower(): output.unalias()
        for output in outputs
        if isinstance(output, exp.Alias) and output.alias.lower() not in used
    }

    def replaced(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in meant:
            return exp.paren(meant[node.name.lower()].copy())
        return node

    return cast("exp.Expr", key.copy().transform(replaced))
