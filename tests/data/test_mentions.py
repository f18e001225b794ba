"""Mentions made anew from a dataset's card: the right words, or a clear refusal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.mentions import with_mentions
from tinysql.errors import InputError

CONFIG = DatasetConfig(
    command_sets=(4, 6), train_rows=5, validation_rows=20, test_rows=5, column_synonym_rate=0.5
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "card.json").write_text(json.dumps({"config": CONFIG.model_dump(mode="json")}))
    return tmp_path


def rows_of(split: str) -> list[dict[str, Any]]:
    return generate_rows(CONFIG, split, np.array(CONFIG.rows_of(split))).to_pylist()


def test_mentions_are_the_words_that_the_records_tell(dataset: Path) -> None:
    for row in with_mentions(dataset, "validation", rows_of("validation")[::-3]):
        spans = {each["key"]: (each["start"], each["end"]) for each in row["mentions"]}
        for number, item in enumerate(row["select"]):
            start, end = spans[f"question.select.{number}"]
            assert row["question"][start:end] == item["phrase"]
        for number, condition in enumerate(row["filters"]):
            start, end = spans[f"sql.filter.{number}"]
            assert row["gold_sql"][start:end] == condition["column"]


def test_rows_that_the_card_does_not_give_are_refused(dataset: Path) -> None:
    rows = rows_of("validation")
    with pytest.raises(InputError, match="row 7 of split 'validation'.*generate the dataset again"):
        with_mentions(dataset, "validation", [*rows[:2], {**rows[2], "question": "Else?"}])
    with pytest.raises(InputError, match="split 'test'"):
        with_mentions(dataset, "test", rows)


@pytest.mark.parametrize("card", [None, "{}", "[]", "no json", '{"config": {"splits": ["a"]}}'])
def test_dataset_from_elsewhere_is_refused_in_one_line(tmp_path: Path, card: str | None) -> None:
    if card is not None:
        (tmp_path / "card.json").write_text(card)
    with pytest.raises(InputError, match="generated here") as caught:
        with_mentions(tmp_path, "validation", rows_of("validation"))
    assert "\n" not in str(caught.value)
