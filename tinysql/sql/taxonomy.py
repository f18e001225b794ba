"""Why a prediction that ran is wrong, and which command set a query needs, by the trees alone.

A wrong prediction gets one class, the first of those that hold, in the order of ErrorClass: what
the query is built of goes before its details, because another table or sub-query changes every
column and condition that names it.
"""

import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from sqlglot import exp

from tinysql.sql.components import Parts
from tinysql.sql.names import from_items

_AGGREGATE = re.compile(r"\b(?:COUNT|SUM|AVG|MIN|MAX|TOTAL|GROUP_CONCAT)\((?:DISTINCT )?")
_STRING = re.compile(r"'(?:[^']|'')*'")


class ErrorClass(StrEnum):
    """The first difference between the gold query and a prediction, in order of precedence."""

    WRONG_SET_OPERATION = "wrong_set_operation"
    """Other UNIONs, INTERSECTs or EXCEPTs."""
    WRONG_NESTING = "wrong_nesting"
    """Another number of sub-queries; or, if nothing else differs, another content of one."""
    WRONG_JOIN = "wrong_join"
    """Other tables, kinds of join or ON conditions."""
    WRONG_AGGREGATE = "wrong_aggregate"
    """As many selected columns, but other aggregate functions, or DISTINCT in one of them."""
    WRONG_COLUMNS = "wrong_columns"
    """Selected columns are missing, extra or others; or, before nesting, in another order."""
    WRONG_FILTER = "wrong_filter"
    """Other conditions, values or connectors in WHERE or HAVING."""
    WRONG_GROUP = "wrong_group"
    """Other keys of GROUP BY."""
    WRONG_ORDER = "wrong_order"
    """Other sort keys, directions or positions of keys."""
    WRONG_LIMIT = "wrong_limit"
    """Another LIMIT or OFFSET."""
    WRONG_DISTINCT = "wrong_distinct"
    """SELECT DISTINCT is missing or extra."""
    OTHER = "other"
    """No difference that these classes know."""


_Differ = Callable[[Parts, Parts], bool]


def error_class(gold: Parts, pred: Parts) -> ErrorClass:
    """Why a query that runs does not answer as the gold does, by the components of both."""
    return next((found for found, differ in _DIFFERENCES if differ(gold, pred)), ErrorClass.OTHER)


def _in(*names: str) -> _Differ:
    return lambda gold, pred: any(gold[name] != pred[name] for name in names)


def _other_number_of_queries(gold: Parts, pred: Parts) -> bool:
    return gold["nested"].total() != pred["nested"].total()


def _other_aggregates(gold: Parts, pred: Parts) -> bool:
    same_number = gold["select"].total() == pred["select"].total()
    return same_number and _aggregates(gold) != _aggregates(pred)


def _aggregates(parts: Parts) -> Counter[str]:
    texts = (_STRING.sub("''", item) for item in parts["select"].elements())
    return Counter(name for item in texts for name in _AGGREGATE.findall(item))


def _other_column_order(gold: Parts, pred: Parts) -> bool:
    return [*gold["select"]] != [*pred["select"]]


_DIFFERENCES: tuple[tuple[ErrorClass, _Differ], ...] = (
    (ErrorClass.WRONG_SET_OPERATION, _in("set_ops")),
    (ErrorClass.WRONG_NESTING, _other_number_of_queries),
    (ErrorClass.WRONG_JOIN, _in("from")),
    (ErrorClass.WRONG_AGGREGATE, _other_aggregates),
    (ErrorClass.WRONG_COLUMNS, _in("select")),
    (ErrorClass.WRONG_FILTER, _in("where", "having")),
    (ErrorClass.WRONG_GROUP, _in("group")),
    (ErrorClass.WRONG_ORDER, _in("order")),
    (ErrorClass.WRONG_LIMIT, _in("limit")),
    (ErrorClass.WRONG_DISTINCT, _in("distinct")),
    (ErrorClass.WRONG_COLUMNS, _other_column_order),
    (ErrorClass.WRONG_NESTING, _in("nested")),
)


def command_set(query: exp.Query) -> int:
    """The lowest command set that has all that the query uses, 1 to 8.

    1 columns of one table, 2 ORDER BY, 3 aggregates and GROUP BY, 4 WHERE, 5 one join, 6 HAVING,
    DISTINCT and LIMIT, 7 sub-queries and set operations, 8 several joins in one SELECT and
    aggregates of groups. Source: tinysql/data/queries.py, which draws queries for each.
    """
    selects = list(query.find_all(exp.Select))
    num_tables = [len(from_items(select)) for select in selects]
    present = {
        8: max(num_tables, default=0) > 2 or any(map(_aggregates_groups, selects)),
        7: len(selects) > 1 or query.find(exp.SetOperation) is not None,
        6: query.find(exp.Having, exp.Distinct, exp.Limit, exp.Offset) is not None,
        5: max(num_tables, default=0) > 1,
        4: query.find(exp.Where) is not None,
        3: query.find(exp.AggFunc, exp.Group) is not None,
        2: query.find(exp.Order) is not None,
    }
    return next((number for number, is_there in present.items() if is_there), 1)


def _aggregates_groups(select: exp.Select) -> bool:
    """Whether it aggregates over what a sub-query in FROM groups."""
    sources = (item.node for item in from_items(select))
    grouped = any(node.find(exp.Group) for node in sources if isinstance(node, exp.Subquery))
    return grouped and any(item.find(exp.AggFunc) for item in select.expressions)
