"""One row of somebody else's dataset: what is wrong with it, and the row as ours.

Every check runs that still can: a row that is refused for its schema is not run, but a query that
cannot be parsed is found all the same.
"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tinysql.data.interchange.gold import Gold, read_gold, run_gold
from tinysql.data.interchange.problems import Finding, Note, Problem, Refused
from tinysql.data.interchange.sandbox import small_database
from tinysql.data.interchange.schema import Schema, read_schema, schema_records
from tinysql.data.interchange.sources import RawRow
from tinysql.data.interchange.sql_text import MAX_SCHEMA_CHARS, MAX_SQL_CHARS
from tinysql.sql.spider import hardness

MAX_QUESTION_CHARS = 20_000
_LIMITS = {
    "question": MAX_QUESTION_CHARS,
    "schema": MAX_SCHEMA_CHARS,
    "query": MAX_SQL_CHARS,
}
# Neighboring questions of one database share its schema.
_KEPT_SCHEMAS = 64


@dataclass(frozen=True)
class CheckedSchema:
    """A schema, and a database with it unless something is wrong."""

    schema: Schema | None
    database: bytes | None
    findings: tuple[Finding, ...]


@dataclass
class Checked:
    """A row's problems and notes, its values as ours, and what tells it from others."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    """The columns read from the schema and the query; some are missing where there are findings."""
    question_key: int | None = None
    """64 bits, the same for the same question and schema; None where one of them is missing."""
    gold_key: int | None = None
    """The same of query and schema."""
    row_key: int | None = None
    """The same of all three."""


def check_row(row: RawRow) -> Checked:
    """What there is to say about a row without looking at any other."""
    checked = Checked()
    texts = {"question": row.question, "schema": row.schema_sql, "query": row.gold_sql}
    if row.missing:
        checked.findings.append(Finding(Problem.MALFORMED_ROW, row.missing))
    for name, text in texts.items():
        finding = _text_problem(name, text)
        if finding is not None:
            checked.findings.append(finding)
            texts[name] = ""
    found = check_schema(texts["schema"]) if texts["schema"] else None
    if found is not None:
        checked.findings += found.findings
    gold = _check_gold(row, texts["query"], found, checked) if texts["query"] else None
    schema = found.schema if found else None
    if schema is not None:
        checked.values = {"schema_sql": schema.text, **schema_records(schema.tables)}
        checked.notes += [Note.STATEMENTS_LEFT_OUT] if schema.left_out else []
    if gold is not None:
        checked.values |= {"gold_sql": gold.sql, "hardness": hardness(gold.tree)}
    _add_keys(checked, texts["question"], schema or texts["schema"], gold or texts["query"])
    return checked


def _text_problem(name: str, text: Any) -> Finding | None:
    if name == "schema" and text == "":
        return Finding(Problem.NO_SCHEMA, "there is none for the row")
    if text is None or text == "" or (isinstance(text, str) and not text.strip()):
        return Finding(Problem.MALFORMED_ROW, f"{name} is empty")
    if not isinstance(text, str):
        return Finding(Problem.MALFORMED_ROW, f"{name} is {type(text).__name__}, expected text")
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return Finding(Problem.MALFORMED_ROW, f"{name} has characters that are no text")
    if len(text) > _LIMITS[name]:
        detail = f"{name} has {len(text)} characters, at most {_LIMITS[name]}"
        return Finding(Problem.TOO_LARGE, detail)
    return None


@lru_cache(_KEPT_SCHEMAS)
def check_schema(text: str) -> CheckedSchema:
    """The schema of a text and whether SQLite takes it."""
    try:
        schema = read_schema(text)
    except Refused as refused:
        return CheckedSchema(None, None, (refused.finding,))
    try:
        return CheckedSchema(schema, small_database(schema), schema.findings)
    except Refused as refused:
        return CheckedSchema(schema, None, (*schema.findings, refused.finding))


def _check_gold(
    row: RawRow, text: str, found: CheckedSchema | None, checked: Checked
) -> Gold | None:
    try:
        gold = read_gold(text, found.schema if found else None, row.dialect)
    except Refused as refused:
        checked.findings.append(refused.finding)
        return None
    checked.notes += gold.notes
    if found is not None and found.database is not None:
        finding = run_gold(gold, found.database)
        checked.findings += [finding] if finding else []
    return gold


def _add_keys(checked: Checked, question: str, schema: Schema | str, gold: Gold | str) -> None:
    asked = " ".join(question.casefold().split()).rstrip(".?! ")
    tables = _plain(schema) if isinstance(schema, str) else repr(_names(schema))
    answer = gold.spelling if isinstance(gold, Gold) else _plain(gold)
    checked.question_key = _hash(asked, tables)
    checked.gold_key = _hash(answer, tables)
    checked.row_key = _hash(asked, answer, tables)


def _names(schema: Schema) -> list[Any]:
    return [
        (table.name.lower(), [(name.lower(), declared.upper()) for name, declared in table.columns])
        for table in schema.tables
    ]


def _plain(sql: str) -> str:
    """What can be said of a text that is no SQL."""
    return " ".join(sql.split())


def _hash(*parts: str) -> int | None:
    if not all(parts):
        return None
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
