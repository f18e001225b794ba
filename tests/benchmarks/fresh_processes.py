"""Whole datasets generated in new processes: what memory they take, and how far cores add up."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

from tinysql.data.dataset import COMMAND_SETS, DatasetConfig, DatasetShard, dataset_shards
from tinysql.data.generate import generate_shard

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def dataset_of(train_rows: int) -> DatasetConfig:
    """A dataset of all command sets with tables of 2 to 12 columns."""
    return DatasetConfig(
        command_sets=tuple(COMMAND_SETS), max_columns=12,
        train_rows=train_rows, validation_rows=1, test_rows=1,
    )


def in_new_process(
    function: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """What the function returns when it is all that a new process does."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def peak_memory(config: DatasetConfig | None) -> int:
    """Most bytes this process ever held, after writing the dataset's shards; Linux only.

    Not ru_maxrss, which starts at what the parent process held.
    """
    if config is not None:
        with TemporaryDirectory() as folder:
            for shard in dataset_shards(config):
                _generate(Path(folder), config, shard)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


def rows_per_second(config: DatasetConfig, processes: int) -> float:
    """The dataset's rows over the time that so many processes, already warm, take together."""
    spawn, shards = get_context("spawn"), dataset_shards(config)
    ready = spawn.Barrier(processes + 1)
    with TemporaryDirectory() as folder:
        shares = [shards[number::processes] for number in range(processes)]
        workers = [
            spawn.Process(target=_work, args=(Path(folder), config, share, ready))
            for share in shares
        ]
        for worker in workers:
            worker.start()
        ready.wait()
        started = time.perf_counter()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - started
    assert [worker.exitcode for worker in workers] == [0] * processes
    return sum(shard.stop - shard.start for shard in shards) / seconds


def _work(
    folder: Path, config: DatasetConfig, shards: Sequence[DatasetShard], ready: Barrier
) -> None:
    _generate(folder, config, shards[0])
    ready.wait()
    for shard in shards:
        _generate(folder, config, shard)


def _generate(folder: Path, config: DatasetConfig, shard: DatasetShard) -> None:
    generate_shard(folder, config=config, **shard._asdict())
