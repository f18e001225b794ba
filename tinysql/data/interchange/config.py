"""What is exported or imported, and by which content an import is identified."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from tinysql.config import Config
from tinysql.errors import InputError

ExportFormat = Literal["tinysql-rows", "sql-create-context", "jsonl"]
ImportFormat = Literal[
    "tinysql-rows", "sql-create-context", "gretel", "spider", "sql-eval", "jsonl"
]
EXPORT_FORMATS: tuple[str, ...] = get_args(ExportFormat)
IMPORT_FORMATS: tuple[str, ...] = get_args(ImportFormat)

DATA_SUFFIXES = (".parquet", ".json", ".jsonl", ".ndjson", ".csv")
"""What is read of a source, and fetched from the Hub: data files only."""
REPORT = "report.json"
QUARANTINE = "quarantine.parquet"
BESIDE_ROWS = ("card.json", REPORT, QUARANTINE)
"""What our own datasets hold beside their rows, so that they can be imported, too."""
MAX_FILE_BYTES = 4 * 2**30
"""No published set of this kind comes near it; a larger file is a mistake."""

SPIDER_TABLES = "tables.json"

_BLOCK_BYTES = 2**20


class ExportConfig(Config):
    """What is written of a dataset, and how."""

    format: ExportFormat
    """The row format; see tinysql/data/interchange/rows.py."""
    splits: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Splits to export; None means every split."""


class ImportConfig(Config):
    """Where rows come from and how they are read."""

    source: str = Field(min_length=1)
    """A data file or a directory of them; with `revision`, a dataset of the Hugging Face Hub."""
    format: ImportFormat
    """The row format of the source."""
    revision: str | None = None
    """40-digit commit of a Hub dataset; None means that the source is on this machine."""
    split: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """Split of every row; None means as the rows or else the file names tell."""
    schemas: str | None = None
    """sql-eval only: directory with a .json or .sql file for each database."""
    dialect: Literal["sqlite", "postgres", "mysql", "duckdb"] = "sqlite"
    """SQL dialect of the queries; any other than sqlite is translated to it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f"revision: got {self.revision!r}, expected the 40-digit commit of {self.source}"
            )
        if self.schemas is not None and self.format != "sql-eval":
            raise ValueError(f"schemas: only sql-eval has them apart, format is {self.format!r}")
        return self


def identify_import(config: ImportConfig) -> dict[str, Any]:
    """The science of an import: a local source counts by its content, wherever it lies."""
    science = config.model_dump(mode="json")
    if config.revision is None:
        source = Path(config.source).expanduser()
        files = data_files(source)
        if config.format == "spider":
            files = sorted({*files, spider_tables(source)})
        science["source"] = content_of(files)
    if config.schemas is not None:
        science["schemas"] = content_of(schema_files(Path(config.schemas).expanduser()))
    return science


def data_files(source: Path) -> list[Path]:
    """The data files of a source, sorted; raises InputError when there is none or one is huge."""
    if source.parts[:1] == ("s3:",):
        raise InputError("a source is no bucket: copy it to a directory of this machine first")
    if not source.exists():
        raise InputError(
            f"no file or directory {str(source)!r}; a Hub dataset needs its commit as revision"
        )
    below = (file for file in source.rglob("*") if file.name not in BESIDE_ROWS)
    files = [source] if source.is_file() else sorted(below)
    files = [file for file in files if file.suffix in DATA_SUFFIXES and file.is_file()]
    if not files:
        raise InputError(
            f"no data in {str(source)!r}: expected files that end in {', '.join(DATA_SUFFIXES)}"
        )
    for file in files:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InputError(
                f"{file}: {file.stat().st_size} bytes, expected at most {MAX_FILE_BYTES}; "
                "split the file"
            )
    return files


def schema_files(folder: Path) -> list[Path]:
    """The .json and .sql files below a directory, sorted; raises InputError without any."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in (".json", ".sql")]
    if not files:
        raise InputError(f"no schemas in {str(folder)!r}: expected <db_name>.json or <db_name>.sql")
    return files


def spider_tables(source: Path) -> Path:
    """Spider's file of schemas in a folder, or beside a file; raises InputError without any."""
    folder = source if source.is_dir() else source.parent
    found = sorted(folder.rglob(SPIDER_TABLES))
    if not found:
        raise InputError(f"no {SPIDER_TABLES} in {str(folder)!r}: Spider's schemas are there")
    return found[0]


def content_of(files: Iterable[Path]) -> str:
    """A hash of the names and bytes of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + sha256_of(file).encode())
    return f"sha256:{digest.hexdigest()}"


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
