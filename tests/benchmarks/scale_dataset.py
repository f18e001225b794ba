"""Rows per second of the dataset step by number of workers, on this machine or on a cluster.

    python tests/benchmarks/scale_dataset.py --workers 1,2
    python tests/benchmarks/scale_dataset.py --address head:6379 --store s3://bucket/scale \\
        --workers 1,16,64,256

Each round runs the real step, with its store, leases and receipts, once per number of workers, on
the same dataset; the medians are printed. A first round at the largest number is not counted. The
same content must come out every time.
"""

import secrets
import shutil
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Annotated

import ray
import typer
from fresh_processes import dataset_of

from cluster.connect import connect, disconnect, num_nodes
from cluster.errors import UserError
from cluster.graph import run_steps
from cluster.manifest import Manifest
from cluster.progress import SilentProgress
from cluster.steps import Resources, Step
from cluster.store import Store, open_store
from jobs.dataset import KIND
from jobs.entry import main
from tinysql.data.dataset import COMMAND_SETS, SHARD_ROWS, DatasetConfig, dataset_shards


def scale(
    workers: Annotated[str, typer.Option(help="Numbers of workers, with commas between.")] = "1,2",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster, host:port. Default: Ray on this machine.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where the datasets go and are deleted again. Default: a temporary one."),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(min=1, help=f"Shards of {SHARD_ROWS:,} rows per worker, at most workers."),
    ] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each number of workers.")] = 5,
) -> None:
    """Print how many rows per second the dataset step makes with each number of workers."""
    counts = _counts(workers)
    config = dataset_of(shards * max(counts) * SHARD_ROWS)
    with ExitStack() as stack:
        connect(address)
        stack.callback(disconnect)
        if num_nodes() > 1 and store is None:
            raise UserError(
                f"the cluster has {num_nodes()} nodes, which share no temporary directory: "
                "give --store s3://bucket/prefix, or file:///path if all nodes share it"
            )
        root = store or stack.enter_context(TemporaryDirectory(prefix="scale-"))
        print(
            f"{len(dataset_shards(config))} shards, command sets 1-{COMMAND_SETS[-1]}, "
            f"nodes: {num_nodes()}, CPUs: {ray.cluster_resources().get('CPU', 0):.0f}"
        )
        _report(config, measure(config, root, counts, rounds))


def measure(
    config: DatasetConfig, root: str, counts: Sequence[int], rounds: int
) -> dict[int, list[Manifest]]:
    """The manifests of every run, by number of workers; a run's time is in its manifest."""
    warm_up = _run(config, root, max(counts))
    runs: dict[int, list[Manifest]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            manifest = _run(config, root, count)
            assert manifest.content_sha256 == warm_up.content_sha256
            runs[count].append(manifest)
    return runs


def _run(config: DatasetConfig, root: str, workers: int) -> Manifest:
    store = open_store(f"{root.rstrip('/')}/{secrets.token_hex(4)}")
    step = Step("dataset", KIND, config, resources=Resources(workers=workers))
    try:
        (result,) = run_steps([step], store, progress=SilentProgress())
    finally:
        _clear(store)
    return result.manifest


def _clear(store: Store) -> None:
    if store.is_directory:
        shutil.rmtree(store.uri)
        return
    for entry in store.list(""):
        store.delete(entry.key)


def _report(config: DatasetConfig, runs: dict[int, list[Manifest]]) -> None:
    rows = config.train_rows + config.validation_rows + config.test_rows
    rates = {
        count: rows / statistics.median(each.timings.seconds for each in manifests)
        for count, manifests in runs.items()
    }
    fewest = min(rates)
    print("workers        rows/s   speed-up   of linear   CPU s per million rows")
    for count, rate in rates.items():
        speed_up = rate / rates[fewest]
        cpu = statistics.median(each.cpu_seconds for each in runs[count]) / rows * 1e6
        print(
            f"{count:>7}  {rate:>12,.0f}  {speed_up:>8.2f}x  {speed_up * fewest / count:>9.0%}"
            f"  {cpu:>23.1f}"
        )


def _counts(text: str) -> list[int]:
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise UserError(f"--workers {text!r}: expected numbers from 1 on, as in 1,2,4")
    return counts


if __name__ == "__main__":
    main(scale)
