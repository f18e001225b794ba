"""Several right queries in one text, as sql-eval (defog-ai/sql-eval) writes them.

Queries are separated by semicolons. {a, b} in a query stands for any choice of these columns, one
at least, and {} for the same choice again. The text is cut by its tokens, so that a semicolon or a
brace in a literal, or a comma in a function, is none of these.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product
from math import prod

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

MAX_QUERIES = 255
"""All choices among eight columns."""
_TOO_MANY = f"more than {MAX_QUERIES} right queries in one text"


def queries_in(text: str) -> list[str]:
    """Every query that a text stands for; the text alone where there is nothing to take apart.

    Raises ValueError: more than MAX_QUERIES, or a brace without its partner.
    """
    if not any(sign in text for sign in ";{}"):
        return [text]
    try:
        tokens = sqlglot.tokenize(text, read="sqlite")
    except SqlglotError:
        return [text]
    found: list[str] = []
    for statement in _statements(tokens):
        found += _choices(text, statement)
        if len(found) > MAX_QUERIES:
            raise ValueError(_TOO_MANY)
    return list(dict.fromkeys(found)) or [text]


def _statements(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in tokens:
        if token.token_type != TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def _choices(text: str, statement: Sequence[Token]) -> Iterator[str]:
    braces = [t for t in statement if t.token_type in (TokenType.L_BRACE, TokenType.R_BRACE)]
    kinds = [token.token_type for token in braces]
    if kinds != [TokenType.L_BRACE, TokenType.R_BRACE] * (len(braces) // 2):
        raise ValueError("a brace without its partner among the right queries")
    pairs = list(zip(braces[::2], braces[1::2], strict=True))
    options = [_columns(text, statement, *pair) for pair in pairs]
    if prod(2 ** len(columns) - 1 for columns in options if columns) > MAX_QUERIES:
        raise ValueError(_TOO_MANY)
    for chosen in product(*(_subsets(columns) for columns in options if columns)):
        left = iter(chosen)
        said: Sequence[str] = ()
        parts, end = [], statement[0].start
        for (opening, closing), columns in zip(pairs, options, strict=True):
            said = next(left) if columns else said
            parts += [text[end : opening.start], ", ".join(said)]
            end = closing.end + 1
        yield "".join([*parts, text[end : statement[-1].end + 1]])


def _subsets(columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of one column or more; all of them is the first."""
    sizes = range(len(columns), 0, -1)
    return list(chain.from_iterable(combinations(columns, size) for size in sizes))


def _columns(
    text: str, statement: Sequence[Token], opening: Token, closing: Token
) -> list[str]:
    """What the commas between two braces separate, those inside parentheses apart."""
    commas, depth = [], 0
    for token in statement:
        if opening.start < token.start < closing.start:
            depth += token.token_type == TokenType.L_PAREN
            depth -= token.token_type == TokenType.R_PAREN
            if token.token_type == TokenType.COMMA and depth == 0:
                commas.append(token)
    starts = [opening.end + 1, *(comma.end + 1 for comma in commas)]
    ends = [*(comma.start for comma in commas), closing.start]
    columns = [text[low:high].strip() for low, high in zip(starts, ends, strict=True)]
    return [column for column in columns if column]
