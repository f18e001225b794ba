"""The records of a data file as dictionaries, one at a time: JSON, JSON Lines, CSV, Parquet.

A file is data from strangers: what is not such a file, or has a record beyond the limit, is
refused in one line with file and line number. Nothing but text is ever made of it.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from tinysql.errors import InputError

MAX_RECORD_CHARS = 2**20
"""Of one JSON record or CSV field; the largest published ones have about 50,000."""

_BLOCK_CHARS = 2**16
_BATCH_ROWS = 500
_BLANKS = " \t\r\n"


class Record(NamedTuple):
    """One record and where it is: the line it starts at, or its number in a Parquet file."""

    line: int
    values: dict[str, Any]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, by its suffix. Raises InputError where it is broken."""
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    try:
        yield from readers.get(path.suffix, _read_json)(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_parquet(path: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Record(number, values)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file that can be read: {error}") from error


def _read_csv(path: Path) -> Iterator[Record]:
    before = csv.field_size_limit(MAX_RECORD_CHARS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            width = len(reader.fieldnames or ())
            line = reader.line_num + 1
            for values in reader:
                if None in values or None in values.values():
                    raise InputError(
                        f"{path}:{line}: {_cells(values)} cells, expected {width} "
                        "as in the first line"
                    )
                yield Record(line, values)
                line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _cells(values: dict[Any, Any]) -> int:
    extra = values.get(None) or []
    return sum(1 for name, value in values.items() if name and value is not None) + len(extra)


def _read_json(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as stream:
        first = _first_char(stream)
        stream.seek(0)
        yield from (_read_array if first == "[" else _read_lines)(path, stream)


def _first_char(stream: TextIO) -> str:
    while char := stream.read(1):
        if char not in _BLANKS:
            return char
    return ""


def _read_lines(path: Path, stream: TextIO) -> Iterator[Record]:
    number = 0
    while text := stream.readline(MAX_RECORD_CHARS + 1):
        number += 1
        if len(text) > MAX_RECORD_CHARS:
            raise InputError(f"{path}:{number}: over {MAX_RECORD_CHARS} characters in one line")
        if text.strip():
            yield Record(number, _decode(text, path, number))


def _decode(text: str, path: Path, line: int) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{error.msg} at column {error.colno}"
        raise InputError(f"{path}:{line}: not JSON: {place}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}:{line}: not JSON that can be read: {error}") from error
    return _checked(values, path, line)


def _checked(values: Any, path: Path, line: int) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(
            f"{path}:{line}: expected an object such as {{...}}, got {_kind(values)}; "
            "give a list of objects, or one object per line"
        )
    return values


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", type(None): "null", bool: "a truth value"}
    return names.get(type(value), "a number")


class _Window:
    """The part of a text file between what was read of it and what is decoded already."""

    def __init__(self, stream: TextIO) -> None:
        self.text = ""
        self.line = 1
        self._stream = stream
        self.ended = False

    def grow(self) -> bool:
        """Read another block, as large as what is there; false at the end of the file."""
        block = self._stream.read(max(_BLOCK_CHARS, len(self.text)))
        self.text += block
        self.ended = not block
        return bool(block)

    def drop(self, count: int) -> None:
        """Forget the first `count` characters."""
        self.line += self.text.count("\n", 0, count)
        self.text = self.text[count:]

    def next_char(self) -> str:
        """The next character that is not blank, left in place; "" at the end of the file."""
        while True:
            self.drop(len(self.text) - len(self.text.lstrip(_BLANKS)))
            if self.text:
                return self.text[0]
            if not self.grow():
                return ""


def _read_array(path: Path, stream: TextIO) -> Iterator[Record]:
    window = _Window(stream)
    window.next_char()
    window.drop(1)
    if window.next_char() == "]":
        return
    while True:
        window.next_char()
        line = window.line
        values, length = _next_value(path, window)
        window.drop(length)
        yield Record(line, _checked(values, path, line))
        following = window.next_char()
        if following == "]":
            return
        if following != ",":
            found = repr(following) if following else "the end of the file"
            raise InputError(f"{path}:{window.line}: not JSON: expected ',' or ']', got {found}")
        window.drop(1)


def _next_value(path: Path, window: _Window) -> tuple[Any, int]:
    decoder = json.JSONDecoder()
    while True:
        try:
            return decoder.raw_decode(window.text)
        except json.JSONDecodeError as error:
            # A record that is cut off by the end of the block looks like a broken one.
            if len(window.text) > MAX_RECORD_CHARS or not window.grow():
                line = window.line + error.lineno - 1
                raise InputError(f"{path}:{line}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{window.line}: not JSON that can be read: {error}") from error
