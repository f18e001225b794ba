"""SQL texts cut into statements by sqlglot's tokens: no statement is ever found by its looks."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import sqlglot
from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from tinysql.data.interchange.problems import Problem, refuse
from tinysql.sql.parsing import first_line

MAX_SQL_CHARS = 20_000
"""Of a query; what tinysql/sql/execute.py takes at most."""
MAX_SCHEMA_CHARS = 200_000
"""Of a schema with whatever data comes along."""

# One warning per strange statement of somebody else would bury everything that matters.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Statement:
    """One statement: the text it stands in, and its tokens with their offsets in that text."""

    source: str
    tokens: Sequence[Token]

    @property
    def start(self) -> int:
        """Offset of its first character."""
        return self.tokens[0].start

    @property
    def stop(self) -> int:
        """Offset after its last character."""
        return self.tokens[-1].end + 1

    @property
    def text(self) -> str:
        """The statement without what surrounds it."""
        return self.source[self.start : self.stop]

    def written(self, first: Token, last: Token | None = None) -> str:
        """The text of a token, or from one to another, both included."""
        return self.source[first.start : (last or first).end + 1]

    def one_line(self, changed: Mapping[int, str] = MappingProxyType({})) -> str:
        """The statement without comments and line breaks, otherwise as it is written.

        changed: other words for tokens, by the offset of the token.
        """
        parts: list[str] = []
        end = self.start
        for token in self.tokens:
            between = self.source[end : token.start]
            # What is between tokens is blank, or a comment.
            parts.append(" " if "\n" in between or between.strip() else between)
            parts.append(changed.get(token.start) or self._flat(token))
            end = token.end + 1
        return "".join(parts)

    def spelling(self, changed: Mapping[int, str] = MappingProxyType({})) -> str:
        """The same for all that differ in blanks, comments and the case of words alone."""
        return " ".join(
            changed.get(token.start)
            or (self.written(token) if _is_text(token) else self._flat(token).upper())
            for token in self.tokens
        )

    def _flat(self, token: Token) -> str:
        """A token's text; a keyword of two words may have a line break in it."""
        written = self.written(token)
        return written if _is_text(token) else " ".join(written.split())

    def replaced(self, replacements: Mapping[tuple[int, int], str]) -> str:
        """The text with other words at the given (start, stop) offsets, which do not overlap."""
        parts: list[str] = []
        end = self.start
        for start, stop in sorted(replacements):
            parts += [self.source[end:start], replacements[start, stop]]
            end = stop
        return "".join(parts) + self.source[end : self.stop]


def _is_text(token: Token) -> bool:
    return token.token_type == TokenType.STRING


def statements(text: str, dialect: str, problem: Problem) -> list[Statement]:
    """The statements of a text, without their semicolons; refuses what cannot be tokenized."""
    try:
        tokens = sqlglot.tokenize(text, read=dialect)
    except SqlglotError as error:
        raise refuse(problem, first_line(error)) from error
    return [Statement(text, run) for run in _runs(tokens)]


def _runs(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    start = 0
    for place, token in enumerate(tokens):
        if token.token_type == TokenType.SEMICOLON:
            if place > start:
                yield tokens[start:place]
            start = place + 1
    if start < len(tokens):
        yield tokens[start:]


def parse(statement: Statement, dialect: str, problem: Problem) -> exp.Expression:
    """The tree of a statement, with the tokens' offsets; refuses what sqlglot cannot parse."""
    try:
        parser = Dialect.get_or_raise(dialect).parser()
        (tree,) = parser.parse(list(statement.tokens), statement.source)
    except SqlglotError as error:
        raise refuse(problem, first_line(error)) from error
    except RecursionError as error:
        raise refuse(problem, "nested too deeply") from error
    except (ValueError, AttributeError, TypeError, IndexError, KeyError) as error:
        # A parser of 30 dialects has bugs; somebody else's text must not stop an import.
        raise refuse(problem, f"the parser fails: {error!r}") from error
    if not isinstance(tree, exp.Expression):
        raise refuse(problem, "no statement")
    return tree
