"""How fast predictions are judged on ten databases each; run with `make bench`. Decides nothing."""

from typing import Any

import numpy as np
import pytest
from timing import compare, one_core

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.evaluate.config import ScoreConfig
from tinysql.evaluate.scoring import score_all

pytestmark = pytest.mark.benchmark

NUM_ROWS = 50
CONFIG = ScoreConfig(num_databases=10)
# Fewer than the golds that are kept, with as many new ones between two rounds.


def predictions() -> list[dict[str, Any]]:
    """A third right, a third sorted the other way, a third with all columns, of every set."""
    config = DatasetConfig(command_sets=tuple(range(1, 9)))
    asked = []
    for number, row in enumerate(generate_rows(config, "test", np.arange(NUM_ROWS)).to_pylist()):
        gold, table = row["gold_sql"], row["tables"][row["from_tables"][0]]["name"]
        others = (gold, gold.replace(" ASC", " DESC"), f"SELECT * FROM {table}")
        pred = others[number % len(others)]
        asked.append(
            {"id": number, "schema_sql": row["schema_sql"], "gold_sql": gold, "pred_sql": pred}
        )
    return asked


def test_predictions_per_second_on_ten_databases() -> None:
    rows, seeds = predictions(), iter(range(1, 1_000))
    with one_core():
        compare(
            f"{NUM_ROWS} predictions on {CONFIG.num_databases} databases each, one core",
            "predictions/s",
            NUM_ROWS,
            {
                "golds known": lambda: score_all(rows, CONFIG),
                "golds new": lambda: score_all(
                    rows, CONFIG.model_copy(update={"seed": next(seeds)})
                ),
            },
        )
