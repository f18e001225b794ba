"""Files that are there whole or not at all, and the writers of rows into them.

A file is written under a temporary name in its own folder, flushed to the disk and renamed. A
killed process leaves at most a hidden temporary file.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.errors import InputError

Row = Mapping[str, Any]
_GROUP_ROWS = 5_000


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary path in the target's folder, which becomes the target if the block ends well."""
    with _temporary(target) as temporary:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """The same for a new folder; raises InputError when the target has something in it."""
    target = target.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{str(target)!r} is not empty: give a new or an empty directory")
    with _temporary(target) as temporary:
        temporary.mkdir()
        yield temporary
        for file in sorted(temporary.iterdir()):
            _flush(file)
        os.replace(temporary, target)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror}") from error
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"cannot write {str(target)!r}: no permission to")
    try:
        yield temporary
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Writer(Protocol):
    """Takes rows one by one; what it wrote is complete once it is closed."""

    def write(self, row: Row) -> None:
        """Append a row."""

    def close(self) -> None:
        """Write what is left."""


class JsonWriter:
    """Rows as JSON objects: one per line, or the elements of one array."""

    def __init__(self, path: Path, *, as_array: bool) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._separator = ",\n" if as_array else "\n"
        self._end = "\n]\n" if as_array else "\n"
        self._file.write("[\n" if as_array else "")
        self._empty = True

    def write(self, row: Row) -> None:
        """Append a row."""
        lead = "" if self._empty else self._separator
        self._file.write(lead + json.dumps(row, ensure_ascii=False, allow_nan=False))
        self._empty = False

    def close(self) -> None:
        """Write what closes the last line or the array."""
        with self._file:
            # A line end alone would be an empty line, where there should be no row.
            self._file.write("" if self._empty and self._separator == "\n" else self._end)


class ParquetWriter:
    """Rows as a Parquet file, in groups, so that memory does not grow with their number."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        """Append a row."""
        self._rows.append(row)
        if len(self._rows) == _GROUP_ROWS:
            self._write_group()

    def close(self) -> None:
        """Write the last group and the footer."""
        with self._file:
            if self._rows:
                self._write_group()

    def _write_group(self) -> None:
        self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows = []
