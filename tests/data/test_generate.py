"""Generated rows: the same in any company, executable, and split without overlap."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysql.data import phrasing, words
from tinysql.data.card import check_held_out, dataset_card
from tinysql.data.dataset import (
    BUCKETS,
    GENERALIZATION_SPLITS,
    DatasetConfig,
    dataset_shards,
    identify_dataset,
)
from tinysql.data.generate import generate_mentions, generate_rows, generate_shard

Row = dict[str, Any]
EVERY_SET = tuple(range(1, 9))


@st.composite
def configs(draw: st.DrawFn) -> DatasetConfig:
    low, high = sorted(draw(st.tuples(st.integers(2, 12), st.integers(2, 12))))
    rates = st.sampled_from([0.0, 0.3, 1.0])
    variant = draw(st.sampled_from(["default", "paper"]))
    highest = 8 if variant == "default" else 5
    return DatasetConfig(
        variant=variant,
        command_sets=tuple(draw(st.lists(st.integers(1, highest), min_size=1, max_size=3))),
        min_columns=low,
        max_columns=high,
        higher_command_set=None,
        order_by_rate=draw(rates),
        aggregate_rate=draw(rates),
        where_rate=draw(rates),
        join_rate=draw(rates),
        first_table_rate=draw(rates) if variant == "default" else 0.0,
        table_synonym_rate=draw(rates),
        column_synonym_rate=draw(rates),
        seed=draw(st.integers(0, 2**70)),
    )


def rows_of(config: DatasetConfig, split: str, numbers: Sequence[int]) -> list[Row]:
    return generate_rows(config, split, np.array(numbers)).to_pylist()


@settings(deadline=None, max_examples=12)
@given(
    config=configs(),
    split=st.sampled_from([*BUCKETS, *GENERALIZATION_SPLITS[:-1]]),
    numbers=st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
)
def test_row_is_the_same_alone_and_among_others_in_any_order(
    config: DatasetConfig, split: str, numbers: list[int]
) -> None:
    together = generate_rows(config, split, np.array(numbers))
    alone = generate_rows(config, split, np.array(numbers[:1]))
    assert together.schema == alone.schema
    assert together.to_pylist() == rows_of(config, split, numbers[::-1])[::-1]
    assert together.to_pylist()[:1] == alone.to_pylist()


@pytest.mark.parametrize("shards", [1, 3, 16])
def test_rows_are_the_same_bytes_in_any_number_of_shards(shards: int) -> None:
    config = DatasetConfig(command_sets=EVERY_SET, column_synonym_rate=0.5)
    whole = generate_rows(config, "train", np.arange(480))
    numbers = np.array_split(np.arange(480), shards)
    parts = [generate_rows(config, "train", part) for part in numbers]
    assert pa.concat_tables(parts).equals(whole)


@settings(deadline=None, max_examples=12)
@given(config=configs())
def test_every_row_executes(config: DatasetConfig) -> None:
    for row in rows_of(config, "train", range(40)):
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.executescript(row["schema_sql"])
            returned = [column[0] for column in database.execute(row["gold_sql"]).description]
        if row["outer_aggregate"]:
            assert len(returned) == 1, row
        else:
            named = [item["alias"] or item["column"] for item in row["select"]]
            assert returned == named, row


@pytest.mark.parametrize("command_set", EVERY_SET)
def test_command_set_has_its_clauses_and_those_below(command_set: int) -> None:
    rows = rows_of(DatasetConfig(command_sets=(command_set,)), "train", range(600))
    seen = {
        2: any(row["order_by"] for row in rows),
        3: any(item["aggregate"] for row in rows for item in row["select"]),
        4: any(row["filters"] for row in rows),
        5: any(row["joins"] for row in rows),
        6: all(any(found(row) for row in rows) for found in (
            lambda row: row["having"], lambda row: row["distinct"], lambda row: row["limit"],
        )),
        7: {"UNION", "INTERSECT", "EXCEPT"} <= {row["set_operation"] for row in rows}
        and {"IN SELECT", "EXISTS", "> SELECT"}
        <= {one["operator"] for row in rows for one in row["filters"]},
        8: any(row["outer_aggregate"] for row in rows)
        and {2, 3} <= {len(row["joins"]) for row in rows},
    }  # fmt: skip
    # The schemas of set 7 have two tables, which its sub-queries read one at a time.
    expected = {n for n in seen if n <= command_set and not (command_set == 7 and n in (5, 6))}
    if command_set == 8:
        expected.remove(7)
    assert expected <= {n for n, found in seen.items() if found}
    assert {n for n, found in seen.items() if found} - expected <= {5} & {command_set - 1}


def test_bare_columns_beside_aggregates_are_grouped_by() -> None:
    rows = rows_of(DatasetConfig(command_sets=EVERY_SET), "train", range(2_000))
    for row in rows:
        if row["outer_aggregate"]:
            assert len(row["group_by"]) == 1, row
            continue
        bare = [item["column"] for item in row["select"] if not item["aggregate"]]
        mixed = len(bare) < len(row["select"])
        assert [key["column"] for key in row["group_by"]] == (bare if mixed else []), row


def test_no_row_is_ordered_by_a_column_that_where_leaves_one_value() -> None:
    required = {"A": "A", "A AND B": "AB", "A AND B AND C": "ABC", "( A OR B ) AND C": "C"}
    config = DatasetConfig(command_sets=EVERY_SET[3:], order_by_rate=1.0, where_rate=1.0)
    for row in rows_of(config, "train", range(3_000)):
        main = [one for one in row["filters"] if one["scope"] == 0]
        pinned = {
            (one["table"], one["column"])
            for letter, one in zip("ABC", main, strict=False)
            if letter in required.get(row["where_form"], "")
            and one["operator"] in ("=", "= SELECT", "IS NULL")
        }
        keys = {(key["table"], key["column"]) for key in row["order_by"] if not key["aggregate"]}
        assert not keys & pinned, row
        assert row["order_by"] or not row["limit"], row


def test_joins_are_on_declared_foreign_keys() -> None:
    rows = rows_of(DatasetConfig(command_sets=(5, 6, 8)), "train", range(1_000))
    assert any(row["joins"] for row in rows)
    for row in rows:
        declared = {
            frozenset({(key["table"], key["column"]), (key["parent"], key["parent_column"])})
            for key in row["foreign_keys"]
        }
        for join in row["joins"]:
            ends = {(join["left"], join["left_column"]), (join["right"], join["right_column"])}
            assert frozenset(ends) in declared, row
        assert len(row["joins"]) == len(row["from_tables"]) - 1, row


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.5), (0.7, 0.85), (1.0, 1.0)])
def test_first_table_rate_is_how_often_from_begins_with_the_first_table(
    rate: float, expected: float
) -> None:
    config = DatasetConfig(command_sets=(5,), join_rate=1, first_table_rate=rate)
    rows = rows_of(config, "train", range(4_000))
    share = np.mean([row["from_tables"][0] == 0 for row in rows])
    assert share == pytest.approx(expected, abs=0.03)


def test_fields_that_are_not_used_leave_identities_as_they_were() -> None:
    assert "first_table_rate" not in identify_dataset(DatasetConfig())
    assert identify_dataset(DatasetConfig(first_table_rate=0.5))["first_table_rate"] == 0.5


@pytest.mark.parametrize("variant", ["default", "paper"])
def test_mentions_say_what_the_records_say(variant: str) -> None:
    sets = EVERY_SET if variant == "default" else EVERY_SET[:5]
    config = DatasetConfig(
        variant=variant, command_sets=sets, table_synonym_rate=0.8, column_synonym_rate=0.5
    )
    numbers = np.arange(400)
    rows = rows_of(config, "train", range(400))
    for row, made in zip(
        rows, generate_mentions(config, "train", numbers).to_pylist(), strict=True
    ):
        texts = {"question": row["question"], "schema": row["schema_sql"], "sql": row["gold_sql"]}
        said = {
            one["key"]: texts[one["key"].split(".")[0]][one["start"] : one["end"]]
            for one in made["mentions"]
        }
        assert (made["question"], made["gold_sql"]) == (row["question"], row["gold_sql"])
        for number, column in enumerate(row["columns"]):
            assert said[f"schema.column.{number}"] == column["name"], row
        for number, item in enumerate(row["select"]):
            assert said[f"question.select.{number}"] == item["phrase"], row
            assert said[f"sql.select.{number}"] == item["column"], row
        for number, key in enumerate(row["order_by"]):
            assert said[f"question.order.{number}"] == key["phrase"], row
            assert said[f"sql.direction.{number}"] == key["direction"], row
        for number, one in enumerate(row["filters"]):
            assert said[f"question.operator.{number}"] == one["operator_phrase"], row
            for place, value in enumerate(one["values"]):
                assert said[f"sql.value.{number}.{place}"] == value, row


SPLIT_CONFIG = DatasetConfig(
    command_sets=(1, 2, 4, 5), train_rows=4_000, validation_rows=500, test_rows=500,
    generalization_rows=dict.fromkeys(GENERALIZATION_SPLITS, 300),
    table_synonym_rate=0.8, column_synonym_rate=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Row]]:
    return {
        split: rows_of(SPLIT_CONFIG, split, SPLIT_CONFIG.rows_of(split))
        for split in SPLIT_CONFIG.sizes
    }


def test_no_table_and_column_set_is_in_two_splits(splits: dict[str, list[Row]]) -> None:
    seen: dict[Any, str] = {}
    for split in BUCKETS:
        for row in splits[split]:
            key = (
                frozenset(table["name"] for table in row["tables"]),
                frozenset(column["name"] for column in row["columns"] if not column["key"]),
            )
            assert seen.setdefault(key, split) == split, row


def test_generalization_splits_have_what_the_others_lack(splits: dict[str, list[Row]]) -> None:
    tables = {words.tables()[number].name for number in words.held_tables()}
    columns = {words.columns()[number].name for number in words.held_columns()}

    def widths(row: Row) -> list[int]:
        owners = [column["table"] for column in row["columns"] if not column["key"]]
        return [owners.count(number) for number in range(len(row["tables"]))]

    holds = {
        "held_tables": lambda row: tables & {table["name"] for table in row["tables"]},
        "held_columns": lambda row: columns & {column["name"] for column in row["columns"]},
        "held_phrases": lambda row: phrasing.held_shape(row["template_id"]),
        "longer_schemas": lambda row: min(widths(row)) > (6 if len(row["tables"]) == 1 else 3),
        "higher_command_set": lambda row: row["command_set"] == 6,
    }
    for split, rows in splits.items():
        for name, held in holds.items():
            wrong = [row for row in rows if bool(held(row)) != (split == name)]
            assert not wrong, f"{name} in {split}: {wrong[0]}"


def test_held_synonyms_and_phrases_are_said_in_their_split_only(
    splits: dict[str, list[Row]],
) -> None:
    held = {word.synonyms[-1] for word in (*words.tables(), *words.columns())}
    for family in phrasing.FAMILIES:
        for direction in phrasing.DIRECTIONS:
            held |= {*phrasing.split_directions(direction, family)[1]}
        for operator in phrasing.OPERATORS:
            held |= {*phrasing.split_held(phrasing.operator_phrases(operator.name, family))[1]}
        for aggregate in phrasing.AGGREGATES:
            held |= {*phrasing.split_held(phrasing.aggregate_phrases(aggregate, family))[1]}
    for split, rows in splits.items():
        said = {
            text
            for row in rows
            for name in ("tables", "select", "filters", "order_by")
            for one in row[name]
            for field, text in one.items()
            if field.endswith("phrase")
        }
        assert bool(said & held) == (split == "held_phrases"), (split, sorted(said & held)[:5])


def test_shards_hold_every_row_once_and_the_card_counts_them(tmp_path: Path) -> None:
    counts = []
    for shard in dataset_shards(SPLIT_CONFIG):
        made = generate_shard(tmp_path, config=SPLIT_CONFIG, **shard._asdict())
        counts.append((shard.split, made["counts"]))
    card = dataset_card(SPLIT_CONFIG, counts)
    total = 0
    for split, rows in SPLIT_CONFIG.sizes.items():
        files = sorted(tmp_path.glob(f"{split}-*.parquet"))
        ids = [i for file in files for i in pq.read_table(file)["id"].to_pylist()]
        assert ids == list(range(total, total + rows))
        total += rows
        shown = card["splits"][split]["distributions"]
        assert sum(shown["hardness"].values()) == sum(shown["shapes"].values()) == rows
    assert card["config"] == identify_dataset(SPLIT_CONFIG)
    assert check_held_out(card) == []
    backwards = [(split, dict(reversed(shard.items()))) for split, shard in counts]
    assert json.dumps(dataset_card(SPLIT_CONFIG, backwards)) == json.dumps(card)


def test_card_that_contradicts_its_claim_is_found() -> None:
    shard = next(iter(dataset_shards(SPLIT_CONFIG)))
    card = {"splits": {shard.split: {"counted": {"uses of held-out tables": 3}}}}
    assert check_held_out(card) == ["train: 3 uses of held-out tables, expected none"]


def test_rows_are_nearly_all_different() -> None:
    rows = rows_of(DatasetConfig(command_sets=(1,), max_columns=12), "train", range(5_000))
    assert len({(row["question"], row["schema_sql"]) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("fields", "words_of_message"),
    [
        ({"train_rows": 0}, "train_rows"),
        ({"min_columns": 7, "max_columns": 6}, "min_columns 7 is larger than max_columns 6"),
        ({"command_sets": (9,)}, "expected some of 1 to 8"),
        ({"command_sets": ()}, "command_sets"),
        ({"variant": "paper", "command_sets": (6,)}, "expected some of 1 to 5 in the paper"),
        ({"generalization_rows": {"held_tables": 0}}, "generalization_rows.held_tables: got 0"),
        ({"generalization_rows": {"no_such": 5}}, "no_such"),
        ({"longer_columns": (6, 9)}, "overlaps"),
        ({"command_sets": (2, 3), "higher_command_set": 3}, "overlaps"),
        ({"command_sets": (8,), "generalization_rows": {"higher_command_set": 9}}, "1 to 8"),
        ({"num_tables": 10}, "num_tables"),
        ({"variant": "paper", "first_table_rate": 0.5}, "default variant, got 0.5"),
    ],
)
def test_bad_config_is_refused(fields: dict[str, Any], words_of_message: str) -> None:
    with pytest.raises(ValidationError, match=words_of_message):
        DatasetConfig.model_validate(fields)
