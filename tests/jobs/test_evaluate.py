"""The evaluate verb: answers of real small models and of an endpoint, judged and shown."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from processes import Tinysql
from test_cli import assert_one_line

from tests.evaluate.small_models import learnt_by_heart
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.prompts import format_completion, format_prompt

NUM_ROWS, NUM_RIGHT = 6, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a dataset `data`."""
    config = DatasetConfig(command_sets=(1,), max_columns=2, test_rows=NUM_ROWS)
    (tmp_path / "data").mkdir()
    rows = generate_rows(config, "test", np.arange(NUM_ROWS))
    pq.write_table(rows, tmp_path / "data" / "test-00000.parquet")
    return tmp_path


def teach(folder: Path, name: str, known: int) -> None:
    """Write a model that knows so many of the answers."""
    rows = pq.read_table(folder / "data" / "test-00000.parquet").to_pylist()
    prompts = [format_prompt(row["question"], row["schema_sql"]) for row in rows]
    golds = [format_completion(row["gold_sql"]) for row in rows]
    answers = [*golds[:known], *[" SELECT oops"] * (NUM_ROWS - known)]
    learnt_by_heart(prompts, answers, folder / name)


def test_two_models_are_compared_and_samples_drawn(tinysql: Tinysql, folder: Path) -> None:
    teach(folder, "model", NUM_RIGHT)
    teach(folder, "base", NUM_ROWS // 2)
    done = tinysql(
        "evaluate", "--model", "model", "--data", "data", "--out", "out", "--base", "base",
        "--samples", "4", "--temperature", "0.01", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["execution"]["k"], summary["exact"]["k"], summary["n"]) == (4, 4, 6)
    assert summary["verdicts"] == {"strict": 4, "unknown_column": 2}
    overall = summary["comparison"]["overall"]
    assert (overall["base"]["k"], overall["tuned"]["k"], overall["only_tuned"]) == (3, 4, 1)
    assert "not distinguishable" in overall["words"]
    assert summary["samples"]["pass_at"] == {"1": pytest.approx(4 / 6), "2": pytest.approx(4 / 6),
                                             "4": pytest.approx(4 / 6)}  # fmt: skip
    assert summary["samples"]["majority"]["k"] == 4
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"predictions.parquet", "base-predictions.parquet", "summary.json", "page.html"}
    table = pq.read_table(folder / "out" / "predictions.parquet")
    assert table["strict"].to_pylist() == [True] * 4 + [False] * 2
    assert "SELECT oops" in (folder / "out" / "page.html").read_text()


def test_exact_match_needs_no_decoding(tinysql: Tinysql, folder: Path) -> None:
    teach(folder, "model", NUM_RIGHT)
    done = tinysql(
        "evaluate", "--model", "model", "--data", "data", "--out", "out", "--exact-only", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exact"]["k"] == NUM_RIGHT
    assert [path.name for path in (folder / "out").iterdir()] == ["summary.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nowhere", "--data", "data"), "--model 'nowhere': no such directory"),
        (("--model", "data", "--base", "nowhere", "--data", "data"), "--base 'nowhere'"),
        (("--model", "data", "--data", "nothing"), "nothing"),
        (("--model", "data", "--data", "data", "--split", "tset"), "'held_tables'"),
        (("--model", "m", "--data", "data", "--endpoint", "x", "--samples", "2"), "--samples"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(
    tinysql: Tinysql, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert_one_line(tinysql("evaluate", *arguments, "--out", "out"), message)
    assert sorted(path.name for path in folder.iterdir()) == before
