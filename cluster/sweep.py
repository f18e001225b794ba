"""Runs the trials of a sweep with Ray Tune, and gives up the bad ones early with ASHA.

Every trial is a process of its own, as many at once as the cluster has room for. A lost process is
started again and goes on from the trial's last checkpoint; an error that the function raised is
not tried again and does not stop the other trials. A trial is done when its receipt exists, written
by the driver with all that the trial reported, so a rerun does only what is missing, and its ASHA
is told first what the finished trials reported. Nothing of Tune's own outlives the driver.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from cluster import logs
from cluster.artifact import Receipt
from cluster.errors import UserError
from cluster.fanout import (
    SYSTEM_RETRIES,
    FanoutError,
    Inputs,
    gpus_per_worker,
    numbers_in,
)
from cluster.manifest import Usage
from cluster.metrics import RETRIES, count
from cluster.scratch import scratch
from cluster.steps import StepContext
from cluster.trials import FAILED, STOPPED, Failure, Trial, TrialWork, run_trial

_log = logging.getLogger(__name__)
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints to stdout whatever the verbosity is
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would wait for every trial's next report
    "TUNE_FORCE_TRIAL_CLEANUP_S": "15",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


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


def run_trials(
    context: StepContext, function: str, trials: Sequence[Trial], *, gpu: bool, asha: Asha | None
) -> list[Receipt]:
    """The receipts of all trials, in order, after running those that have none.

    The function, named as "package.module.function", is imported by the trials alone:
    function(**directories of trial.inputs, device=, report=, save=, cache=, restore=,
    **trial.arguments). report(row), with numbers under "step" and "num_steps", returns unless the
    trial is given up. save(metrics) is a context with an empty folder, kept on leaving it; restore
    is a copy of the last one. It returns None, or why it ended before its last step. A receipt's
    metrics have "ended", "reason" and "rows". asha None gives no trial up.

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
        work = TrialWork(
            context.attempt, Inputs.of(context), function, missing, gpus, logs.origin()
        )
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
    work: TrialWork, driver: "_Driver", scheduler: FIFOScheduler, cpus: float, workers: int | None
) -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, work=work), {"cpu": cpus, "gpu": work.gpus}
    )
    with scratch("sweep-") as folder:
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
                storage_path=str(folder),
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


class _Driver(tune.Callback):
    """Collects what trials report, commits those that are done, and watches the lease."""

    def __init__(self, context: StepContext, work: TrialWork) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.failures: dict[str, Failure] = {}
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
        if result["ended"] == FAILED:
            self.failures[ours.name] = Failure(**result["failure"])
            self._context.progress.advance(1, failed=ours.name)
        elif result["done"]:
            ended = result["ended"] or STOPPED
            metrics = {"ended": ended, "reason": result["reason"], "rows": list(rows.values())}
            usage = sum(self._usage[ours.name].values(), Usage())
            receipt = self._context.attempt.commit_shard(ours.name, [], metrics, usage)
            self.receipts[ours.name] = receipt
            _delete(self._context, self._work.root(ours))
            self._context.progress.advance(1, **numbers_in(result["row"]))

    def on_trial_recover(
        self, iteration: int, trials: list, trial: Any, **info: Any  # noqa: ARG002
    ) -> None:
        count(RETRIES, step=self._context.step.name, of="trial")
        name = self._work.trials[_number(trial)].name
        _log.warning("trial %s is tried again, its process was lost", name)

    def on_trial_error(
        self, iteration: int, trials: list, trial: Any, **info: Any  # noqa: ARG002
    ) -> None:
        name = self._work.trials[_number(trial)].name
        line = f"its process was lost {SYSTEM_RETRIES + 1} times, out of memory perhaps"
        self.failures[name] = Failure(line, is_of_user=False, traceback="")


def _delete(context: StepContext, root: str) -> None:
    for stored in context.store.list(f"{root}/"):
        context.store.delete(stored.key)


def _failure(step: str, failures: Mapping[str, Failure], total: int) -> Exception:
    found = sorted(failures.items())
    lines = [f"{name}: {failure.line}" for name, failure in found]
    if all(failure.is_of_user for failure in failures.values()):
        return UserError(f"step {step}: {lines[0]}")
    summary = f"step {step}: {len(lines)} of {total} trials failed, the others are kept:"
    error = FanoutError("\n  ".join([summary, *lines]))
    for name, failure in found:
        error.add_note(f"{name}: {failure.traceback}")
    return error
