"""Trains with Ray Train: one function on every rank, resumable, committed as the shard "gang".

The trainer runs in a zero-CPU task, so that the driver imports no torch, stays free to watch the
lease and Ctrl-C, and stops everything by cancelling that task. Ray Train restarts the whole group
when a rank dies. Errors that a rank can only cause itself end the run at once; RuntimeError and
OSError are retried, because the death of a neighbor looks like one.
"""

import os
from collections.abc import Mapping
from typing import Any

import ray
from ray import train
from ray.exceptions import RayError

from cluster import logs
from cluster.artifact import Receipt
from cluster.checkpoints import drop_unusable_snapshot
from cluster.errors import IntegrityError, UserError
from cluster.fanout import (
    SYSTEM_RETRIES,
    Inputs,
    cause_of,
    gpus_per_worker,
    is_user_error,
    numbers_in,
)
from cluster.ranks import RUN_NAME, SHARD, Board, GangWork, train_rank
from cluster.steps import StepContext

_KEPT_CHECKPOINTS = 2
_POLL_SECONDS = 0.5
_STOP_SECONDS = 15.0
_OWN_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError,
    TypeError, ValueError,
)  # fmt: skip


def run_gang(
    context: StepContext,
    function: str,
    arguments: Mapping[str, Any],
    *,
    gpu: bool,
    shared_rows: int = 0,
    best: str | None = None,
) -> Receipt:
    """The receipt of the training, after running or resuming it unless it is there already.

    The function, named as "package.module.function", is imported by the ranks alone: every one
    calls function(out_dir, **local parent directories, rank=, world_size=, local_rank=, device=,
    log=, save=, is_ending=, cache=, restore=, **arguments). log(row) counts on rank 0 only; its
    "step" moves the progress bar and its "num_steps", if any, is the total. save(metrics) is a
    context with an empty folder, which becomes a checkpoint on leaving it; all ranks must enter it
    together, with the same metrics["step"]. is_ending() says, to all ranks that ask together,
    whether a machine is about to be taken away. cache is a folder of the machine, which later
    starts find again. restore is a copy of the last checkpoint, the files of all ranks merged.
    Rank 0's metrics and files below out_dir are the result. Where the step does not say how many
    workers it wants, their number divides shared_rows. The last two checkpoints are kept; with
    best, the last and those two that have the lowest metrics[best].

    Raises what the function raised, with the rank's traceback as a note.
    """
    receipt = context.attempt.receipt(SHARD)
    if receipt is not None:
        return receipt
    board = Board.remote()  # type: ignore[attr-defined]
    work = _work(context, function, arguments, gpu, shared_rows, best, board)
    running = _fit.remote(work)
    shown, told = 0, ""
    try:
        finished = False
        while not finished:
            context.lease.check()
            finished = bool(ray.wait([running], timeout=_POLL_SECONDS)[0])
            rows = ray.get(board.take.remote())
            for row in rows:
                shown = _show(context, row, shown)
            lacking = "" if rows else _lacking(work)
            if lacking and lacking != told:
                context.progress.advance(0, warning=f"waiting: {lacking}")
                told = lacking
        ray.get(running)
    except RayError as error:
        raise cause_of(error) from None
    finally:
        _stop(running)
        ray.kill(board)
    receipt = context.attempt.receipt(SHARD)
    if receipt is None:
        raise IntegrityError(f"{context.attempt.path} was trained and its receipt is gone")
    return receipt


def _stop(running: ray.ObjectRef) -> None:
    """Ends the trainer if it still runs."""
    ended: list[ray.ObjectRef] = []
    try:
        # Asked to stop, Ray Train gives the ranks' CPUs back; killed, without a dashboard it never
        # does while this process lives.
        ray.cancel(running)
        ended, _ = ray.wait([running], timeout=_STOP_SECONDS)
    finally:
        # Forcing what has just ended by itself can end this process: a failed check inside Ray.
        if not ended:
            ray.cancel(running, force=True)


def _show(context: StepContext, row: Mapping[str, Any], shown: int) -> int:
    """Feeds the progress bar; a resumed run first repeats steps that were shown already."""
    if shown == 0 and "num_steps" in row:
        context.progress.start(context.step.name, row["num_steps"], "steps")
    step = max(shown, row.get("step", shown))
    warning = {"warning": row["warning"]} if "warning" in row else {}
    hidden = {"step", "num_steps"}
    facts = numbers_in({key: value for key, value in row.items() if key not in hidden})
    if "split" in row:
        facts["split"] = row["split"]
    context.progress.advance(step - shown, **facts, **warning)
    return step


def _work(
    context: StepContext,
    function: str,
    arguments: Mapping[str, Any],
    gpu: bool,
    shared_rows: int,
    best: str | None,
    board: Any,
) -> GangWork:
    resources = context.step.resources
    total = ray.cluster_resources()
    cpus, gpus = resources.cpus_per_worker, gpus_per_worker(resources) if gpu else 0.0
    on_cpu = min(2, int(total.get("CPU", 0) / (cpus or 1)))
    room = int(total.get("GPU", 0) / gpus) if gpus else on_cpu
    fitting = [n for n in range(1, max(1, room) + 1) if shared_rows % n == 0]
    return GangWork(
        attempt=context.attempt,
        inputs=Inputs.of(context),
        function=function,
        arguments=dict(arguments),
        best=best,
        workers=resources.workers or fitting[-1],
        cpus=cpus,
        gpus=gpus,
        identity=context.step.identity,
        name=context.step.name,
        config=context.step.config.model_dump(mode="json"),
        board=board,
        origin=logs.origin(),
    )


def _lacking(work: GangWork) -> str:
    """Why the gang cannot start on the machines that are there now; "" where it can."""
    total = ray.cluster_resources()
    for kind, each in (("CPU", work.cpus), ("GPU", work.gpus)):
        if work.workers * each > total.get(kind, 0):
            return (
                f"{work.workers} workers of {each:g} {kind} each, the cluster has "
                f"{total.get(kind, 0):g}; add machines or set resources.workers"
            )
    return ""


class _FailFast(train.UserCallback):
    """Ends the run at an error that trying again cannot cure."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        for error in worker_exceptions.values():
            # A store that is away may be back when the ranks have started again.
            hopeless = is_user_error(error) and not isinstance(error, OSError)
            if hopeless or isinstance(error, _OWN_ERRORS):
                raise error


@ray.remote(num_cpus=0, max_retries=SYSTEM_RETRIES, max_calls=1)
def _fit(work: GangWork) -> None:
    """Runs the trainer. Started again with the same run name, it resumes."""
    from ray.train.torch import TorchTrainer  # noqa: PLC0415 - torch stays out of the driver

    # How often the controller looks at its ranks, which also bounds how fast save() returns.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    drop_unusable_snapshot(work.attempt.store, work.root, ray.__version__)
    filesystem, root = work.attempt.store.arrow_filesystem()
    resources = {"CPU": work.cpus, "GPU": work.gpus}
    trainer = TorchTrainer(
        train_rank,
        train_loop_config={"work": work},
        scaling_config=train.ScalingConfig(
            num_workers=work.workers,
            use_gpu=work.gpus > 0,
            resources_per_worker={kind: amount for kind, amount in resources.items() if amount},
        ),
        run_config=train.RunConfig(
            name=RUN_NAME,
            storage_path=f"{root}/{work.attempt.path}",
            storage_filesystem=filesystem,
            failure_config=train.FailureConfig(max_failures=SYSTEM_RETRIES),
            checkpoint_config=train.CheckpointConfig(
                num_to_keep=_KEPT_CHECKPOINTS,
                checkpoint_score_attribute=work.best,
                checkpoint_score_order="min" if work.best else "max",
            ),
            callbacks=[_FailFast()],  # type: ignore[list-item]
        ),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:
        raise _original(error) from None


def _lost(error: Exception) -> Exception:
    """What to say of a rank that is gone, however often it was started."""
    return UserError(
        f"a worker of the training was lost {SYSTEM_RETRIES + 1} times ({type(error).__name__}), "
        "out of memory perhaps: lower runtime.micro_rows or give it more memory; the last "
        "checkpoint is kept"
    )


def _original(error: train.TrainingFailedError) -> Exception:
    """The exception of the rank that failed by itself rather than because another did."""
    if isinstance(error, train.WorkerGroupError):
        failures = list(error.worker_failures.values())
        told = (one for one in failures if isinstance(one, _OWN_ERRORS) or is_user_error(one))
        own = next(told, None)
        # Ray's own errors tell of a rank that could not tell: its neighbors only heard it go.
        lost = next((one for one in failures if type(one).__module__.startswith("ray.")), None)
        return own or (_lost(lost) if lost else failures[0])
    return error.controller_failure if isinstance(error, train.ControllerError) else error
