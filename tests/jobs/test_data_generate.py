"""Datasets generated into plain directories."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from processes import Tinysql
from test_cli import assert_one_line, everything_below

from tinysql.data.dataset import GENERALIZATION_SPLITS, DatasetConfig
from tinysql.data.generate import generate_rows

SMALL = ("--rows", "30", "--test-rows", "5")


def test_directory_holds_the_rows_of_its_card(tinysql: Tinysql, tmp_path: Path) -> None:
    done = tinysql(
        "data", "generate", "--command-set", "2", "--command-set", "4", *SMALL, "--seed", "3",
        "--synonyms", "--generalization-rows", "4", "--out", "made", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "made" / "card.json").read_text())
    assert json.loads(done.stdout)["rows"] == card["rows"]
    config = DatasetConfig.model_validate(card["config"])
    assert set(card["rows"]) == {"train", "validation", "test", *GENERALIZATION_SPLITS}
    for split in card["rows"]:
        written = pq.read_table(tmp_path / "made" / f"{split}-00000.parquet")
        numbers = np.array(config.rows_of(split))
        assert written.to_pylist() == generate_rows(config, split, numbers).to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--rows", "0"), "error: --rows: "),
        (("--test-rows", "0"), "error: --test-rows: "),
        (("--command-set", "9"), "expected some of 1 to 8"),
        (("--variant", "paper", "--command-set", "7"), "expected some of 1 to 5"),
        (("--variant", "odd"), "variant"),
        (("--min-columns", "5", "--max-columns", "3"), "min_columns 5 is larger than max_columns"),
        (("--generalization-rows", "-1"), "--generalization-rows"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(
    tinysql: Tinysql, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert_one_line(tinysql("data", "generate", *arguments, "--out", "made"), expected)
    assert everything_below(tmp_path) == []


def test_directory_that_is_not_empty_is_left_alone(tinysql: Tinysql, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("keep")
    assert_one_line(tinysql("data", "generate", *SMALL, "--out", "made"), "not empty")
    assert everything_below(tmp_path) == ["made", "made/mine.txt"]


@pytest.mark.parametrize("out", ["file", "file/made", "/proc/made", "x" * 250])
def test_place_that_cannot_be_written_is_one_line(
    tinysql: Tinysql, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("keep")
    assert_one_line(tinysql("data", "generate", *SMALL, "--out", out), out)
    assert everything_below(tmp_path) == ["file"]


def test_paper_variant_verifies_where_its_sql_runs(tinysql: Tinysql) -> None:
    written = tinysql(
        "data", "generate", "--variant", "paper", "--command-set", "3", *SMALL, "--out", "made"
    )
    assert written.returncode == 0, written.stderr
    done = tinysql("data", "verify", "made", "--json")
    assert done.returncode == 0, done.stderr
    checks = [check["name"] for check in json.loads(done.stdout)["checks"]]
    assert [name for name in checks if name.startswith("runs on")] == ["runs on sqlite"]
