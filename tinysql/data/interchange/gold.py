"""Queries of others: parsed, mended where only the spelling is wrong, and run in SQLite."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from tinysql.data.interchange.problems import Finding, Note, Problem, refuse
from tinysql.data.interchange.schema import Schema
from tinysql.data.interchange.sql_text import Statement, parse, statements
from tinysql.sql.execute import run
from tinysql.sql.parsing import first_line
from tinysql.sql.result import ErrorKind

_AMBIGUOUS = "ambiguous column name"
_BEFORE_NAMES = (
    TokenType.DOT, TokenType.ALIAS, TokenType.FROM, TokenType.JOIN, TokenType.TABLE
)  # fmt: skip
_PROBLEMS = {
    ErrorKind.UNKNOWN_TABLE: Problem.UNKNOWN_TABLE,
    ErrorKind.UNKNOWN_COLUMN: Problem.UNKNOWN_COLUMN,
}


@dataclass(frozen=True)
class Gold:
    """A query of one statement that can be given to SQLite, and what was noticed on the way."""

    sql: str
    spelling: str
    """The same for queries that differ in blanks, comments and the case of words alone."""
    tree: exp.Expression
    notes: tuple[Note, ...]


def read_gold(text: str, schema: Schema | None, dialect: str = "sqlite") -> Gold:
    """The one query in a text; refuses what is none, or not one.

    schema tells which names in double quotes are columns; None leaves all of them alone.
    """
    found = statements(text, dialect, Problem.GOLD_UNPARSABLE)
    if len(found) != 1:
        raise refuse(Problem.NOT_A_QUERY, f"{len(found)} statements, expected one")
    tree = parse(found[0], dialect, Problem.GOLD_UNPARSABLE)
    if not isinstance(tree, exp.Query):
        raise refuse(Problem.NOT_A_QUERY, f"a {tree.key} statement")
    notes: list[Note] = []
    changed: dict[int, str] = {}
    if dialect == "sqlite" and schema is not None:
        changed = _requoted(found[0], schema, tree)
        notes += [Note.STRING_REQUOTED] if changed else []
    sql = found[0].one_line(changed)
    if dialect != "sqlite":
        sql = _translated(tree)
        notes.append(Note.TRANSLATED)
    if any(map(_mixes, tree.find_all(exp.Select))):
        notes.append(Note.BARE_COLUMN)
    return Gold(sql, found[0].spelling(changed), tree, tuple(notes))


def run_gold(gold: Gold, database: bytes) -> Finding | None:
    """What SQLite has against the query, or None."""
    error = run(gold.sql, database).error
    if error is None:
        return None
    problem = _PROBLEMS.get(error.kind, Problem.GOLD_FAILS)
    if error.message.startswith(_AMBIGUOUS):
        problem = Problem.AMBIGUOUS_COLUMN
    kind = f"{error.kind}: " if problem is Problem.GOLD_FAILS else ""
    return Finding(problem, f"{kind}{error.message}"[:300])


def _translated(tree: exp.Expression) -> str:
    try:
        return tree.sql(dialect="sqlite", comments=False)
    except (SqlglotError, ValueError) as error:
        reason = first_line(error) if isinstance(error, SqlglotError) else str(error)
        raise refuse(Problem.GOLD_UNPARSABLE, f"has no SQLite form: {reason}") from error


def _requoted(statement: Statement, schema: Schema, tree: exp.Expression) -> dict[int, str]:
    """In single quotes, by offset, what SQLite reads as a text for want of such a column."""
    quoted = list(_values_in_double_quotes(statement))
    names = _names_of_columns(schema, tree) if quoted else set()
    return {
        token.start: "'" + token.text.replace("'", "''") + "'"
        for token in quoted
        if token.text.lower() not in names
    }


def _names_of_columns(schema: Schema, tree: exp.Expression) -> set[str]:
    """Whatever a name in double quotes may mean besides a text, in lower case."""
    names = {name for table in schema.tables for name, _ in table.columns}
    names |= {table.name for table in schema.tables} | {"rowid", "oid", "_rowid_"}
    for node in tree.find_all(exp.Alias, exp.TableAlias):
        names.add(node.alias)
        names |= {column.name for column in node.args.get("columns") or ()}
    return {name.lower() for name in names}


def _values_in_double_quotes(statement: Statement) -> Iterator[Token]:
    """The names in double quotes that stand where a value can."""
    around = [None, *(token.token_type for token in statement.tokens), None]
    for before, token, after in zip(around, statement.tokens, around[2:], strict=False):
        if (
            token.token_type == TokenType.IDENTIFIER
            and statement.written(token).startswith('"')
            and before not in _BEFORE_NAMES
            and after not in (TokenType.DOT, TokenType.L_PAREN)
        ):
            yield token


def _mixes(select: exp.Select) -> bool:
    """Whether a column stands beside an aggregate in a SELECT without GROUP BY."""
    if select.args.get("group") is not None:
        return False
    aggregates = [item for item in select.expressions if _aggregate_in(item)]
    plain = [item for item in select.expressions if _bare_column_in(item)]
    return bool(aggregates and plain)


def _aggregate_in(item: exp.Expr) -> bool:
    return any(
        isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window)
        for node in item.walk(prune=_inner)
    )


def _bare_column_in(item: exp.Expr) -> bool:
    def stops(node: exp.Expr) -> bool:
        return isinstance(node, exp.AggFunc | exp.Window | exp.Query)

    return any(isinstance(node, exp.Column) for node in item.walk(prune=stops))


def _inner(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query)
