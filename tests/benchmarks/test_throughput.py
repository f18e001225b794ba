"""How fast the hot paths are; run with `make bench`. Prints medians, decides nothing."""

import sqlite3
from collections.abc import Callable

import pytest
import torch
from timing import compare

from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.sql.execute import run
from tinysql.sql.sample import fill
from tinysql.train.engine import LossModel

pytestmark = pytest.mark.benchmark


def test_guarded_executions_per_second() -> None:
    schema = "CREATE TABLE t ( a INTEGER, b TEXT, c DATE )"
    database = fill(schema, seed=0)
    sql = "SELECT a, c FROM t ORDER BY b DESC"

    def plain() -> None:
        for _ in range(1000):
            connection = sqlite3.connect(":memory:")
            connection.deserialize(database)
            connection.execute(sql).fetchall()
            connection.close()

    def guarded() -> None:
        for _ in range(1000):
            run(sql, database)

    sides = {"guarded": guarded, "the same without a guard": plain}
    compare("execute a query on a fresh database", "queries/s", 1000, sides)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_training_tokens_per_second_by_attention(precision: str) -> None:
    torch.set_num_threads(1)
    rows, width = 32, 48
    input_ids = torch.randint(0, 800, (rows, width))
    weights = torch.ones(rows, width)

    def step(implementation: str) -> Callable[[], None]:
        model = build_model(ArchitectureConfig(), vocab_size=900, end_token=0, seed=0)
        model.set_attn_implementation(implementation)
        loss_model = LossModel(model, precision)

        def forward_and_backward() -> None:
            for _ in range(5):
                loss_model(input_ids, input_ids, weights).backward()

        return forward_and_backward

    sides = {"eager": step("eager"), "sdpa": step("sdpa")}
    compare(f"forward and backward, {precision}, one core", "tokens/s", 5 * rows * width, sides)
