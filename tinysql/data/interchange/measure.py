"""What a dataset is made of: sizes, lengths, words, readability, clauses; read in two passes.

The first pass counts words, so that the second can tell rare ones; both stream. Distinct questions,
schemas and queries are counted by 64-bit hashes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tinysql.data.interchange import english
from tinysql.data.interchange.clauses import (
    AGGREGATES,
    CLAUSES,
    aggregates_of,
    clauses_of,
    tokens_of,
)
from tinysql.data.interchange.export import dataset_files, num_rows, read_rows
from tinysql.data.interchange.problems import Refused
from tinysql.data.interchange.schema import read_schema, schema_records
from tinysql.data.interchange.tallies import Lengths, Mean
from tinysql.data.interchange.writing import Row

COMMON_WORDS = 100
"""A content word is rare when it is not among so many of the set's most frequent ones."""
TOP = 25
"""Entries of each list of most frequent names and words."""
SAMPLES_PER_GROUP = 2

_TEXTS = ("question", "schema_sql", "gold_sql")
_COLUMNS = ("id", "command_set", "split", *_TEXTS, "hardness", "tables", "columns")
Advance = Callable[[int], None]


class English(NamedTuple):
    """What is measured of one question."""

    num_words: int
    reading_ease: float
    lexical_density: float
    rarity: float

    @classmethod
    def of(cls, question: str, common: frozenset[str]) -> "English":
        """The measures of a question in a dataset with these common words."""
        words = english.words_of(question)
        return cls(
            len(words),
            english.reading_ease(words, english.num_sentences(question)),
            english.lexical_density(words),
            english.rarity(words, common),
        )


@dataclass
class Group:
    """What is counted for every split and every command set apart, and for all rows."""

    rows: int = 0
    question_words: Lengths = field(default_factory=Lengths)
    reading_ease: Mean = field(default_factory=Mean)
    lexical_density: Mean = field(default_factory=Mean)
    rarity: Mean = field(default_factory=Mean)

    def add(self, measured: English) -> None:
        """Count a question."""
        self.rows += 1
        self.question_words.add(measured.num_words)
        self.reading_ease.add(measured.reading_ease)
        self.lexical_density.add(measured.lexical_density)
        self.rarity.add(measured.rarity)

    def as_json(self) -> dict[str, Any]:
        """The means."""
        return {
            "rows": self.rows,
            "question_words": self.question_words.as_json()["mean"],
            "flesch_reading_ease": self.reading_ease.value,
            "lexical_density": self.lexical_density.value,
            "rarity": self.rarity.value,
        }


@dataclass
class Tally:
    """Everything that is counted in the second pass."""

    common: frozenset[str]
    all_rows: Group = field(default_factory=Group)
    splits: dict[str, Group] = field(default_factory=dict)
    command_sets: dict[str, Group] = field(default_factory=dict)
    hardness: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, Lengths] = field(default_factory=dict)
    tables: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    clauses: Counter[str] = field(default_factory=Counter)
    aggregates: Counter[str] = field(default_factory=Counter)
    distinct: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in _TEXTS})
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count a row."""
        question, schema_sql, gold_sql = (row[name] or "" for name in _TEXTS)
        split, command_set = str(row["split"]), str(row.get("command_set", 0))
        measured = English.of(question, self.common)
        self.all_rows.add(measured)
        self.splits.setdefault(split, Group()).add(measured)
        self.command_sets.setdefault(command_set, Group()).add(measured)
        self.hardness[row.get("hardness") or "unknown"] += 1
        tokens = tokens_of(gold_sql)
        self.clauses.update(clauses_of(tokens))
        self.aggregates.update(aggregates_of(tokens))
        tables, columns = _names(row, schema_sql)
        self.tables.update(tables)
        self.columns.update(columns)
        for name, length in (
            ("question_characters", len(question)),
            ("schema_characters", len(schema_sql)),
            ("gold_characters", len(gold_sql)),
            ("gold_tokens", len(tokens)),
            ("tables_per_schema", len(tables)),
            ("columns_per_schema", len(columns)),
        ):
            self.lengths.setdefault(name, Lengths()).add(length)
        for name in _TEXTS:
            self.distinct[name].add(_hash(row[name] or ""))
        kept = self.samples.setdefault(command_set, [])
        if len(kept) < SAMPLES_PER_GROUP:
            kept.append({name: row.get(name) for name in ("id", "split", *_TEXTS)})


def measure(dataset: Path, advance: Advance = lambda _: None) -> dict[str, Any]:
    """The statistics of a folder of Parquet files, as JSON values.

    Raises InputError where there is no dataset. advance is told of every row, twice.
    """
    files = dataset_files(dataset)
    words = _count_words(files, advance)
    content = Counter({word: words[word] for word in english.content_words(list(words))})
    tally = Tally(frozenset(word for word, _ in _most(content, COMMON_WORDS)))
    for row in _rows(files, _COLUMNS, advance):
        tally.add(row)
    return _as_json(tally, words, content)


def num_rows_to_read(dataset: Path) -> int:
    """How many rows `measure` will tell `advance` of."""
    return 2 * num_rows(dataset)


def _rows(files: Sequence[Path], columns: Sequence[str], advance: Advance) -> Iterator[Row]:
    for path in files:
        for row in read_rows(path, columns):
            advance(1)
            yield row


def _count_words(files: Sequence[Path], advance: Advance) -> Counter[str]:
    words: Counter[str] = Counter()
    for row in _rows(files, ("question",), advance):
        words.update(english.words_of(row["question"] or ""))
    return words


def _most(counts: Counter[str], number: int) -> list[tuple[str, int]]:
    """The most frequent entries; of equally frequent ones the first in the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def _names(row: Row, schema_sql: str) -> tuple[Sequence[str], Sequence[str]]:
    """The names of the row's tables and columns: its records', else those of its schema."""
    tables, columns = (row.get(name) or () for name in ("tables", "columns"))
    if tables and all(isinstance(each, dict) for each in (*tables, *columns)):
        return [each["name"] for each in tables], [each["name"] for each in columns]
    return _parsed_names(schema_sql)


@lru_cache(1024)
def _parsed_names(schema_sql: str) -> tuple[Sequence[str], Sequence[str]]:
    try:
        records = schema_records(read_schema(schema_sql).tables)
    except Refused:
        return (), ()
    return [each["name"] for each in records["tables"]], [
        each["name"] for each in records["columns"]
    ]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _shares(counts: Counter[str], names: Iterable[str], total: int) -> dict[str, float]:
    return {name: round(counts[name] / total, 6) if total else 0.0 for name in names}


def _as_json(tally: Tally, words: Counter[str], content: Counter[str]) -> dict[str, Any]:
    rows = tally.all_rows.rows
    return {
        "rows": rows,
        "splits": {name: group.as_json() for name, group in tally.splits.items()},
        "command_sets": {
            name: group.as_json() for name, group in sorted(tally.command_sets.items())
        },
        "hardness": {
            name: tally.hardness[name]
            for name in ("easy", "medium", "hard", "extra", "unknown")
            if tally.hardness[name]
        },
        "all": tally.all_rows.as_json(),
        "lengths": {
            "question_words": tally.all_rows.question_words.as_json(),
            **{name: lengths.as_json() for name, lengths in tally.lengths.items()},
        },
        "distinct": {
            **{name: len(found) for name, found in tally.distinct.items()},
            "tables": len(tally.tables),
            "columns": len(tally.columns),
            "words": len(words),
            "content_words": len(content),
        },
        "most_frequent": {
            "content_words": _most(content, TOP),
            "tables": _most(tally.tables, TOP),
            "columns": _most(tally.columns, TOP),
        },
        "clauses": _shares(tally.clauses, CLAUSES, rows),
        "aggregates": _shares(tally.aggregates, AGGREGATES, rows),
        "definitions": {
            "flesch_reading_ease": "206.835 - 1.015 words/sentences - 84.6 syllables/words, mean "
            "over questions (Flesch 1948)",
            "lexical_density": "content words / words, mean over questions (Ure 1971); content "
            "words are those outside of the closed classes",
            "rarity": f"share of content words outside of the {COMMON_WORDS} most frequent ones of "
            "this dataset, mean over questions",
            "clauses": "share of rows whose query has it at least once",
        },
        "distributions": {
            "question_words": _histogram(tally.all_rows.question_words),
            "gold_tokens": _histogram(tally.lengths.get("gold_tokens", Lengths())),
            "columns_per_schema": _histogram(tally.lengths.get("columns_per_schema", Lengths())),
        },
        "samples": dict(sorted(tally.samples.items())),
    }


def _histogram(lengths: Lengths) -> dict[str, int]:
    return {str(value): count for value, count in sorted(lengths.counts.items())}
