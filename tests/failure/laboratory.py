"""A store on an S3 with faults, commands that use it, and what must hold whatever happened."""

import hashlib
import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from processes import Start, Started, end, s3_client
from s3_proxy import Fault, FaultyS3, Request, faulty_s3

_CLI = (sys.executable, "-m", "jobs.cli")
_PREFIX = "runs/"
_COORDINATES = re.compile(r"(.+/)?(manifest|lease)\.json|pointers/.+|nights/.+|\.lock")

ROWS = """
description: Many shards, and a step whose workers read them back.
steps:
  dataset:
    config: {train_rows: 80000, validation_rows: 50, test_rows: 50}
  mixed:
    kind: mixture
    uses: {all: dataset}
    config: {parts: {all: {}}, train_rows: 20000, validation_rows: 20, test_rows: 20}
"""
TRAINING = """
description: A training of two workers with many checkpoints.
steps:
  dataset:
    config: {command_sets: [1], train_rows: 2000, validation_rows: 100, test_rows: 60}
  base:
    config:
      architecture: {num_layers: 2, d_model: 64, num_heads: 2}
      vocab_size: 2048
      tokenizer_rows: 2000
      training: {prompt_weight: 0.1, steps: 30, batch_rows: 16, optimizer: muon, lr: 0.002}
    resources: {workers: 2}
"""

LONG_TRAINING = TRAINING.replace("steps: 30", "steps: 1000")

Outcome = dict[str, tuple[str, str]]
"""By name of the step: its identity, and the hash of its content."""


@dataclass(frozen=True)
class Laboratory:
    """A store of its own, behind a front whose faults can be chosen at any time."""

    front: FaultyS3
    bucket: str
    server: str
    """The S3 behind the front, which has no faults."""
    settings: dict[str, str]
    """Environment of a command that goes through the front."""
    folder: Path

    @property
    def store(self) -> str:
        return f"s3://{self.bucket}/{_PREFIX.rstrip('/')}"

    @property
    def direct(self) -> dict[str, str]:
        """Environment of a command that does not go through the front."""
        return self.settings | {"AWS_ENDPOINT_URL": self.server}

    def run(self, recipe: str, *options: str, verb: str = "run") -> list[str]:
        """The command that runs a recipe on the store."""
        return command(verb, recipe, self.folder, self.store, *options)

    def objects(self) -> dict[str, bytes]:
        """Everything in the store, by key."""
        client = s3_client(self.server)
        return {
            key: client.get_object(Bucket=self.bucket, Key=_PREFIX + key)["Body"].read()
            for key in self.all_keys()
        }

    def all_keys(self) -> list[str]:
        listing = s3_client(self.server).get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=self.bucket, Prefix=_PREFIX)
        found = (each for page in pages for each in page.get("Contents", ()))
        return [each["Key"].removeprefix(_PREFIX) for each in found]

    def receipts(self) -> int:
        """How many shards are done, in all steps."""
        return sum("/receipts/" in key for key in self.all_keys())

    def wait_for_receipts(self, started: Started, number: int = 2) -> None:
        """Returns once that many shards are done, while the command still runs."""
        # Rarely: the server has the time of one thread of this process, and this takes it away.
        started.wait_until(lambda: self.receipts() >= number, poll=0.3)

    def catch_at_work(
        self, start: Start, *line: str, environment: Mapping[str, str], receipts: int = 2
    ) -> Started:
        """The command, which has done that many shards; the next take long until choose changes."""
        self.front.choose = slow_uploads
        started = start(*line, environment=environment)
        self.wait_for_receipts(started, receipts)
        return started

    def checkpoint_steps(self) -> set[int]:
        """The steps of which checkpoints are there or under way."""
        found = (re.search(r"/train/checkpoint-(\d+)-", key) for key in self.all_keys())
        return {int(match[1]) for match in found if match}

    def put(self, key: str, data: bytes) -> None:
        """Overwrites an object behind everybody's back."""
        s3_client(self.server).put_object(Bucket=self.bucket, Key=_PREFIX + key, Body=data)

    def delete(self, prefix: str) -> None:
        """Removes what is below a prefix behind everybody's back."""
        client = s3_client(self.server)
        for key in self.all_keys():
            if key.startswith(prefix):
                client.delete_object(Bucket=self.bucket, Key=_PREFIX + key)

    def assert_as(self, expected: Outcome, stdout: str) -> None:
        """A command's summary says what it should, and the store holds that and nothing else."""
        assert outcome_of(stdout) == expected
        assert_collected(self.store, self.direct, self.folder)
        assert_sound(self.objects())
        manifests = [key for key in self.all_keys() if key.endswith("/manifest.json")]
        assert len(manifests) == len(expected)


@contextmanager
def laboratory(
    settings: dict[str, str], folder: Path, host: str = "127.0.0.1"
) -> Iterator[Laboratory]:
    """A new one in front of the S3 server of the settings; host: where the front listens."""
    server = settings["AWS_ENDPOINT_URL"]
    bucket = f"failure-{secrets.token_hex(6)}"
    s3_client(server).create_bucket(Bucket=bucket)
    with faulty_s3(server, host=host) as front:
        own = {"AWS_ENDPOINT_URL": front.endpoint, "XDG_CACHE_HOME": str(folder / "cache")}
        yield Laboratory(front, bucket, server, settings | own, folder)


def command(verb: str, recipe: str, folder: Path, store: str, *options: str) -> list[str]:
    """The command of a verb for the recipe of this text."""
    file = folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:8]}.yaml"
    file.write_text(recipe, encoding="utf-8")
    return [*_CLI, verb, str(file), "--store", store, "--json", *options]


def undisturbed(recipe: str, settings: dict[str, str], folder: Path) -> Outcome:
    """What the recipe comes to in a directory when nothing goes wrong."""
    made = call(command("run", recipe, folder, str(folder / "store")), settings, folder)
    return outcome_of(made.stdout)


def gc_command(store: str) -> list[str]:
    """The command that collects what is left over."""
    return [*_CLI, "gc", "--store", store, "--json"]


def call(
    line: list[str], settings: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """What came of a command that must end well."""
    ended = subprocess.run(
        line, cwd=folder, env=settings, capture_output=True, text=True, timeout=400, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended


def outcome_of(stdout: str) -> Outcome:
    """What a command's summary says it came to."""
    steps = json.loads(stdout)["steps"]
    return {step["name"]: (step["identity"], step["content_sha256"]) for step in steps}


def assert_collected(store: str, settings: dict[str, str], folder: Path) -> None:
    """`tinysql gc` ends well."""
    call([*gc_command(store), "--older-than-hours", "0"], settings, folder)


def assert_sound(objects: Mapping[str, bytes]) -> None:
    """Every object is named by a manifest and is what that says, or coordinates."""
    manifests = [json.loads(objects[key]) for key in objects if key.endswith("/manifest.json")]
    named = {ref["key"]: ref["sha256"] for each in manifests for ref in each["objects"]}
    hashes = {key: hashlib.sha256(data).hexdigest() for key, data in objects.items()}
    assert {key: hashes.get(key) for key in named} == named
    orphans = [key for key in objects if key not in named and not _COORDINATES.fullmatch(key)]
    assert not orphans


def slow_uploads(request: Request) -> Fault | None:
    """Makes a shard take long enough to be caught at work."""
    return Fault.SLOW if request.method == "PUT" and "/data/" in request.path else None


def processes_of(started: Started, pattern: str) -> list[psutil.Process]:
    """Processes below the command whose own command line has this in it."""
    found = []
    for process in started.family():
        with suppress(psutil.Error):
            if re.search(pattern, " ".join(process.cmdline())):
                found.append(process)
    return found


def kill_worker(started: Started, pattern: str) -> None:
    """SIGKILL to one such process below the command, as soon as there is one."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found[:] = processes_of(started, pattern)
        return bool(found)

    started.wait_until(is_there)
    found[0].kill()


def kill_raylet(started: Started) -> None:
    """SIGKILL to the raylet of the command's own Ray; returns after the command and all of it."""
    family = started.family()
    kill_worker(started, "/raylet/raylet ")
    started.process.wait(120)
    end(psutil.wait_procs(family, timeout=5)[1])


def failure_of(started: Started, timeout: float = 120) -> str:
    """What the command said on stderr, after it ended with an error."""
    assert started.process.wait(timeout) != 0, started.stdout.read_text()
    return started.stderr.read_text()
