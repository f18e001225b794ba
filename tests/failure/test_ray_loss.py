"""Parts of Ray die: a worker is made up for, and after more the same command goes on."""

import sys

import pytest
from clusters import ray_cluster
from laboratory import (
    LONG_TRAINING,
    ROWS,
    TRAINING,
    Laboratory,
    Outcome,
    failure_of,
    kill_raylet,
    kill_worker,
    undisturbed,
)
from processes import Start
from s3_proxy import Request, passes

pytestmark = [pytest.mark.ray, pytest.mark.failure, pytest.mark.timeout(600)]

# How long a driver looks for its head; a minute by default.
QUICK_LOSS = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}


def test_head_killed_then_the_same_command_on_a_new_cluster(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    with ray_cluster(lab.settings | QUICK_LOSS, (1, 1)) as cluster:
        command = lab.run(ROWS, "--address", cluster.address)
        started = lab.catch_at_work(start, *command, environment=cluster.settings)
        cluster.kill_node(0)
        failure_of(started)
    kept = lab.receipts()
    lab.front.choose = passes
    with ray_cluster(lab.settings, (2,)) as cluster:
        command = lab.run(ROWS, "--address", cluster.address)
        again = start(*command, environment=cluster.settings).finish()
    assert 2 <= kept < lab.receipts()
    lab.assert_as(rows, again)


def test_worker_killed_while_it_works_on_a_shard(
    lab: Laboratory, start: Start, rows: Outcome
) -> None:
    started = lab.catch_at_work(start, *lab.run(ROWS), environment=lab.settings)
    kill_worker(started, "^ray::dataset")
    lab.front.choose = passes
    lab.assert_as(rows, started.finish())


def test_worker_killed_while_it_trains(
    lab: Laboratory, start: Start, training: Outcome
) -> None:
    started = start(*lab.run(TRAINING), environment=lab.settings)
    started.wait_until(lambda: len(lab.checkpoint_steps()) >= 2, timeout=300, poll=0.3)
    kill_worker(started, "^ray::RayTrainWorker")
    lab.assert_as(training, started.finish())


def test_machine_taken_away_while_it_trains_leaves_a_checkpoint_made_for_it(
    lab: Laboratory, start: Start, environment: dict[str, str]
) -> None:
    with ray_cluster(lab.settings, (1, 1)) as cluster:
        command = lab.run(LONG_TRAINING, "--address", cluster.address)
        started = start(*command, environment=cluster.settings)
        started.wait_until(lambda: 100 in lab.checkpoint_steps(), timeout=300, poll=0.3)
        leaving = start(
            sys.executable, "-m", "cluster.drain", "--address", cluster.address,
            "--node-id", cluster.worker_ids()[0], "--seconds", "30", environment=cluster.settings,
        )  # fmt: skip
        started.wait_until(lambda: between_milestones(lab), poll=0.3)
        leaving.stop()
        cluster.kill_node(1)
        started.wait_until(
            lambda: "waiting: 2 workers of 1 CPU each, the cluster has 1"
            in started.stderr.read_text(),
            poll=0.3,
        )
        started.stop()
    (kept,) = between_milestones(lab)
    read: list[str] = []

    def note(request: Request) -> None:
        if request.method == "GET" and f"/checkpoint-{kept:08d}-" in request.path:
            read.append(request.path)

    lab.front.choose = note
    with ray_cluster(lab.settings, (2,)) as cluster:
        command = lab.run(LONG_TRAINING, "--address", cluster.address)
        again = start(*command, environment=cluster.settings).finish(timeout=300)
    assert any(path.endswith("/run.json") for path in read)
    lab.assert_as(undisturbed(LONG_TRAINING, environment, lab.folder), again)


def between_milestones(lab: Laboratory) -> set[int]:
    """Checkpoints that no milestone asked for, which is a tenth of the steps."""
    return {step for step in lab.checkpoint_steps() if step % 100}


def test_raylet_of_a_worker_node_killed(lab: Laboratory, start: Start, rows: Outcome) -> None:
    with ray_cluster(lab.settings, (1, 1)) as cluster:
        command = lab.run(ROWS, "--address", cluster.address)
        started = lab.catch_at_work(start, *command, environment=cluster.settings)
        cluster.kill_raylet(1)
        lab.front.choose = passes
        lab.assert_as(rows, started.finish())


def test_raylet_of_the_driver_killed(lab: Laboratory, start: Start, rows: Outcome) -> None:
    started = lab.catch_at_work(start, *lab.run(ROWS), environment=lab.settings)
    kill_raylet(started)
    failure_of(started)
    lab.front.choose = passes
    lab.assert_as(rows, start(*lab.run(ROWS), environment=lab.settings).finish())
