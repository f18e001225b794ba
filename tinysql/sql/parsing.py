"""One query as a sqlglot tree, or one line that says why a text is not exactly one query.

sqlglot is lenient: a tree does not mean that an engine takes the query. What it cannot read, it
may refuse in five ways besides its own errors, and a deeply nested text exhausts Python's stack in
its parser or in whoever walks the tree later. Hence three limits: on the length, on brackets inside
brackets (before parsing: they cost the parser some twenty frames each), and on the tree's depth.

Not covered: VALUES lists and what runs a query inside something else (EXPLAIN, CREATE ... AS).
"""

import logging
from collections.abc import Iterable

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

MAX_CHARS = 20_000
"""Of a query; what SQLite is given at most, too."""
MAX_BRACKETS = 20
"""Open brackets and CASEs at one place. Python's stack, of 1,000 frames, ends at about 45."""
MAX_DEPTH = 64
"""Nodes above one another, where a chain of ANDs or of ORs counts as one."""

_OPENING = frozenset({TokenType.L_PAREN, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.END})
# What a parser of 30 dialects raises where it has a bug; such a text is no query either.
_PARSER_BUGS = (ValueError, AttributeError, TypeError, IndexError, KeyError)

# One warning per strange statement of a model would bury everything that matters.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


class Unparsable(ValueError):
    """A text is not exactly one query; the message is one line."""


def parse_query(sql: str, dialect: str = "sqlite") -> exp.Query:
    """The tree of a text that is one query, with or without semicolons at its end.

    Raises:
        Unparsable: it is anything else.
    """
    if len(sql) > MAX_CHARS:
        raise Unparsable(f"{len(sql)} characters, at most {MAX_CHARS}")
    if "\0" in sql or not (sql.isascii() or _is_encodable(sql)):
        raise Unparsable("a NUL character, or half of a surrogate pair")
    reader = Dialect.get_or_raise(dialect)
    try:
        tree = _only_statement(sql, reader)
    except SqlglotError as error:
        raise Unparsable(first_line(error)) from error
    except RecursionError as error:
        raise Unparsable("nested too deeply") from error
    except _PARSER_BUGS as error:
        if isinstance(error, Unparsable):
            raise
        raise Unparsable(_one_line(f"the parser fails: {error!r}")) from error
    if not isinstance(tree, exp.Query):
        raise Unparsable(f"{type(tree).__name__}, expected a query")
    if any(not select.expressions for select in tree.find_all(exp.Select)):
        raise Unparsable("a SELECT without columns")
    return tree


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _only_statement(sql: str, dialect: Dialect) -> exp.Expr:
    tokens = dialect.tokenize(sql)
    if _is_over_nested(tokens):
        raise Unparsable(f"more than {MAX_BRACKETS} brackets inside each other")
    # A parser has state, so each text gets its own: it costs a hundredth of the parsing.
    parsed = dialect.parser().parse(tokens, sql)
    # A comment behind a semicolon makes a node of that semicolon.
    found = [tree for tree in parsed if tree is not None and not isinstance(tree, exp.Semicolon)]
    if not found:
        raise Unparsable("no statement")
    if len(found) > 1:
        raise Unparsable(f"{len(found)} statements, expected one")
    if is_deeper(found[0], MAX_DEPTH):
        raise Unparsable("nested too deeply")
    return found[0]


def _is_over_nested(tokens: Iterable[Token]) -> bool:
    depth = 0
    for token in tokens:
        if token.token_type in _OPENING:
            depth += 1
            if depth > MAX_BRACKETS:
                return True
        elif token.token_type in _CLOSING:
            depth -= 1
    return False


def is_deeper(tree: exp.Expr, limit: int) -> bool:
    """Whether some node of the tree has more than `limit` nodes above it, without recursion."""
    level = [tree]
    for _ in range(limit + 1):
        level = [child for node in level for child in _below(node)]
        if not level:
            return False
    return True


def _below(node: exp.Expr) -> Iterable[exp.Expr]:
    """A node's children, those of a chain of equal connectors all at once."""
    if not isinstance(node, exp.Connector):
        return node.iter_expressions()
    return operands(node)


def operands(connector: exp.Expr) -> list[exp.Expr]:
    """What a chain of ANDs (or of ORs) connects, in order; brackets around a chain do not count."""
    found: list[exp.Expr] = []
    waiting = [connector]
    while waiting:
        node = waiting.pop()
        inner = bare(node)
        if type(inner) is type(connector):
            waiting += [inner.expression, inner.this]
        else:
            found.append(inner)
    return found


def bare(node: exp.Expr) -> exp.Expr:
    """An expression without brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def first_line(error: SqlglotError) -> str:
    """What sqlglot says, without its excerpt of the text, which has color codes in it."""
    found = getattr(error, "errors", None)
    if found:
        return _one_line(f"{found[0]['description']} at column {found[0]['col']}")
    return _one_line(str(error))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
