"""One embedded Ray for the whole session, and step contexts to run fan-outs and gangs in."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
