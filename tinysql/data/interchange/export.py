"""Our Parquet datasets written in the formats of others, row by row, in memory that stays flat."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.data.interchange.config import ExportConfig
from tinysql.data.interchange.rows import NEEDS, TEXTS, TINYSQL_SCHEMA, convert, left_out
from tinysql.data.interchange.writing import JsonWriter, ParquetWriter, Row, Writer
from tinysql.data.writing import whole_file
from tinysql.errors import InputError

SUFFIXES = {
    "tinysql-rows": (".parquet", ".jsonl"),
    "sql-create-context": (".json", ".jsonl"),
    "jsonl": (".jsonl",),
}
"""What a file of a format may end in; the first one is the default."""

_BATCH_ROWS = 1_000
Advance = Callable[[int], None]


@dataclass
class Exported:
    """What came of an export: rows written by file, rows left out by reason."""

    files: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(self.files.values())

    def as_json(self) -> dict[str, Any]:
        """The same in JSON values."""
        return {
            "rows": self.rows,
            "left_out": sum(self.left_out.values()),
            "left_out_because": dict(sorted(self.left_out.items())),
            "files": self.files,
        }


def export_dataset(
    dataset: Path, out: Path, config: ExportConfig, advance: Advance = lambda _: None
) -> Exported:
    """Write a dataset to `out`: a file per split in a folder, or one file where it has a suffix.

    Every file appears whole, and none before all are written. Raises InputError when the folder
    holds no dataset, or `out` cannot hold the format.
    """
    files = dataset_files(dataset, config.splits)
    targets = _targets(files, out, config.format)
    exported = Exported()
    with ExitStack() as finished:
        for target, parts in targets.items():
            temporary = finished.enter_context(whole_file(target))
            _write_file(temporary, target.suffix, parts, config.format, exported, target, advance)
    return exported


def export_file(
    out_dir: Path, *, dataset: Path, file_name: str, config: ExportConfig
) -> dict[str, int]:
    """Shard function: one Parquet file of a dataset, written to `out_dir` in the format."""
    suffix = SUFFIXES[config.format][0]
    target = out_dir / f"{file_name.removesuffix('.parquet')}{suffix}"
    exported = Exported()
    with whole_file(target) as temporary:
        parts = [dataset / file_name]
        _write_file(temporary, suffix, parts, config.format, exported, target, lambda _: None)
    return {"rows": exported.rows, "left_out": sum(exported.left_out.values())}


def dataset_files(dataset: Path, splits: Sequence[str] | None = None) -> list[Path]:
    """The Parquet files of these splits, in row order; raises InputError when a split has none."""
    found = sorted(path for path in dataset.glob("*.parquet") if split_of(path.name))
    if not found:
        raise InputError(
            f"no dataset in {str(dataset)!r}: expected <split>-00000.parquet, "
            "as `tinysql data generate` writes it"
        )
    check_splits([path.name for path in found], splits)
    return [path for path in found if splits is None or split_of(path.name) in splits]


def check_splits(file_names: Iterable[str], splits: Sequence[str] | None) -> None:
    """Raise InputError when one of the splits is not among the files'."""
    known = sorted({split_of(name) for name in file_names})
    for split in splits or ():
        if split not in known:
            raise InputError(f"unknown split {split!r}; expected one of {', '.join(known)}")


def num_rows(dataset: Path, splits: Sequence[str] | None = None) -> int:
    """Rows of these splits, from the files' footers."""
    rows = 0
    for path in dataset_files(dataset, splits):
        with _opened(path) as file:
            rows += file.metadata.num_rows
    return rows


def split_of(file_name: str) -> str:
    """The split that a file {split}-{number}.parquet is of; "" for any other name."""
    split, _, number = file_name.removesuffix(".parquet").rpartition("-")
    return split if number.isdecimal() and file_name.endswith(".parquet") else ""


def _split_of(path: Path) -> str:
    return split_of(path.name)


def _targets(files: Sequence[Path], out: Path, row_format: str) -> dict[Path, list[Path]]:
    """The files to write, with the dataset's files that go into each."""
    allowed = SUFFIXES[row_format]
    if not out.suffix or out.is_dir():
        return {
            out / f"{split}{allowed[0]}": list(parts) for split, parts in groupby(files, _split_of)
        }
    if out.suffix not in allowed:
        raise InputError(
            f"--out {str(out)!r}: {row_format} goes into files that end in {' or '.join(allowed)}, "
            "or into a folder"
        )
    splits = sorted(set(map(_split_of, files)))
    if row_format != "jsonl" and len(splits) > 1:
        raise InputError(
            f"--out {str(out)!r}: {row_format} does not tell splits apart and the dataset has "
            f"{', '.join(splits)}; give a folder, or one of them with --split"
        )
    return {out: list(files)}


def _write_file(
    temporary: Path,
    suffix: str,
    parts: Sequence[Path],
    row_format: str,
    exported: Exported,
    target: Path,
    advance: Advance,
) -> None:
    count = 0
    with closing(_writer(temporary, suffix)) as writer:
        for part in parts:
            for row in read_rows(part, NEEDS[row_format]):
                reason = left_out(row, row_format)
                advance(1)
                if reason is not None:
                    exported.left_out[reason] += 1
                    continue
                writer.write(convert(row, row_format))
                count += 1
    exported.files[target.name] = count


def _writer(path: Path, suffix: str) -> Writer:
    if suffix == ".parquet":
        return ParquetWriter(path, TINYSQL_SCHEMA)
    return JsonWriter(path, as_array=suffix == ".json")


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a Parquet file of ours with those of the columns that it has.

    Where it has no `split`, the file's name tells it. Raises InputError for any other file.
    """
    with _opened(path) as file:
        names = file.schema_arrow.names
        missing = [name for name in TEXTS if name not in names]
        if missing:
            raise InputError(
                f"{path}: no column {missing[0]!r}; expected a dataset with {', '.join(TEXTS)}"
            )
        present = [name for name in columns if name in names]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=present):
            for row in batch.to_pylist():
                yield {"split": split_of(path.name), **row}


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {error}") from error
