"""map_shards on a real Ray: nothing done twice, nothing lost, errors told."""

import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.fanout import FanoutError, Inputs, Shard, map_shards
from cluster.steps import Resources
from cluster.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Where functions leave a file per execution."""
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


def shards(trace: Path, count: int, **arguments: object) -> list[Shard]:
    return [
        Shard(f"s{number}", {"number": number, "trace": str(trace), **arguments})
        for number in range(count)
    ]


def executions(trace: Path) -> list[int]:
    return sorted(int(path.name.split("-")[0]) for path in trace.iterdir())


def test_map_shards_returns_receipts_in_order(local_store: Store, make_context, trace: Path):
    context = make_context(local_store)
    receipts = map_shards(context, "ray_functions.write_number", shards(trace, 5))
    assert [receipt.metrics["number"] for receipt in receipts] == list(range(5))
    assert [local_store.read(receipt.objects[0].key) for receipt in receipts] == [
        str(number).encode() for number in range(5)
    ]
    assert all(receipt.metrics["threads"] == 1 for receipt in receipts)
    assert (context.progress.total, context.progress.count) == (5, 5)


def test_map_shards_rerun_does_only_what_is_missing(local_store: Store, make_context, trace: Path):
    map_shards(make_context(local_store), "ray_functions.write_number", shards(trace, 2))
    receipts = map_shards(
        make_context(local_store, name="a0002"), "ray_functions.write_number", shards(trace, 4)
    )
    assert executions(trace) == [0, 1, 2, 3]
    assert [receipt.attempt for receipt in receipts] == ["a0001", "a0001", "a0002", "a0002"]


def test_map_shards_error_keeps_the_other_shards(local_store: Store, make_context, trace: Path):
    context = make_context(local_store)
    with pytest.raises(FanoutError) as caught:
        map_shards(context, "ray_functions.fail_on", shards(trace, 4, bad=[1, 3]))
    assert str(caught.value).splitlines()[1:] == [
        "  s1: ValueError: number 1 is bad",
        "  s3: ValueError: number 3 is bad",
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    receipts = map_shards(context, "ray_functions.fail_on", shards(trace, 4, bad=[]))
    assert len(receipts) == 4
    assert executions(trace) == [0, 1, 1, 2, 3, 3]  # an error is not retried


def test_map_shards_user_error_surfaces_as_such(local_store: Store, make_context, trace: Path):
    with pytest.raises(UserError) as caught:
        map_shards(make_context(local_store), "ray_functions.mistake", shards(trace, 2))
    assert str(caught.value) == "number: got 1, expected 2, use 2"


def test_map_shards_killed_worker_is_retried_once(local_store: Store, make_context, trace: Path):
    context = make_context(local_store)
    (receipt,) = map_shards(context, "ray_functions.die_once", shards(trace, 1))
    assert executions(trace) == [0, 0]
    assert context.attempt.receipt("s0") == receipt
    assert len(local_store.list(f"{context.attempt.path}/data/")) == 1


def test_map_shards_interrupt_cancels_the_workers(local_store: Store, make_context, trace: Path):
    context = make_context(local_store)

    def interrupt() -> None:
        while not executions(trace):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        map_shards(context, "ray_functions.sleep_long", shards(trace, 1))
    worker = int(next(trace.iterdir()).name.split("-")[1])
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def test_map_shards_workers_bounds_what_is_in_flight(local_store: Store, make_context, trace: Path):
    context = make_context(local_store, resources=Resources(workers=1))
    receipts = map_shards(context, "ray_functions.note_overlap", shards(trace, 3))
    assert [receipt.metrics["others"] for receipt in receipts] == [0, 0, 0]


def test_map_shards_duplicate_name_is_refused(local_store: Store, make_context):
    with pytest.raises(ValueError, match="unique"):
        map_shards(make_context(local_store), "ray_functions.write_number", [Shard("a")] * 2)


def test_inputs_are_the_parents_in_the_roles_asked_for(local_store: Store, make_context):
    context = make_context(local_store)
    context.inputs = {role: ArtifactRef(local_store, role, "0" * 64) for role in ("a", "b", "c")}
    assert list(Inputs.of(context).refs) == ["a", "b", "c"]
    assert Inputs.of(context, ("c", "a")).refs == {
        role: context.inputs[role] for role in ("c", "a")
    }
