"""Runs a function over the shards of a step on Ray, at most once to completion each.

A shard is done when its receipt exists, so a rerun does only what is missing. A lost worker or node
is retried by Ray; an error that the function raised is not, and does not stop the other shards.
Tasks return receipts: the data goes from the worker to the store. At most a few tasks more than the
cluster has room for are submitted, which is enough to make an autoscaler grow it.
"""

import logging
import math
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from pydantic import JsonValue
from ray._private.worker import global_worker
from ray.exceptions import RayError, RayTaskError

from cluster import logs
from cluster.artifact import ArtifactRef, Attempt, Receipt, default_cache_dir
from cluster.exporter import export_metrics
from cluster.manifest import Meter, Usage
from cluster.metrics import RETRIES, TASKS, count, show
from cluster.scratch import scratch
from cluster.steps import Resources, StepContext

SYSTEM_RETRIES = 3
_SPARE_TASKS = 2
_POLL_SECONDS = 0.5
_log = logging.getLogger(__name__)


class FanoutError(RuntimeError):
    """Shards failed: lists each with the first line of its error. The others are committed."""


@dataclass(frozen=True)
class Shard:
    """A unit of work: its name within the step, and the function's keyword arguments for it."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """Parent artifacts by role, made local on whichever machine asks."""

    refs: dict[str, ArtifactRef]
    cache: Path | None

    @classmethod
    def of(cls, context: StepContext, roles: Collection[str] | None = None) -> "Inputs":
        """The parents of the step in these roles; None means all."""
        wanted = context.inputs if roles is None else roles
        return cls({role: context.inputs[role] for role in wanted}, context.cache)

    @property
    def kept_dir(self) -> Path:
        """Where functions leave what is worth keeping on this machine between their starts."""
        return (self.cache or default_cache_dir()) / "gang"

    def local_dirs(self) -> dict[str, Path]:
        return {role: ref.local_dir(self.cache) for role, ref in self.refs.items()}


@dataclass(frozen=True)
class _Work:
    """All that a worker needs besides the shard."""

    attempt: Attempt
    inputs: Inputs
    function: str
    cpus: float
    gpus: float
    step: str
    origin: logs.Origin


def map_shards(
    context: StepContext,
    function: str,
    shards: Sequence[Shard],
    *,
    gpu: bool = False,
    roles: Collection[str] | None = None,
) -> list[Receipt]:
    """The receipts of all shards, in order, after running those that have none.

    The function, named as "package.module.function", is imported by the workers alone:
    function(out_dir, **local parent directories, **shard.arguments) returns JSON-able metrics and
    writes its files below out_dir. gpu asks for a GPU per shard where the cluster has any, and
    then passes device="cuda". roles: the parents that the function takes; None means all.

    Raises FanoutError once every other shard is done, or the user error itself when all failures
    are the user's.
    """
    names = [shard.name for shard in shards]
    if len(set(names)) != len(names):
        raise ValueError(f"step {context.step.name}: shard names must be unique, got {names}")
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(context.attempt.receipt, names)
        receipts = {receipt.shard: receipt for receipt in found if receipt is not None}
    context.progress.start(context.step.name, len(shards), "shards")
    context.progress.advance(len(receipts))
    failures: dict[str, Exception] = {}
    missing = [shard for shard in shards if shard.name not in receipts]
    work = _work(context, function, gpu, roles)
    with closing(_outcomes(context, work, missing)) as outcomes:
        for name, outcome in outcomes:
            if isinstance(outcome, Receipt):
                receipts[name] = outcome
                context.progress.advance(1, **numbers_in(outcome.metrics))
            else:
                failures[name] = outcome
                context.progress.advance(1, failed=name)
    if failures:
        raise _failure(context.step.name, failures, len(shards))
    return [receipts[name] for name in names]


def load_function(name: str) -> Callable[..., Mapping[str, JsonValue]]:
    """The function of this dotted name."""
    module, _, function = name.rpartition(".")
    loaded: Callable[..., Mapping[str, JsonValue]] = getattr(import_module(module), function)
    return loaded


def cause_of(error: RayError) -> Exception:
    """What the function raised, where that is what failed; else the Ray error itself."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    return cause if isinstance(cause, Exception) else error


def is_user_error(error: BaseException) -> bool:
    """Whether the message is one line for the user; both packages mark such types."""
    return getattr(error, "user_error", False)


def numbers_in(metrics: Mapping[str, object]) -> dict[str, object]:
    """The metrics to show beside a progress bar."""
    # advance's own argument is called n, as many a count is.
    return {
        key: value
        for key, value in metrics.items()
        if isinstance(value, int | float) and key not in ("self", "n")
    }


def _work(
    context: StepContext,
    function: str,
    gpu: bool,
    roles: Collection[str] | None,
) -> _Work:
    resources = context.step.resources
    return _Work(
        attempt=context.attempt,
        inputs=Inputs.of(context, roles),
        function=function,
        cpus=resources.cpus_per_worker,
        gpus=gpus_per_worker(context.step.resources) if gpu else 0.0,
        step=context.step.name,
        origin=logs.origin(),
    )


def gpus_per_worker(resources: Resources) -> float:
    """As asked for; else one where the cluster has any now."""
    if resources.gpus_per_worker is not None:
        return resources.gpus_per_worker
    return 1.0 if ray.cluster_resources().get("GPU", 0) > 0 else 0.0


def _outcomes(
    context: StepContext, work: _Work, shards: Sequence[Shard]
) -> Generator[tuple[str, Receipt | Exception], None, None]:
    """Each shard's name with its receipt or error, as they finish; closing it cancels the rest."""
    task = _run_shard.options(num_cpus=work.cpus, num_gpus=work.gpus, name=context.step.name)
    shared = ray.put(work)
    waiting = list(reversed(shards))
    running: dict[ray.ObjectRef, str] = {}

    def tell(submitted: int, left: int) -> None:
        of = {"step": context.step.name, "identity": context.step.identity[:12]}
        show(TASKS, submitted, **of, state="submitted")
        show(TASKS, left, **of, state="waiting")
    try:
        while waiting or running:
            context.lease.check()
            while waiting and len(running) < _room(work, context.step.resources.workers):
                shard = waiting.pop()
                running[task.remote(shared, shard)] = shard.name
            tell(len(running), len(waiting))
            # The timeout lets Ctrl-C and a lost lease act, and room be measured again.
            done, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
            for ref in done:
                yield running.pop(ref), _result(ref)
    finally:
        tell(0, 0)
        for ref in running:
            ray.cancel(ref, force=True)


def _room(work: _Work, workers: int | None) -> int:
    """How many tasks may be in flight now."""
    if workers is not None:
        return workers
    total = ray.cluster_resources()
    need = {"CPU": work.cpus, "GPU": work.gpus}
    fits = [total.get(kind, 0.0) / amount for kind, amount in need.items() if amount]
    return math.floor(min(fits, default=1.0)) + _SPARE_TASKS


def _result(ref: ray.ObjectRef) -> Receipt | Exception:
    try:
        return ray.get(ref)
    except RayError as error:
        cause = cause_of(error)
        if cause is not error:
            cause.add_note(str(error))  # the worker's traceback
        return cause


def _failure(step: str, failures: Mapping[str, Exception], total: int) -> Exception:
    if all(is_user_error(error) for error in failures.values()):
        return next(iter(failures.values()))
    lines = [f"  {name}: {_first_line(error)}" for name, error in sorted(failures.items())]
    summary = f"step {step}: {len(lines)} of {total} shards failed, the others are kept:"
    error = FanoutError("\n".join([summary, *lines]))
    error.__cause__ = next(iter(failures.values()))
    return error


def _first_line(error: BaseException) -> str:
    kind = type(error).__name__.removeprefix("RayTaskError(").removesuffix(")")
    return f"{kind}: {next(iter(str(error).strip().splitlines()), '')}"


@ray.remote(max_retries=SYSTEM_RETRIES, retry_exceptions=False)
def _run_shard(work: _Work, shard: Shard) -> Receipt:
    """Runs on a worker. A retry after a lost worker is harmless: the first receipt wins."""
    export_metrics()
    with logs.continued(work.origin, shard=shard.name):
        if _is_tried_again():
            count(RETRIES, step=work.step, of="shard")
            _log.warning("shard %s is tried again, its worker was lost", shard.name)
        receipt = _receipt(work, shard)
        _log.info("shard %s done", shard.name)
        return receipt


def _is_tried_again() -> bool:
    # Not in _run_shard itself: what a remote function names is sent along, and this cannot be.
    worker: Any = global_worker.core_worker  # type: ignore[attr-defined]
    return bool(worker.get_current_task_attempt_number())


def _receipt(work: _Work, shard: Shard) -> Receipt:
    meter = Meter()
    with scratch("shard-") as out_dir:
        placement = {"device": "cuda"} if work.gpus else {}
        arguments = {**work.inputs.local_dirs(), **shard.arguments, **placement}
        metrics = load_function(work.function)(out_dir, **arguments)
        objects = work.attempt.put_dir(out_dir)
    seconds = meter.timings().seconds
    usage = meter.usage() + Usage(gpu_seconds=round(work.gpus * seconds, 3))
    return work.attempt.commit_shard(shard.name, objects, metrics, usage)
