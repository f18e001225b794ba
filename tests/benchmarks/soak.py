"""Recipe after recipe on an S3 that fails while processes are killed: is anything lost or doubled?

    python tests/benchmarks/soak.py --minutes 30

Each round runs the failure laboratory's recipe with another seed. One request in 25 fails, and in
the midst of it something drawn happens; where the command ends with an error, it is given again.
The round's artifacts must be those of an undisturbed run in a directory. In the end leftovers are
collected, and everything in the store is read: every object must be the one that a manifest names,
and every row must be there once. Prints a line for each round, and fails if anything differs.
"""

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow.parquet as pq

_TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(_TESTS / name) for name in ("cluster", "jobs", "failure")]

from laboratory import (  # noqa: E402
    ROWS,
    Laboratory,
    assert_collected,
    assert_sound,
    command,
    kill_raylet,
    laboratory,
    outcome_of,
    processes_of,
)
from processes import (  # noqa: E402
    Started,
    aws_settings,
    begin,
    end,
    s3_server,
    user_environment,
)
from s3_proxy import Fault, always, in_turn  # noqa: E402

_TRIES = 6
_OUTAGE_SECONDS = 15
_WEATHER = in_turn(
    25, Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.RESET_BEFORE, Fault.RESET_AFTER,
    Fault.TRUNCATED, Fault.SLOW,
)  # fmt: skip


def main() -> None:
    """Disturb, compare, and read everything in the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draws, rounds = random.Random(asked.seed), 0
    deadline = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory() as name, s3_server() as server, _nothing_left_behind():
        settings = user_environment(Path(name)) | aws_settings(server)
        with laboratory(settings, Path(name)) as lab:
            print(f"{'round':>5}  {'what happened':<16} {'commands':>8} {'seconds':>8}  artifacts")
            for what in _drawn(draws):
                if time.monotonic() > deadline:
                    break
                rounds += 1
                _round(lab, draws, what, rounds)
            _read_everything(lab, rounds)
            faults = ", ".join(f"{n} {fault}" for fault, n in sorted(lab.front.happened.items()))
            print(f"faults of S3: {faults}")


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    try:
        yield
    finally:
        end(psutil.Process().children(recursive=True))


def _drawn(draws: random.Random) -> Iterator[str]:
    """Names of events, all of them before one comes again."""
    while True:
        yield from draws.sample(list(_EVENTS), len(_EVENTS))


def _round(lab: Laboratory, draws: random.Random, what: str, number: int) -> None:
    seed = ("--set", f"dataset.seed={number}")
    line = lab.run(ROWS, *seed)
    before, started = lab.receipts(), time.monotonic()
    lab.front.choose = _WEATHER
    first = begin(line, lab.settings, lab.folder)
    moment = before + draws.randrange(1, 10)
    while first.process.poll() is None and lab.receipts() < moment:
        time.sleep(0.3)
    others = _EVENTS[what](lab, first, line) if first.process.poll() is None else []
    said = [_patient(lab, each, line) for each in [first, *others]]
    seconds = time.monotonic() - started
    alone = command("run", ROWS, lab.folder, str(lab.folder / f"plain-{number}"), *seed)
    _, expected = _patient(lab, begin(alone, lab.settings, lab.folder), alone)
    for _, stdout in said:
        assert outcome_of(stdout) == outcome_of(expected), f"round {number}: {stdout}"
    commands = sum(tries for tries, _ in said)
    print(f"{number:>5}  {what:<16} {commands:>8} {seconds:>8.0f}  the same", flush=True)


def _patient(lab: Laboratory, started: Started, line: list[str]) -> tuple[int, str]:
    """How many commands it took until one ended well, and what that one printed."""
    for tries in range(1, _TRIES + 1):
        if started.process.wait(300) == 0:
            return tries, started.stdout.read_text()
        started = begin(line, lab.settings, lab.folder)
    raise AssertionError(f"{_TRIES} commands failed, the last so: {started.stderr.read_text()}")


def _nothing(_lab: Laboratory, _first: Started, _line: list[str]) -> list[Started]:
    return []


def _kill_driver(_lab: Laboratory, first: Started, _line: list[str]) -> list[Started]:
    first.kill()
    return []


def _kill_worker(_lab: Laboratory, first: Started, _line: list[str]) -> list[Started]:
    for worker in processes_of(first, "^ray::(dataset|mixed)")[:1]:
        worker.kill()
    return []


def _kill_raylet(_lab: Laboratory, first: Started, _line: list[str]) -> list[Started]:
    kill_raylet(first)
    return []


def _outage(lab: Laboratory, _first: Started, _line: list[str]) -> list[Started]:
    lab.front.choose = always(Fault.RESET_BEFORE)
    time.sleep(_OUTAGE_SECONDS)
    lab.front.choose = _WEATHER
    return []


def _expire(lab: Laboratory, first: Started, _line: list[str]) -> list[Started]:
    lab.front.choose = always(Fault.EXPIRED_TOKEN)
    first.process.wait(120)
    lab.front.choose = _WEATHER
    return []


def _second_tick(lab: Laboratory, _first: Started, line: list[str]) -> list[Started]:
    return [begin(line, lab.settings, lab.folder)]


_EVENTS = {
    "S3 faults only": _nothing,
    "driver killed": _kill_driver,
    "worker killed": _kill_worker,
    "raylet killed": _kill_raylet,
    "S3 away": _outage,
    "token expired": _expire,
    "two ticks": _second_tick,
}
"""What can happen in a round; each returns the commands that it started."""


def _read_everything(lab: Laboratory, rounds: int) -> None:
    """Collects leftovers, then looks at every object and every row."""
    assert_collected(lab.store, lab.direct, lab.folder)
    objects = lab.objects()
    assert_sound(objects)
    manifests = [json.loads(objects[key]) for key in objects if key.endswith("/manifest.json")]
    kinds = Counter(each["kind"] for each in manifests)
    assert kinds == {"dataset": rounds, "mixture": rounds}, kinds
    for manifest in manifests:
        tables = [objects[ref["key"]] for ref in manifest["objects"] if ref["rows"] is not None]
        ids = [
            row for data in tables
            for row in pq.read_table(io.BytesIO(data), columns=["id"])["id"].to_pylist()
        ]  # fmt: skip
        assert sorted(ids) == list(range(sum(manifest["metrics"].values()))), manifest["slug"]
    print(f"{len(manifests)} artifacts are whole, with every row once, and nothing else is there")


if __name__ == "__main__":
    main()
