"""What every rank of a gang runs: inputs, where to resume, the function, and rank 0's commit.

Checkpoints live in <artifact>/train/checkpoint-<step>-<token>/, written by all ranks, each with a
list of its files. Rank 0 picks the newest whole one, whoever registered it where: after a lost
worker, a killed driver or a rerun. The token is new for every start of the group, so ranks of two
starts never mix files in one place, and a checkpoint written again never has the name of one that
Ray Train is about to delete.
"""

import logging
import os
import secrets
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from pydantic import JsonValue
from ray import train
from ray.train import collective

from cluster import logs
from cluster.artifact import Attempt
from cluster.checkpoints import checkpoint_name, find_checkpoint, list_files, load_checkpoint
from cluster.errors import IntegrityError
from cluster.exporter import export_metrics
from cluster.fanout import Inputs, load_function
from cluster.manifest import Meter, Usage
from cluster.metrics import CHECKPOINTS, RETRIES, count, show_row
from cluster.scratch import given_away, scratch

SHARD = "gang"
RUN_NAME = "train"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GangWork:
    """All that the ranks need."""

    attempt: Attempt
    inputs: Inputs
    function: str
    arguments: dict[str, Any]
    best: str | None
    """The metric of a checkpoint whose lowest values are kept; None keeps the newest alone."""
    workers: int
    cpus: float
    gpus: float
    identity: str
    name: str
    config: dict[str, JsonValue]
    board: Any
    """Handle of the Board actor."""
    origin: logs.Origin

    @property
    def root(self) -> str:
        return f"{self.attempt.path}/{RUN_NAME}"


@dataclass(frozen=True)
class _Start:
    """What all ranks must agree on at a start of the group."""

    committed: bool
    checkpoint: str
    token: str


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Board:
    """Where ranks leave metrics rows for the driver to take, what they used, and their starts."""

    def __init__(self) -> None:
        self._starts = 0
        self._rows: list[dict[str, JsonValue]] = []
        self._usage = Usage()

    def start(self) -> int:
        """How often the group was started, this time included."""
        self._starts += 1
        return self._starts

    def post(self, row: dict[str, JsonValue]) -> None:
        self._rows.append(row)

    def take(self) -> list[dict[str, JsonValue]]:
        rows, self._rows = self._rows, []
        return rows

    def spend(self, usage: Usage) -> None:
        self._usage += usage

    def spent(self) -> Usage:
        return self._usage


def set_up_libraries(*, gpus: float) -> None:
    """What DeepSpeed and PyTorch are to do in a process that trains, before they are imported."""
    if not gpus:
        os.environ["DS_ACCELERATOR"] = "cpu"
    # DeepSpeed would unpickle whatever a checkpoint holds, and a store may have other writers.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def train_rank(config: dict[str, GangWork]) -> None:
    """What each rank runs."""
    export_metrics()
    with logs.continued(config["work"].origin, shard=SHARD):
        _train_rank(config["work"])


def _train_rank(work: GangWork) -> None:
    from ray.train.torch import get_device  # noqa: PLC0415 - torch stays out of the driver

    context, meter = train.get_context(), Meter()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    set_up_libraries(gpus=work.gpus)
    with scratch("gang-") as folder:
        out_dir, restore = folder / "out", folder / "restore"
        out_dir.mkdir()
        start = _agree(work, rank, restore)
        if start.committed:
            return
        log, close = _logger(work) if rank == 0 else (_ignore, _nothing)
        try:
            metrics = load_function(work.function)(
                out_dir,
                **work.inputs.local_dirs(),
                rank=rank,
                world_size=world_size,
                local_rank=context.get_local_rank(),
                device=str(get_device()),
                log=log,
                save=_saver(work, rank, world_size, start.token),
                is_ending=_is_ending,
                cache=work.inputs.kept_dir,
                restore=restore if start.checkpoint else None,
                **work.arguments,
            )
        except Exception as error:
            error.add_note(traceback.format_exc())  # pickling drops the traceback itself
            raise
        finally:
            close()
        gpu_seconds = round(work.gpus * meter.timings().seconds, 3)
        ray.get(work.board.spend.remote(meter.usage() + Usage(gpu_seconds=gpu_seconds)))
        collective.barrier()
        if rank == 0:
            objects = work.attempt.put_dir(out_dir)
            usage = ray.get(work.board.spent.remote())
            work.attempt.commit_shard(SHARD, objects, metrics, usage)


def _agree(work: GangWork, rank: int, folder: Path) -> _Start:
    """Rank 0 decides where to start from; the others fetch the same checkpoint into folder."""
    start = None
    if rank == 0:
        committed = work.attempt.receipt(SHARD) is not None
        again = ray.get(work.board.start.remote()) > 1

        def warn(text: str) -> None:
            _log.warning(text)
            work.board.post.remote({"warning": text})

        found = "" if committed else find_checkpoint(work.attempt.store, work.root, folder, warn)
        start = _Start(committed, found, secrets.token_hex(4))
        if again:
            count(RETRIES, step=work.name, of="training")
            _log.warning("training starts again, its workers were lost")
        if not committed:
            _log.info("training starts from %s", found or "the beginning")
    start = collective.broadcast_from_rank_zero(start)
    if rank != 0 and start.checkpoint:
        damage = load_checkpoint(work.attempt.store, f"{work.root}/{start.checkpoint}", folder)
        if damage:
            raise IntegrityError(f"{start.checkpoint}: {damage}")
    return start


def _logger(work: GangWork) -> tuple[Callable[[dict], None], Callable[[], None]]:
    """Rank 0's log and its close: rows go to the driver, to the tracker and to Prometheus."""
    from cluster.tracking import open_tracker  # noqa: PLC0415 - wandb on rank 0 only

    tracker = open_tracker(work.identity, work.name, work.config)

    def log(row: dict[str, JsonValue]) -> None:
        work.board.post.remote(row)  # not waited for: a slow driver must not slow training
        tracker.log(row)
        show_row(row, step=work.name, identity=work.identity)

    return log, tracker.close


def _saver(
    work: GangWork, rank: int, world_size: int, token: str
) -> Callable[[dict], AbstractContextManager[Path]]:
    @contextmanager
    def save(metrics: dict[str, Any]) -> Iterator[Path]:
        folder = given_away("checkpoint-")
        yield folder
        list_files(folder, rank, world_size)
        name = checkpoint_name(int(metrics["step"]), token)
        # Uploaded while training goes on, and then deleted here.
        train.report(
            metrics,
            checkpoint=train.Checkpoint.from_directory(folder),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=train.CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=True,
        )
        if rank == 0:
            count(CHECKPOINTS, step=work.name, identity=work.identity[:12])
            _log.info("checkpoint %s written", name)

    return save


def _is_ending() -> bool:
    """Whether a machine of the gang is about to be taken away, agreed on by all ranks."""
    return train.get_preemption_info() is not None


def _ignore(row: dict[str, JsonValue]) -> None:
    """The log of the other ranks."""


def _nothing() -> None:
    """The close of the other ranks."""
