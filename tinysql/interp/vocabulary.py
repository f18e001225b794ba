"""What the questions of a dataset say, so that a corrupted prompt is no rarer than a clean one.

Phrases are kept by group, family and meaning: ("direction", "text") -> {"ASC": [from A to Z, ...]}.
Families keep apart what does not fit the same column.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerFast

from tinysql.data.phrasing import SHAPES
from tinysql.interp.records import STAR, Item, Record, like_shape

NOVEL_NAMES = (
    "river", "candle", "pepper", "violin", "marble", "tiger", "cloud", "lemon", "pillow", "feather",
    "walrus", "saddle", "zorblat", "quindle", "mivorex", "tulpane", "grawnic", "plendish", "vuntle",
    "fenquill", "drimbo", "kessandry", "brolliac",
)  # fmt: skip
"""Words that no schema uses as a name, some of them in no dictionary."""

# A tokenizer of whole words has no single token for these; it has for words of the questions.
_QUESTION_WORDS = tuple(
    sorted(
        word
        for word in {word for shape in SHAPES for word in shape.split()}
        if word.islower() and word.isalpha() and len(word) >= 6
    )
)


class Choice(NamedTuple):
    """A replacement: what it means in SQL, and how the question says it."""

    meaning: str
    phrase: str


class _Saying(NamedTuple):
    group: str
    family: str
    meaning: str
    phrase: str


class Vocabulary:
    """The phrases of a dataset by meaning, and their token counts under a tokenizer."""

    def __init__(
        self,
        records: Sequence[Record],
        tokenizer: PreTrainedTokenizerFast,
        *,
        novel_names: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self._novel_names = novel_names
        self._token_counts: dict[str, int] = {}
        self._special = set(tokenizer.all_special_ids)
        said: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for record in records:
            for saying in _sayings(record):
                said[saying.group, saying.family][saying.meaning].add(saying.phrase)
        # Sorted, so that draws do not depend on the order of rows.
        self._said = {
            group: {meaning: sorted(phrases) for meaning, phrases in sorted(meanings.items())}
            for group, meanings in said.items()
        }

    def phrases(self, group: str, family: str = "") -> Mapping[str, Sequence[str]]:
        """The phrases of a group that fit a family, by meaning."""
        return self._said.get((group, family), {})

    def choices(self, group: str, family: str = "") -> Iterator[Choice]:
        """Every phrase of a group that fits a family."""
        for meaning, phrases in self.phrases(group, family).items():
            yield from (Choice(meaning, phrase) for phrase in phrases)

    def wordings(self, group: str, family: str, name: str, phrase: str) -> Iterator[Choice]:
        """Names with ways to say them of the phrase's kind: the name itself, or synonyms."""
        for choice in self.choices(group, family):
            if (choice.meaning == choice.phrase) == (name == phrase):
                yield choice

    def new_names(self, group: str, family: str, record: Record) -> Iterator[str]:
        """Names that the row does not use, for a table or column of its schema."""
        names = self._novel() if self._novel_names else self.phrases(group, family)
        return (name for name in names if name not in record.said)

    def tables(self, record: Record, name: str, phrase: str) -> Iterator[Choice]:
        """Tables that the row does not use, said as the phrase says the table of that name."""
        names = set(self.new_names("table", "", record))
        if self._novel_names:
            return (Choice(name, name) for name in sorted(names))
        return (each for each in self.wordings("table", "", name, phrase) if each.meaning in names)

    def draw(
        self, text: str, choices: Iterable[Choice], rng: np.random.Generator
    ) -> Choice | None:
        """A random choice whose phrase has as many tokens as `text`, None if there is none."""
        wanted = self._count(text)
        fitting = [
            each
            for each in choices
            if each.phrase != text and 0 < wanted == self._count(each.phrase)
        ]
        return fitting[rng.integers(len(fitting))] if fitting else None

    def draw_name(self, text: str, names: Iterable[str], rng: np.random.Generator) -> str | None:
        """A random name with as many tokens as `text`, or None if there is none."""
        choice = self.draw(text, (Choice(name, name) for name in names), rng)
        return choice.meaning if choice else None

    def _count(self, text: str) -> int:
        """Tokens of a text after a blank; 0 for what the tokenizer cannot express."""
        if text not in self._token_counts:
            ids = self.tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
            self._token_counts[text] = 0 if self._special & set(ids) else len(ids)
        return self._token_counts[text]

    def _novel(self) -> list[str]:
        """Names that no row of the dataset has or calls anything."""
        known = {
            phrase
            for (group, _), meanings in self._said.items()
            if group in ("table", "column")
            for phrases in meanings.values()
            for phrase in phrases
        }
        return [word for word in (*NOVEL_NAMES, *_QUESTION_WORDS) if word not in known]


def _sayings(record: Record) -> Iterator[_Saying]:
    """What one row says."""
    row = record.row
    for number, table in enumerate(row["tables"]):
        yield _Saying("table", "", table["name"], table["name"])
        yield from _said(record, "table", "", table["name"], f"question.table.{number}")
    for column in record.columns:
        yield _Saying("column", column.family, column.name, column.name)
    for number, item in enumerate(row["select"]):
        yield from _column_sayings(record, item, f"question.select.{number}")
        if item["aggregate"] and record.column(item):
            yield from _said(
                record, "aggregate", _own_family(record, item), item["aggregate"],
                f"question.select_aggregate.{number}",
            )  # fmt: skip
    for number, item in enumerate(row["group_by"]):
        yield from _column_sayings(record, item, f"question.group.{number}")
    for number, key in enumerate(row["order_by"]):
        yield from _column_sayings(record, key, f"question.order.{number}")
        direction = f"question.direction.{number}"
        yield from _said(record, "direction", record.family(key), key["direction"], direction)
    for number, condition in enumerate(row["filters"]):
        yield from _condition_sayings(record, condition, number)
    for condition in row["having"]:
        family = having_family(record, condition)
        key = "question.having_operator.0"
        yield from _said(record, "operator", "number", condition["operator"], key)
        yield from _said(record, "value", family, condition["values"][0], "question.having_value.0")
    yield from _said(record, "set_operation", "", row["set_operation"], "question.set_operation.0")
    yield from _said(record, "outer", "", row["outer_aggregate"], "question.outer.0")
    yield from _said(record, "limit", "", str(row["limit"]), "question.limit.0")
    opening = row["question"].split()[0]
    yield _Saying("opening", "", opening, opening)


def _said(
    record: Record, group: str, family: str, meaning: str, key: str
) -> Iterator[_Saying]:
    if key in record.texts:
        yield _Saying(group, family, meaning, record.texts[key])


def _column_sayings(record: Record, item: Item, key: str) -> Iterator[_Saying]:
    column = record.column(item)
    if column:
        yield from _said(record, "column", column.family, column.name, key)


def _own_family(record: Record, item: Item) -> str:
    column = record.column(item)
    return column.family if column else "rows"


def _condition_sayings(record: Record, condition: Item, number: int) -> Iterator[_Saying]:
    column = record.column(condition)
    if column is None:
        return
    yield from _column_sayings(record, condition, f"question.filter.{number}")
    key = f"question.operator.{number}"
    yield from _said(record, "operator", column.family, operator_of(condition), key)
    for place, literal in enumerate(condition["values"]):
        family = f"{column.kind} {like_shape(literal)}"
        key = f"question.value.{number}.{place}"
        yield from _said(record, "value", family, literal, key)


def operator_of(condition: Item) -> str:
    """The operator of a condition, with the shape of its pattern if it has one."""
    shape = like_shape(condition["values"][0]) if "LIKE" in condition["operator"] else ""
    return f"{condition['operator']} {shape}".rstrip()


def having_family(record: Record, condition: Item) -> str:
    """What the values of a condition on groups have in common: an aggregate of a kind."""
    column = record.column(condition)
    return f"{condition['aggregate']} {column.kind if column else STAR}"
