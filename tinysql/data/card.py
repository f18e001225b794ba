"""The dataset card: what is in a dataset, how often, and why its splits share nothing.

Shards count what they draw while they draw it, as plain lists of numbers in the order of LABELS;
the card adds the lists up. So a card of any size costs no second reading of the rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysql.data import conditions as cond
from tinysql.data import hardness, phrasing, words
from tinysql.data.dataset import BUCKETS, GENERALIZATION_SPLITS, DatasetConfig, identify_dataset
from tinysql.data.queries import OUTER, SET_OPERATIONS, Query
from tinysql.data.schemas import Schemas
from tinysql.data.text import Indices, Text, pieces

Counts = Mapping[str, list[int]]

_PHRASES = sorted({
    phrase
    for group in (
        *(table.synonyms for table in words.tables()),
        *(column.synonyms for column in words.columns()),
        *(phrasing.aggregate_phrases(a, f) for a in phrasing.AGGREGATES for f in phrasing.FAMILIES),
        *(phrasing.direction_phrases(d, f) for d in phrasing.DIRECTIONS for f in phrasing.FAMILIES),
        *(group for operator in phrasing.OPERATORS for group in operator.phrases.values()),
        *phrasing.SET_OPERATIONS.values(), *phrasing.OUTER_AGGREGATES.values(),
        phrasing.JOIN_LINKS, phrasing.WHERE_LEADS, phrasing.GROUP_LEADS, phrasing.HAVING_LEADS,
        phrasing.ORDER_LEADS, phrasing.ORDER_LINKS, phrasing.DISTINCT_WORDS, phrasing.STAR_PHRASES,
    )
    for phrase in group
})  # fmt: skip
_PHRASE_PIECES = pieces(_PHRASES)

LABELS: dict[str, list[str]] = {
    "command_sets": [str(number) for number in range(9)],
    "hardness": list(hardness.LEVELS),
    "tables_per_schema": [str(number) for number in range(7)],
    "joined_tables": [str(number) for number in range(7)],
    "selected_items": [str(number) for number in range(41)],
    "order_keys": [str(number) for number in range(41)],
    "aggregates": list(phrasing.AGGREGATES),
    "directions": list(phrasing.DIRECTIONS),
    "where_forms": list(cond.FORMS),
    "operators": [operator.name for operator in phrasing.OPERATORS],
    "set_operations": list(SET_OPERATIONS),
    "outer_aggregates": list(OUTER),
    "clauses": ["distinct", "group by", "having", "limit"],
    "shapes": list(phrasing.SHAPES),
    "tables": [table.name for table in words.tables()],
    "columns": [column.name for column in words.columns()],
    "phrases": _PHRASES,
}
"""What is counted, and what each number of a list stands for."""


def count(
    command_set: Indices, schemas: Schemas, query: Query, shape: Indices, level: Indices,
    question: Text,
) -> Counts:  # fmt: skip
    """How often each label occurs in these rows; level is an index into hardness.LEVELS."""
    conditions = query.conditions
    found: dict[str, NDArray[Any]] = {
        "command_sets": command_set,
        "hardness": level,
        "tables_per_schema": schemas.num_tables,
        "joined_tables": query.num_from,
        "selected_items": query.is_selected.sum(axis=1),
        "order_keys": query.is_ordered.sum(axis=1),
        "aggregates": query.aggregate,
        "directions": query.direction[query.is_ordered],
        "where_forms": conditions.form,
        "operators": conditions.operator[conditions.present],
        "set_operations": query.set_operation,
        "outer_aggregates": query.outer,
        "clauses": np.concatenate([
            np.full(int(np.count_nonzero(has)), number)
            for number, has in enumerate((
                query.distinct, query.grouped, conditions.present[:, cond.HAVING], query.limit,
            ))
        ]),
        "shapes": shape,
        "tables": schemas.tables,
        "columns": np.where(schemas.is_word, schemas.names, -1),
    }  # fmt: skip
    counts = {
        name: np.bincount(values[values >= 0].ravel(), minlength=len(LABELS[name])).tolist()
        for name, values in found.items()
    }
    return counts | {"phrases": question.frequencies()[_PHRASE_PIECES].tolist()}


def dataset_card(config: DatasetConfig, counts: Iterable[tuple[str, Counts]]) -> dict[str, Any]:
    """What a reader should know about a dataset, in JSON values; counts are (split, counts)."""
    totals: dict[str, dict[str, NDArray[np.int64]]] = {}
    for split, shard in counts:
        total = totals.setdefault(split, {})
        for name, numbers in shard.items():
            total[name] = total.get(name, 0) + np.array(numbers, np.int64)
    sizes = config.sizes
    return {
        "config": identify_dataset(config),
        "grammar": _GRAMMARS[config.variant],
        "rows": sizes,
        "vocabulary": {
            "tables": config.num_tables,
            "columns": config.num_columns,
            "question_shapes": len(phrasing.SHAPES),
            "phrases": len(_PHRASES),
        },
        "splits": {split: _split_card(config, split, totals[split]) for split in sizes},
    }


_GRAMMARS = {
    "default": "valid SQL: GROUP BY wherever bare columns stand beside aggregates, a direction per "
    "order key, joins over foreign keys, every CREATE TABLE in the prompt",
    "paper": "as the TinySQL paper: aggregates beside bare columns, one direction per row, "
    "unqualified columns, joins on equal base types; the joined table's CREATE is in the prompt",
}

_PROOFS = {
    "held_tables": "every schema has a held-out table; train, validation and test have none",
    "held_columns": "all columns are held-out ones; train, validation and test have none",
    "held_phrases": "the sentence shape is a held-out one, and so are phrases and synonyms where "
    "there are any; train, validation and test have none",
    "longer_schemas": "every table has more columns than one of train, validation or test may have",
    "higher_command_set": "the command set is not one of train, validation and test",
}


def _split_card(
    config: DatasetConfig, split: str, total: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    held_shapes = [phrasing.held_shape(number) for number in range(len(phrasing.SHAPES))]
    proof = _PROOFS.get(split) or (
        f"(tables, set of columns) hash into buckets {list(BUCKETS[split])} of 10, which only "
        "this split has; no held-out word, phrase or shape"
    )
    return {
        "rows": config.sizes[split],
        "disjoint because": proof,
        "counted": {
            "uses of held-out tables": int(total["tables"][list(words.held_tables())].sum()),
            "uses of held-out columns": int(total["columns"][list(words.held_columns())].sum()),
            "rows with held-out shapes": int(total["shapes"][held_shapes].sum()),
        },
        "distributions": {
            name: {
                label: int(number)
                for label, number in zip(labels, total[name], strict=True)
                if number
            }
            # Not the order of the counts: what comes out of a receipt is sorted.
            for name, labels in LABELS.items()
        },
    }


def check_held_out(card: Mapping[str, Any]) -> list[str]:
    """What contradicts the card's own claims of disjointness; empty when it all holds."""
    wrong = []
    for split, entry in card["splits"].items():
        for what, number in entry["counted"].items():
            if split not in GENERALIZATION_SPLITS and number:
                wrong.append(f"{split}: {number} {what}, expected none")
    return wrong
