"""A step is done once, by whoever finishes first, and everybody ends with that result."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

from cluster.errors import IntegrityError
from cluster.graph import Result, plan, run_steps
from cluster.manifest import Usage, read_manifest
from cluster.progress import SilentProgress
from cluster.steps import Resources, Step, StepContext, StepKind
from cluster.store import Store, open_store


class NumberConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    value: int = 1
    label: str = "x"


class OtherConfig(BaseModel):
    """Not what the kinds here take."""


def kind(
    run: Callable[[StepContext, Any], Mapping[str, JsonValue]], name: str = "number", **changes: Any
) -> StepKind:
    fields: dict[str, Any] = {
        "name": name, "version": 1, "config": NumberConfig, "parents": lambda _: (), "run": run,
        "slug": lambda config: f"V {config.value}!",
    }  # fmt: skip
    return StepKind(**{**fields, **changes})


def make(context: StepContext, config: NumberConfig) -> dict[str, JsonValue]:
    context.put_json("number.json", config.value)
    return {"value": config.value}


def double(context: StepContext, _: NumberConfig) -> dict[str, JsonValue]:
    value = json.loads((context.input("source") / "number.json").read_text()) * 2
    context.put_json("number.json", value)
    return {"value": value}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(steps: list[Step], store: Store) -> list[Result]:
    return list(run_steps(steps, store, progress=SilentProgress()))


def chain(value: int = 1) -> list[Step]:
    source = Step("source", kind(make), NumberConfig(value=value))
    doubled = kind(double, "doubled", parents=lambda _: ("source",))
    return [source, Step("twice", doubled, NumberConfig(), {"source": source})]


def test_graph_runs_parents_first_and_is_reused(store: Store) -> None:
    steps = chain(21)
    first = run(steps[1:], store)
    assert [(done.step.name, done.reused) for done in first] == [
        ("source", False),
        ("twice", False),
    ]
    assert first[1].manifest.metrics == {"value": 42}
    again = run(chain(21), store)
    assert [done.reused for done in again] == [True, True]
    assert [done.manifest for done in again] == [done.manifest for done in first]


def test_manifest_records_lineage_config_and_cost(local_store: Store) -> None:
    source, twice = run(chain(), local_store)
    parent = twice.manifest.parents["source"]
    assert (parent.identity, parent.path) == (source.step.identity, source.step.path)
    assert parent.manifest_sha256 == source.manifest.sha256
    assert source.manifest.config == {"value": 1, "label": "x"}
    assert source.manifest.peak_memory_bytes > 0
    assert source.manifest.attempt.startswith("a0001-")
    assert source.step.path == f"number/v-1-{source.step.identity[:12]}"


def test_shards_of_earlier_attempts_join_with_their_cost(local_store: Store) -> None:
    def fan(context: StepContext, config: NumberConfig) -> dict[str, JsonValue]:
        context.put_json("number.json", config.value)
        objects, context.objects = context.objects, []
        context.include(context.attempt.commit_shard("s0", objects, {}, Usage(gpu_seconds=3.0)))
        return {"value": 1}

    [done] = run([Step("fan", kind(fan), NumberConfig())], local_store)
    assert [ref.name for ref in done.manifest.objects] == ["number.json"]
    assert done.manifest.gpu_seconds == 3.0


def test_plan_shows_what_is_committed_and_writes_nothing(local_store: Store) -> None:
    steps = chain()
    assert [planned.manifest for planned in plan(steps, local_store)] == [None, None]
    assert local_store.list("") == []
    [source] = run(steps[:1], local_store)
    assert [one.manifest for one in plan(steps, local_store)] == [source.manifest, None]


def test_identity_follows_the_science_and_not_the_place() -> None:
    base = Step("a", kind(make), NumberConfig())
    same = Step("b", kind(double), NumberConfig(), resources=Resources(workers=8))
    other_version = Step("a", kind(make, version=2), NumberConfig())
    other_config = Step("a", kind(make), NumberConfig(label="y"))
    ignoring = kind(make, identify=lambda config: {"value": config.value})
    assert base.identity == same.identity
    assert len({base.identity, other_version.identity, other_config.identity}) == 3
    assert (
        Step("a", ignoring, NumberConfig(label="y")).identity
        == Step("a", ignoring, NumberConfig(label="z")).identity
    )
    assert chain(1)[1].identity != chain(2)[1].identity


def test_step_with_the_wrong_parents_or_config_raises() -> None:
    with pytest.raises(ValueError, match="parents are"):
        Step("twice", kind(double, parents=lambda _: ("source",)), NumberConfig())
    with pytest.raises(TypeError, match="NumberConfig"):
        Step("source", kind(make), OtherConfig())
    with pytest.raises(ValueError, match="kind name"):
        kind(make, "pointers")


def test_failing_step_commits_nothing_and_can_be_run_again(store: Store) -> None:
    def fail(context: StepContext, config: NumberConfig) -> dict[str, JsonValue]:
        context.put_json("number.json", config.value)
        raise ZeroDivisionError("no")

    step = Step("source", kind(fail), NumberConfig())
    with pytest.raises(ZeroDivisionError):
        run([step], store)
    assert read_manifest(store, step.path) is None
    leftovers = {found.key for found in store.list(f"{step.path}/data/")}
    [done] = run(chain()[:1], store)
    assert done.manifest.attempt.startswith("a0002-")
    assert leftovers < {found.key for found in store.list(f"{step.path}/data/")}


def test_commit_by_another_attempt_meanwhile_wins(local_store: Store) -> None:
    rival: list[Result] = []

    def slow(context: StepContext, _: NumberConfig) -> dict[str, JsonValue]:
        context.put_json("number.json", -1)
        context.store.delete(f"{context.step.path}/lease.json")
        rival.extend(run(chain()[:1], context.store))
        return {"value": -1}

    [done] = run([Step("source", kind(slow), NumberConfig())], local_store)
    assert done.reused
    assert done.manifest == rival[0].manifest
    assert done.manifest.metrics == {"value": 1}


def test_stolen_lease_stops_the_attempt_and_takes_the_winners_result(
    local_store: Store, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    def stalls(context: StepContext, _: NumberConfig) -> dict[str, JsonValue]:
        context.store.delete(f"{context.step.path}/lease.json")
        spawn(WORKER, context.store.uri, "0")
        time.sleep(60)
        return {}

    started = time.monotonic()
    [done] = run([Step("race", kind(stalls, "race"), NumberConfig())], local_store)
    assert done.reused
    assert time.monotonic() - started < 30


WORKER = """
import os, sys, time
from pathlib import Path
from pydantic import BaseModel
from cluster.progress import SilentProgress
from cluster.graph import run_steps
from cluster.steps import Step, StepKind
from cluster.store import open_store
class NumberConfig(BaseModel):
    value: int = 1
    label: str = "x"
def run(context, config):
    print("running", flush=True)
    time.sleep(float(sys.argv[2]))
    with context.results() as folder:
        (folder / "pid.txt").write_text(str(os.getpid()))
    return {"pid": os.getpid()}
kind = StepKind("race", 1, NumberConfig, lambda _: (), run, lambda config: f"V {config.value}!")
step = Step("race", kind, NumberConfig())
[done] = run_steps([step], open_store(sys.argv[1]), progress=SilentProgress())
print(done.manifest.sha256, done.reused, flush=True)
"""


def race_step() -> Step:
    def never(_context: StepContext, _config: NumberConfig) -> dict[str, JsonValue]:
        raise AssertionError("it was committed already")

    return Step("race", kind(never, "race"), NumberConfig())


def test_two_processes_racing_commit_one_result_and_both_get_it(
    store: Store, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    racers = [spawn(WORKER, store.uri, "0.5") for _ in range(2)]
    outputs = [racer.communicate(timeout=60)[0].splitlines() for racer in racers]
    [done] = run([race_step()], store)
    assert sorted(lines[-1] for lines in outputs) == [
        f"{done.manifest.sha256} False",
        f"{done.manifest.sha256} True",
    ]
    assert sum(lines.count("running") for lines in outputs) == 1


def test_killed_step_is_taken_over_and_finished(
    store: Store, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    victim = spawn(WORKER, store.uri, "600")
    assert victim.stdout and victim.stdout.readline() == "running\n"
    victim.send_signal(signal.SIGKILL)
    rescuer = spawn(WORKER, store.uri, "0")
    assert rescuer.communicate(timeout=60)[0].splitlines()[-1].endswith("False")
    [done] = run([race_step()], store)
    assert done.manifest.attempt.startswith("a0002-")


def test_two_objects_of_one_name_refuse_to_commit(local_store: Store) -> None:
    def twice(context: StepContext, config: NumberConfig) -> dict[str, JsonValue]:
        make(context, config)
        return make(context, config)

    with pytest.raises(ValueError, match=r"number\.json"):
        run([Step("source", kind(twice), NumberConfig())], local_store)


def test_manifest_of_another_identity_at_the_path_is_refused(local_store: Store) -> None:
    [done] = run(chain(1)[:1], local_store)
    other = chain(2)[0]
    local_store.create(f"{other.path}/manifest.json", done.manifest.encode())
    with pytest.raises(IntegrityError, match="holds identity"):
        run([other], local_store)


def test_same_step_has_the_same_content_in_another_store(s3_uri: str, local_store: Store) -> None:
    manifests = [run(chain(), where)[1].manifest for where in (local_store, open_store(s3_uri))]
    assert manifests[0].identity == manifests[1].identity
    assert manifests[0].content_sha256 == manifests[1].content_sha256
    assert sys.version.split()[0] == manifests[0].environment.python
