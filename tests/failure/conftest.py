"""A laboratory for each scenario, and the undisturbed result to compare with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path += [str(_HERE), str(_HERE.parent / "jobs")]

from command_fixtures import environment, s3_environment, start  # noqa: E402, F401 - fixtures
from laboratory import ROWS, TRAINING, Laboratory, Outcome, laboratory, undisturbed  # noqa: E402


@pytest.fixture
def lab(s3_environment: dict[str, str], tmp_path: Path) -> Iterator[Laboratory]:  # noqa: F811
    """An empty store on an S3 whose faults the scenario chooses."""
    with laboratory(s3_environment, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def rows(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory  # noqa: F811
) -> Outcome:
    """What ROWS comes to in a directory when nothing goes wrong."""
    return undisturbed(ROWS, environment, tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="session")
def training(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory  # noqa: F811
) -> Outcome:
    """What TRAINING comes to in a directory when nothing goes wrong."""
    return undisturbed(TRAINING, environment, tmp_path_factory.mktemp("training"))
