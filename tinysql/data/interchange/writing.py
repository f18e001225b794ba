"""The writers of rows into files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]
_GROUP_ROWS = 5_000


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
