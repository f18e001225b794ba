"""Corruptions of what concerns a query as a whole: the words for DISTINCT, LIMIT and the like."""

import numpy as np

from tinysql.interp.corruptions import UNMENTIONED, Corruption, other_meanings
from tinysql.interp.records import Record
from tinysql.interp.vocabulary import Vocabulary

# Adjectives that change nothing: every row of a table is stored there.
_NEUTRAL = ("stored", "recorded", "listed", "held", "found", "available", "given", "current")
_PARTS = {"outer": "aggregate over groups", "limit": "LIMIT", "set_operation": "set operation"}


def other_outer(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """OuterAggregate."""
    return _other_phrase(
        record, vocabulary, rng, "outer", record.row["outer_aggregate"], "question_aggregate_target"
    )


def other_set_operation(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """SetOperation."""
    return _other_phrase(
        record, vocabulary, rng, "set_operation", record.row["set_operation"],
        "question_set_operation",
    )  # fmt: skip


def other_limit(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """Limit."""
    limit = str(record.row["limit"] or "")
    return _other_phrase(record, vocabulary, rng, "limit", limit, "question_limit")


def _other_phrase(
    record: Record,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    part: str,
    meaning: str,
    role: str,
) -> Corruption | str:
    """A change of the one phrase of a row that tells `part`, by one of another meaning."""
    if not meaning:
        return f"no {_PARTS[part]}"
    key, answer = f"question.{part}.0", f"sql.{part}.0"
    if key not in record.texts:
        return UNMENTIONED
    choice = vocabulary.draw(
        record.texts[key], other_meanings(vocabulary, part, "", meaning), rng
    )
    if choice is None:
        return "no phrase of another meaning of the same length"
    return Corruption({key: choice.phrase, answer: choice.meaning}, answer, {key: role})


def no_distinct(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """Distinct."""
    if not record.row["distinct"]:
        return "no DISTINCT"
    key, answer = "question.distinct.0", "sql.distinct.0"
    if key not in record.texts:
        return UNMENTIONED
    word = vocabulary.draw_name(record.texts[key], _NEUTRAL, rng)
    if word is None:
        return "no neutral word of the same length"
    if len(record.row["from_tables"]) > 1:
        return "the columns have an alias before them"
    return Corruption({key: word, answer: ""}, answer, {}, corrupted_answer="sql.select.0")
