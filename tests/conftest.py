"""One embedded Ray and one PostgreSQL for the whole session, and step contexts to run in."""

import os

# Before PyTorch is there: processes that test side by side would wait for each other's threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from cluster.artifact import Attempt
from cluster.connect import connect, disconnect
from cluster.lease import hold
from cluster.steps import Resources, Step, StepContext, StepKind
from cluster.store import Store

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ROOT / "tests" / "cluster"
sys.path.append(str(FUNCTIONS))  # ray_functions, under the name that workers import it by
sys.path.append(str(ROOT / "tests"))  # small_tokenizers, and rivals.<name>


class Config(BaseModel):
    """Nothing to configure."""


class RecordingProgress:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.count = 0
        self.infos: list[Mapping[str, object]] = []

    def start(self, step: str, total: int | None, unit: str) -> None:  # noqa: ARG002
        self.total = total

    def advance(self, n: int = 1, **info: object) -> None:
        self.count += n
        self.infos.append(info)

    def done(self) -> None:
        """Nothing to close."""


MakeContext = Callable[..., StepContext]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process has all tests that start Ray: two Rays at once starve each other."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray on this machine, whose workers can import the tests' functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(FUNCTIONS)]))
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        connect()
        yield
        disconnect()


@contextmanager
def contexts() -> Iterator[MakeContext]:
    """Builds the context of attempt `name` at a parentless step, holding a lease meanwhile."""
    kind = StepKind("sample", 1, Config, lambda _: (), lambda _, __: {}, lambda _: "x")
    with ExitStack() as leases:

        def make(
            store: Store, *, name: str = "a0001", resources: Resources | None = None
        ) -> StepContext:
            step = Step("sample", kind, Config(), resources=resources or Resources())
            lease = leases.enter_context(hold(store, f"{step.path}/{name}.json"))
            assert lease is not None
            attempt = Attempt(store, step.path, name)
            return StepContext(step, store, attempt, lease, {}, RecordingProgress())

        yield make


@pytest.fixture
def make_context() -> Iterator[MakeContext]:
    """See contexts."""
    with contexts() as make:
        yield make


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server of the session's own, reachable from this machine only."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    # The server refuses to run as root, and pytest's folders are closed to other users.
    folder = tempfile.mkdtemp(prefix="postgres-")
    settings: dict[str, Any] = {"cwd": folder, "env": {"LC_ALL": "C"}}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        settings |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"postgresql://tester@127.0.0.1:{port}/postgres"
    options = [
        f"--{option}"
        for option in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    ]
    log = Path(folder) / "log"
    try:
        with log.open("w") as output:
            subprocess.run(
                [programs[-1].with_name("initdb"), "-D", "data", "-U", "tester", "-A", "trust",
                 "-E", "UTF8", "--no-sync"],
                check=True, stdout=output, stderr=output, **settings,
            )  # fmt: skip
            server = subprocess.Popen(
                [programs[-1], "-D", "data", "-p", str(port), *options],
                stdout=output, stderr=output, **settings,
            )  # fmt: skip
        try:
            _wait_for_postgres(url, server, log)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown, connections or not
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def _wait_for_postgres(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL does not start: {log.read_text()}")
