"""Spider's exact-set match, with what its parser lets through.

Source: taoyds/spider, evaluation.py and process_sql.py. The metric itself is that of
tinysql.sql.spider. Its parser is more lenient than SQL in two ways that matter here: commas between
selected columns may be missing, and whatever follows a semicolon, or the number of a LIMIT, is not
looked at. It never executes the query.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from rivals.connections import columns_of
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from tinysql.sql.parsing import Unparsable, parse_query
from tinysql.sql.spider import exact_set_match

_ENDS_AN_ITEM = (TokenType.VAR, TokenType.R_PAREN, TokenType.STAR, TokenType.IDENTIFIER)
_STARTS_AN_ITEM = (TokenType.VAR, TokenType.IDENTIFIER)
_AGGREGATES = {"MAX", "MIN", "COUNT", "SUM", "AVG"}


def accepts(
    gold_sql: str, pred_sql: str, databases: Sequence[bytes], _row: Mapping[str, Any]
) -> bool:
    """Whether every component of the prediction equals the gold's, values aside."""
    try:
        pred = parse_query(_as_read(pred_sql))
    except (SqlglotError, Unparsable):
        return False
    return exact_set_match(parse_query(gold_sql), pred, columns_of(databases[0]))


def _as_read(sql: str) -> str:
    """The part of the text that Spider's parser reads, with the commas that it does not need."""
    parts: list[str] = []
    depth, is_selecting, end = 0, False, 0
    previous: Token | None = None
    before_previous: Token | None = None
    for token in sqlglot.tokenize(sql, read="sqlite"):
        if token.token_type is TokenType.SEMICOLON:
            break
        if is_selecting and depth == 0 and _lacks_a_comma(previous, token):
            parts.append(",")
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if token.token_type is TokenType.SELECT:
            is_selecting = depth == 0
        elif token.token_type is TokenType.FROM:
            is_selecting = False
        parts += [sql[end : token.start], sql[token.start : token.end + 1]]
        end = token.end + 1
        before_previous, previous = previous, token
        if before_previous and before_previous.token_type is TokenType.LIMIT and depth == 0:
            break
    return "".join(parts)


def _lacks_a_comma(previous: Token | None, token: Token) -> bool:
    if previous is None or previous.token_type not in _ENDS_AN_ITEM:
        return False
    if previous.text.upper() in _AGGREGATES:
        return False
    return token.token_type in _STARTS_AN_ITEM or token.text.upper() in _AGGREGATES
