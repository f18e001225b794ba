"""Fine-tuning killed at random moments: does every run end with the same weights, bit for bit?

    python tests/benchmarks/kill_matrix.py --kills 20

A small model is fine-tuned by two workers once without disturbance, and then again and again from
the same base; at a moment drawn over the whole training, every fourth time as soon as a checkpoint
is half uploaded, one process gets SIGKILL: a worker, Ray Train's controller, the driver, or the
raylet. Where the command ends with it, it is given again. A kill that came too late is drawn again.
Prints a line for each kill, and fails if some weights differ.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
_RECIPE = ROOT / "tests" / "fixtures" / "tiny.yaml"
_STEPS = 300
_TOO_LATE = "ended before it"
_VICTIMS = {
    "worker": r"ray::RayTrainWorker",
    "controller": r"ray::TrainController",
    "driver": r"jobs\.cli",
    "raylet": r"raylet/raylet",
}


def main() -> None:
    """Kill, run again, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draws = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, expected = _undisturbed(folder)
        print(f"undisturbed: {seconds:.0f} s from the first step on, weights {expected[:12]}")
        killed = different = 0
        while killed < asked.kills:
            victim = draws.choice(list(_VICTIMS))
            moment = None if killed % 4 == 3 else draws.uniform(0, seconds)
            found, told = _killed(folder, victim, moment)
            different += found != expected
            killed += told != _TOO_LATE
            when = "uploading" if moment is None else f"{moment:7.1f} s"
            verdict = "same" if found == expected else "OTHER"
            print(f"{killed:>3} {victim:<11} {when}: {told}; {verdict} weights", flush=True)
    sys.exit(different > 0)


def _command(store: Path) -> list[str]:
    return [
        sys.executable, "-m", "jobs.cli", "model", str(_RECIPE), "--store", str(store), "--json",
        "--set", f"model.steps={_STEPS}", "--set", "model.resources.workers=2",
    ]  # fmt: skip


def _environment(folder: Path) -> dict[str, str]:
    own = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def _undisturbed(folder: Path) -> tuple[float, str]:
    """Seconds of training, and the hash of the result; leaves a store with all but the model."""
    store = folder / "first"
    process = subprocess.Popen(
        _command(store), cwd=folder, env=_environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _wait_for_training(process, store)
    started = time.monotonic()
    out, _ = process.communicate()
    seconds = time.monotonic() - started
    shutil.copytree(store, folder / "start", ignore=shutil.ignore_patterns("model"))
    return seconds, _content(out)


def _killed(folder: Path, victim: str, moment: float | None) -> tuple[str, str]:
    """The hash of the result after a kill, and what was seen; moment None: during an upload."""
    store = folder / "killed"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(folder / "start", store)
    starts = 0
    told = _TOO_LATE
    while True:
        starts += 1
        process = subprocess.Popen(
            _command(store), cwd=folder, env=_environment(folder),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if starts == 1:
            _wait_for_training(process, store)
            if moment is None:
                _wait_for_upload(process, store)
            else:
                time.sleep(moment)
            if process.poll() is None and _kill(process, victim):
                whole, half = _checkpoints(store)
                told = f"killed with {len(whole)} checkpoints and {len(half)} half uploaded"
        out, _ = process.communicate()
        if process.returncode == 0:
            again = f", {starts} commands" if starts > 1 else ""
            return _content(out), told if told == _TOO_LATE else told + again
        if starts == 4:
            return "", f"{told}, gave up with exit code {process.returncode}"


def _wait_for_training(process: subprocess.Popen[bytes], store: Path) -> None:
    """Returns when the first checkpoint is about to be there."""
    while process.poll() is None and not list(store.glob("model/*/train")):
        time.sleep(0.05)


def _wait_for_upload(process: subprocess.Popen[bytes], store: Path) -> None:
    """Returns as soon as a checkpoint is seen without the lists of both ranks."""
    while process.poll() is None and not _checkpoints(store)[1]:
        time.sleep(0.0005)


def _checkpoints(store: Path) -> tuple[list[Path], list[Path]]:
    """Those with the lists of both ranks, and those without."""
    found = list(store.glob("model/*/train/checkpoint-*/"))
    whole = [each for each in found if len(list(each.glob("files-*.json"))) == 2]
    return whole, [each for each in found if each not in whole]


def _kill(process: subprocess.Popen[bytes], victim: str) -> bool:
    """SIGKILL to the first process of the command's family that is such a victim."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        try:
            if re.search(_VICTIMS[victim], " ".join(each.cmdline())):
                each.send_signal(signal.SIGKILL)
                return True
        except psutil.Error:
            continue
    return False


def _content(out: bytes) -> str:
    summary: dict[str, Any] = json.loads(out.splitlines()[-1])
    (model,) = (step for step in summary["steps"] if step["kind"] == "model")
    return str(model["content_sha256"])


if __name__ == "__main__":
    main()
