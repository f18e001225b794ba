"""Whole pipelines in real processes: run, run again, kill anything, two at once, S3, a cluster."""

import hashlib
import io
import itertools
import json
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from clusters import RayCluster, ray_cluster
from leaks import files_in, leaks, objects_in
from processes import MAIN_KINDS, ROOT, TINY, Start, Started, Tinysql, end, s3_client

BIG = ("dataset", str(TINY), "--set", "dataset.train_rows=300000", "--json")
BIG_SHARDS, BIG_ROWS = 32, 300_160
CLI = (sys.executable, "-m", "jobs.cli")

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

Json = dict[str, Any]


def summary_of(stdout: str) -> Json:
    """The JSON object that ends a command's output."""
    return json.loads(stdout.splitlines()[-1])


def by_name(summary: Json) -> dict[str, Json]:
    return {step["name"]: step for step in summary["steps"]}


def manifest_of(store: Path, step: Json) -> Json:
    return json.loads((store / step["path"] / "manifest.json").read_text())


def assert_sound_dataset(store: Path, step: Json, num_rows: int) -> None:
    """Every object is as its manifest says, and every row is there exactly once."""
    ids: list[int] = []
    for ref in manifest_of(store, step)["objects"]:
        data = (store / ref["key"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == ref["sha256"]
        if ref["name"].endswith(".parquet"):
            ids += pq.read_table(io.BytesIO(data), columns=["id"])["id"].to_pylist()
    assert sorted(ids) == list(range(num_rows))


def receipts(store: Path) -> int:
    return len(list(store.glob("dataset/*/receipts/*.json")))


def checkpoints(store: Path) -> int:
    return len(list(store.glob("base/*/train/checkpoint-*")))


def find(started: Started, what: str) -> psutil.Process | None:
    """A process that this command started, by what its command line starts with or runs."""
    for process in started.family():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if re.search(what, line):
            return process
    return None


def kill_one(started: Started, what: str) -> None:
    found: list[psutil.Process] = []
    started.wait_until(lambda: (one := find(started, what)) and not found.append(one))
    found[0].send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Json]:
    """The store and the summary of one undisturbed run of every kind of step."""
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(
        [*CLI, "run", str(TINY), "--store", "runs", "--json"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    return folder / "runs", summary_of(done.stdout)


def test_run_commits_every_step(whole: tuple[Path, Json]):
    store, summary = whole
    assert {step["kind"] for step in summary["steps"]} == MAIN_KINDS
    assert not any(step["reused"] for step in summary["steps"])
    for step in summary["steps"]:
        manifest = manifest_of(store, step)
        assert manifest["identity"] == step["identity"]
        assert all((store / ref["key"]).stat().st_size == ref["bytes"]
                   for ref in manifest["objects"])  # fmt: skip
    assert_sound_dataset(store, by_name(summary)["dataset"], 2160)
    assert by_name(summary)["evaluation"]["metrics"]["execution"]["n"] == 60
    assert len(list(store.rglob("manifest.json"))) == len(MAIN_KINDS)


def test_run_tracks_training_offline(whole: tuple[Path, Json], environment: dict[str, str]):
    assert whole[1]["steps"]
    assert list(Path(environment["XDG_CACHE_HOME"]).rglob("offline-run-*"))


def test_run_again_reuses_everything_without_ray(whole: tuple[Path, Json], tinysql: Tinysql):
    store, first = whole
    # An address nobody answers at: connecting would fail.
    arguments = ("run", str(TINY), "--store", str(store), "--address", "127.0.0.1:1")
    again = tinysql(*arguments, timeout=20)
    assert again.returncode == 0, again.stderr
    assert "everything was reused" in again.stderr
    summary = summary_of(again.stdout)
    assert summary["reused"]
    assert [step["content_sha256"] for step in summary["steps"]] == [
        step["content_sha256"] for step in first["steps"]
    ]


def test_run_with_one_field_changed_needs_only_what_depends_on_it(
    whole: tuple[Path, Json], tinysql: Tinysql
):
    arguments = ("run", str(TINY), "--store", str(whole[0]), "--dry-run", "--json")
    plan = summary_of(tinysql(*arguments, "--set", "pairs.pairs_per_feature=5").stdout)["plan"]
    missing = {step["name"] for step in plan if not step["committed"]}
    assert missing == {"pairs", "patching", "report"}


def test_ls_show_and_report_read_the_run(
    whole: tuple[Path, Json], tinysql: Tinysql, tmp_path: Path
):
    store, summary = whole
    listed = summary_of(tinysql("ls", "--store", str(store), "--json").stdout)["artifacts"]
    assert {entry["path"] for entry in listed} == {step["path"] for step in summary["steps"]}
    path = by_name(summary)["model"]["path"]
    shown = summary_of(tinysql("show", path, "--store", str(store), "--json").stdout)
    assert (shown["path"], shown["kind"]) == (path, "model")
    assert tinysql("show", "model", "--store", str(store), "--out", "mine/model").returncode == 0
    assert {file.name for file in (tmp_path / "mine" / "model").iterdir()} == {
        ref["name"] for ref in shown["objects"]
    }
    assert "is there already" in tinysql("show", path, "--out", "mine/model").stderr
    told = tinysql("report", str(TINY), "--store", str(store), "--out", "page.html")
    assert told.returncode == 0, told.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert summary["steps"][0]["identity"][:12] in page


def test_gc_leaves_what_manifests_name(whole: tuple[Path, Json], tinysql: Tinysql):
    store, summary = whole
    named = {ref["key"] for step in summary["steps"] for ref in manifest_of(store, step)["objects"]}
    collected = summary_of(tinysql("gc", "--store", str(store), "--json").stdout)
    assert any("/receipts/" in key for key in collected["removed"])
    assert not named & set(collected["removed"])
    assert all((store / key).is_file() for key in named)


@pytest.fixture(scope="module")
def big(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Json]]:
    """A store where two runs started at once made one dataset, and their summaries."""
    folder = tmp_path_factory.mktemp("big")
    pair = [
        subprocess.Popen(
            [*CLI, *BIG, "--store", "runs"],
            cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120) for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], said
    return folder / "runs", [summary_of(out) for out, _ in said]


def test_two_runs_at_once_make_one_artifact(big: tuple[Path, list[Json]]):
    # Whether the other waited or came when all was done is a matter of how Ray starts; that waiting
    # works is tested in tests/cluster/test_steps.py.
    store, summaries = big
    assert sorted(summary["reused"] for summary in summaries) == [False, True]
    assert len({summary["steps"][0]["content_sha256"] for summary in summaries}) == 1
    assert len(list(store.glob("dataset/*/manifest.json"))) == 1
    assert len({json.loads(path.read_text())["attempt"]
                for path in store.glob("dataset/*/receipts/*.json")}) == 1  # fmt: skip
    assert_sound_dataset(store, summaries[0]["steps"][0], BIG_ROWS)


@pytest.mark.failure
def test_fanout_survives_the_death_of_anything(
    big: tuple[Path, list[Json]], start: Start, tmp_path: Path
):
    store = tmp_path / "runs"

    def begin() -> Started:
        return start(*CLI, *BIG, "--store", str(store))

    started = begin()
    started.wait_until(lambda: list(store.glob("dataset/*/lease.json")))
    started.kill()

    started = begin()
    started.wait_until(lambda: receipts(store) >= 3)
    started.kill()
    kept = receipts(store)
    assert 3 <= kept < BIG_SHARDS

    started = begin()
    started.wait_until(lambda: receipts(store) >= kept + 3)
    family = started.family()
    kill_one(started, r"/raylet/raylet ")
    assert started.process.wait(120) != 0
    end(psutil.wait_procs(family, timeout=1)[1])
    kept = receipts(store)
    assert kept < BIG_SHARDS

    started = begin()
    started.wait_until(lambda: receipts(store) >= kept + 1)
    kill_one(started, r"^ray::dataset")
    summary = summary_of(started.finish())
    (undisturbed,) = big[1][0]["steps"]
    (step,) = summary["steps"]
    assert step["content_sha256"] == undisturbed["content_sha256"]
    assert_sound_dataset(store, step, BIG_ROWS)
    assert len({json.loads(path.read_text())["attempt"]
                for path in store.glob("dataset/*/receipts/*.json")}) > 1  # fmt: skip


def test_training_survives_the_death_of_its_driver(
    whole: tuple[Path, Json], start: Start, tmp_path: Path
):
    """On a CPU a resumed run ends with the same weights, to the bit.

    The death of a rank: tests/cluster/test_gang.py.
    """
    store = tmp_path / "runs"
    command = (*CLI, "base", str(TINY), "--store", str(store), "--json")
    first = start(*command)
    first.wait_until(lambda: checkpoints(store) >= 2)
    first.kill()
    steps = by_name(summary_of(start(*command).finish()))
    assert steps["base"]["content_sha256"] == manifest_of(store, steps["base"])["content_sha256"]
    weights = [
        next(ref["sha256"] for ref in manifest_of(folder, step)["objects"]
             if ref["name"] == "model.safetensors")
        for folder, step in ((store, steps["base"]), (whole[0], by_name(whole[1])["base"]))
    ]  # fmt: skip
    assert weights[0] == weights[1]


SECRETS = {
    name: secrets.token_hex(20)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "WANDB_API_KEY")
}


@pytest.fixture(scope="module")
def cluster(s3_environment: dict[str, str]) -> Iterator[RayCluster]:
    with ray_cluster(s3_environment | SECRETS, (2,)) as found:
        yield found


def test_submitted_job_runs_the_recipe_on_s3_and_fails_when_a_step_does(
    cluster: RayCluster, bucket: str, whole: tuple[Path, Json], tinysql: Tinysql
):
    store = f"s3://{bucket}/runs"
    settings = cluster.settings
    given = ("--recipe", "tests/fixtures/tiny.yaml", "--store", store)

    done = tinysql(
        "submit", str(TINY), "--address", cluster.dashboard, "--store", store,
        "--working-dir", str(ROOT), "--set", "model.resources.workers=1",
        environment=settings, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    outcome = summary_of(done.stdout)
    assert (outcome["submitted"], outcome["succeeded"]) == (True, True)
    assert "tiny" in outcome["job"] and "execution accuracy" in done.stderr

    seen = tinysql(
        "status", "--store", store, "--address", cluster.dashboard, environment=settings
    )
    assert seen.returncode == 0, seen.stderr
    (run,) = summary_of(seen.stdout)["runs"]
    assert (run["name"], run["state"]) == (outcome["job"], "succeeded")

    planned = tinysql("run", str(TINY), "--store", store, "--dry-run", environment=settings)
    assert planned.returncode == 0, planned.stderr
    plan = summary_of(planned.stdout)["plan"]
    assert all(step["committed"] for step in plan)
    local = by_name(whole[1])
    assert {step["name"]: step["identity"] for step in plan} == {
        name: step["identity"] for name, step in local.items()
    }
    dataset = local["dataset"]
    client = s3_client(settings["AWS_ENDPOINT_URL"])
    key = f"runs/{dataset['path']}/manifest.json"
    manifest = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert manifest["content_sha256"] == dataset["content_sha256"]

    failed = cluster.submit("pairs", *given, "--set", "pairs.features=[OrderByField]")
    assert failed.returncode != 0
    assert "error: features: got OrderByField" in failed.stdout
    unknown = cluster.submit("base", *given, "--set", "base.source=./missing")
    assert unknown.returncode != 0
    assert "error: unknown model" in unknown.stdout

    known = SECRETS | {"RAY_AUTH_TOKEN": settings["RAY_AUTH_TOKEN"]}
    printed = [("what was printed", (done.stdout + done.stderr + failed.stdout).encode())]
    folders = (cluster.folder, Path(settings["HOME"]), Path(settings["XDG_CACHE_HOME"]))
    places = itertools.chain(printed, files_in(*folders), objects_in(client, bucket))
    assert leaks(known, places) == []
