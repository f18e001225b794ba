"""Scratch directories: gone with their process, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys, time
from cluster.scratch import given_away, scratch
with scratch("one-") as name:
    (given_away("two-") / "big").write_text("x")
    print(name, flush=True)
    if sys.argv[1] == "wait":
        time.sleep(60)
"""


def start(temp: Path, what: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(temp), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, what], env=environment, stdout=subprocess.PIPE, text=True
    )


def folders(temp: Path) -> list[Path]:
    return [path for path in temp.glob("tinysql-*/*") if path.is_dir()]


def test_nothing_is_left_of_a_process_that_ends(tmp_path: Path) -> None:
    assert start(tmp_path, "go").wait(60) == 0
    assert folders(tmp_path) == []


def test_the_next_process_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    killed, living = start(tmp_path, "wait"), start(tmp_path, "wait")
    places = [Path(process.stdout.readline().strip()) for process in (killed, living)]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(60)
    assert all(place.is_dir() for place in places)
    assert start(tmp_path, "go").wait(60) == 0
    assert [place.is_dir() for place in places] == [False, True]
    assert folders(tmp_path) == [places[1].parent]
    living.kill()
    living.wait(60)


def test_a_root_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"tinysql-scratch-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    process = subprocess.run(
        [sys.executable, "-c", CODE, "go"],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "belongs to somebody else" in process.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
