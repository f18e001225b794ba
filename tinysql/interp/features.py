"""The corruption of every feature."""

from collections.abc import Mapping

from tinysql.interp import corrupt_clauses as clauses
from tinysql.interp import corrupt_conditions as conditions
from tinysql.interp import corrupt_names as names
from tinysql.interp import corrupt_query as query
from tinysql.interp.config import Feature
from tinysql.interp.corruptions import Corrupt

CORRUPT: Mapping[Feature, Corrupt] = {
    "EngTableName": names.other_table,
    "EngFieldName": names.other_selected,
    "DefTableName": names.other_schema_table,
    "DefFieldName": names.other_schema_column,
    "DefCreateTable": names.other_verb,
    "DefFieldSeparator": names.other_separator,
    "OrderByField": clauses.other_order_column,
    "OrderByDirection": clauses.other_direction,
    "AggregateFunction": clauses.other_aggregate,
    "AggregateField": clauses.other_aggregated,
    "WhereField": conditions.other_where_column,
    "WhereOperator": conditions.other_operator,
    "WhereLiteral": conditions.other_value,
    "JoinTable": names.other_join_table,
    "GroupByField": clauses.other_group,
    "HavingOperator": conditions.other_having_operator,
    "HavingLiteral": conditions.other_having_value,
    "Limit": query.other_limit,
    "Distinct": query.no_distinct,
    "SetOperation": query.other_set_operation,
    "SubqueryAggregate": conditions.other_operand,
    "OuterAggregate": query.other_outer,
}
