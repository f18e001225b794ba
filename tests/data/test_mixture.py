"""Mixtures: the shares that were asked for, no row twice, and the same rows in any layout."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysql.data.dataset import SHARD_ROWS, DatasetConfig, DatasetShard, shards_of
from tinysql.data.generate import generate_rows, write_rows
from tinysql.data.interchange.columns import IMPORTED
from tinysql.data.mixing import draw_rows, mix_rows, mix_shard
from tinysql.data.mixture import MixtureConfig, PartConfig
from tinysql.errors import InputError

LEVELS = ("easy", "medium", "hard", "extra", None)


def plain_rows(count: int, first: int = 0) -> pa.Table:
    """Rows whose command set and hardness run through all there are, also none."""
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "command_set": pa.array([(None, 1, 2, 3)[n % 4] for n in numbers], pa.int8()),
            "question": [f"question {n}" for n in numbers],
            "hardness": pa.array([LEVELS[n % 5] for n in numbers], pa.string()),
        }
    )


def write_split(folder: Path, split: str, table: pa.Table, cuts: Sequence[int] = ()) -> None:
    """Write a split as one file, or as several with these cuts between them."""
    folder.mkdir(exist_ok=True)
    edges = [0, *sorted(cuts), table.num_rows]
    for number, (start, stop) in enumerate(zip(edges, edges[1:], strict=False)):
        pq.write_table(
            table.slice(start, stop - start), folder / f"{split}-{number:05d}.parquet"
        )


def config_of(parts: dict[str, Any], **rows: Any) -> MixtureConfig:
    return MixtureConfig.model_validate(
        {"parts": parts, "validation_rows": 0, "test_rows": 0, **rows}
    )


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """Two datasets of 40 and 60 rows, with ids that overlap."""
    for name, count in (("a", 40), ("b", 60)):
        write_split(tmp_path / name, "train", plain_rows(count))
    return {name: tmp_path / name for name in ("a", "b")}


@given(
    weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    rows=st.integers(1, 10_000_000),
)
def test_shares_are_whole_within_one_of_the_weights_and_add_up(
    weights: list[float], rows: int
) -> None:
    config = config_of(
        {f"p{n}": {"weight": weight} for n, weight in enumerate(weights)}, train_rows=rows
    )
    shares = config.shares("train")
    assert sum(shares.values()) == rows
    for name, part in config.parts.items():
        exact = rows * part.weight / sum(weights)
        assert abs(shares[name] - exact) < 1 + 1e-6


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_same_rows_in_any_layout_and_any_shards(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(5, 40), min_size=1, max_size=3))
    seed = data.draw(st.integers(0, 1000))
    wanted = data.draw(st.integers(1, min(sizes)))
    config = config_of({f"p{n}": {} for n in range(len(sizes))}, train_rows=wanted, seed=seed)
    whole: list[pa.Table] = []
    for _ in range(2):
        with TemporaryDirectory() as folder:
            given_parts = {}
            for number, size in enumerate(sizes):
                cuts = data.draw(st.lists(st.integers(0, size), max_size=3))
                given_parts[f"p{number}"] = Path(folder) / str(number)
                write_split(Path(folder) / str(number), "train", plain_rows(size), cuts)
            cuts = sorted(data.draw(st.lists(st.integers(0, wanted), max_size=3)))
            edges = [0, *cuts, wanted]
            pieces = [
                mix_rows(given_parts, config, "train", start, stop)
                for start, stop in zip(edges, edges[1:], strict=False)
            ]
            whole.append(pa.concat_tables(pieces))
    assert whole[0].equals(whole[1])
    origins = list(zip(*(whole[0][name].to_pylist() for name in ("part", "part_id")), strict=True))
    assert len(set(origins)) == len(origins) == wanted
    assert Counter(part for part, _ in origins) == {
        name: count for name, count in config.shares("train").items() if count
    }


def test_rows_keep_what_they_are_and_get_an_id_and_an_origin(parts: dict[str, Path]) -> None:
    config = config_of({"a": {"weight": 1}, "b": {"weight": 3}}, train_rows=40)
    table = mix_rows(parts, config, "train", 0, 40)
    assert table.column_names == ["id", "command_set", "question", "hardness", "part", "part_id"]
    assert table["id"].to_pylist() == list(range(40))
    assert Counter(table["part"].to_pylist()) == {"a": 10, "b": 30}
    for row in table.to_pylist():
        (before,) = plain_rows(1, row["part_id"]).to_pylist()
        assert {**row, "id": before["id"]} == {
            **before, "part": row["part"], "part_id": before["id"],
        }  # fmt: skip


def test_parts_are_interleaved_and_keep_their_order(parts: dict[str, Path]) -> None:
    config = config_of({"a": {}, "b": {}}, train_rows=80)
    table = mix_rows(parts, config, "train", 0, 80)
    names = table["part"].to_pylist()
    changes = sum(one != other for one, other in zip(names, names[1:], strict=False))
    assert 25 <= changes <= 55  # of 79 fair coins
    for name in parts:
        ids = table.filter(pa.compute.equal(table["part"], name))["part_id"].to_pylist()
        assert ids == sorted(ids)


@given(
    command_sets=st.none() | st.sets(st.integers(1, 3), min_size=1),
    hardness=st.none() | st.sets(st.sampled_from(LEVELS[:4]), min_size=1),
)
@settings(max_examples=25, deadline=None)
def test_filters_take_all_that_fits_and_nothing_else(
    command_sets: set[int] | None, hardness: set[str] | None
) -> None:
    rows = plain_rows(60).to_pylist()
    fitting = [
        row["id"]
        for row in rows
        if (command_sets is None or row["command_set"] in command_sets)
        and (hardness is None or row["hardness"] in hardness)
    ]
    part = {
        "command_sets": command_sets and sorted(command_sets),
        "hardness": hardness and sorted(hardness),
    }
    config = config_of({"only": part}, train_rows=len(fitting))
    with TemporaryDirectory() as folder:
        write_split(Path(folder), "train", plain_rows(60), [7, 30])
        table = mix_rows({"only": Path(folder)}, config, "train", 0, len(fitting))
        assert table["part_id"].to_pylist() == fitting
        more = config.model_copy(update={"train_rows": len(fitting) + 1})
        with pytest.raises(InputError, match=f"'only' has {len(fitting)} train rows of ") as caught:
            mix_rows({"only": Path(folder)}, more, "train", 0, 1)
    assert "\n" not in str(caught.value)


def test_seed_split_and_name_each_change_the_draw(parts: dict[str, Path]) -> None:
    write_split(parts["a"], "validation", plain_rows(40))

    def drawn(split: str = "train", name: str = "a", seed: int = 0) -> list[int]:
        config = config_of({name: {}}, train_rows=20, validation_rows=20, seed=seed)
        return draw_rows({name: parts["a"]}, config, split)[name].tolist()

    draws = [drawn(), drawn("validation"), drawn(name="other"), drawn(seed=1)]
    assert len({tuple(each) for each in draws}) == len(draws)
    assert drawn() == draws[0]


def test_smaller_draw_is_part_of_a_larger_one(parts: dict[str, Path]) -> None:
    few, many = (
        set(draw_rows(parts, config_of({"b": {}}, train_rows=rows), "train")["b"].tolist())
        for rows in (10, 30)
    )
    assert few < many


def test_row_of_a_dataset_in_two_parts_is_in_one_of_them(parts: dict[str, Path]) -> None:
    twice = {"new": parts["b"], "replay": parts["b"]}
    config = config_of({"new": {}, "replay": {}}, train_rows=60)
    table = mix_rows(twice, config, "train", 0, 60)
    assert sorted(table["part_id"].to_pylist()) == list(range(60))
    filtered = config_of({"new": {}, "replay": {"command_sets": [1]}}, train_rows=60)
    with pytest.raises(InputError, match="that no other part has taken, and 30 of the 60"):
        mix_rows(twice, filtered, "train", 0, 1)


def test_order_in_which_parts_are_written_changes_nothing(parts: dict[str, Path]) -> None:
    tables = [
        mix_rows(parts, config_of(dict(written), train_rows=50), "train", 0, 50)
        for written in ([("a", {}), ("b", {})], [("b", {}), ("a", {})])
    ]
    assert tables[0].equals(tables[1])


GENERATED = DatasetConfig(command_sets=(1, 4), train_rows=60, validation_rows=5, test_rows=5)


def generated(folder: Path) -> Path:
    folder.mkdir()
    for split in ("train", "test"):
        rows = generate_rows(GENERATED, split, np.array(GENERATED.rows_of(split)))
        write_rows(rows, folder / f"{split}-00000.parquet")
    return folder


def test_one_part_has_the_columns_of_its_dataset(tmp_path: Path) -> None:
    dataset = generated(tmp_path / "dataset")
    out = tmp_path / "out"
    out.mkdir()
    config = config_of({"all": {"command_sets": [4]}}, train_rows=20, test_rows=2)
    counts = [
        mix_shard(out, config=config, shard=shard, all=dataset) for shard in shards_of(config.sizes)
    ]
    assert counts[0]["part"] == {"all": 20}
    assert counts[0]["command_set"] == {"4": 20}
    assert sum(counts[0]["hardness"].values()) == 20
    made = pq.read_table(out / "train-00000.parquet")
    source = pq.read_table(dataset / "train-00000.parquet")
    assert made.schema.names == [*source.schema.names, "part", "part_id"]
    columns = [name for name in source.schema.names if name != "id"]
    places = made["part_id"].to_pylist()
    assert made.select(columns).equals(source.select(columns).take(places))
    assert pq.read_table(out / "test-00000.parquet")["id"].to_pylist() == [20, 21]


def test_parts_of_other_columns_share_those_that_all_have(tmp_path: Path) -> None:
    dataset = generated(tmp_path / "dataset")
    imported = tmp_path / "imported"
    row = {
        "id": 0, "command_set": None, "split": "train", "variant": "imported", "question": "How?",
        "schema_sql": "CREATE TABLE t ( a TEXT )", "gold_sql": "SELECT a FROM t",
        "tables": [{"name": "t", "phrase": None}],
        "columns": [{"table": 0, "name": "a", "type": "TEXT", "kind": "text", "key": ""}],
        "foreign_keys": [], "hardness": "easy", "source": "{}",
    }  # fmt: skip
    rows = pa.Table.from_pylist([{**row, "id": number} for number in range(20)], IMPORTED)
    write_split(imported, "train", rows)
    mixed = config_of({"ours": {}, "theirs": {}}, train_rows=30)
    given_parts = {"ours": dataset, "theirs": imported}
    table = mix_rows(given_parts, mixed, "train", 0, 30)
    assert set(table.column_names) == {*IMPORTED.names, "part", "part_id"} - {"source"}
    assert Counter(table["variant"].to_pylist()) == {"default": 15, "imported": 15}
    # One shard may have rows of one part only, and yet its columns are the same.
    assert mix_rows(given_parts, mixed, "train", 0, 1).schema == table.schema


def test_mixture_of_mixtures_has_every_row_of_both(parts: dict[str, Path], tmp_path: Path) -> None:
    made = {}
    for name in ("one", "two"):
        config = config_of({"b": {}}, train_rows=30, seed=ord(name[0]))
        made[name] = tmp_path / name
        write_split(made[name], "train", mix_rows(parts, config, "train", 0, 30))
    both = config_of({"one": {}, "two": {}}, train_rows=60)
    table = mix_rows(made, both, "train", 0, 60)
    assert table.column_names.count("part") == table.column_names.count("part_id") == 1
    questions = Counter(table["question"].to_pylist())
    assert questions == sum(
        (Counter(pq.read_table(made[name])["question"].to_pylist()) for name in made), Counter()
    )


def test_shards_follow_each_other_through_the_splits() -> None:
    config = config_of({"a": {}}, train_rows=SHARD_ROWS + 1, test_rows=5)
    assert shards_of(config.sizes) == [
        DatasetShard("train", 0, SHARD_ROWS, "train-00000.parquet"),
        DatasetShard("train", SHARD_ROWS, SHARD_ROWS + 1, "train-00001.parquet"),
        DatasetShard("test", SHARD_ROWS + 1, SHARD_ROWS + 6, "test-00000.parquet"),
    ]


def test_split_that_a_part_lacks_is_told_in_one_line(parts: dict[str, Path]) -> None:
    config = config_of({"a": {}}, test_rows=5)
    with pytest.raises(InputError, match="has no split 'test'"):
        mix_rows(parts, config, "test", 60_000, 60_005)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "at least 1"),
    ({"Easy": {}}, "got the name 'Easy', expected small letters"),
    ({"config": {}}, "none of config, shard"),
    ({"a": {"weight": 0}}, "greater than 0"),
    ({"a": {"weight": math.inf}}, "finite"),
    ({"a": {"command_sets": []}}, "at least 1"),
    ({"a": {"hardness": ["simple"]}}, "'easy', 'medium', 'hard' or 'extra'"),
]


@pytest.mark.parametrize(("written", "message"), MISTAKES)
def test_mistakes_are_refused(written: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config_of(written)


def test_part_says_what_its_rows_are() -> None:
    assert PartConfig().in_words == "of any kind"
    part = PartConfig(command_sets=(1, 2), hardness=("easy",))
    assert part.in_words == "of command sets 1, 2 and hardness easy"
