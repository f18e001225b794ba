"""The word lists as arrays: what a name is called, declared as, and compared with.

A name is a number: first the vocabulary's columns, then the key names ("id", and "<singular>_id"
and "<singular>_code" of every table). A kind is a number too, -1 for keys.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tinysql.data import phrasing, words
from tinysql.data.text import Indices, PhraseGroups, Pieces, pieces

NUM_COLUMNS = len(words.columns())
ID = NUM_COLUMNS
"""The name "id"."""
TABLE_ID = ID + 1
"""TABLE_ID + t is the name "<singular of table t>_id"."""
TABLE_CODE = TABLE_ID + len(words.tables())
"""TABLE_CODE + t is the name "<singular of table t>_code"."""

NAMES = (
    *(column.name for column in words.columns()),
    "id",
    *(f"{table.singular}_id" for table in words.tables()),
    *(f"{table.singular}_code" for table in words.tables()),
)
NAME_PIECES = pieces(NAMES)
TABLE_PIECES = pieces(table.name for table in words.tables())

KINDS = tuple(words.kinds().values())
KIND_PIECES = pieces((*(kind.name for kind in KINDS), ""))
"""Of kind -1 the last one, which is empty."""

_NUMBER_OF_KIND = {kind.name: number for number, kind in enumerate(KINDS)}
COLUMN_KINDS = np.array([_NUMBER_OF_KIND[column.kind] for column in words.columns()])


def family(kind: words.Kind) -> str:
    """The family whose phrases fit a kind: timestamps are dates."""
    return "date" if kind.family == "timestamp" else kind.family


FAMILY_OF_KIND = np.array([phrasing.FAMILIES.index(family(kind)) for kind in KINDS] + [
    phrasing.FAMILIES.index("key")
])
"""Index into phrasing.FAMILIES by kind; of kind -1 the last one, "key"."""


def padded(groups: Sequence[Sequence[int]]) -> tuple[Indices, Indices]:
    """Lists of different lengths as a table filled up with 0, and their lengths."""
    sizes = np.array([len(group) for group in groups])
    table = np.zeros((len(groups), int(sizes.max())), np.int64)
    for row, group in zip(table, groups, strict=True):
        row[: len(group)] = group
    return table, sizes


TYPES = tuple(sorted({declared for column in words.columns() for declared in column.types}))
TYPE_PIECES = pieces(TYPES)
DECLARATION_PIECES = pieces(f" {declared}" for declared in TYPES)
COLUMN_TYPES, NUM_COLUMN_TYPES = padded(
    [[TYPES.index(declared) for declared in column.types] for column in words.columns()]
)


def _forms(synonyms: Sequence[Sequence[str]]) -> PhraseGroups:
    return PhraseGroups([phrasing.split_held(group) for group in synonyms])


_COLUMN_SYNONYMS = _forms(
    [column.synonyms for column in words.columns()]
    + [(name.replace("_", " "),) for name in NAMES[NUM_COLUMNS:]]
)
_TABLE_SYNONYMS = _forms([table.synonyms for table in words.tables()])


def name_phrases(
    names: Indices, uniform: NDArray[np.float64], rate: float, held: bool
) -> Pieces:
    """What a question calls columns: a synonym where `uniform` is below the rate, else the name."""
    return _phrases(_COLUMN_SYNONYMS, NAME_PIECES, names, uniform, rate, held)


def table_phrases(
    tables: Indices, uniform: NDArray[np.float64], rate: float, held: bool
) -> Pieces:
    """What a question calls tables, in the same way."""
    return _phrases(_TABLE_SYNONYMS, TABLE_PIECES, tables, uniform, rate, held)


def _phrases(
    synonyms: PhraseGroups, names: Pieces, index: Indices, uniform: NDArray[np.float64],
    rate: float, held: bool,
) -> Pieces:  # fmt: skip
    if not rate:
        return names[index]
    renamed = uniform < rate
    # Below the rate, uniform / rate is uniform itself: one draw decides and chooses.
    choice = np.where(renamed, uniform / rate, 0)
    return np.where(renamed, synonyms.draw(index, choice, held), names[index])


_LITERALS = [literal for kind in KINDS for literal in kind.literals]
_WORDS = [literal.strip("'").split() for literal in _LITERALS]
_COUNTS = [len(kind.literals) for kind in KINDS]
FIRST_LITERAL = np.array(list(accumulate(_COUNTS, initial=0)))
"""Position of the first literal of a kind in the arrays below; of kind -1 the end of them."""
NUM_LITERALS = np.array([*_COUNTS, 0])
LITERAL_SQL = pieces(_LITERALS)
LITERAL_TEXT = pieces(
    literal.lower() if literal in ("TRUE", "FALSE") else literal.strip("'")
    for literal in _LITERALS
)
"""A literal as a question writes it."""

# What LIKE compares with, by pattern: the word of the question and the literal of the SQL.
LIKE_TEXT = {
    "LIKE x%": pieces(words[0] for words in _WORDS),
    "LIKE %x": pieces(words[-1] for words in _WORDS),
    "LIKE %x%": pieces(words[-1] for words in _WORDS),
    "NOT LIKE %x%": pieces(words[-1] for words in _WORDS),
}
LIKE_SQL = {
    "LIKE x%": pieces(f"'{words[0]}%'" for words in _WORDS),
    "LIKE %x": pieces(f"'%{words[-1]}'" for words in _WORDS),
    "LIKE %x%": pieces(f"'%{words[-1]}%'" for words in _WORDS),
    "NOT LIKE %x%": pieces(f"'%{words[-1]}%'" for words in _WORDS),
}

MOST_COUNTED = 10
"""COUNT(*) in HAVING, and LIMIT, are compared with 2 to this number."""
SMALL_NUMBERS = pieces(str(number) for number in range(MOST_COUNTED + 1))
