from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_rows import plain_row
from small_models import learnt_by_heart

from tinysql.data.prompts import format_completion, format_prompt
from tinysql.evaluate.config import EvaluationConfig
from tinysql.evaluate.shard import evaluate_shard
from tinysql.evaluate.tally import merged

CONFIG = EvaluationConfig(split="validation", max_new_tokens=16)


def make_rows() -> list[dict[str, Any]]:
    return [
        plain_row(
            number, f"show {column} of {table} {number}", table, {column: "TEXT", "id": "INTEGER"},
            [column, "id"], {"id": "DESC"},
        )
        for number, (table, column) in enumerate([("cars", "price"), ("pets", "name")] * 3)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of six rows and a model that has learnt four of them by heart."""
    dataset, directory = tmp_path_factory.mktemp("dataset"), tmp_path_factory.mktemp("model")
    rows = make_rows()
    pq.write_table(pa.Table.from_pylist(rows), dataset / "validation-00000.parquet")
    taught = [*rows[:4], *({**row, "gold_sql": "SELECT oops"} for row in rows[4:])]
    prompts = [format_prompt(row["question"], row["schema_sql"]) for row in taught]
    learnt_by_heart(prompts, [format_completion(row["gold_sql"]) for row in taught], directory)
    return dataset, directory


def test_evaluate_shard_scores_what_the_model_writes(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset, model = trained
    parts = []
    for number, (start, stop) in enumerate([(0, 4), (4, 6)]):
        parts.append(
            evaluate_shard(
                tmp_path / "out", model=model, dataset=dataset, name=f"predictions-{number:05d}",
                start=start, stop=stop, config=CONFIG.model_dump(), batch_size=3,
            )
        )  # fmt: skip
    summary = merged(part["tally"] for part in parts).summary()
    assert (summary["execution"]["k"], summary["exact"]["k"], summary["n"]) == (4, 4, 6)
    assert summary["verdicts"]["unknown_column"] == 2
    assert summary["truncated"] == 0
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").iterdir())]
    written = pa.concat_tables(tables).to_pylist()
    assert [row["id"] for row in written] == list(range(6))
    assert written[5]["pred_sql"] == "SELECT oops"
    assert [written[0]["pred_sql"]] == written[0]["gold_sql"]


def test_evaluate_shard_counts_answers_cut_short(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset, model = trained
    config = CONFIG.model_copy(update={"max_new_tokens": 3})
    counted = evaluate_shard(
        tmp_path, model=model, dataset=dataset, name="predictions-00000", start=0, stop=4,
        config=config,
    )  # fmt: skip
    summary = merged([counted["tally"]]).summary()
    assert (summary["truncated"], summary["execution"]["k"]) == (4, 0)
