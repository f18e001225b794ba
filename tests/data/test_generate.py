"""Generated rows: the same in any company, true to their own fields, and split without overlap."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysql.data import dataset, phrasing, words
from tinysql.data.dataset import SPLITS, DatasetConfig, dataset_card, dataset_shards
from tinysql.data.generate import generate_rows, generate_shard

Row = dict[str, Any]
BOTH = DatasetConfig(command_sets=(1, 2), max_columns=8)


@st.composite
def configs(draw: st.DrawFn) -> DatasetConfig:
    low, high = sorted(draw(st.tuples(st.integers(2, 8), st.integers(2, 8))))
    rates = st.sampled_from([0.0, 0.3, 1.0])
    return DatasetConfig(
        command_sets=draw(st.sampled_from([(1,), (2,), (1, 2), (2, 1, 2)])),
        min_columns=low,
        max_columns=high,
        order_by_rate=draw(rates),
        table_synonym_rate=draw(rates),
        column_synonym_rate=draw(rates),
        seed=draw(st.integers(0, 2**70)),
    )


def rows_of(config: DatasetConfig, split: str, num_rows: int) -> list[Row]:
    return generate_rows(config, split, np.arange(num_rows)).to_pylist()


def fields_of(config: DatasetConfig, split: str, num_rows: int, names: list[str]) -> list[Row]:
    return generate_rows(config, split, np.arange(num_rows)).select(names).to_pylist()


@settings(deadline=None, max_examples=30)
@given(
    config=configs(),
    split=st.sampled_from(SPLITS),
    numbers=st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
)
def test_row_is_the_same_alone_and_among_others_in_any_order(
    config: DatasetConfig, split: str, numbers: list[int]
) -> None:
    together = generate_rows(config, split, np.array(numbers))
    reversed_order = generate_rows(config, split, np.array(numbers[::-1]))
    alone = generate_rows(config, split, np.array(numbers[:1]))
    assert together.schema == alone.schema
    assert together.to_pylist() == reversed_order.to_pylist()[::-1]
    assert together.to_pylist()[:1] == alone.to_pylist()


def test_row_of_a_sub_range_is_that_of_the_range() -> None:
    everything = rows_of(BOTH, "train", 300)
    part = generate_rows(BOTH, "train", np.arange(117, 241)).to_pylist()
    assert part == everything[117:241]


def test_row_of_another_seed_differs() -> None:
    other = BOTH.model_copy(update={"seed": 1})
    pairs = zip(rows_of(BOTH, "train", 50), rows_of(other, "train", 50), strict=True)
    assert all(one["question"] != two["question"] for one, two in pairs)


def executed(row: Row) -> list[str]:
    """The names of the columns that the gold SQL returns on the row's own schema."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(row["schema_sql"])
        return [column[0] for column in database.execute(row["gold_sql"]).description]


@settings(deadline=None, max_examples=40)
@given(config=configs(), split=st.sampled_from(SPLITS))
def test_row_of_any_config_agrees_with_its_own_fields(config: DatasetConfig, split: str) -> None:
    for row in rows_of(config, split, 20):
        types = dict(zip(row["columns"], row["column_types"], strict=True))
        assert config.min_columns <= len(types) == len(row["columns"]) <= config.max_columns
        assert set(row["select"]) <= set(types)
        assert len(set(row["select"])) == len(row["select"]) >= 1
        assert set(row["order_by"]) <= set(types)
        assert len(set(row["order_by"])) == len(row["order_by"])
        assert row["command_set"] in config.command_sets
        assert row["split"] == split
        declared = ", ".join(f"{name} {sql_type}" for name, sql_type in types.items())
        assert row["schema_sql"] == f"CREATE TABLE {row['table']} ( {declared} )"
        assert executed(row) == row["select"]


@settings(deadline=None, max_examples=20)
@given(config=configs())
def test_question_of_any_config_holds_every_phrase_in_order(config: DatasetConfig) -> None:
    for row in rows_of(config, "train", 20):
        question = row["question"]
        assert "[" not in question
        assert "  " not in question
        assert question.count(row["table_phrase"]) >= 1
        sequence = [*row["select_phrases"]]
        for name, phrase in zip(row["order_by"], row["order_phrases"], strict=True):
            sequence.append(f"{name} {phrase}")
        position = 0
        for phrase in sequence:
            position = question.index(phrase, position) + len(phrase)


def test_direction_phrase_of_an_order_key_fits_direction_and_type() -> None:
    for row in rows_of(DatasetConfig(command_sets=(2,)), "train", 2000):
        types = dict(zip(row["columns"], row["column_types"], strict=True))
        keys = zip(row["order_by"], row["order_directions"], row["order_phrases"], strict=True)
        for name, direction, phrase in keys:
            family = phrasing.type_family(types[name])
            assert phrase in phrasing.direction_phrases(direction, family)


def test_order_by_clause_lists_the_keys() -> None:
    for row in rows_of(BOTH, "train", 500):
        keys = zip(row["order_by"], row["order_directions"], strict=True)
        clause = ", ".join(f"{name} {direction}" for name, direction in keys)
        _, *found = row["gold_sql"].split(" ORDER BY ")
        assert found == ([clause] if clause else [])


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9, 1.0])
def test_order_by_share_of_command_set_2_is_the_rate(rate: float) -> None:
    rows = rows_of(DatasetConfig(command_sets=(1, 2), order_by_rate=rate), "train", 8000)
    ordered = {1: [], 2: []}
    for row in rows:
        ordered[row["command_set"]].append(bool(row["order_by"]))
    assert not any(ordered[1])
    assert abs(len(ordered[2]) / len(rows) - 0.5) < 0.03
    assert abs(np.mean(ordered[2]) - rate) < 0.03
    assert rate not in (0.0, 1.0) or np.mean(ordered[2]) == rate


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_synonym_share_is_the_rate(rate: float) -> None:
    config = DatasetConfig(table_synonym_rate=rate, column_synonym_rate=rate)
    rows = rows_of(config, "train", 4000)
    synonyms = {entry.name: entry.synonyms for entry in (*words.tables(), *words.columns())}
    named = [(row["table"], row["table_phrase"]) for row in rows]
    selected = [
        pair for row in rows for pair in zip(row["select"], row["select_phrases"], strict=True)
    ]
    for pairs in (named, selected):
        assert all(phrase == name or phrase in synonyms[name] for name, phrase in pairs)
        assert abs(np.mean([phrase != name for name, phrase in pairs]) - rate) < 0.03


def test_number_of_columns_and_of_selected_ones_spans_the_range() -> None:
    rows = rows_of(DatasetConfig(command_sets=(2,), min_columns=2, max_columns=5), "train", 2000)
    wanted = {(width, n) for width in range(2, 6) for n in range(1, width + 1)}
    assert {(len(row["columns"]), len(row["select"])) for row in rows} == wanted
    ordered = {(len(row["columns"]), len(row["order_by"])) for row in rows if row["order_by"]}
    assert ordered == wanted


def test_selection_is_not_tied_to_the_order_of_the_columns() -> None:
    rows = [r for r in rows_of(BOTH, "train", 3000) if len(r["select"]) == len(r["columns"]) == 2]
    assert 0.35 < np.mean([row["select"] == row["columns"] for row in rows]) < 0.65


def test_every_word_shape_and_type_occurs() -> None:
    rows = fields_of(BOTH, "train", 4000, ["template_id", "columns", "column_types"])
    assert {row["template_id"] for row in rows} == set(range(len(phrasing.SHAPES)))
    declared = {
        pair for row in rows for pair in zip(row["columns"], row["column_types"], strict=True)
    }
    assert declared == {(c.name, sql_type) for c in words.columns() for sql_type in c.types}


def test_every_table_occurs_in_every_split() -> None:
    tables = {table.name for table in words.tables()}
    for split in SPLITS:
        rows = fields_of(DatasetConfig(), split, 4000, ["table"])
        assert {row["table"] for row in rows} == tables


def test_splits_of_different_configs_share_no_table_with_its_set_of_columns() -> None:
    # Two columns only, where equal sets are likely.
    narrow = DatasetConfig(max_columns=2)
    other = DatasetConfig(max_columns=3, seed=5, command_sets=(2,), column_synonym_rate=1.0)
    keys = {
        split: {
            (row["table"], frozenset(row["columns"]))
            for config in (narrow, other)
            for row in fields_of(config, split, 10_000, ["table", "columns"])
        }
        for split in SPLITS
    }
    assert keys["train"] & keys["test"] == set()
    assert keys["train"] & keys["validation"] == set()
    assert keys["validation"] & keys["test"] == set()


def test_shards_cover_every_row_once_and_give_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "SHARD_ROWS", 40)
    config = DatasetConfig(command_sets=(1, 2), train_rows=100, validation_rows=7, test_rows=40)
    shards = dataset_shards(config)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, order in zip(folders, (shards, shards[::-1]), strict=True):
        folder.mkdir()
        for shard in order:
            counts = generate_shard(folder, config=config, **shard._asdict())
            assert counts == {"rows": shard.stop - shard.start}
    ids = []
    for shard in shards:
        one, two = (folder / shard.file_name for folder in folders)
        assert one.read_bytes() == two.read_bytes()
        table = pq.read_table(one)
        ids += table["id"].to_pylist()
        assert set(table["split"].to_pylist()) == {shard.split}
    assert ids == list(range(147))
    assert [len(config.rows_of(split)) for split in SPLITS] == [100, 7, 40]
    assert dataset_card(config)["rows"] == {"train": 100, "validation": 7, "test": 40}


@pytest.mark.parametrize(
    "mistake",
    [
        {"command_sets": ()},
        {"command_sets": (0,)},
        {"command_sets": (1, 3)},
        {"min_columns": 1},
        {"min_columns": 7, "max_columns": 6},
        {"max_columns": 21},
        {"train_rows": 0},
        {"order_by_rate": 1.5},
        {"table_synonym_rate": -0.1},
        {"seed": -1},
        {"rows": 5},
    ],
    ids=str,
)
def test_config_mistake_is_refused(mistake: Row) -> None:
    with pytest.raises(ValidationError):
        DatasetConfig(**mistake)
