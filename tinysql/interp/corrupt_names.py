"""Corruptions of tables and selected columns, in the question and in the schema."""

from collections.abc import Iterable, Iterator

import numpy as np

from tinysql.interp.corruptions import (
    UNMENTIONED,
    Corruption,
    draw_number,
    plain,
    schema_targets,
    selects,
    wordings,
)
from tinysql.interp.records import Column, Record
from tinysql.interp.vocabulary import Choice, Vocabulary

_VERBS = ("MAKE", "BUILD", "GENERATE", "CONSTRUCT", "DEFINE", "DECLARE", "PREPARE", "PRODUCE")
_QUESTION_VERBS = (
    "Display", "Fetch", "Find", "Get", "Give", "List", "Open", "Print", "Pull", "Read", "Retrieve",
    "Return", "Show", "Take",
)  # fmt: skip
_SIGNS = (":", ";")

_NO_TABLE = "no table of the same length"
_NO_COLUMN = "no column of the same length"


def other_table(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """EngTableName."""
    return _other_from_table(record, vocabulary, rng, place=0)


def other_join_table(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """JoinTable."""
    place = draw_number(range(1, len(record.row["from_tables"])), rng)
    if place is None:
        return "no JOIN"
    return _other_from_table(record, vocabulary, rng, place)


def _other_from_table(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator, place: int
) -> Corruption | str:
    table = record.row["from_tables"][place]
    key = f"question.table.{table}"
    if key not in record.texts:
        return UNMENTIONED
    phrase = record.texts[key]
    tables = vocabulary.tables(record, record.table_name(table), phrase)
    choice = vocabulary.draw(phrase, tables, rng)
    if choice is None:
        return _NO_TABLE
    answer = f"sql.from.{place}"
    return Corruption({key: choice.phrase, answer: choice.meaning}, answer, {})


def other_schema_table(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefTableName."""
    table = record.row["from_tables"][0]
    clean = record.table_name(table)
    name = vocabulary.draw_name(clean, vocabulary.new_names("table", "", record), rng)
    if name is None:
        return _NO_TABLE
    texts = {f"schema.table.{table}": name, f"schema.reference.{table}": name, "sql.from.0": name}
    return Corruption(texts, "sql.from.0", {})


def other_verb(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefCreateTable."""
    table = record.row["from_tables"][0]
    # A tokenizer of whole words knows no such verb, but those that questions begin with.
    verb = vocabulary.draw_name("CREATE", _VERBS, rng) or vocabulary.draw_name(
        "CREATE", (verb for verb in vocabulary.phrases("opening") if verb in _QUESTION_VERBS), rng
    )
    if verb is None:
        return "no verb of the same length"
    foil = vocabulary.draw_name(
        record.table_name(table), vocabulary.new_names("table", "", record), rng
    )
    if foil is None:
        return _NO_TABLE
    key = f"schema.create.{table}"
    targets = {key: "schema_keyword_target"}
    return Corruption({key: verb, "sql.from.0": foil}, "sql.from.0", targets, foil=True)


def _selected(
    record: Record, rng: np.random.Generator, *, bare: bool = False
) -> tuple[int, Column] | None:
    """A random select item that is a column of the schema, and that column.

    None of an aggregate over groups, whose SQL has the column in an alias before it selects it.
    """
    row = record.row
    if row["outer_aggregate"]:
        return None
    numbers = [
        number
        for number, item in enumerate(row["select"])
        if record.column(item) and (plain(item) or not bare)
    ]
    number = draw_number(numbers, rng)
    column = None if number is None else record.column(row["select"][number])
    return None if number is None or column is None else (number, column)


def _again(record: Record, column: Column) -> bool:
    """Whether a clause that takes selected columns only uses the column, too."""
    row = record.row
    bound = row["distinct"] or row["set_operation"]
    clauses = row["group_by"] + (row["order_by"] if bound else [])
    return any(record.column(item) == column for item in clauses)


def other_selected(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """EngFieldName."""
    found = _selected(record, rng, bare=True)
    if found is None:
        return "no bare column is selected"
    number, column = found
    if _again(record, column):
        return "the selected column is grouped or sorted by, too"
    key, answer = f"question.select.{number}", f"sql.select.{number}"
    if key not in record.texts:
        return UNMENTIONED
    phrase = record.texts[key]
    unselected = (other for other in record.siblings(column) if not selects(record, other))
    choice = vocabulary.draw(
        phrase, _unsaid(record, wordings(vocabulary, unselected, column.name, phrase)), rng
    )
    if choice is None:
        return "no unselected column of the same length"
    return Corruption(
        {key: choice.phrase, answer: choice.meaning},
        answer,
        {key: "question_column_target"} | schema_targets(record, column, choice.meaning),
    )


def _unsaid(record: Record, choices: Iterable[Choice]) -> Iterator[Choice]:
    """The choices that are not what the question calls another select item."""
    said = {
        text for key, text in record.texts.items() if key.startswith("question.select.")
    }
    return (choice for choice in choices if choice.phrase not in said)


def other_schema_column(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefFieldName."""
    found = _selected(record, rng)
    if found is None:
        return "no column is selected"
    number, column = found
    names = vocabulary.new_names("column", column.family, record)
    name = vocabulary.draw_name(column.name, names, rng)
    if name is None:
        return _NO_COLUMN
    answer = f"sql.select.{number}"
    return Corruption(
        {f"schema.column.{column.number}": name, answer: name},
        answer,
        {f"question.select.{number}": "question_column_target"} | schema_targets(record, column),
    )


def other_separator(
    record: Record, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefFieldSeparator."""
    found = _selected(record, rng)
    if found is None:
        return "no column is selected"
    number, column = found
    key, answer = f"schema.separator.{column.number}", f"sql.select.{number}"
    if record.texts[key] != ",":
        return "no comma before the selected column"
    others = [other.name for other in record.siblings(column) if not selects(record, other)]
    if not others:
        return "no other column for a foil"
    foil = others[rng.integers(len(others))]
    sign = vocabulary.draw_name(",", _SIGNS, rng)
    if sign is None:
        return "no sign of the same length"
    return Corruption(
        {key: sign, answer: foil},
        answer,
        {key: "separator_target", f"question.select.{number}": "question_column_target"}
        | schema_targets(record, column, foil),
        foil=True,
    )
