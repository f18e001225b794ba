"""A trial of a sweep, and what its process runs.

A lost process is started again and goes on from the trial's last checkpoint, which is the only one
kept; an error that the function raised is told to the driver and not tried again.
"""

import os
import secrets
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from cluster import logs
from cluster.artifact import Attempt
from cluster.checkpoints import checkpoint_name, find_checkpoint, list_files
from cluster.exporter import export_metrics
from cluster.fanout import Inputs, is_user_error, load_function
from cluster.manifest import Meter, Usage
from cluster.ranks import set_up_libraries
from cluster.scratch import scratch

FINISHED, STOPPED, DIVERGED = "finished", "stopped", "diverged"
"""How a trial ended: at its last step, given up by ASHA, or by itself before its last step."""
FAILED = "failed"
"""Its function raised an error."""


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
class TrialWork:
    """All that trials need."""

    attempt: Attempt
    inputs: Inputs
    function: str
    trials: Sequence[Trial]
    gpus: float
    origin: logs.Origin

    def root(self, trial: Trial) -> str:
        """Where its checkpoints are."""
        return f"{self.attempt.path}/trials/{trial.name}"


@dataclass(frozen=True)
class Failure:
    """Why a trial has no result."""

    line: str
    is_of_user: bool
    traceback: str


def run_trial(config: dict[str, int], work: TrialWork) -> None:
    """What each trial's process runs."""
    export_metrics()
    trial = work.trials[config["number"]]
    with logs.continued(work.origin, shard=trial.name):
        _run_trial(trial, work)


def _run_trial(trial: Trial, work: TrialWork) -> None:
    start, meter = secrets.token_hex(4), Meter()
    os.environ["LOCAL_RANK"] = "0"
    set_up_libraries(gpus=work.gpus)
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
        failure = Failure(line, is_user_error(error), traceback.format_exc())
        tell(FAILED, failure=asdict(failure))
    else:
        if reason is not None:
            tell(DIVERGED, reason=reason)


def _ignore(warning: str) -> None:
    """A checkpoint that a lost process left half done is no news."""


def _call(
    work: TrialWork, trial: Trial, start: str, report: Callable[[dict[str, Any]], None]
) -> str | None:
    store, root = work.attempt.store, work.root(trial)
    refs = {name: work.inputs.refs[role] for name, role in trial.inputs.items()}

    @contextmanager
    def save(metrics: dict[str, Any]) -> Iterator[Path]:
        with scratch("checkpoint-") as folder:
            yield folder
            list_files(folder, 0, 1)
            before = store.list(f"{root}/")
            name = checkpoint_name(int(metrics["step"]), start)
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                store.upload(f"{root}/{name}/{file.relative_to(folder).as_posix()}", file)
            for stored in before:
                store.delete(stored.key)

    with scratch("trial-") as folder:
        restore = folder / "restore"
        found = find_checkpoint(store, root, restore, _ignore)
        outcome: Any = load_function(work.function)(
            **{name: ref.local_dir(work.inputs.cache) for name, ref in refs.items()},
            device="cuda" if work.gpus else "cpu",
            report=report,
            save=save,
            cache=work.inputs.kept_dir,
            restore=restore if found else None,
            **trial.arguments,
        )
    return outcome
