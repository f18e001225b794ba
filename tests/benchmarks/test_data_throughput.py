"""How fast datasets are generated, against a plain loop and against the machine's own limits.

`make bench` prints medians and decides nothing; of its own accord:

    python -m pytest tests/benchmarks/test_data_throughput.py -m benchmark -s
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fresh_processes import dataset_of, in_new_process, peak_memory, rows_per_second
from reference_loop import ReferenceLoop
from timing import compare, one_core

from tinysql.data.dataset import COMMAND_SETS, SHARD_ROWS, DatasetConfig
from tinysql.data.generate import generate_rows, generate_shard

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1_200)]

MAX_COLUMNS = 12
REFERENCE_SETS = range(1, 6)
TEXT = ("question", "schema_sql", "gold_sql")


@pytest.fixture
def alone() -> Iterator[None]:
    with one_core():
        yield


def shard_of(config: DatasetConfig, folder: Path) -> Path:
    """The file of the first shard of the train split, written now."""
    generate_shard(
        folder, config=config, split="train", start=0, stop=SHARD_ROWS, file_name="ours.parquet"
    )
    return folder / "ours.parquet"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("command_set", COMMAND_SETS)
def test_rows_per_second_to_parquet(command_set: int, tmp_path: Path) -> None:
    config = DatasetConfig(command_sets=(command_set,), max_columns=MAX_COLUMNS)
    sides: dict[str, Callable[[], object]] = {"generate_shard": lambda: shard_of(config, tmp_path)}
    if command_set in REFERENCE_SETS:
        loop = ReferenceLoop(command_set, max_cols=MAX_COLUMNS)
        sides["a loop over rows"] = lambda: loop.write(SHARD_ROWS, tmp_path / "loop.parquet")
    title = f"command set {command_set}, {SHARD_ROWS:,} rows to Parquet, one core"
    compare(title, "rows/s", SHARD_ROWS, sides)
    for path in sorted(tmp_path.iterdir()):
        print(f"  {path.name}: {path.stat().st_size / SHARD_ROWS:.0f} bytes a row")


@pytest.mark.usefixtures("alone")
def test_bytes_per_second_beside_writing_and_copying_them(tmp_path: Path) -> None:
    config = DatasetConfig(command_sets=tuple(COMMAND_SETS), max_columns=MAX_COLUMNS)
    numbers = np.arange(SHARD_ROWS)
    rows = generate_rows(config, "train", numbers)
    buffers = {  # by address, because columns may share one
        buffer.address: buffer
        for column in rows.columns
        for chunk in column.chunks
        for buffer in chunk.buffers()
        if buffer is not None
    }.values()
    held = sum(buffer.size for buffer in buffers)

    def write() -> None:
        pq.write_table(rows, tmp_path / "written.parquet", compression="zstd")

    def copy() -> None:
        for buffer in buffers:
            np.frombuffer(buffer, np.uint8).copy()

    compare(
        f"{SHARD_ROWS:,} rows of every command set as bytes in memory, one core",
        "MB/s",
        held / 1e6,
        {
            "generated and written": lambda: shard_of(config, tmp_path),
            "generated": lambda: generate_rows(config, "train", numbers),
            "written to Parquet, zstd": write,
            "copied in memory": copy,
        },
    )
    text = sum(rows.column(name).nbytes for name in TEXT)
    sizes = {
        "in memory": held,
        "of it question, schema and SQL": text,
        "in the Parquet file": shard_of(config, tmp_path).stat().st_size,
    }
    for name, size in sizes.items():
        print(f"  {size / SHARD_ROWS:>6,.0f} bytes a row {name}")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_by_number_of_rows() -> None:
    started = in_new_process(peak_memory, None)
    print(f"\npeak memory of a new process, every command set\n  {started / 2**20:>6,.0f} MiB idle")
    for shards in (1, 8, 32):
        peak = in_new_process(peak_memory, dataset_of(shards * SHARD_ROWS))
        print(f"  {peak / 2**20:>6,.0f} MiB for {shards * SHARD_ROWS:,} rows")


def test_rows_per_second_by_workers() -> None:
    script = Path(__file__).with_name("scale_dataset.py")
    print("\nthe dataset step on Ray")
    sys.stdout.flush()
    subprocess.run([sys.executable, str(script), "--workers", "1,2", "--rounds", "3"], check=True)


def test_rows_per_second_by_plain_processes() -> None:
    config = dataset_of(20 * SHARD_ROWS)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for processes, found in rates.items():
            found.append(rows_per_second(config, processes))
    one, two = (np.median(found) for found in rates.values())
    print("\nthe same shards in plain processes: as far as the cores of this machine add up")
    print(f"  1: {one:,.0f} rows/s   2: {two:,.0f} rows/s   {two / one:.2f}x")
