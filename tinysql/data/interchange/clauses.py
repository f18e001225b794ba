"""Which clauses a query has, told from sqlglot's tokens: words in literals never count."""

from collections.abc import Callable, Mapping, Sequence

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")
_SET_OPERATIONS = (TokenType.UNION, TokenType.INTERSECT, TokenType.EXCEPT)
_SINGLE = {
    "JOIN": TokenType.JOIN,
    "WHERE": TokenType.WHERE,
    "OR": TokenType.OR,
    "NOT": TokenType.NOT,
    "BETWEEN": TokenType.BETWEEN,
    "IN": TokenType.IN,
    "IS NULL": TokenType.IS,
    "LIKE": TokenType.LIKE,
    "EXISTS": TokenType.EXISTS,
    "GROUP BY": TokenType.GROUP_BY,
    "HAVING": TokenType.HAVING,
    "ORDER BY": TokenType.ORDER_BY,
    "LIMIT": TokenType.LIMIT,
    "DISTINCT": TokenType.DISTINCT,
    "UNION": TokenType.UNION,
    "INTERSECT": TokenType.INTERSECT,
    "EXCEPT": TokenType.EXCEPT,
}
_Counts = Mapping[TokenType, int]
_COMPOUND: dict[str, Callable[[_Counts], bool]] = {
    # The AND of BETWEEN joins no conditions.
    "AND": lambda count: count[TokenType.AND] > count[TokenType.BETWEEN],
    "sub-query": lambda count: (
        count[TokenType.SELECT] - 1 > sum(count[each] for each in _SET_OPERATIONS)
    ),
}
CLAUSES = ("JOIN", "WHERE", "AND", *list(_SINGLE)[2:], "sub-query")
"""Every clause, in the order of a query."""


def tokens_of(sql: str) -> Sequence[Token]:
    """The tokens of a query; none where it has no tokens."""
    try:
        return sqlglot.tokenize(sql, read="sqlite")
    except SqlglotError:
        return ()


def clauses_of(tokens: Sequence[Token]) -> set[str]:
    """The clauses and operators that a query has."""
    count: dict[TokenType, int] = dict.fromkeys(
        (TokenType.SELECT, TokenType.AND, *_SINGLE.values()), 0
    )
    for token in tokens:
        if token.token_type in count:
            count[token.token_type] += 1
    found = {name for name, kind in _SINGLE.items() if count[kind]}
    return found | {name for name, holds in _COMPOUND.items() if holds(count)}


def aggregates_of(tokens: Sequence[Token]) -> set[str]:
    """The aggregate functions that a query calls."""
    return {
        token.text.upper()
        for token, after in zip(tokens, tokens[1:], strict=False)
        if after.token_type == TokenType.L_PAREN and token.text.upper() in AGGREGATES
    }
