"""Spider's hardness label of every row, counted from its query instead of from parsed SQL.

Source: taoyds/spider, evaluation.py, eval_hardness and the three count functions it uses; their
quirks are kept (HAVING is no component, aggregates in it are not counted, and a NOT counts as an
aggregate).
"""

import numpy as np

from tinysql.data import conditions as cond
from tinysql.data import phrasing
from tinysql.data.queries import Query
from tinysql.data.text import Indices

LEVELS = ("easy", "medium", "hard", "extra")

_ORS = np.array([form.count("OR") for form in cond.FORMS])
_IS_LIKE = np.array([operator.sql.endswith("LIKE") for operator in phrasing.OPERATORS])
_IS_NOT = np.array([operator.sql.startswith("NOT") for operator in phrasing.OPERATORS])


def levels(query: Query) -> Indices:
    """Index into LEVELS of every row."""
    conditions = query.conditions
    main = conditions.present[:, list(cond.MAIN)]
    operators = conditions.operator[:, list(cond.MAIN)]
    outer = query.outer >= 0
    # Spider's parser gives what ends a set operation to its second half, which is not looked into.
    whole = query.set_operation < 0
    ordered = query.is_ordered.any(axis=1) & whole
    joins = np.maximum(query.num_from - 1, 0)
    components = (
        main.any(axis=1).astype(np.int64)
        + query.grouped
        + ordered
        + ((query.limit > 0) & whole)
        + joins
        + _ORS[conditions.form]
        + (main & _IS_LIKE[operators]).sum(axis=1)
    )
    nested = (main & (conditions.table[:, list(cond.MAIN)] >= 0)).sum(axis=1)
    nested = nested + (query.set_operation >= 0)
    aggregates = (
        (query.aggregate >= 0).sum(axis=1)
        + (query.order_aggregate >= 0).sum(axis=1)
        + (main & _IS_NOT[operators]).sum(axis=1)
    )
    others = (
        (aggregates > 1).astype(np.int64)
        + (query.is_selected.sum(axis=1) > 1)
        + (main.sum(axis=1) > 1)
        + ((query.is_bare.sum(axis=1) > 1) & query.grouped)
    )
    # An outer aggregate stands alone: nor is a FROM sub-query looked into.
    components, nested, others = (
        np.where(outer, 0, count) for count in (components, nested, others)
    )
    return _level(components, nested, others)


def _level(components: Indices, nested: Indices, others: Indices) -> Indices:
    flat = nested == 0
    easy = (components <= 1) & (others == 0) & flat
    medium = flat & (((others <= 2) & (components <= 1)) | ((components <= 2) & (others < 2)))
    hard = (
        (flat & (others > 2) & (components <= 2))
        | (flat & (components > 2) & (components <= 3) & (others <= 2))
        | ((components <= 1) & (others == 0) & (nested <= 1))
    )
    return np.select([easy, medium, hard], [0, 1, 2], 3)
