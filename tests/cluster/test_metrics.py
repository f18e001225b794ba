"""What Ray's exporter shows Prometheus of runs, scraped as Prometheus would."""

import re
import time
import urllib.request
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest
import ray
from pydantic import BaseModel
from s3_proxy import Proxy, serve

from cluster import metrics
from cluster.errors import LeaseLost
from cluster.fanout import Shard, map_shards
from cluster.gang import run_gang
from cluster.graph import run_steps
from cluster.lease import LeaseRecord, hold
from cluster.metrics import LEASES_LOST, Metric, show_row
from cluster.progress import SilentProgress
from cluster.steps import Resources, Step, StepContext, StepKind
from cluster.store import Store
from k8s.gate import watching

_SERIES = re.compile(r"^(ray_\w+)\{(.*)\} (\S+)$", re.M)
Sample = tuple[str, float, dict[str, str]]


class Nothing(BaseModel):
    """Nothing to configure."""


def exported() -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every series of Ray's exporter by name, each with its labels."""
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


def wait_for(*expected: tuple[float, str, Mapping[str, str]]) -> None:
    """Returns once each (value, name, labels) is there; processes tell their node every 10 s."""
    missing = list(expected)
    deadline = time.monotonic() + 90
    while missing:
        assert time.monotonic() < deadline, f"never there: {missing}"
        missing = [each for each in missing if value_of(each[1], **each[2]) != each[0]]
        time.sleep(0.2)


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
    shards = of | {"unit": "shards"}
    wait_for(
        (1, steps, {"kind": "failing", "outcome": "failed", "error": "ArithmeticError"}),
        (1, steps, {"kind": "counted", "outcome": "committed"}),
        (1, steps, {"kind": "counted", "outcome": "reused"}),
        (2, "ray_tinysql_work_done", shards),
        (2, "ray_tinysql_work_total", shards),
        (0, "ray_tinysql_tasks", of | {"state": "waiting"}),
        (2.5, "ray_tinysql_train_loss", of),
        (1, "ray_tinysql_retries_total", {"step": "counted", "of": "shard"}),
    )
    assert value_of("ray_tinysql_train_done", **of) is None
    progressed = value_of("ray_tinysql_progress_time_seconds")
    assert progressed is not None
    assert 0 <= time.time() - progressed < 200
    assert watching.RAY - exported().keys() == set()


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.usefixtures("ray_session")
def test_a_gauge_stays_as_it_was_set() -> None:
    """Ray alone would forget it after 20 seconds."""
    metrics.show(metrics.WORK_TOTAL, 7, step="kept", identity="0", unit="shards")
    expected = (7, "ray_tinysql_work_total", {"step": "kept"})
    wait_for(expected)
    time.sleep(25)
    wait_for(expected)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.usefixtures("ray_session")
def test_a_training_is_exported(local_store: Store, make_context, tmp_path: Path) -> None:
    """A rank is killed at the fifth step, after two checkpoints; two more follow."""
    trace = tmp_path / "trace"
    trace.mkdir()
    context = make_context(local_store, resources=Resources(workers=2))
    arguments = {"num_steps": 8, "trace": str(trace), "kill_rank_at": 5}
    run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    wait_for((1, "ray_tinysql_retries_total", {"step": "sample", "of": "training"}))
    kept = value_of("ray_tinysql_checkpoints_total", step="sample")
    assert kept is not None
    assert kept >= 4


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """What this process counts, in place of passing it on."""
    found: list[Sample] = []

    def keep(metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        found.append((metric.name, value, dict(labels)))

    monkeypatch.setattr(metrics, "_sink", keep)
    return found


def test_leases_are_counted(samples: list[Sample], local_store: Store) -> None:
    """One is found abandoned, and is then deleted under its new owner."""
    dead = LeaseRecord("somebody", 3, "elsewhere", 1, None, ttl=0.2)
    local_store.create("model/x/lease.json", dead.encode())
    with (
        pytest.raises(LeaseLost),
        hold(local_store, "model/x/lease.json", beat=0.05, ttl=0.2, poll=0.05) as lease,
    ):
        assert samples == [("leases_taken_over", 1.0, {"kind": "model"})]
        local_store.delete("model/x/lease.json")
        time.sleep(5)
    assert lease is not None
    assert samples[1:] == [("leases_lost", 1.0, {"kind": "model"})]


def test_failures_of_s3_are_counted(
    samples: list[Sample], s3_endpoint: str, fresh_bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request in two fails; then all are refused."""
    requests = count()

    class Faulty(Proxy):
        target = s3_endpoint
        refuses = False

        def relay(self) -> None:
            if not self.refuses and next(requests) % 2:
                self.answer(*self.forward())
                return
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, code = (403, "AccessDenied") if self.refuses else (503, "SlowDown")
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.answer(status, body, {"Content-Type": "application/xml"})

        do_PUT = do_GET = do_HEAD = do_DELETE = relay

    with serve(Faulty) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = Store(fresh_bucket_uri)
        store.write("a", b"1")
        assert store.read_tagged("absent") is None
        repeated = {"operation": "PutObject", "error": "SlowDown"}
        assert ("store_errors", 1.0, repeated) in samples
        assert "store_give_ups" not in {name for name, _, _ in samples}
        Faulty.refuses = True
        with pytest.raises(PermissionError):
            store.read("a")
    assert samples[-1] == ("store_give_ups", 1.0, {"error": "AccessDenied"})


def test_an_exporter_that_fails_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is counted next waits for another one."""
    monkeypatch.setattr(metrics, "_sink", None)
    monkeypatch.setattr(metrics, "_early", type(metrics._early)(maxlen=2))
    calls: list[float] = []

    def fail(_metric: Metric, value: float, _labels: Mapping[str, str]) -> None:
        calls.append(value)
        raise OSError("no agent")

    metrics.count(LEASES_LOST, kind="model")
    metrics.send_to(fail)
    metrics.count(LEASES_LOST, kind="model")
    assert calls == [1.0]
    assert "metrics are off from here on: OSError: no agent" in caplog.text
    kept: list[str] = []
    metrics.send_to(lambda metric, _value, _labels: kept.append(metric.name))
    assert kept == ["leases_lost"]
