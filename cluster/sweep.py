"""Runs the trials of a sweep with Ray Tune, and gives up the bad ones early with ASHA.

Every trial is a process of its own, as many at once as the cluster has room for. A lost process is
started again and goes on from the trial's last checkpoint; an error that the function raised is
not tried again and does not stop the other trials. A trial is done when its receipt exists, written
by the driver with all that the trial reported, so a rerun does only what is missing, and its ASHA
is told first what the finished trials reported. Nothing of Tune's own outlives the driver.
"""

import os
import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from cluster.artifact import Attempt, Receipt, default_cache_dir
from cluster.checkpoints import checkpoint_name, find_checkpoint, list_files
from cluster.errors import UserError
from cluster.fanout import (
    SYSTEM_RETRIES,
    FanoutError,
    Inputs,
    gpus_per_worker,
    is_user_error,
    load_function,
    numbers_in,
)
from cluster.manifest import Meter, Usage
from cluster.steps import StepContext

FINISHED, STOPPED, DIVERGED = "finished", "stopped", "diverged"
"""How a trial ended: at its last step, given up by ASHA, or by itself before its last step."""
_CACHE = "gang"  # what a gang keeps between starts serves trials, too
_FAILED = "failed"
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints to stdout whatever the verbosity is
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would wait for every trial's next report
    "TUNE_FORCE_TRIAL_CLEANUP_S": "15",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


@dataclass(frozen=True)
class Trial:
    """One training: its name within the step, and what it trains on."""

    name: str
    inputs: dict[str, str]
    """The function's arguments that are directories of parents, and those parents' roles."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The other ones."""
    group: str = ""
    """Only trials of one group are compared."""


@dataclass(frozen=True)
class Asha:
    """Rungs at grace_steps times powers of reduction_factor, up to max_steps."""

    metric: str
    """Of a reported row."""
    mode: str
    """"min" or "max"."""
    grace_steps: int
    max_steps: int
    reduction_factor: float


@dataclass(frozen=True)
class _Work:
    """All that trials need."""

    attempt: Attempt
    inputs: Inputs
    function: str
    trials: Sequence[Trial]
    gpus: float

    def root(self, trial: Trial) -> str:
        """Where its checkpoints are."""
        return f"{self.attempt.path}/trials/{trial.name}"


def run_trials(
    context: StepContext, function: str, trials: Sequence[Trial], *, gpu: bool, asha: Asha | None
) -> list[Receipt]:
    """The receipts of all trials, in order, after running those that have none.

    The function, named as "package.module.function", is imported by the trials alone:
    function(**directories of trial.inputs, device=, report=, save=, cache=, restore=,
    **trial.arguments). report(row), with numbers under "step" and "num_steps", returns unless the
    trial is given up. save(folder, metrics) takes a checkpoint over; restore is what save was given
    last. It returns None, or why it ended before its last step. A receipt's metrics have "ended",
    "reason" and "rows". asha None gives no trial up.

    Raises FanoutError once every other trial is done, or UserError where all failures are the
    user's: one line that names the trial.
    """
    found = {trial.name: context.attempt.receipt(trial.name) for trial in trials}
    missing = [trial for trial in trials if found[trial.name] is None]
    context.progress.start(context.step.name, len(trials), "trials")
    context.progress.advance(len(trials) - len(missing))
    if missing:
        resources = context.step.resources
        gpus = gpus_per_worker(resources) if gpu else 0.0
        work = _Work(context.attempt, Inputs.of(context), function, missing, gpus)
        groups = [trial.group for trial in missing]
        scheduler = _GroupedAsha(asha, groups) if asha else FIFOScheduler()
        for trial, receipt in zip(trials, found.values(), strict=True):
            if receipt is not None and isinstance(scheduler, _GroupedAsha):
                scheduler.recall(trial, receipt)
        driver = _Driver(context, work)
        _tune(work, driver, scheduler, resources.cpus_per_worker, resources.workers)
        if driver.failures:
            raise _failure(context.step.name, driver.failures, len(trials))
        found |= driver.receipts
    return [receipt for receipt in found.values() if receipt is not None]


def _tune(
    work: _Work, driver: "_Driver", scheduler: FIFOScheduler, cpus: float, workers: int | None
) -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    trainable = tune.with_resources(
        tune.with_parameters(_run_trial, work=work), {"cpu": cpus, "gpu": work.gpus}
    )
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        tune.Tuner(
            trainable,
            param_space={"number": tune.grid_search(list(range(len(work.trials))))},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                max_concurrent_trials=workers,
                trial_dirname_creator=lambda trial: f"trial-{_number(trial)}",
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=folder,
                failure_config=tune.FailureConfig(max_failures=SYSTEM_RETRIES),
                callbacks=[driver],
                verbose=0,
            ),
        ).fit()


def _number(trial: Any) -> int:
    """The place of one of Tune's trials among ours."""
    return int(trial.config["number"])


class _GroupedAsha(FIFOScheduler):
    """An ASHA for each group, because what trials of two groups report cannot be compared."""

    def __init__(self, asha: Asha, groups: Sequence[str]) -> None:
        super().__init__()
        self._asha, self._groups = asha, list(groups)
        self._schedulers: dict[str, ASHAScheduler] = {}

    def recall(self, trial: Trial, receipt: Receipt) -> None:
        """Takes into account what a trial of an earlier run reported."""
        scheduler = self._scheduler(trial.group)
        past = _Past(trial.name)
        scheduler.on_trial_add(None, past)  # type: ignore[arg-type]
        rows: Any = receipt.metrics["rows"]
        for row in rows:
            scheduler.on_trial_result(None, past, row)  # type: ignore[arg-type]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        return self._of(trial).on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict) -> None:
        """Nothing: its results were told one by one."""

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)

    def _of(self, trial: Any) -> ASHAScheduler:
        return self._scheduler(self._groups[_number(trial)])

    def _scheduler(self, group: str) -> ASHAScheduler:
        asha = self._asha
        if group not in self._schedulers:
            self._schedulers[group] = ASHAScheduler(
                time_attr="step", metric=asha.metric, mode=asha.mode, max_t=asha.max_steps,
                grace_period=asha.grace_steps, reduction_factor=asha.reduction_factor,
            )  # fmt: skip
        return self._schedulers[group]


@dataclass(frozen=True)
class _Past:
    """What ASHA looks at of a trial."""

    trial_id: str


@dataclass(frozen=True)
class _Failure:
    """Why a trial has no result."""

    line: str
    is_of_user: bool
    traceback: str


class _Driver(tune.Callback):
    """Collects what trials report, commits those that are done, and watches the lease."""

    def __init__(self, context: StepContext, work: _Work) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.failures: dict[str, _Failure] = {}
        self._context, self._work = context, work
        self._rows: dict[str, dict[int, dict[str, Any]]] = {trial.name: {} for trial in work.trials}
        self._usage: dict[str, dict[str, Usage]] = {trial.name: {} for trial in work.trials}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its settings down for a restore that nobody asks it for."""
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:  # noqa: ARG002
        self._context.lease.check()

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict, **info: Any  # noqa: ARG002
    ) -> None:
        ours = self._work.trials[_number(trial)]
        rows = self._rows[ours.name]
        self._usage[ours.name][result["start"]] = Usage(**result["usage"])
        if result["row"]:
            rows[result["row"]["step"]] = result["row"]
        if result["ended"] == _FAILED:
            self.failures[ours.name] = _Failure(**result["failure"])
            self._context.progress.advance(1, failed=ours.name)
        elif result["done"]:
            ended = result["ended"] or STOPPED
            metrics = {"ended": ended, "reason": result["reason"], "rows": list(rows.values())}
            usage = sum(self._usage[ours.name].values(), Usage())
            receipt = self._context.attempt.commit_shard(ours.name, [], metrics, usage)
            self.receipts[ours.name] = receipt
            _delete(self._context, self._work.root(ours))
            self._context.progress.advance(1, **numbers_in(result["row"]))

    def on_trial_error(
        self, iteration: int, trials: list, trial: Any, **info: Any  # noqa: ARG002
    ) -> None:
        name = self._work.trials[_number(trial)].name
        line = f"its process was lost {SYSTEM_RETRIES + 1} times, out of memory perhaps"
        self.failures[name] = _Failure(line, is_of_user=False, traceback="")


def _delete(context: StepContext, root: str) -> None:
    for stored in context.store.list(f"{root}/"):
        context.store.delete(stored.key)


def _failure(step: str, failures: Mapping[str, _Failure], total: int) -> Exception:
    found = sorted(failures.items())
    lines = [f"{name}: {failure.line}" for name, failure in found]
    if all(failure.is_of_user for failure in failures.values()):
        return UserError(f"step {step}: {lines[0]}")
    summary = f"step {step}: {len(lines)} of {total} trials failed, the others are kept:"
    error = FanoutError("\n  ".join([summary, *lines]))
    for name, failure in found:
        error.add_note(f"{name}: {failure.traceback}")
    return error


def _run_trial(config: dict[str, int], work: _Work) -> None:
    """What each trial's process runs."""
    trial, start, meter = work.trials[config["number"]], secrets.token_hex(4), Meter()
    os.environ["LOCAL_RANK"] = "0"
    if not work.gpus:
        os.environ["DS_ACCELERATOR"] = "cpu"
    last: dict[str, Any] = {}

    def tell(ended: str | None, **about: Any) -> None:
        """Blocks until the driver has looked at it; for good, where that ends the trial."""
        usage = meter.usage() + Usage(gpu_seconds=round(work.gpus * meter.timings().seconds, 3))
        # ASHA looks for the row's numbers at the top; a trial that failed has none to compare.
        numbers = last if ended in (None, FINISHED) else {}
        about = {"reason": "", "row": dict(last), "start": start} | about
        tune.report(
            {**numbers, **about, "usage": usage.model_dump(), "ended": ended, "done": bool(ended)}
        )

    def report(row: dict[str, Any]) -> None:
        last.clear()
        last.update(row)
        tell(FINISHED if row["step"] == row["num_steps"] else None)

    try:
        reason = _call(work, trial, start, report)
    except Exception as error:
        kind = "" if is_user_error(error) else f"{type(error).__name__}: "
        line = kind + next(iter(str(error).strip().splitlines()), "")
        failure = _Failure(line, is_user_error(error), traceback.format_exc())
        tell(_FAILED, failure=asdict(failure))
    else:
        if reason is not None:
            tell(DIVERGED, reason=reason)


def _ignore(warning: str) -> None:
    """A checkpoint that a lost process left half done is no news."""


def _call(
    work: _Work, trial: Trial, start: str, report: Callable[[dict[str, Any]], None]
) -> str | None:
    store, root = work.attempt.store, work.root(trial)
    refs = {name: work.inputs.refs[role] for name, role in trial.inputs.items()}

    def save(folder: Path, metrics: dict[str, Any]) -> None:
        list_files(folder, 0, 1)
        before = store.list(f"{root}/")
        name = checkpoint_name(int(metrics["step"]), start)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            store.upload(f"{root}/{name}/{file.relative_to(folder).as_posix()}", file)
        for stored in before:
            store.delete(stored.key)
        shutil.rmtree(folder)

    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        restore = Path(folder, "restore")
        found = find_checkpoint(store, root, restore, _ignore)
        outcome: Any = load_function(work.function)(
            **{name: ref.local_dir(work.inputs.cache) for name, ref in refs.items()},
            device="cuda" if work.gpus else "cpu",
            report=report,
            save=save,
            cache=(work.inputs.cache or default_cache_dir()) / _CACHE,
            restore=restore if found else None,
            **trial.arguments,
        )
    return outcome
