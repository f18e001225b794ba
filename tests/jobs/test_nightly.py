"""Nights: one outcome per date, worse models held, and a champion that can be put back."""

import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from clusters import RayCluster, ray_cluster
from processes import ROOT, Start, Tinysql, s3_client

NIGHTS = ROOT / "tests" / "fixtures" / "nights.yaml"
TODAY = datetime.now(UTC).date()

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--date", "2026-13-01"], "expected a date such as"),
        (["--date", str(TODAY + timedelta(days=2))], "it has not come yet"),
        (["--recipe", "quickstart"], "has no step 'fresh'"),
        (["--set", "gate.margin=2"], "steps.gate.config.margin: Input should be less than 1"),
        (["--set", "champion-fresh.uses.model=best"], "uses 'best', which is not a step"),
    ],
)
def test_a_mistake_claims_nothing(
    tinysql: Tinysql, tmp_path: Path, arguments: list[str], said: str
) -> None:
    given = ["--recipe", str(NIGHTS)] if "--recipe" not in arguments else []
    ended = tinysql("nightly", "--store", "store", *given, *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_a_late_tick_is_let_go(tinysql: Tinysql, tmp_path: Path) -> None:
    date = str(TODAY - timedelta(days=3))
    ended = tinysql("nightly", "--recipe", str(NIGHTS), "--store", "store", "--date", date)
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == {"date": date, "verdict": "let go"}
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("recipe", ["nightly", str(NIGHTS)])
def test_first_night_compares_the_challenger_with_itself(tinysql: Tinysql, recipe: str) -> None:
    ended = tinysql("nightly", "--recipe", recipe, "--store", "store", "--dry-run", "--json")
    paths = {step["name"]: step["path"] for step in json.loads(ended.stdout)["plan"]}
    assert paths["champion-fresh"] == paths["challenger-fresh"]
    assert paths["champion-frozen"] == paths["challenger-frozen"] != paths["champion-fresh"]


def test_every_date_has_rows_of_its_own(tinysql: Tinysql) -> None:
    plans = []
    for days in (0, 1):
        date = str(TODAY - timedelta(days=days))
        ended = tinysql(
            "nightly", "--recipe", str(NIGHTS), "--store", "store", "--date", date, "--dry-run",
            "--late-hours", "99", "--json",
        )  # fmt: skip
        plan = json.loads(ended.stdout)["plan"]
        plans.append({step["name"]: step["identity"] for step in plan})
    same = {name for name in plans[0] if plans[0][name] == plans[1][name]}
    assert same == {"corpus", "base", "frozen"}


@pytest.fixture(scope="module")
def cluster(s3_environment: dict[str, str]) -> Iterator[RayCluster]:
    with ray_cluster(s3_environment, (1, 1)) as found:
        yield found


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_seven_nights(cluster: RayCluster, bucket: str, tinysql: Tinysql, start: Start) -> None:
    """One makes a bad model, one has two ticks, one is killed: the history is right."""
    store = f"s3://{bucket}/runs"
    dates = [str(TODAY - timedelta(days=days)) for days in range(6, -1, -1)]

    def arguments(date: str, *more: str) -> list[str]:
        return [
            "--recipe", str(NIGHTS), "--store", store, "--date", date,
            "--late-hours", "999", *more,
        ]  # fmt: skip

    def night(date: str, *more: str) -> subprocess.CompletedProcess[str]:
        ended = cluster.submit("nightly", *arguments(date, *more), timeout=600)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
        return ended

    def asked(verb: str) -> list[Json]:
        ended = tinysql(verb, "--store", store, "--json", environment=cluster.settings)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)[{"history": "versions"}.get(verb, verb)]

    night(dates[0])
    night(dates[1])
    night(dates[2], "--set", "challenger.lr=0.3")
    with ThreadPoolExecutor(2) as pool:
        ticks = list(pool.map(night, [dates[3]] * 2))
    assert sum("has its outcome already" in tick.stdout for tick in ticks) == 1
    command = cluster.submission("nightly", *arguments(dates[4]))
    killed = start(*command, environment=cluster.settings)
    killed.wait_until(lambda: driver_of(dates[4]) and model_under_way(cluster, bucket), 300)
    driver_of(dates[4]).send_signal(signal.SIGKILL)
    assert killed.process.wait(120) != 0
    night(dates[4])
    night(dates[5])
    night(dates[6])

    nights = asked("nights")
    versions = asked("history")
    assert [each["date"] for each in nights] == dates
    verdicts = {each["date"]: each["verdict"] for each in nights}
    assert verdicts[dates[0]] == "promoted"
    assert verdicts[dates[2]] == "held"
    assert any("frozen, all" in reason for reason in nights[2]["reasons"])
    promoted = [date for date in dates if verdicts[date] == "promoted"]
    assert [each["night"] for each in versions] == promoted
    assert nights[-1]["champion"] == versions[-1]["path"]
    assert nights[2]["champion"] == nights[1]["champion"] != nights[2]["challenger"]
    assert all(has_page(cluster, bucket, each["gate"]) for each in nights)

    # Killed between the promotion and the record of it.
    record = f"runs/nights/{promoted[-1]}/night.json"
    s3_client(cluster.settings["AWS_ENDPOINT_URL"]).delete_object(Bucket=bucket, Key=record)
    night(promoted[-1])
    assert [each | {"finished": ""} for each in asked("nights")] == [
        each | {"finished": ""} for each in nights
    ]
    assert asked("history") == versions

    back = tinysql("rollback", "--store", store, "--json", environment=cluster.settings)
    assert json.loads(back.stdout)["path"] == versions[-2]["path"]
    assert asked("history")[-1]["path"] == versions[-2]["path"]
    leftovers = tinysql("gc", "--store", store, "--older-than-hours", "0", "--dry-run",
                        environment=cluster.settings)  # fmt: skip
    assert not any("nights/" in key or "pointers/" in key for key in leftovers.stdout.split('"'))


def driver_of(date: str) -> psutil.Process | None:
    """The process that works on a date's night."""
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if line[1:3] == ["-m", "jobs.nightly"] and date in line:
            return process
    return None


def model_under_way(cluster: RayCluster, bucket: str) -> bool:
    """Whether some training has begun that no manifest names yet."""
    names = keys(cluster, bucket, "runs/model/")
    begun = {name.split("/")[2] for name in names if "/lease.json" in name}
    return bool(begun - {name.split("/")[2] for name in names if "/manifest.json" in name})


def has_page(cluster: RayCluster, bucket: str, gate: str) -> bool:
    return any(name.endswith("/gate.html") for name in keys(cluster, bucket, f"runs/{gate}/"))


def keys(cluster: RayCluster, bucket: str, prefix: str) -> list[str]:
    client = s3_client(cluster.settings["AWS_ENDPOINT_URL"])
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]
