"""Tracking mirrors metrics and never stands in the way."""

import os
from pathlib import Path

import pytest
import wandb

from cluster.tracking import Tracker, open_tracker

IDENTITY = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private cache, and nothing of the user's own wandb settings."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "cache"


def test_tracker_is_offline_and_in_the_cache(cache: Path):
    tracker = open_tracker(IDENTITY, "train", {"lr": 0.1})
    folder = tracker.directory
    tracker.log({"step": 1, "loss": 2.0})
    tracker.close()
    assert folder is not None
    assert folder.is_relative_to(cache)
    assert IDENTITY[:32] in folder.name
    assert list(folder.glob("*.wandb"))
    assert not list(Path.cwd().iterdir())


def test_tracker_disabled_writes_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = open_tracker(IDENTITY, "train", {})
    tracker.log({"loss": 1.0})
    tracker.close()
    assert tracker.directory is None
    assert not cache.exists()


def test_tracker_that_cannot_start_is_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    open_tracker(IDENTITY, "train", {}).log({"loss": 1.0})


def test_each_split_has_curves_of_its_own():
    class Run:
        logged: list[dict] = []

        def log(self, row: dict) -> None:
            Run.logged.append(row)

    tracker = Tracker(Run())
    tracker.log({"step": 1, "split": "train", "loss": 2.0})
    tracker.log({"step": 1, "split": "validation", "loss": 3.0})
    tracker.log({"step": 1, "fvu": 0.5})
    assert Run.logged == [
        {"step": 1, "train/loss": 2.0}, {"step": 1, "validation/loss": 3.0}, {"step": 1, "fvu": 0.5}
    ]  # fmt: skip


def test_tracker_stops_at_wandb_errors_and_passes_others():
    class Run:
        calls = 0

        def log(self, row: dict) -> None:
            Run.calls += 1
            raise row["error"]

    tracker = Tracker(Run())
    with pytest.raises(ZeroDivisionError):
        tracker.log({"error": ZeroDivisionError()})
    tracker.log({"error": wandb.Error("gone")})
    tracker.log({"error": wandb.Error("gone")})
    assert Run.calls == 2
