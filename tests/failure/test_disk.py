"""A disk is full: the command says so and leaves nothing half, and with more room it goes on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import (
    ROWS,
    Laboratory,
    Outcome,
    assert_collected,
    assert_sound,
    command,
    failure_of,
    outcome_of,
)
from processes import Start

pytestmark = [pytest.mark.ray, pytest.mark.failure, pytest.mark.timeout(600)]

FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for less than one shard."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "TMPDIR"])
def test_full_disk_of_a_worker(
    lab: Laboratory, start: Start, rows: Outcome, disk: Path, variable: str
) -> None:
    # Ray's own files would go to TMPDIR, too.
    settings = lab.settings | {"RAY_TMPDIR": "/tmp", variable: str(disk)}
    assert FULL in failure_of(start(*lab.run(ROWS), environment=settings))
    left = [file for file in disk.rglob("*") if file.is_file() and file.stat().st_size]
    assert not left
    enlarge(disk)
    lab.assert_as(rows, start(*lab.run(ROWS), environment=settings).finish())


def test_full_disk_of_a_store(
    environment: dict[str, str], start: Start, rows: Outcome, disk: Path, tmp_path: Path
) -> None:
    store = disk / "store"
    line = command("run", ROWS, tmp_path, str(store))
    assert FULL in failure_of(start(*line, environment=environment))
    enlarge(disk)
    ended = start(*line, environment=environment).finish()
    assert outcome_of(ended) == rows
    assert_collected(str(store), environment, tmp_path)
    files = [file for file in store.rglob("*") if file.is_file()]
    assert_sound({file.relative_to(store).as_posix(): file.read_bytes() for file in files})
