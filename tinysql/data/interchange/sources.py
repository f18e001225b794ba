"""The formats of others read into rows with the same four texts: question, schema, query, split.

    tinysql-rows        the ten columns of withmartian/cs1_dataset
    sql-create-context  b-mc2/sql-create-context
    gretel              gretelai/synthetic_text_to_sql
    spider              taoyds/spider: dev.json and tables.json
    sql-eval            defog-ai/sql-eval: questions_*.csv and a folder of schemas
    jsonl               our own export

Spider's schemas are in tables.json beside the questions, those of sql-eval in a folder apart.
sql-eval puts what a question leaves open into `instructions`, which is appended to it here, and
lists several right queries with semicolons and {optional, columns}: the first query with all of its
columns is the gold one, the text as published stays in `source`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tinysql.data.dataset import SPLITS
from tinysql.data.interchange.config import (
    SPIDER_TABLES,
    ImportConfig,
    data_files,
    spider_tables,
)
from tinysql.data.interchange.records import Record, read_records
from tinysql.data.interchange.spider import spider_schemas
from tinysql.data.interchange.sql_eval import first_gold, sql_eval_schemas, with_instructions
from tinysql.errors import InputError

Schemas = Callable[[str], str]


class Fields(NamedTuple):
    """What a format calls the question, the schema (or its database) and the query."""

    question: str
    schema: str
    gold: str


FIELDS = {
    "tinysql-rows": Fields("english_prompt", "create_statement", "sql_statement"),
    "sql-create-context": Fields("question", "context", "answer"),
    "gretel": Fields("sql_prompt", "sql_context", "sql"),
    "spider": Fields("question", "db_id", "query"),
    "sql-eval": Fields("question", "db_name", "query"),
    "jsonl": Fields("question", "schema_sql", "gold_sql"),
}

_DEFAULT_SPLITS = {"sql-eval": "test"}
"""Of files whose names tell none; "train" for the other formats."""
_SPLIT_WORDS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
_JSON_LISTS = ("table_fields", "select", "order_by")
_DIALECTS = ("sqlite", "postgres", "mysql", "duckdb")
_READ_FIRST = ("test", "validation")
_READ_LAST = "train"


@dataclass(frozen=True)
class RawRow:
    """One row as it was found; any of the texts may still be anything."""

    place: str
    """File and line, for the report."""
    split: str
    command_set: int
    question: Any
    schema_sql: Any
    gold_sql: Any
    dialect: str
    source: Mapping[str, Any]
    """The whole record."""
    missing: str | None = None
    """What is wrong with the record itself."""


@dataclass(frozen=True)
class SourceFile:
    """A data file and the split that its rows are of, unless they tell themselves."""

    path: Path
    split: str


def source_files(folder: Path, config: ImportConfig) -> list[SourceFile]:
    """The files that hold rows: test first, then validation, then the others, and train last."""
    otherwise = _DEFAULT_SPLITS.get(config.format, "train")
    files = [
        SourceFile(path, config.split or split_named(path.stem) or otherwise)
        for path in data_files(folder)
        if not (config.format == "spider" and path.name == SPIDER_TABLES)
    ]
    if not files:
        raise InputError(f"no questions in {str(folder)!r}, only {SPIDER_TABLES}")
    return sorted(files, key=lambda file: (_rank(file.split), file.path))


def _rank(split: str) -> int:
    """What is kept for tests goes before what is trained on, so that the leak is in the latter."""
    if split in _READ_FIRST:
        return _READ_FIRST.index(split)
    return len(_READ_FIRST) + (split == _READ_LAST)


def split_named(stem: str) -> str | None:
    """The split that a file's name tells: one of ours, or "dev" in "my_dev-00001"."""
    ours = stem.partition("-")[0]
    if ours in SPLITS:
        return ours
    words = re.split(r"[^a-z]+", stem.lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)


def schemas_of(folder: Path, config: ImportConfig) -> Schemas | None:
    """The schema of a database by its name; None for formats that hold schemas in their rows."""
    if config.format == "spider":
        known = spider_schemas(spider_tables(folder))
        return lambda name: known.get(name, "")
    if config.format == "sql-eval":
        if config.schemas is None:
            return lambda _: ""
        return sql_eval_schemas(Path(config.schemas).expanduser())
    return None


def read_rows(
    file: SourceFile, config: ImportConfig, schemas: Schemas | None
) -> Iterator[RawRow]:
    """The rows of a file. Raises InputError when its first record is of another format."""
    for number, record in enumerate(read_records(file.path)):
        if number == 0:
            _check_format(record, file.path, config.format)
        yield _raw_row(record, file, config, schemas)


def _check_format(record: Record, path: Path, row_format: str) -> None:
    lacking = [name for name in FIELDS[row_format] if name not in record.values]
    if lacking:
        has = ", ".join(list(record.values)[:12]) or "nothing"
        raise InputError(
            f"{path}:{record.line}: not {row_format}: no {lacking[0]!r} among {has}; "
            "give another --format"
        )


def _raw_row(
    record: Record, file: SourceFile, config: ImportConfig, schemas: Schemas | None
) -> RawRow:
    values = record.values
    question, schema, gold = (values.get(name) for name in FIELDS[config.format])
    if schemas is not None:
        schema = schemas(schema) if isinstance(schema, str) else schema
    dialect = config.dialect
    if config.format == "sql-eval":
        dialect = values["db_type"] if values.get("db_type") in _DIALECTS else dialect
        question = with_instructions(question, values.get("instructions"))
        gold = first_gold(gold, dialect) if isinstance(gold, str) else gold
    is_ours = config.format in ("tinysql-rows", "jsonl")
    return RawRow(
        place=f"{file.path.name}:{record.line}",
        split=_split(values.get("split"), file.split) if not config.split else config.split,
        command_set=_command_set(values.get("command_set")) if is_ours else 0,
        question=question,
        schema_sql=schema,
        gold_sql=gold,
        dialect=dialect,
        source=values,
        missing=_broken_list(values) if config.format == "tinysql-rows" else None,
    )


def _split(value: Any, otherwise: str) -> str:
    named = isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]{0,40}", value)
    return value if named else otherwise


def _command_set(value: Any) -> int:
    """The number that a row gives, 0 where it gives none that fits."""
    return value if isinstance(value, int) and 0 <= value <= 127 else 0


def _broken_list(values: Mapping[str, Any]) -> str | None:
    """Which JSON column of the ten-column format is none."""
    for name in _JSON_LISTS:
        value = values.get(name)
        try:
            good = value is None or isinstance(json.loads(value), list | None)
        except (TypeError, ValueError, RecursionError):
            good = False
        if not good:
            return f"{name} is not a JSON list"
    return None
