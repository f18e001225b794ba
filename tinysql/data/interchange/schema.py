"""CREATE TABLE texts of others as records, and records as the text that our rows have."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from tinysql.data.interchange.problems import Finding, Problem, Refused, refuse
from tinysql.data.interchange.reserved import reserved_in
from tinysql.data.interchange.sql_text import Statement, parse, statements

MAX_TABLES = 127
"""A table's number is one byte in our rows."""

# What stands in the place of a column's name where a constraint of the table begins.
_CONSTRAINTS = frozenset(
    ["PRIMARY KEY", "FOREIGN KEY", "UNIQUE", "CHECK", "CONSTRAINT"]
)
# What ends the type of a column: the first word of a constraint.
_AFTER_TYPE = frozenset(
    ["PRIMARY KEY", "NOT", "NULL", "UNIQUE", "REFERENCES", "DEFAULT", "CHECK", "COLLATE"]
    + ["CONSTRAINT", "GENERATED", "AS", "AUTOINCREMENT", "AUTO_INCREMENT", "COMMENT", "ON"]
)


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table and the columns of another that they refer to."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    """Empty for the parent's primary key."""


@dataclass(frozen=True)
class Table:
    """One table: (column, type) pairs in order and its keys."""

    name: str
    columns: tuple[tuple[str, str], ...]
    primary: tuple[str, ...] = ()
    foreign: tuple[ForeignKey, ...] = ()

    def has(self, column: str) -> bool:
        """Whether it has the column, in any spelling."""
        return any(name.lower() == column.lower() for name, _ in self.columns)


@dataclass(frozen=True)
class Schema:
    """The tables of a text, its CREATE TABLE statements, and what is wrong with their names."""

    tables: tuple[Table, ...]
    statements: tuple[str, ...]
    left_out: int
    """Statements of the text that create no table."""
    findings: tuple[Finding, ...]

    @property
    def text(self) -> str:
        """The statements as our rows hold them."""
        return "; ".join(self.statements)


def read_schema(text: str, dialect: str = "sqlite") -> Schema:
    """The tables that a text creates; refuses one that creates none or cannot be parsed.

    A name's schema, as in public.users, is left out in other dialects; SQLite has no such thing.
    """
    tables: list[Table] = []
    texts: list[str] = []
    findings: list[Finding] = []
    found = statements(text, dialect, Problem.SCHEMA_UNPARSABLE)
    for statement in found:
        if not _creates_table(statement):
            continue
        findings += _reserved_names(statement)
        try:
            tree = parse(statement, dialect, Problem.SCHEMA_UNPARSABLE)
        except Refused:
            if findings:
                raise refuse(findings[0].problem, findings[0].detail) from None
            raise
        tables.append(_read_table(tree, statement, qualified=dialect != "sqlite"))
        texts.append(statement.one_line())
    if not tables:
        raise refuse(Problem.NO_SCHEMA, "no CREATE TABLE")
    if len(tables) > MAX_TABLES:
        raise refuse(Problem.TOO_LARGE, f"{len(tables)} tables, at most {MAX_TABLES}")
    findings += _dangling(tables)
    return Schema(tuple(tables), tuple(texts), len(found) - len(tables), tuple(findings))


def _creates_table(statement: Statement) -> bool:
    words = [_word(token) for token in statement.tokens[:3]]
    return words[:1] == ["CREATE"] and "TABLE" in words[1:]


def _word(token: Token) -> str:
    """A keyword in one spelling; "" for a quoted name, which is none."""
    quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
    return "" if quoted else " ".join(token.text.upper().split())


def _reserved_names(statement: Statement) -> Iterable[Finding]:
    """Reserved words among the names that the statement declares without quotes."""
    for token in _declared(statement.tokens):
        engines = reserved_in(token.text) if token.token_type != TokenType.IDENTIFIER else ()
        if engines:
            detail = f"{token.text!r} is reserved in {', '.join(engines)}"
            yield Finding(Problem.RESERVED_NAME, detail)


def _declared(tokens: Sequence[Token]) -> Iterable[Token]:
    """The tokens at the places of the table's and the columns' names."""
    depth = 0
    place = list(map(_word, tokens)).index("TABLE") + 1
    while tokens[place : place + 1] and _word(tokens[place]) in ("IF", "NOT", "EXISTS"):
        place += 1
    yield from tokens[place : place + 1]
    for before, token in zip(tokens[place:], tokens[place + 1 :], strict=False):
        depth += (before.token_type == TokenType.L_PAREN) - (before.token_type == TokenType.R_PAREN)
        opens = before.token_type in (TokenType.L_PAREN, TokenType.COMMA)
        if depth == 1 and opens and _word(token) not in _CONSTRAINTS:
            yield token


def _read_table(tree: exp.Expression, statement: Statement, *, qualified: bool) -> Table:
    body = tree.this if isinstance(tree, exp.Create) else None
    if not isinstance(body, exp.Schema) or tree.args.get("expression") is not None:
        raise refuse(Problem.SCHEMA_UNPARSABLE, "CREATE TABLE without a list of columns")
    table = body.this
    if table.args.get("db") is not None and not qualified:
        raise refuse(Problem.SCHEMA_FAILS, f"unknown database {table.args['db'].name!r}")
    columns: list[tuple[str, str]] = []
    primary: list[str] = []
    foreign: list[ForeignKey] = []
    for item in body.expressions:
        if isinstance(item, exp.Identifier):
            columns.append((item.name, ""))
        elif isinstance(item, exp.ColumnDef):
            columns.append((item.name, _type_text(item.this, statement)))
            for constraint in item.args.get("constraints") or ():
                if isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint):
                    primary.append(item.name)
                elif isinstance(constraint.kind, exp.Reference):
                    foreign.append(_foreign_key((item.name,), constraint.kind))
        else:
            for key in item.find_all(exp.PrimaryKey):
                primary += [part.name for part in key.expressions]
            for key in item.find_all(exp.ForeignKey):
                names = tuple(part.name for part in key.expressions)
                if isinstance(key.args.get("reference"), exp.Reference):
                    foreign.append(_foreign_key(names, key.args["reference"]))
    keys = tuple(dict.fromkeys(foreign))
    return Table(table.name, tuple(columns), tuple(dict.fromkeys(primary)), keys)


def _foreign_key(columns: tuple[str, ...], reference: exp.Reference) -> ForeignKey:
    target = reference.this
    if isinstance(target, exp.Schema):
        names = tuple(part.name for part in target.expressions)
        return ForeignKey(columns, target.this.name, names)
    return ForeignKey(columns, target.name, ())


def _type_text(name: exp.Identifier, statement: Statement) -> str:
    """The type as written, which sqlglot itself would render in its own words."""
    end = name.meta["end"]
    first = bisect_right(statement.tokens, end, key=lambda token: token.start)
    depth = 0
    written: list[Token] = []
    for token in islice(statement.tokens, first, None):
        depth -= token.token_type == TokenType.R_PAREN
        ends = token.token_type == TokenType.COMMA or _word(token) in _AFTER_TYPE
        if depth < 0 or (depth == 0 and ends):
            break
        depth += token.token_type == TokenType.L_PAREN
        written.append(token)
    return " ".join(statement.written(written[0], written[-1]).split()) if written else ""


def _dangling(tables: Sequence[Table]) -> Iterable[Finding]:
    by_name = {table.name.lower(): table for table in tables}
    for table in tables:
        for key in table.foreign:
            parent = by_name.get(key.parent.lower())
            lacking = (
                [key.parent]
                if parent is None
                else [f"{key.parent}.{name}" for name in key.parent_columns if not parent.has(name)]
            )
            lacking += [f"{table.name}.{name}" for name in key.columns if not table.has(name)]
            if lacking:
                detail = f"{table.name} refers to {key.parent}; there is no {lacking[0]}"
                yield Finding(Problem.DANGLING_FOREIGN_KEY, detail)


def schema_records(tables: Sequence[Table]) -> dict[str, list[dict[str, Any]]]:
    """The columns `tables`, `columns` and `foreign_keys` of a row."""
    number = {table.name.lower(): place for place, table in enumerate(tables)}
    columns, keys = [], []
    for place, table in enumerate(tables):
        primary = {name.lower() for name in table.primary}
        referring = {name.lower() for key in table.foreign for name in key.columns}
        for name, declared in table.columns:
            key = "foreign" if name.lower() in referring else ""
            key = "primary" if name.lower() in primary else key
            record = {"table": place, "name": name, "type": declared, "kind": "", "key": key}
            columns.append(record)
        for foreign in table.foreign:
            parent = number.get(foreign.parent.lower())
            if parent is None:
                continue
            targets = foreign.parent_columns or tables[parent].primary
            for column, target in zip(foreign.columns, targets, strict=False):
                keys.append(
                    {"table": place, "column": column, "parent": parent, "parent_column": target}
                )
    return {
        "tables": [{"name": table.name, "phrase": None} for table in tables],
        "columns": columns,
        "foreign_keys": keys,
    }
