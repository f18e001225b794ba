"""Commands that run in the background and are killed by their ids; settings of an S3 server."""

import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fixtures" / "tiny.yaml"

_FOREIGN = ("AWS_", "HF_", "RAY_", "WANDB_", "XDG_", "TRANSFORMERS_")

Tinysql = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Started:
    """A command that runs in the background."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def finish(self, timeout: float = 180) -> str:
        """What it printed, after it ended well."""
        code = self.process.wait(timeout)
        assert code == 0, self.stderr.read_text()[-3000:]
        return self.stdout.read_text()

    def family(self) -> list[psutil.Process]:
        """Its descendants that are alive."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait_until(
        self, condition: Callable[[], object], timeout: float = 120, poll: float = 0.01
    ) -> None:
        """Returns once the condition holds, while the command still runs."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, self.stderr.read_text()[-3000:]
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(poll)

    def kill(self) -> None:
        """SIGKILL; the Ray it had started must go by itself."""
        family = self.family()
        agents = [process for process in family if "Agent" in process.name()]
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs([one for one in family if one not in agents], timeout=30)
        end([*alive, *agents])  # idle agents notice after a minute; not worth waiting for
        assert not alive, "these outlived their driver"


    def stop(self) -> None:
        """Ends it and what it started, if it still runs."""
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            self.process.wait()
            end(psutil.wait_procs(family, timeout=10)[1])


Start = Callable[..., Started]


def begin(command: Sequence[str], environment: dict[str, str], folder: Path) -> Started:
    """Starts a command in a folder, where its output goes to new files."""
    name = secrets.token_hex(4)
    stdout, stderr = folder / f"{name}.out", folder / f"{name}.err"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
    return Started(process, stdout, stderr)


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        if process.is_running():
            process.kill()


def user_environment(home: Path) -> dict[str, str]:
    """A user's environment with nothing configured, this home, and no way to a hub."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "CC": "/nonexistent/cc",  # training needs no compiler
        "CXX": "/nonexistent/c++",
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "100",
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 server that runs meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def aws_settings(endpoint: str) -> dict[str, str]:
    """What a user sets to reach that server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def s3_client(endpoint: str) -> Any:
    """A client of that server."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


MAIN_KINDS = {
    "dataset", "base", "model", "evaluation", "pairs", "patching", "sae", "report",
}  # fmt: skip
"""The kinds of step that lead from nothing to a report."""
