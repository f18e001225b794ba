"""How fast the hot paths are; run with `make bench`. Prints medians, decides nothing."""

import sqlite3
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.sql.execute import run
from tinysql.sql.sample import fill
from tinysql.train.engine import LossModel

pytestmark = pytest.mark.benchmark

ROUNDS = 7


def compare(title: str, unit: str, amount: float, sides: dict[str, Callable[[], object]]) -> None:
    """Time the sides in turn, round after round, and print the median rate of each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    slowest = max(medians.values())
    print(f"\n{title}")
    for name, median in medians.items():
        rate = f"{amount / median:>12,.0f} {unit}"
        print(f"  {name:<34}{rate}   {slowest / median:.1f}x")


@pytest.mark.parametrize("command_set", [1, 2])
def test_generated_rows_per_second(command_set: int) -> None:
    config = DatasetConfig(command_sets=(command_set,))
    numbers = np.arange(10_000)
    compare(
        f"generate command set {command_set}, one core",
        "rows/s",
        len(numbers),
        {"generate_rows": lambda: generate_rows(config, "train", numbers)},
    )


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
