"""Texts of many rows at once: a text is a list of pieces per row, and a piece is a number.

Every string that can occur in a text is interned once. Writers put numpy arrays of piece numbers
side by side, for rows or for the items of a list in every row, and 0 where there is nothing;
build() gathers the strings and joins them in Arrow, and mentions() tells which characters each
named piece became.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Pieces = NDArray[np.int32]
Mask = NDArray[np.bool_]

_STRINGS = [""]
_NUMBERS = {"": 0}


def piece(text: str) -> int:
    """The number of a string, the same each time within one process; 0 is the empty string."""
    number = _NUMBERS.setdefault(text, len(_STRINGS))
    if number == len(_STRINGS):
        _STRINGS.append(text)
    return number


def pieces(texts: Iterable[str]) -> Pieces:
    """The numbers of several strings, shape (len(texts),)."""
    return np.array([piece(text) for text in texts], np.int32)


def either(where: Mask, yes: str, no: str) -> Pieces:
    """One piece in the rows of a mask, another in the others."""
    return np.where(where, np.int32(piece(yes)), np.int32(piece(no)))


def only(where: Mask, what: str | Pieces) -> Pieces:
    """Pieces in the rows of a mask, nothing in the others."""
    return np.where(where, np.int32(piece(what)) if isinstance(what, str) else what, np.int32(0))


class PhraseGroups:
    """Groups of phrases to draw from, the held-out ones of each group at its end."""

    def __init__(self, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
        """groups: per group the phrases of the usual splits, then those held out."""
        usual = np.array([len(seen) for seen, _ in groups])
        held = np.array([len(kept) for _, kept in groups])
        flat = pieces(text for pair in groups for part in pair for text in part)
        self._pieces = np.append(flat, np.int32(0))
        start = np.cumsum(usual + held) - usual - held
        any_held = held > 0
        self._bounds = {
            False: (start, usual),
            True: (start + usual * any_held, np.where(any_held, held, usual)),
        }

    def draw(self, group: Indices, uniform: NDArray[np.float64], held: bool) -> Pieces:
        """A phrase of each group by a number in [0, 1): held-out where there are any, if `held`."""
        start, size = self._bounds[held]
        return self._pieces[start[group] + (uniform * size[group]).astype(np.int64)]


Key = tuple[str, Indices | int, str]
"""The name of a mention, its number (per row or item), and what follows the number."""


@dataclass(frozen=True)
class _Segment:
    """Pieces that follow each other: `width` of them for every item; items are in row order."""

    rows: Indices
    pieces: Pieces  # (items, width)
    keys: dict[int, Key]  # by position among the width


class Text:
    """A text per row, written piece by piece from left to right."""

    def __init__(self, name: str, num_rows: int) -> None:
        self._name = name
        self._num_rows = num_rows
        self._segments: list[_Segment] = []

    def write(
        self,
        what: str | Pieces,
        where: Mask | None = None,
        *,
        key: str = "",
        number: Indices | int = 0,
    ) -> None:
        """Append a piece to every row, or to the rows of a mask; shape of `what`: (num_rows,).

        A key makes it a mention called "<text>.<key>.<number>", numbered per row.
        """
        rows = np.arange(self._num_rows) if where is None else np.flatnonzero(where)
        if not isinstance(what, str):
            what = what[rows]
        if not isinstance(number, int):
            number = number[rows]
        self.write_items(rows, [what], {0: (key, number, "")} if key else {})

    def write_items(
        self, rows: Indices, parts: Sequence[str | Pieces], keys: Mapping[int, Key] | None = None
    ) -> None:
        """Append `parts` for every item; each part is a string for all or a piece per item.

        rows: the row of each item, in rising order; a row may have several. keys: by position in
        `parts`, the mention that part is.
        """
        if not len(rows):
            return
        table = np.empty((len(rows), len(parts)), np.int32)
        for position, part in enumerate(parts):
            table[:, position] = piece(part) if isinstance(part, str) else part
        self._segments.append(_Segment(rows, table, dict(keys or {})))

    def mentioned(self, key: str, width: int) -> Pieces:
        """The pieces written under a key by their number, 0 for none; shape (rows, width)."""
        found = np.zeros((self._num_rows, width), np.int32)
        for segment in self._segments:
            for position, (name, number, _) in segment.keys.items():
                if name == key:
                    here = segment.pieces[:, position] != 0
                    numbers = np.broadcast_to(number, len(here))[here]
                    found[segment.rows[here], numbers] = segment.pieces[here, position]
        return found

    def build(self) -> pa.Array:
        """The strings, shape (num_rows,)."""
        return join_pieces(self._flat, self._counts, "")

    def frequencies(self) -> NDArray[np.int64]:
        """How often every piece occurs, by its number."""
        return np.bincount(self._flat, minlength=len(_STRINGS))

    def spans(self, keys: list[str]) -> "Spans":
        """Where every mention lies; the names of the mentions are appended to `keys`."""
        numbers = np.zeros(len(self._flat), np.int16)
        for segment, places in zip(self._segments, self._places, strict=True):
            for position, (name, number, end) in segment.keys.items():
                numbers[places + position] = number + np.int16(len(keys) + 1)
                most = int(np.max(number, initial=0))
                keys += [f"{self._name}.{name}.{n}{end}" for n in range(most + 1)]
        said = np.flatnonzero((numbers > 0) & (self._flat != 0))
        ends = np.cumsum(_lengths()[self._flat])
        before = np.append(0, ends)[self._starts]
        row = np.repeat(np.arange(self._num_rows), self._counts)[said]
        last = (ends[said] - before[row]).astype(np.int16)
        first = last - _lengths()[self._flat[said]].astype(np.int16)
        return Spans(row, numbers[said] - np.int16(1), first, last)

    @cached_property
    def _items(self) -> list[Indices]:
        """Per segment, its items by row."""
        return [np.bincount(one.rows, minlength=self._num_rows) for one in self._segments]

    @cached_property
    def _counts(self) -> Indices:
        """Pieces per row."""
        counts = np.zeros(self._num_rows, np.int64)
        for segment, items in zip(self._segments, self._items, strict=True):
            counts += items * segment.pieces.shape[1]
        return counts

    @cached_property
    def _starts(self) -> Indices:
        """Where the pieces of a row begin."""
        return np.cumsum(self._counts) - self._counts

    @cached_property
    def _places(self) -> list[Indices]:
        """Per segment, where the first piece of every item goes."""
        reached = self._starts.copy()
        places = []
        for segment, items in zip(self._segments, self._items, strict=True):
            width = segment.pieces.shape[1]
            rank = np.arange(len(segment.rows)) - (np.cumsum(items) - items)[segment.rows]
            places.append(reached[segment.rows] + rank * width)
            reached += items * width
        return places

    @cached_property
    def _flat(self) -> Pieces:
        """Every piece, row by row; nothing may be written afterwards."""
        flat = np.zeros(int(self._counts.sum()), np.int32)
        for segment, places in zip(self._segments, self._places, strict=True):
            flat[places[:, None] + np.arange(segment.pieces.shape[1])] = segment.pieces
        return flat


@dataclass(frozen=True)
class Spans:
    """Mentions of one text, in row order; every array has shape (mentions,)."""

    rows: Indices
    keys: NDArray[np.int16]
    starts: NDArray[np.int16]
    ends: NDArray[np.int16]


def mentions(texts: Sequence[Text], num_rows: int) -> pa.Array:
    """Per row the list of {key, start, end} of every mention in these texts, in characters."""
    keys: list[str] = []
    spans = [text.spans(keys) for text in texts]
    row = np.concatenate([span.rows for span in spans])
    order = np.argsort(row.astype(np.int32), kind="stable")
    # Few keys, said very often: a dictionary costs a tenth of strings.
    numbers = np.concatenate([span.keys for span in spans])[order]
    fields = {
        "key": pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(keys)),
        "start": np.concatenate([span.starts for span in spans])[order],
        "end": np.concatenate([span.ends for span in spans])[order],
    }
    return lists(records(fields), np.bincount(row, minlength=num_rows))


def gather(numbers: NDArray[np.integer]) -> pa.Array:
    """The strings of these pieces."""
    return _strings().take(pa.array(numbers))


def records(fields: dict[str, pa.Array | NDArray]) -> pa.StructArray:
    """Structs from arrays of equal length."""
    arrays = [
        array if isinstance(array, pa.Array) else pa.array(array) for array in fields.values()
    ]
    return pa.StructArray.from_arrays(arrays, names=list(fields))


def lists(flat: pa.Array, counts: NDArray[np.integer]) -> pa.ListArray:
    """Lists of these lengths, filled from `flat` in order."""
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def join_pieces(flat: Pieces, counts: NDArray[np.integer], separator: str) -> pa.Array:
    """Per row the strings of its pieces, joined."""
    return pc.binary_join(lists(gather(flat), counts), separator)


_cached: dict[str, Any] = {}


def _strings() -> pa.Array:
    if len(_cached.get("strings", ())) != len(_STRINGS):
        _cached["strings"] = pa.array(_STRINGS, pa.string())
        _cached["lengths"] = np.array([len(text) for text in _STRINGS], np.int64)
    return _cached["strings"]


def _lengths() -> Indices:
    _strings()
    return _cached["lengths"]
