"""run_gang on a real Ray Train: two ranks, a killed worker, clear errors.

Killed drivers: tests/jobs/test_pipeline.py.
"""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import ray
from ray import train

from cluster.errors import StoreUnreachable, UserError
from cluster.gang import _FailFast, _original, run_gang
from cluster.steps import Resources
from cluster.store import Store

pytestmark = [pytest.mark.ray]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where functions leave a file per start."""
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


def starts(trace: Path) -> list[tuple[int, int]]:
    """(rank, steps done) of every start."""
    found = [path.name.split("-") for path in trace.glob("start-*")]
    return sorted((int(rank), int(done)) for _, rank, done, _ in found)


@pytest.mark.usefixtures("ray_session")
def test_run_gang_recovers_from_a_killed_worker(local_store: Store, make_context, trace: Path):
    context = make_context(local_store)
    # A second a step: the checkpoint of step 2 is uploaded while step 3 goes on.
    arguments = {"num_steps": 5, "kill_rank_at": 3, "seconds": 1.0, "trace": str(trace)}
    receipt = run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    assert starts(trace) == [(0, 0), (0, 2), (1, 0), (1, 2)]
    assert receipt.metrics == {
        "steps": 5, "world_size": 2, "local_rank": 0, "device": "cpu", "threads": 1
    }  # fmt: skip
    assert local_store.read(receipt.objects[0].key) == b"5"
    assert receipt.usage.cpu_seconds > 0
    assert (context.progress.total, context.progress.count) == (5, 5)
    again = run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    assert again == receipt
    assert len(starts(trace)) == 4


@pytest.mark.usefixtures("ray_session")
def test_run_gang_says_what_it_waits_for(local_store: Store, make_context, trace: Path):
    context = make_context(local_store, resources=Resources(workers=99))

    def warnings() -> list[object]:
        return [info["warning"] for info in context.progress.infos if "warning" in info]

    def interrupt() -> None:
        while not warnings():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    arguments = {"num_steps": 1, "trace": str(trace)}
    with pytest.raises(KeyboardInterrupt):
        run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    (warning,) = warnings()
    assert "waiting: 99 workers of 1 CPU each, the cluster has" in warning
    assert "set resources.workers" in warning


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_run_gang_interrupted_gives_the_cpus_back(local_store: Store, make_context, trace: Path):
    def interrupt() -> None:
        while not starts(trace):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    context = make_context(local_store, resources=Resources(workers=1))
    arguments = {"num_steps": 1000, "seconds": 0.1, "trace": str(trace)}
    with pytest.raises(KeyboardInterrupt):
        run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    deadline = time.monotonic() + 20
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("ray_session")
def test_run_gang_user_error_surfaces_as_such(local_store: Store, make_context, trace: Path):
    context = make_context(local_store, resources=Resources(workers=1))
    arguments = {"num_steps": 2, "failure": "lr: got 0!", "trace": str(trace)}
    with pytest.raises(UserError) as caught:
        run_gang(context, "ray_functions.count_steps", arguments, gpu=False)
    assert str(caught.value) == "lr: got 0!"
    assert any("in count_steps" in note for note in caught.value.__notes__)
    assert len(starts(trace)) == 1  # an error that cannot go away is not retried


@pytest.mark.parametrize("error", [UserError("x"), KeyError("x"), ValueError("x")])
def test_fail_fast_ends_the_run(error: Exception):
    with pytest.raises(type(error)):
        _FailFast().after_exception(None, {0: RuntimeError("a neighbor died"), 1: error})


def test_fail_fast_lets_a_lost_neighbor_be_retried():
    errors = {0: RuntimeError("connection closed by peer"), 1: ConnectionResetError("reset")}
    _FailFast().after_exception(None, errors)


def test_worker_that_is_lost_every_time_is_one_line():
    failures = {0: RuntimeError("connection closed by peer"), 1: ray.exceptions.ActorDiedError()}
    error = _original(train.WorkerGroupError("both", failures))
    assert isinstance(error, UserError)
    assert "lost 4 times (ActorDiedError), out of memory perhaps" in str(error)


def test_original_error_is_the_users_before_what_ray_says_of_a_neighbor():
    failures = {0: ray.exceptions.ActorDiedError(), 1: StoreUnreachable("store: no answer")}
    assert _original(train.WorkerGroupError("both", failures)) is failures[1]


def test_original_error_is_the_one_not_caused_by_a_neighbor():
    failures = {0: RuntimeError("connection closed by peer"), 1: KeyError("column")}
    assert _original(train.WorkerGroupError("both", failures)) is failures[1]
    assert _original(train.ControllerError(failures[1])) is failures[1]
