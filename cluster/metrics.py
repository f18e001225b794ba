"""What is counted while steps run, and the numbers that a training logs.

Whoever sees something happen says so here, and need know nothing of Ray. Where the process is one
of a Ray cluster's, cluster.exporter passes it on to the exporter that Ray runs on every node, which
shows Prometheus a counter as ray_tinysql_<name>_total and a gauge as ray_tinysql_<name>. What is
counted before that waits for it. Only a mirror: nothing here is read back, and no error of an
exporter is one of a run.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

PREFIX = "ray_tinysql_"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """What one number says. A counter only rises; a gauge is what it was set to last."""

    name: str
    type: Literal["counter", "gauge"]
    about: str
    labels: tuple[str, ...]

    @property
    def exported(self) -> str:
        """The name that Prometheus sees."""
        return f"{PREFIX}{self.name}{'_total' if self.type == 'counter' else ''}"


_STEP = ("step", "identity")

STEPS = Metric(
    "steps", "counter", "Steps that ended: committed, reused or failed, then by which error.",
    ("kind", "outcome", "error"),
)  # fmt: skip
WORK_DONE = Metric(
    "work_done", "gauge", "Shards, trials or training steps of a step that are done.",
    (*_STEP, "unit"),
)  # fmt: skip
WORK_TOTAL = Metric("work_total", "gauge", "How many there are.", (*_STEP, "unit"))
PROGRESS_TIME = Metric(
    "progress_time_seconds", "gauge", "When a driver last saw anything get done, since 1970.", ()
)
TASKS = Metric(
    "tasks", "gauge", "Shards that Ray has (submitted) and that wait for room (waiting).",
    (*_STEP, "state"),
)  # fmt: skip
RETRIES = Metric(
    "retries", "counter", "Shards, trials and trainings started again after a lost process.",
    ("step", "of"),
)  # fmt: skip
LEASES_LOST = Metric("leases_lost", "counter", "Leases lost while they were held.", ("kind",))
LEASES_TAKEN_OVER = Metric(
    "leases_taken_over", "counter", "Leases taken over from an owner that was gone.", ("kind",)
)
STORE_ERRORS = Metric(
    "store_errors", "counter", "Requests to S3 that failed and may be repeated.",
    ("operation", "error"),
)  # fmt: skip
STORE_GIVE_UPS = Metric(
    "store_give_ups", "counter", "Operations on S3 that failed for good.", ("error",)
)
CHECKPOINTS = Metric("checkpoints", "counter", "Checkpoints that trainings wrote.", _STEP)

METRICS = (
    STEPS, WORK_DONE, WORK_TOTAL, PROGRESS_TIME, TASKS, RETRIES, LEASES_LOST, LEASES_TAKEN_OVER,
    STORE_ERRORS, STORE_GIVE_UPS, CHECKPOINTS,
)  # fmt: skip
"""Every one but the numbers that trainings log, which are gauges named <split>_<number>."""

Sink = Callable[[Metric, float, Mapping[str, str]], None]
"""Takes an increment of a counter, or the value of a gauge."""

_MOST_EARLY = 1000
_guard = threading.Lock()
_sink: Sink | None = None
_early: deque[tuple[Metric, float, Mapping[str, str]]] = deque(maxlen=_MOST_EARLY)


def count(metric: Metric, **labels: str) -> None:
    """One more."""
    _pass_on(metric, 1.0, labels)


def show(metric: Metric, value: float, **labels: str) -> None:
    """The value now."""
    _pass_on(metric, value, labels)


def show_row(row: Mapping[str, JsonValue], *, step: str, identity: str) -> None:
    """Shows every number of the row; its "split" becomes part of their names."""
    split = row.get("split")
    for key, value in row.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            name = f"{split}_{key}" if split else key
            metric = Metric(name, "gauge", f"{key} of a step", _STEP)
            show(metric, value, step=step, identity=identity[:12])


def send_to(sink: Sink | None) -> None:
    """Passes on everything from here on, and what waited; None: it waits again."""
    global _sink  # one place per process, as logging has it
    with _guard:
        _sink = sink
        waited = list(_early) if sink else []
        if sink:
            _early.clear()
    for sample in waited:
        _pass_on(*sample)


def _pass_on(metric: Metric, value: float, labels: Mapping[str, str]) -> None:
    with _guard:
        sink = _sink
        if sink is None:
            _early.append((metric, value, labels))
            return
    try:
        sink(metric, value, labels)
    except Exception as error:  # whatever an exporter may raise, the run is worth more
        send_to(None)
        _log.warning("metrics are off from here on: %s: %s", type(error).__name__, error)
