"""Datasets of others as Parquet files like ours: good rows by split, the rest in quarantine.

    {split}-00000.parquet   rows in the order they were read; ids number all rows read
    quarantine.parquet      the other rows, each with its problems
    report.json             counts, shares and examples

Files of a test split are read first, then validation, those of training last: of a row that is in
two splits the training copy is the leak. Memory grows by a few hundred bytes for every row, for the
hashes that find duplicates and leaks, and by nothing else.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tinysql.data.dataset import SHARD_ROWS
from tinysql.data.interchange.check import Checked
from tinysql.data.interchange.checking import check_rows
from tinysql.data.interchange.columns import IMPORTED, QUARANTINED, VARIANT
from tinysql.data.interchange.config import QUARANTINE, REPORT, ImportConfig, sha256_of
from tinysql.data.interchange.problems import Finding, Problem
from tinysql.data.interchange.report import Report
from tinysql.data.interchange.sources import (
    RawRow,
    SourceFile,
    read_rows,
    schemas_of,
    source_files,
)
from tinysql.data.interchange.writing import ParquetWriter
from tinysql.data.writing import whole_folder
from tinysql.errors import InputError

Advance = Callable[[int], None]

_MAX_SPLITS = 64
"""Each is an open file."""


def import_dataset(
    out: Path, config: ImportConfig, advance: Advance = lambda _: None, *, workers: int = 1
) -> dict[str, Any]:
    """Import into a new folder, which appears whole; returns the report.

    workers: processes that check rows; they change nothing but the time it takes.

    Raises InputError when the source is not what the configuration says, or the folder is not new.
    """
    with whole_folder(out) as folder:
        return import_into(folder, config, advance, workers=workers)


def import_shard(out_dir: Path, *, config: ImportConfig, workers: int = 1) -> dict[str, Any]:
    """Shard function: the same into a folder that is there; returns the counts."""
    report = import_into(out_dir, config, workers=workers)
    problems = {name: kind["rows"] for name, kind in report["problems"].items()}
    return {
        "rows": report["accepted"],
        "quarantined": report["quarantined"],
        "splits": {split: counts["accepted"] for split, counts in report["splits"].items()},
        "problems": problems,
    }


def import_into(
    folder: Path, config: ImportConfig, advance: Advance = lambda _: None, *, workers: int = 1
) -> dict[str, Any]:
    """Write the files of an import below an existing folder; returns the report."""
    source = _local_source(config)
    schemas = schemas_of(source, config)
    files = source_files(source, config)
    report = Report()
    with ExitStack() as open_files:
        quarantine = open_files.enter_context(
            closing(ParquetWriter(folder / QUARANTINE, QUARANTINED))
        )
        splits = open_files.enter_context(closing(_Splits(folder)))
        seen = _Seen()
        rows = (row for file in files for row in read_rows(file, config, schemas))
        # Closed at once where it ends early, or Ctrl-C would wait for the rows in hand.
        every = open_files.enter_context(closing(check_rows(rows, workers)))
        for number, (row, checked) in enumerate(every):
            findings = [*checked.findings, *seen.add(row.split, checked)]
            record = json.dumps(row.source, default=str)
            if findings:
                quarantine.write(_quarantined(number, row, findings, record))
                texts = {"question": row.question, "gold_sql": row.gold_sql}
                report.quarantine(row.split, row.place, texts, findings)
            else:
                values = _accepted(number, row, checked, record)
                splits.write(values)
                report.accept(values, row.place, checked.notes)
            advance(1)
    if report.rows == 0:
        raise InputError(f"no rows in {config.source!r}: expected at least one")
    found = {"source": _origin(config, files), **report.as_json()}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return found


def _local_source(config: ImportConfig) -> Path:
    if config.revision is None:
        return Path(config.source).expanduser()
    # Only now: the client of the Hub takes a while to load, and most sources are local.
    from tinysql.data.interchange.hub import fetch_dataset  # noqa: PLC0415

    return fetch_dataset(config.source, config.revision)


def _origin(config: ImportConfig, files: Iterable[SourceFile]) -> dict[str, Any]:
    """Where the rows came from: content, not places, so that a report is the same anywhere."""
    return {
        "name": config.source if config.revision else Path(config.source).name,
        "revision": config.revision,
        "format": config.format,
        "files": [
            {"name": file.path.name, "split": file.split, "sha256": sha256_of(file.path)}
            for file in files
        ],
    }


def _accepted(number: int, row: RawRow, checked: Checked, record: str) -> dict[str, Any]:
    return {
        "id": number,
        "command_set": row.command_set,
        "split": row.split,
        "variant": VARIANT,
        "question": row.question,
        **checked.values,
        "source": record,
    }


def _quarantined(
    number: int, row: RawRow, findings: Iterable[Finding], record: str
) -> dict[str, Any]:
    return {
        "id": number,
        "split": row.split,
        "place": row.place,
        "question": _storable(row.question),
        "schema_sql": _storable(row.schema_sql),
        "gold_sql": _storable(row.gold_sql),
        "problems": [
            {"problem": each.problem, "detail": _storable(each.detail)} for each in findings
        ],
        "source": record,
    }


def _storable(text: Any) -> str | None:
    """The text without lone surrogates, which Parquet cannot hold; None of anything else."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else None


class _Seen:
    """The rows so far by hash, to find what is there twice."""

    def __init__(self) -> None:
        self._rows: dict[str, set[int]] = {}
        self._questions: dict[int, str] = {}
        self._golds: dict[int, str] = {}

    def add(self, split: str, checked: Checked) -> list[Finding]:
        """Note the row; the findings that say where it was before."""
        findings = []
        if checked.row_key is not None:
            rows = self._rows.setdefault(split, set())
            if checked.row_key in rows:
                findings.append(Finding(Problem.DUPLICATE, f"the row stands earlier in {split}"))
            rows.add(checked.row_key)
        for what, known, key in (
            ("question", self._questions, checked.question_key),
            ("query", self._golds, checked.gold_key),
        ):
            before = split if key is None else known.setdefault(key, split)
            if before != split:
                detail = f"the {what}, with the same schema, is in {before}"
                findings.append(Finding(Problem.LEAK, detail))
        return findings


class _Splits:
    """The files of accepted rows, each of at most SHARD_ROWS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, ParquetWriter] = {}
        self._counts: dict[str, int] = {}

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row to its split."""
        split = row["split"]
        count = self._counts.get(split, 0)
        if len(self._counts) == _MAX_SPLITS and not count:
            raise InputError(
                f"over {_MAX_SPLITS} splits, the last one {split!r}; name one with --split"
            )
        if count % SHARD_ROWS == 0:
            if count:
                self._writers[split].close()
            name = f"{split}-{count // SHARD_ROWS:05d}.parquet"
            self._writers[split] = ParquetWriter(self._folder / name, IMPORTED)
        self._writers[split].write(row)
        self._counts[split] = count + 1

    def close(self) -> None:
        """Close every file."""
        for writer in self._writers.values():
            writer.close()
