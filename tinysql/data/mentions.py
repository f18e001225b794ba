"""Where the names, phrases and values of a dataset's rows stand, made anew from its card.

A dataset does not store them; a row is a function of the configuration in card.json and its id.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_mentions
from tinysql.errors import InputError

Row = Mapping[str, Any]

_TEXTS = ("question", "schema_sql", "gold_sql")


def with_mentions(dataset: Path, split: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a split with a field `mentions`: a list of {key, start, end} in characters.

    Args:
        dataset: directory with card.json.
        rows: rows of the split, with their ids and texts.

    Raises:
        InputError: the dataset was not generated here, or not by this version.
    """
    config = _read_config(dataset / "card.json")
    numbers = np.array([row["id"] for row in rows], np.int64)
    found = generate_mentions(config, split, numbers).to_pylist()
    for row, made in zip(rows, found, strict=True):
        if any(row[name] != made[name] for name in _TEXTS):
            raise InputError(
                f"row {row['id']} of split {split!r} is not what {dataset / 'card.json'} gives: "
                "its words cannot be found; generate the dataset again"
            )
    return [{**row, "mentions": made["mentions"]} for row, made in zip(rows, found, strict=True)]


def _read_config(card: Path) -> DatasetConfig:
    try:
        return DatasetConfig.model_validate(json.loads(card.read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, LookupError, TypeError, ValidationError):
        raise InputError(
            f"{card} has no configuration of a generated dataset: without it nobody knows which "
            "words of a question mean what; use a dataset that was generated here"
        ) from None
