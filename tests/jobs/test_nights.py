"""The page of all nights, from the command; and a night that another one takes over."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from processes import ROOT, Start, Tinysql

from cluster.lease import read_lease
from cluster.nights import Night, record
from cluster.store import open_store

NIGHT = Night(
    date="2026-11-21", verdict="held", reasons=("too slow",), challenger="model/a-000000000000",
    champion="", version=0, gate="gate/b-000000000000", accuracy={"challenger-frozen": 0.98},
    finished="2026-11-22T01:00:00+00:00", cpu_seconds=1.5, gpu_seconds=0.0,
)  # fmt: skip


def test_it_is_written_beside_the_list(tinysql: Tinysql, tmp_path: Path) -> None:
    record(open_store(str(tmp_path / "store")), NIGHT)
    ran = tinysql("nights", "--store", str(tmp_path / "store"), "--out", "page.html", timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "too slow" in ran.stdout
    assert "too slow" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_without_nights_there_is_nothing_to_draw(tinysql: Tinysql, tmp_path: Path) -> None:
    open_store(str(tmp_path / "store"))
    ran = tinysql("nights", "--store", str(tmp_path / "store"), "--out", "page.html", timeout=60)
    assert ran.returncode == 2
    assert ran.stderr.strip().endswith("has no night yet: there is nothing to draw")


def test_a_page_that_cannot_be_written_is_said_first(tinysql: Tinysql, tmp_path: Path) -> None:
    ran = tinysql("nights", "--store", str(tmp_path / "none"), "--out", str(tmp_path), timeout=60)
    assert ran.returncode == 2 and "--out" in ran.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_a_night_that_lost_its_lease_takes_the_new_owners_outcome(
    start: Start, tmp_path: Path
) -> None:
    recipe, date = ROOT / "tests" / "fixtures" / "nights.yaml", str(datetime.now(UTC).date())
    store, key = open_store(str(tmp_path / "store")), f"nights/{date}/lease.json"
    night = start(
        sys.executable, "-m", "jobs.cli", "nightly", "--recipe", str(recipe), "--store", "store",
        "--date", date, "--json",
    )  # fmt: skip
    night.wait_until(lambda: store.exists(key) and list((tmp_path / "store").glob("dataset/*")))
    lease = read_lease(store, key)
    assert lease is not None
    taken = replace(lease, owner="another", machine="elsewhere", fence=lease.fence + 1)
    store.write(key, taken.encode())
    night.wait_until(lambda: "waiting for the new owner" in night.stderr.read_text())
    record(store, NIGHT.model_copy(update={"date": date}))
    assert json.loads(night.finish())["reasons"] == ["too slow"]
