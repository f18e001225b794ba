"""Functions that tests run on Ray workers, which import this module by name."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import distributed

from cluster.errors import UserError


def write_number(out_dir: Path, *, number: int, trace: str) -> dict:
    """A shard that leaves one trace per execution."""
    Path(trace, f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    (out_dir / f"{number}.txt").write_text(str(number))
    return {"number": number, "n": 1, "threads": int(os.environ["OMP_NUM_THREADS"])}


def fail_on(out_dir: Path, *, number: int, trace: str, bad: list[int]) -> dict:
    metrics = write_number(out_dir, number=number, trace=trace)
    if number in bad:
        raise ValueError(f"number {number} is bad\nsecond line")
    return metrics


def mistake(out_dir: Path, *, number: int, trace: str) -> dict:
    write_number(out_dir, number=number, trace=trace)
    raise UserError("number: got 1, expected 2, use 2")


def die_once(out_dir: Path, *, number: int, trace: str) -> dict:
    """The first execution is killed as the kernel's memory killer would."""
    first = not list(Path(trace).iterdir())
    metrics = write_number(out_dir, number=number, trace=trace)
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return metrics


def sleep_long(out_dir: Path, *, number: int, trace: str) -> dict:
    metrics = write_number(out_dir, number=number, trace=trace)
    time.sleep(60)
    Path(trace, "survived").touch()
    return metrics


def note_overlap(_out_dir: Path, *, number: int, trace: str) -> dict:
    """Counts the shards that run at the same time."""
    mine = Path(trace, str(number))
    mine.touch()
    time.sleep(0.1)
    others = len(list(Path(trace).iterdir())) - 1
    mine.unlink()
    return {"others": others}


def count_steps(
    out_dir: Path,
    *,
    rank: int,
    world_size: int,
    local_rank: int,
    device: str,
    log: Callable[[dict], None],
    save: Callable[[dict], AbstractContextManager[Path]],
    is_ending: Callable[[], bool],
    cache: Path,  # noqa: ARG001
    restore: Path | None,
    num_steps: int,
    trace: str,
    kill_rank_at: int | None = None,
    seconds: float = 0.0,
    failure: str | None = None,
) -> dict:
    """A training loop whose weights are the number of steps done, summed over the ranks."""
    done = 0
    if restore is not None:
        done = json.loads((restore / f"rank-{rank}.json").read_text())["done"]
    Path(trace, f"start-{rank}-{done}-{time.time_ns()}").touch()
    assert not is_ending()
    while done < num_steps:
        total = torch.ones(1)
        distributed.all_reduce(total)
        assert total.item() == world_size
        done += 1
        time.sleep(seconds)
        if failure:
            raise UserError(failure) if failure.endswith("!") else KeyError(failure)
        if done == kill_rank_at and rank == 1 and not (killed := Path(trace, "killed")).exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        log({"step": done, "num_steps": num_steps, "loss": 1 / done})
        if done % 2 == 0:
            with save({"step": done}) as folder:
                (folder / f"rank-{rank}.json").write_text(json.dumps({"done": done}))
    (out_dir / "weights.json").write_text(json.dumps(done))
    return {
        "steps": done,
        "world_size": world_size,
        "local_rank": local_rank,
        "device": device,
        "threads": torch.get_num_threads(),
    }


def try_loss(
    *,
    device: str,
    report: Callable[[dict], None],
    save: Callable[[dict], AbstractContextManager[Path]],
    cache: Path,  # noqa: ARG001
    restore: Path | None,
    loss: float,
    trace: str,
    num_steps: int = 8,
    kill_at: int | None = None,
    failure: str | None = None,
    gives_up_at: int | None = None,
    seconds: float = 0.0,
) -> str | None:
    """A trial whose loss stays what it is, and who leaves one trace per start."""
    assert device == "cpu"
    done = json.loads((restore / "done.json").read_text()) if restore else 0
    Path(trace, f"{loss}-from-{done}-{time.time_ns()}").touch()
    while done < num_steps:
        done += 1
        time.sleep(seconds)
        if failure:
            raise UserError(failure) if failure.endswith("!") else KeyError(failure)
        if done == gives_up_at:
            return f"gave up at step {done}"
        if done == kill_at and not (killed := Path(trace, "killed")).exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        report({"step": done, "num_steps": num_steps, "loss": loss, "seconds": 0.0})
        with save({"step": done}) as folder:
            (folder / "done.json").write_text(json.dumps(done))
    return None
