"""Fixtures of real commands: an environment of their own, and an S3 server to point at."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import (
    Start,
    Started,
    Tinysql,
    aws_settings,
    begin,
    s3_client,
    s3_server,
    user_environment,
)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """See user_environment."""
    return user_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def s3_environment(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same, with AWS settings for a server that runs meanwhile."""
    with s3_server() as endpoint:
        yield environment | aws_settings(endpoint)


@pytest.fixture
def bucket(s3_environment: dict[str, str]) -> str:
    """Name of a new, empty bucket."""
    name = f"jobs-{secrets.token_hex(6)}"
    s3_client(s3_environment["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)
    return name


@pytest.fixture
def tinysql(environment: dict[str, str], tmp_path: Path) -> Tinysql:
    """Runs `tinysql ARGUMENTS` in an empty directory, to its end."""

    def call(
        *arguments: str, timeout: float = 60, environment: dict[str, str] = environment
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobs.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts a command in the background; what still runs at the end is killed, by its id."""
    started: list[Started] = []

    def start_one(*command: str, environment: dict[str, str] = environment) -> Started:
        started.append(begin(command, environment, tmp_path))
        return started[-1]

    yield start_one
    for one in started:
        one.stop()
