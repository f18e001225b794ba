"""What is particular to sql-eval (defog-ai/sql-eval): schemas apart, several right queries.

Schemas: for each database a .sql file, or a .json file with `table_metadata`, a list of
{column_name, data_type} per table, as in defog-ai/defog-data. A cell of queries holds statements
with semicolons; {a, b} stands for any of these columns and {} for the same ones again.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sqlglot.tokens import TokenType

from tinysql.data.interchange.config import schema_files
from tinysql.data.interchange.ddl import render_schema
from tinysql.data.interchange.problems import Problem, Refused
from tinysql.data.interchange.schema import Table, read_schema
from tinysql.data.interchange.sql_text import statements
from tinysql.errors import InputError

_MAX_SCHEMA_FILE_BYTES = 32 * 2**20
_SERIAL = {"SERIAL": "INTEGER", "BIGSERIAL": "BIGINT", "SMALLSERIAL": "SMALLINT"}


def sql_eval_schemas(folder: Path) -> Callable[[str], str]:
    """What gives the CREATE TABLE text of a database, "" where the folder has no file for it.

    A .sql file goes before a .json file, which has no keys.
    """
    files = {path.stem: path for path in sorted(schema_files(folder))}
    return cache(lambda name: _read_file(files[name]) if name in files else "")


def _read_file(path: Path) -> str:
    if path.stat().st_size > _MAX_SCHEMA_FILE_BYTES:
        raise InputError(f"{path}: over {_MAX_SCHEMA_FILE_BYTES} bytes; give the tables alone")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return (_from_json if path.suffix == ".json" else _from_sql)(text, path)


def _from_sql(text: str, path: Path) -> str:
    try:
        return render_schema(map(_without_serial, read_schema(text, "postgres").tables))
    except Refused as refused:
        raise InputError(f"{path}: {refused.finding.detail}; expected CREATE TABLE") from refused


def _without_serial(table: Table) -> Table:
    """PostgreSQL's counters as the numbers that they are, which other engines have, too."""
    columns = [(name, _SERIAL.get(declared.upper(), declared)) for name, declared in table.columns]
    return replace(table, columns=tuple(columns))


def _from_json(text: str, path: Path) -> str:
    try:
        values = json.loads(text)
        metadata = values.get("table_metadata", values)
        return render_schema(
            Table(
                str(name),
                tuple(
                    (str(column["column_name"]), _plain_type(str(column["data_type"])))
                    for column in columns
                ),
            )
            for name, columns in metadata.items()
        )
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {type(error).__name__} {error}; expected "
            '{"table_metadata": {table: [{"column_name": .., "data_type": ..}]}}'
        ) from error


def _plain_type(declared: str) -> str:
    """The type where it is words and numbers, as SQLite takes it; else TEXT."""
    plain = declared.replace("(", " ").replace(")", " ").replace(",", " ").split()
    good = plain and plain[0].isidentifier() and all(word.isalnum() for word in plain[1:])
    return declared if good else "TEXT"


def with_instructions(question: Any, instructions: Any) -> Any:
    """The question and what the row adds to it; anything but a text is left as it is."""
    if not isinstance(question, str) or not isinstance(instructions, str):
        return question
    return f"{question} {instructions}" if instructions.strip() else question


def first_gold(text: str, dialect: str) -> str:
    """The first query of a cell, with every column in braces; the cell where there is none."""
    try:
        found = statements(text, dialect, Problem.GOLD_UNPARSABLE)
    except Refused:
        return text
    if not found:
        return text
    statement = found[0]
    braces = [
        token
        for token in statement.tokens
        if token.token_type in (TokenType.L_BRACE, TokenType.R_BRACE)
    ]
    columns = ""
    replacements = {}
    for opening, closing in zip(braces[::2], braces[1::2], strict=False):
        columns = statement.source[opening.end + 1 : closing.start].strip() or columns
        replacements[opening.start, closing.end + 1] = columns
    return statement.replaced(replacements)
