"""What Ray's exporter shows Prometheus of runs, scraped as Prometheus would."""

import logging
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from pydantic import BaseModel

from cluster import metrics
from cluster.fanout import Shard, map_shards
from cluster.metrics import LEASES_LOST, STEPS, Metric, count, send_to, show_row
from cluster.progress import SilentProgress
from cluster.steps import Step, StepContext, StepKind, run_steps
from cluster.store import Store

_SERIES = re.compile(r"^(ray_tinysql_\w+)\{(.*)\} (\S+)$", re.M)


class Nothing(BaseModel):
    """Nothing to configure."""


def exported() -> dict[str, list[tuple[dict[str, str], float]]]:
    """The series of ours by name, each with its labels."""
    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in _SERIES.findall(text):
        series = dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)
        found.setdefault(name, []).append(series)
    return found


def value_of(name: str, **labels: str) -> float | None:
    """The sum over the series with these labels; None without any."""
    values = [
        value for found, value in exported().get(name, []) if labels.items() <= found.items()
    ]
    return sum(values) if values else None


def wait_for(expected: float, name: str, **labels: str) -> None:
    """Processes tell their node every ten seconds."""
    deadline = time.monotonic() + 60
    while (found := value_of(name, **labels)) != expected:
        assert time.monotonic() < deadline, f"{name} {labels} is {found}, expected {expected}"
        time.sleep(0.5)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_run_is_exported(local_store: Store, tmp_path: Path) -> None:
    """Two shards, of which the first loses its worker; then a step that fails."""
    trace = tmp_path / "trace"
    trace.mkdir()

    def fan_out(context: StepContext, _: Nothing) -> dict:
        shards = [Shard(f"s{each}", {"number": each, "trace": str(trace)}) for each in range(2)]
        map_shards(context, "ray_functions.die_once", shards)
        show_row(
            {"step": 2, "loss": 2.5, "split": "train", "note": "text", "done": True},
            step=context.step.name, identity=context.step.identity,
        )  # fmt: skip
        return {}

    def fail(_context: StepContext, _: Nothing) -> dict:
        raise ArithmeticError("this is no number")

    good, bad = (
        Step(name, StepKind(name, 1, Nothing, lambda _: (), run, lambda _: "x"), Nothing())
        for name, run in (("counted", fan_out), ("failing", fail))
    )
    list(run_steps([good], local_store, progress=SilentProgress()))
    list(run_steps([good], local_store, progress=SilentProgress()))
    with pytest.raises(ArithmeticError):
        list(run_steps([bad], local_store, progress=SilentProgress()))

    of = {"step": "counted", "identity": good.identity[:12]}
    steps = "ray_tinysql_steps_total"
    wait_for(1, steps, kind="failing", outcome="failed", error="ArithmeticError")
    wait_for(1, steps, kind="counted", outcome="committed")
    wait_for(1, steps, kind="counted", outcome="reused")
    wait_for(2, "ray_tinysql_work_done", **of, unit="shards")
    wait_for(2, "ray_tinysql_work_total", **of, unit="shards")
    wait_for(0, "ray_tinysql_tasks", **of, state="waiting")
    wait_for(2.5, "ray_tinysql_train_loss", **of)
    wait_for(1, "ray_tinysql_retries_total", step="counted", of="shard")
    progressed = value_of("ray_tinysql_progress_time_seconds")
    assert progressed is not None
    assert 0 <= time.time() - progressed < 120
    assert value_of("ray_tinysql_train_done", **of) is None
