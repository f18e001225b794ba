"""Spider's metric: hardness, exact-set match and partial scores, quirks included.

Source: taoyds/spider, evaluation.py: eval_hardness with its three count functions, and
Evaluator.eval_exact_match after rebuild_sql_val and rebuild_sql_col. The quirks:

- Values and the number of LIMIT do not count, DISTINCT does not, ON conditions do not; a sub-query
  in a condition is compared whole, with its DISTINCT and LIMIT but without its values, and one in
  FROM with its values, too.
- A partial score is 1 if nothing is missing and nothing is extra, else 0; two empty parts score 1.
- All sort keys have one direction, GROUP BY without HAVING compares column names without tables,
  and HAVING counts only next to equal GROUP BYs.
- In hardness a NOT before a condition counts as an aggregate; aggregates in HAVING do not count,
  but AND and OR there do; sub-queries in FROM do not count as nested.

What is no quirk of the metric but of its parser is told in spider_form.py.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from tinysql.sql.names import Schema
from tinysql.sql.spider_form import (
    NONE,
    ColumnUnit,
    Condition,
    Conditions,
    Form,
    ValueUnit,
    spider_form,
)

ForeignKeys = Sequence[tuple[str, str]]
"""Pairs of columns such as ("orders.customer_id", "customers.id")."""


@dataclass(frozen=True)
class HardnessCounts:
    """The three counts that a query's hardness depends on."""

    clauses: int
    """Clauses, joined tables, ORs and LIKEs."""
    nested: int
    """Set operations and conditions with a sub-query."""
    others: int
    """Of four: several aggregates, selected columns, conditions, grouping columns."""


def hardness(query: exp.Expr) -> str:
    """easy, medium, hard or extra."""
    count = hardness_counts(query)
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


def hardness_counts(query: exp.Expr) -> HardnessCounts:
    """What Spider counts in a query, of a set operation in its first SELECT."""
    form = spider_form(query, None)
    units = _units(form)
    keys = form.order[1] if form.order else ()
    clauses = sum(map(bool, (form.where.units, form.group, form.order, form.limit)))
    clauses += max(0, len(form.tables) - 1) + _connectors(form).count("or")
    clauses += sum(unit.operator == "like" for unit in units)
    aggregates = sum(name != NONE or unit.aggregates > 0 for name, unit in form.select)
    aggregates += sum(column.aggregate != NONE for column in form.group)
    aggregates += sum(key.aggregates for key in keys)
    aggregates += sum(unit.is_negated for unit in (*form.where.units, *form.having.units))
    aggregates += len(form.having.connectors)
    several = (
        aggregates > 1,
        len(form.select) > 1,
        len(form.where.units) > 1,
        len(form.group) > 1,
    )
    nested = sum(len(unit.forms) for unit in units) + (form.then is not None)
    return HardnessCounts(clauses, nested, sum(several))


def _units(form: Form) -> tuple[Condition, ...]:
    return (*form.joined.units, *form.where.units, *form.having.units)


def _connectors(form: Form) -> tuple[str, ...]:
    return (*form.joined.connectors, *form.where.connectors, *form.having.connectors)


def exact_set_match(
    gold: exp.Query, pred: exp.Query, schema: Schema | None, foreign_keys: ForeignKeys = ()
) -> bool:
    """Whether all partial scores are 1 and the same tables are joined."""
    return _is_match(*_compared(gold, pred, schema, foreign_keys))


def partial_scores(
    gold: exp.Query, pred: exp.Query, schema: Schema | None, foreign_keys: ForeignKeys = ()
) -> dict[str, float]:
    """Spider's ten partial scores under its names, each 0.0 or 1.0.

    Args:
        schema: the columns of each table; None: see components.canonical.
        foreign_keys: columns that are the same to Spider.
    """
    found = _partial_matches(*_compared(gold, pred, schema, foreign_keys))
    return {name: float(is_match) for name, is_match in found.items()}


def _compared(
    gold: exp.Query, pred: exp.Query, schema: Schema | None, foreign_keys: ForeignKeys
) -> list[Form]:
    same = same_columns(foreign_keys, schema)
    forms = [spider_form(query, schema) for query in (gold, pred)]
    return [_rebuilt(_without_values(form), same, form.tables) for form in forms]


def same_columns(foreign_keys: ForeignKeys, schema: Schema | None) -> dict[str, str]:
    """For each column of a foreign key the first column of the schema that is the same.

    Source: build_foreign_key_map. A key joins the first set that has one of its columns; two sets
    never become one.
    """
    sets: list[set[str]] = []
    for pair in foreign_keys:
        key = {name.lower() for name in pair}
        found = next((each for each in sets if each & key), None)
        if found is None:
            sets.append(key)
        else:
            found |= key
    columns = [f"{table}.{column}" for table in schema or () for column in (schema or {})[table]]
    places = {column.lower(): place for place, column in enumerate(columns)}
    firsts = [min(each, key=lambda name: (places.get(name, len(places)), name)) for each in sets]
    return {name: first for each, first in zip(sets, firsts, strict=True) for name in each}


def _without_values(form: Form) -> Form:
    return replace(
        form,
        joined=_blank(form.joined),
        where=_blank(form.where),
        having=_blank(form.having),
        then=form.then and (form.then[0], _without_values(form.then[1])),
    )


def _blank(conditions: Conditions) -> Conditions:
    def kept(value: Form | str | None) -> Form | None:
        return _without_values(value) if isinstance(value, Form) else None

    units = (
        unit._replace(values=(kept(unit.values[0]), kept(unit.values[1])))
        for unit in conditions.units
    )
    return conditions._replace(units=tuple(units))


def _rebuilt(form: Form, same: Mapping[str, str], tables: Collection[object]) -> Form:
    """Without DISTINCT and with the same column for both ends of a foreign key.

    tables: those of the outermost SELECT; columns of others stay, and so do all sub-queries.
    """

    def column(unit: ColumnUnit) -> ColumnUnit:
        known = unit.column.partition(".")[0] in tables
        name = same.get(unit.column, unit.column) if known else unit.column
        return unit._replace(column=name, is_distinct=None)

    def value(unit: ValueUnit) -> ValueUnit:
        second = None if unit.second is None else column(unit.second)
        return unit._replace(first=column(unit.first), second=second)

    def conditions(clause: Conditions) -> Conditions:
        units = (unit._replace(left=value(unit.left)) for unit in clause.units)
        return clause._replace(units=tuple(units))

    return replace(
        form,
        is_distinct=None,
        select=tuple((aggregate, value(unit)) for aggregate, unit in form.select),
        joined=conditions(form.joined),
        where=conditions(form.where),
        group=tuple(map(column, form.group)),
        having=conditions(form.having),
        order=form.order and (form.order[0], tuple(map(value, form.order[1]))),
        then=form.then and (form.then[0], _rebuilt(form.then[1], same, tables)),
    )


def _is_match(gold: Form, pred: Form) -> bool:
    same_tables = not gold.tables or _same_bag(gold.tables, pred.tables)
    return same_tables and all(_partial_matches(gold, pred).values())


def _partial_matches(gold: Form, pred: Form) -> dict[str, bool]:
    groups = [[unit.column for unit in form.group] for form in (gold, pred)]
    names = [[column.rpartition(".")[2] for column in group] for group in groups]
    has_groups = bool(gold.group) and bool(pred.group)
    same_having = has_groups and groups[0] == groups[1] and gold.having == pred.having
    same_limits = (gold.limit is None) == (pred.limit is None)
    return {
        "select": _same_bag(gold.select, pred.select),
        "select(no AGG)": _same_bag((it[1] for it in gold.select), (it[1] for it in pred.select)),
        "where": _same_bag(gold.where.units, pred.where.units),
        "where(no OP)": _same_bag(
            (unit.left for unit in gold.where.units), (unit.left for unit in pred.where.units)
        ),
        "group(no Having)": _same_bag(*names),
        "group": same_having or not (gold.group or pred.group),
        "order": gold.order == pred.order and (gold.order is None or same_limits),
        "and/or": set(gold.where.connectors) == set(pred.where.connectors),
        "IUEN": _same_then(gold, pred),
        "keywords": _keywords(gold) == _keywords(pred),
    }


def _same_bag(gold: Iterable[object], pred: Iterable[object]) -> bool:
    return Counter(gold) == Counter(pred)


def _same_then(gold: Form, pred: Form) -> bool:
    if gold.then is None or pred.then is None:
        return gold.then is pred.then
    return gold.then[0] == pred.then[0] and _is_match(gold.then[1], pred.then[1])


def _keywords(form: Form) -> set[str]:
    clauses = {"where": form.where.units, "group": form.group, "having": form.having.units,
               "order": form.order, "limit": form.limit}  # fmt: skip
    found = {name for name, clause in clauses.items() if clause}
    found |= {form.order[0]} if form.order else set()
    found |= {form.then[0]} if form.then else set()
    found |= {unit.operator for unit in _units(form)} & {"in", "like"}
    found |= {"not"} if any(unit.is_negated for unit in _units(form)) else set()
    return found | ({"or"} & set(_connectors(form)))
