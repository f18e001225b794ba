"""How a row is corrupted: one name, phrase or value exchanged for another from the dataset.

Feature names follow TinySQL (withmartian/TinySQL, TinySQL/corrupt_data). Replacements come from
the dataset itself, so that a corrupted prompt is no rarer than a clean one; they fit what they
replace (the family of a column, the kind of a value, a name for a name and a synonym for a synonym)
and have as many tokens.

| feature | replaced | answer |
|---|---|---|
| EngTableName | the first table of FROM in the question, by one the row does not use | table |
| JoinTable | another table of FROM, likewise | table after JOIN |
| EngFieldName | a selected column in the question, by an unselected one of its table | column |
| DefTableName | the first table of FROM in the schema, by one the row does not use | table |
| DefFieldName | a selected column in the schema, by a column the row does not use | column |
| DefCreateTable | CREATE, by another verb | table; see below |
| DefFieldSeparator | the comma before a selected column, by another sign | column; see below |
| OrderByField | an order column in the question, by another one of its table | column |
| OrderByDirection | a direction phrase, by an opposite one | ASC or DESC |
| AggregateFunction | an aggregate's phrase, by one of another aggregate | the aggregate |
| AggregateField | an aggregated column in the question, by another one of its table | column |
| GroupByField | a grouped column where the question groups, by another one of its table | column |
| WhereField | the column of a condition, by one that the condition fits | column |
| WhereOperator | the phrase of a condition, by one of another operator | the operator |
| WhereLiteral | a value of a condition, by another one of its kind | the value |
| HavingOperator, HavingLiteral | the same of the condition on groups | the same |
| SubqueryAggregate | the aggregate that a condition compares with | the aggregate |
| OuterAggregate | the aggregate over groups | the aggregate |
| Distinct | the word for DISTINCT, by a word without such a meaning | DISTINCT or what follows |
| Limit | the number of rows | the number |
| SetOperation | the phrase for UNION, INTERSECT or EXCEPT, by another's | the operation |

DefCreateTable and DefFieldSeparator change no name, so both prompts have the same right answer.
Their corrupted answer is a foil: some other table of the dataset, some other column of the table.
What restores the difference shows what the change disturbs, not what carries the answer.

DefTableName renames the table where foreign keys refer to it, too. A feature of a clause changes
the mention in that clause alone, even where the question names the same column elsewhere.

A function returns the reason as a string where the row has no fitting replacement.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tinysql.interp.records import Column, Item, Record
from tinysql.interp.vocabulary import Choice, Vocabulary


class Corruption(NamedTuple):
    """One change of a row: new texts by mention, the mention that answers, roles of targets."""

    texts: dict[str, str]
    answer: str
    targets: dict[str, str]
    corrupted_answer: str = ""
    """The mention that gives the corrupted answer, if another one."""
    foil: bool = False
    """Whether the corrupted prompt, too, asks for the clean answer."""


UNMENTIONED = "the question's words for it are not known"
"""Reason where somebody else wrote the question, or where it leaves something unsaid."""

Corrupt = Callable[[Record, Vocabulary, np.random.Generator], Corruption | str]


def draw_number(numbers: Iterable[int], rng: np.random.Generator) -> int | None:
    """A random one of the numbers, or None if there is none."""
    every = list(numbers)
    return every[rng.integers(len(every))] if every else None


def wordings(
    vocabulary: Vocabulary, columns: Iterable[Column], name: str, phrase: str
) -> list[Choice]:
    """Ways to say these columns that are of the kind in which `phrase` says `name`."""
    wanted = {column.name: column.family for column in columns}
    return [
        choice
        for family in dict.fromkeys(wanted.values())
        for choice in vocabulary.wordings("column", family, name, phrase)
        if wanted.get(choice.meaning) == family
    ]


def schema_targets(record: Record, clean: Column, corrupted: str | None = None) -> dict[str, str]:
    """Roles of the clean answer's column in the schema, and of the corrupted one in its table."""
    roles = {f"schema.column.{clean.number}": "schema_column_target"}
    for column in record.siblings(clean):
        if column.name == corrupted:
            roles[f"schema.column.{column.number}"] = "schema_column_corrupted"
    return roles


def is_free(record: Record, column: Column) -> bool:
    """Whether no clause of the row uses the column."""
    return (column.table, column.name) not in record.chosen


def selects(record: Record, column: Column) -> bool:
    """Whether the row selects the column, with or without an aggregate."""
    return any(record.column(item) == column for item in record.row["select"])


def plain(item: Item) -> bool:
    """Whether an item is a bare column."""
    return not item["aggregate"]


def other_meanings(
    vocabulary: Vocabulary, group: str, family: str, meaning: str
) -> Iterator[Choice]:
    """Phrases of a group that tell something else."""
    return (each for each in vocabulary.choices(group, family) if each.meaning != meaning)
