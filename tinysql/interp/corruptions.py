"""How a row is corrupted: one name or phrase exchanged for another from the dataset's vocabulary.

Feature names follow TinySQL (withmartian/TinySQL, TinySQL/corrupt_data). Replacements come from
the dataset itself, so that a corrupted prompt is no rarer than a clean one, and have as many tokens
as what they replace:

| feature | replaced | answer |
|---|---|---|
| EngTableName | the table in the question, by another table | table after FROM |
| EngFieldName | a selected column in the question, by an unselected one of the schema | column |
| DefTableName | the table in the schema, by another table | table after FROM |
| DefFieldName | a selected column in the schema, by a column the row does not use | column |
| OrderByField | an order column in the question, by another one of the schema | column |
| OrderByDirection | a direction phrase in the question, by an opposite one | ASC or DESC |

A synonym is replaced by a synonym, a name by a name. A function returns the reason as a string
where the row has no fitting replacement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from tinysql.data.phrasing import direction_phrases, type_family
from tinysql.interp.config import Feature
from tinysql.interp.roles import Row


class Corruption(NamedTuple):
    """One change of a row: new texts by mention, the mention that answers, roles of targets."""

    texts: dict[str, str]
    answer: str
    targets: dict[str, str]


class Vocabulary:
    """The names of a dataset and what its questions call them; token counts under a tokenizer."""

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self._token_counts: dict[str, int] = {}
        self.table_phrases = _by_name((row["table"], row["table_phrase"]) for row in rows)
        columns = ((name, name) for row in rows for name in row["columns"])
        selected = (
            pair for row in rows for pair in zip(row["select"], row["select_phrases"], strict=True)
        )
        self.column_phrases = _by_name((*columns, *selected))

    def same_length(self, text: str, candidates: Iterable[str]) -> list[str]:
        """The candidates with as many tokens as `text`, both after a blank."""
        wanted = self._count(text)
        return [word for word in candidates if self._count(word) == wanted]

    def _count(self, text: str) -> int:
        if text not in self._token_counts:
            ids = self.tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
            self._token_counts[text] = len(ids)
        return self._token_counts[text]


def _by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The phrases of every name; both sorted, so that draws do not depend on the row order."""
    phrases: dict[str, set[str]] = {}
    for name, phrase in pairs:
        phrases.setdefault(name, set()).add(phrase)
    return {name: sorted(forms) for name, forms in sorted(phrases.items())}


def _other_table(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """EngTableName."""
    phrases = _wording(row["table"], row["table_phrase"], vocabulary.table_phrases)
    del phrases[row["table"]]
    choice = _draw(row["table_phrase"], phrases, vocabulary, _used_words(row), rng)
    if choice is None:
        return "no table of the same length"
    name, phrase = choice
    return Corruption({"question.table": phrase, "sql.table": name}, "sql.table", {})


def _other_selected(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """EngFieldName."""
    number = int(rng.integers(len(row["select"])))
    name, phrase = row["select"][number], row["select_phrases"][number]
    phrases = _wording(name, phrase, vocabulary.column_phrases)
    unselected = {c: phrases[c] for c in row["columns"] if c not in row["select"] and c in phrases}
    choice = _draw(phrase, unselected, vocabulary, set(row["select_phrases"]), rng)
    if choice is None:
        return "no unselected column of the same length"
    other, replacement = choice
    return Corruption(
        {f"question.select.{number}": replacement, f"sql.select.{number}": other},
        f"sql.select.{number}",
        {f"question.select.{number}": "question_column_target"}
        | _schema_targets(row, name, other),
    )


def _other_schema_table(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefTableName."""
    candidates = vocabulary.same_length(row["table"], _unused(vocabulary.table_phrases, row))
    if not candidates:
        return "no table of the same length"
    name = candidates[rng.integers(len(candidates))]
    return Corruption({"schema.table": name, "sql.table": name}, "sql.table", {})


def _other_schema_column(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """DefFieldName."""
    number = int(rng.integers(len(row["select"])))
    name = row["select"][number]
    candidates = vocabulary.same_length(name, _unused(vocabulary.column_phrases, row))
    if not candidates:
        return "no column of the same length"
    other = candidates[rng.integers(len(candidates))]
    position = row["columns"].index(name)
    return Corruption(
        {f"schema.column.{position}": other, f"sql.select.{number}": other},
        f"sql.select.{number}",
        {f"question.select.{number}": "question_column_target"} | _schema_targets(row, name),
    )


def _other_order_column(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """OrderByField."""
    if not row["order_by"]:
        return "no ORDER BY"
    number = int(rng.integers(len(row["order_by"])))
    name, direction = row["order_by"][number], row["order_directions"][number]
    candidates = [
        column
        for column, sql_type in zip(row["columns"], row["column_types"], strict=True)
        if column not in row["order_by"]
        and row["order_phrases"][number] in direction_phrases(direction, type_family(sql_type))
    ]
    candidates = vocabulary.same_length(name, candidates)
    if not candidates:
        return "no other column of the same length that the direction phrase fits"
    other = candidates[rng.integers(len(candidates))]
    return Corruption(
        {f"question.order.{number}": other, f"sql.order.{number}": other},
        f"sql.order.{number}",
        _order_targets(number) | _schema_targets(row, name, other),
    )


def _other_direction(
    row: Row, vocabulary: Vocabulary, rng: np.random.Generator
) -> Corruption | str:
    """OrderByDirection."""
    if not row["order_by"]:
        return "no ORDER BY"
    number = int(rng.integers(len(row["order_by"])))
    opposite = "DESC" if row["order_directions"][number] == "ASC" else "ASC"
    name = row["order_by"][number]
    sql_type = row["column_types"][row["columns"].index(name)]
    candidates = vocabulary.same_length(
        row["order_phrases"][number], direction_phrases(opposite, type_family(sql_type))
    )
    if not candidates:
        return "no opposite phrase of the same length"
    phrase = candidates[rng.integers(len(candidates))]
    return Corruption(
        {f"question.direction.{number}": phrase, f"sql.direction.{number}": opposite},
        f"sql.direction.{number}",
        _order_targets(number) | _schema_targets(row, name),
    )


def _wording(
    name: str, phrase: str, phrases: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Per name the ways to say it that are of the phrase's kind: the name itself, or synonyms."""
    if phrase == name:
        return {other: [other] for other in phrases}
    return {other: [p for p in forms if p != other] for other, forms in phrases.items()}


def _draw(
    phrase: str,
    phrases: Mapping[str, Sequence[str]],
    vocabulary: Vocabulary,
    avoid: set[str],
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """A random (name, phrase) with the token count of `phrase`, or None if there is none."""
    options = [
        (name, option)
        for name, forms in phrases.items()
        for option in vocabulary.same_length(phrase, forms)
        if option not in avoid
    ]
    return options[rng.integers(len(options))] if options else None


def _used_words(row: Row) -> set[str]:
    return {row["table"], row["table_phrase"], *row["columns"], *row["select_phrases"]}


def _unused(names: Iterable[str], row: Row) -> Iterator[str]:
    used = _used_words(row)
    return (name for name in names if name not in used)


def _schema_targets(row: Row, clean: str, corrupted: str | None = None) -> dict[str, str]:
    columns = row["columns"]
    roles = {f"schema.column.{columns.index(clean)}": "schema_column_target"}
    if corrupted is not None:
        roles[f"schema.column.{columns.index(corrupted)}"] = "schema_column_corrupted"
    return roles


def _order_targets(number: int) -> dict[str, str]:
    return {
        f"question.order.{number}": "question_column_target",
        f"question.direction.{number}": "question_direction_target",
    }


CORRUPT: Mapping[
    Feature, Callable[[Row, Vocabulary, np.random.Generator], Corruption | str]
] = {
    "EngTableName": _other_table,
    "EngFieldName": _other_selected,
    "DefTableName": _other_schema_table,
    "DefFieldName": _other_schema_column,
    "OrderByField": _other_order_column,
    "OrderByDirection": _other_direction,
}
"""The corruption of each feature."""
