"""Logs as JSON of a real run: every line parses and says what it is about."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import TINY, Tinysql


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def of_workers(session: Path) -> Iterator[dict[str, Any]]:
    """What the workers of an embedded Ray wrote to their standard error, less what is Ray's."""
    for file in session.glob("session_2*/logs/worker-*.err"):
        lines = file.read_text(encoding="utf-8").splitlines()
        yield from (json.loads(line) for line in lines if not line.startswith(":"))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Ray's sockets live below it, and their paths may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.ray
def test_lines_of_driver_and_workers_carry_ids(
    tinysql: Tinysql, environment: dict[str, str], short_folder: Path
) -> None:
    secret = "a-secret-of-the-store"
    ended = tinysql(
        "dataset", str(TINY), "--store", "runs", "--json",
        environment=environment
        | {"TINYSQL_LOG": "json", "RAY_TMPDIR": str(short_folder), "AWS_SECRET_ACCESS_KEY": secret},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (step,) = json.loads(ended.stdout)["steps"]
    driver, workers = parsed(ended.stderr), list(of_workers(short_folder / "ray"))

    assert all({"time", "level", "logger", "message", "run"} <= line.keys() for line in driver)
    told = {line["message"]: line for line in driver}
    started = told["step dataset started"]
    committed = told[f"step dataset committed: {step['path']}"]
    ids = {"run": driver[0]["run"], "step": "dataset", "identity": step["identity"][:12]}
    assert ids.items() <= committed.items()
    assert ids.items() <= started.items()
    done = {line["shard"] for line in workers if line["message"] == f"shard {line['shard']} done"}
    assert {"train-00000", "test-00000"} <= done
    assert all((ids | {"attempt": started["attempt"]}).items() <= line.items() for line in workers)
    assert secret not in ended.stderr


@pytest.mark.parametrize(("options", "code"), [(["--set", "dataset.rows=1"], 2), ([], 1)])
def test_a_failure_is_one_line(
    tinysql: Tinysql, environment: dict[str, str], tmp_path: Path, options: list[str], code: int
) -> None:
    """The user's mistake without a traceback, any other error with one."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "dataset").write_text("a file where a folder has to be")
    ended = tinysql(
        "dataset", str(TINY), "--store", "runs", *options,
        environment=environment | {"TINYSQL_LOG": "json"},
    )  # fmt: skip
    assert ended.returncode == code
    (line,) = parsed(ended.stderr)
    assert line["level"] == "ERROR"
    assert ("error" in line) == (code == 1)
