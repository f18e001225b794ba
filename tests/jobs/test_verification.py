"""The verification step on a real Ray, and the command on a plain directory."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel

from cluster.artifact import ArtifactRef
from cluster.errors import UserError
from cluster.graph import Result, run_steps
from cluster.progress import SilentProgress
from cluster.steps import Step, StepContext, StepKind
from cluster.store import open_store
from jobs import verification
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows, write_rows
from tinysql.data.interchange.columns import IMPORTED, QUARANTINED
from tinysql.data.verify.report import VerificationConfig

Verify = Callable[..., "subprocess.CompletedProcess[str]"]


def rows_of(split: str, count: int) -> pa.Table:
    config = DatasetConfig(command_sets=(2,), train_rows=100, validation_rows=1, test_rows=100)
    return generate_rows(config, split, np.array(config.rows_of(split)[:count]))


def write_dataset(folder: Path, *, leaks: bool = False) -> None:
    """30 rows of train, and 10 of test or, as a leak, 3 of train under the name of test."""
    write_rows(rows_of("train", 30), folder / "train-00000.parquet")
    test = rows_of("test", 10)
    if leaks:
        test = rows_of("train", 3)
        place = test.column_names.index("split")
        test = test.set_column(place, "split", pa.array(["test"] * 3))
    write_rows(test, folder / "test-00000.parquet")
    (folder / "card.json").write_text("{}\n")


class Source(BaseModel):
    """Which dataset."""

    leaks: bool


def put_dataset(context: StepContext, config: Source) -> dict[str, Any]:
    with context.results() as folder:
        write_dataset(folder, leaks=config.leaks)
    return {}


DATASET: StepKind = StepKind("dataset", 1, Source, lambda _: (), put_dataset, lambda _: "made")


def run_step(folder: Path, config: VerificationConfig, *, leaks: bool = False) -> Result:
    source = Step("dataset", DATASET, Source(leaks=leaks))
    step = Step("verification", verification.KIND, config, {"dataset": source})
    store = open_store(str(folder / "runs"))
    *_, result = run_steps(
        [step], store, progress=SilentProgress(), cache=folder / "cache"
    )
    return result


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("leaks", [False, True])
def test_step_verifies_every_file_and_all_together(tmp_path: Path, leaks: bool) -> None:
    result = run_step(tmp_path, VerificationConfig(), leaks=leaks)
    ref = ArtifactRef(
        open_store(str(tmp_path / "runs")), result.step.path, result.manifest.sha256
    )
    found = json.loads(ref.read("verification.json"))
    assert found["counts"]["rows"] == (33 if leaks else 40)
    assert found["counts"]["duplicates.rows"] == found["counts"]["rows"]
    failed = ["ids are unique", "no question in two splits", "no query in two splits"]
    assert result.manifest.metrics == {
        "passed": not leaks,
        "failed_checks": failed if leaks else [],
        "rows": found["counts"]["rows"],
    }
    assert found["counts"]["leaked.question"] == (3 if leaks else 0)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_step_takes_the_server_from_the_environment(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = VerificationConfig(engines=("sqlite", "postgresql"), rows=5)
    monkeypatch.delenv(verification.POSTGRES_URL, raising=False)
    with pytest.raises(UserError, match="TINYSQL_POSTGRES_URL is not set"):
        run_step(tmp_path, config)
    monkeypatch.setenv(verification.POSTGRES_URL, postgres_url)
    result = run_step(tmp_path, config)
    assert result.manifest.metrics["passed"] is True
    assert result.manifest.metrics["rows"] == 10
    written = [path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not any(b"postgresql://" in content for content in written)


@pytest.fixture
def verify(environment: dict[str, str], tmp_path: Path) -> Verify:
    """Runs the command as a process, in an empty directory."""

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "jobs.data_verify", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


def test_command_passes_a_good_dataset(verify: Verify, tmp_path: Path, postgres_url: str) -> None:
    write_dataset(tmp_path)
    done = verify(".", "--no-json", "--postgres-url", postgres_url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert lines[2].split() == ["ok", "runs", "on", "postgresql", "40", "of", "40", "rows"]


def test_command_names_the_check_that_fails(verify: Verify, tmp_path: Path) -> None:
    write_dataset(tmp_path, leaks=True)
    done = verify(".", "--no-json", "--engine", "sqlite", "--rows", "1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("FAIL no question in two splits")]
    assert "       row 0: as row 0" in lines
    as_json = json.loads(verify(".", "--engine", "sqlite", "--rows", "1").stdout)
    assert (as_json["passed"], as_json["counts"]["rows"]) == (False, 2)
    assert as_json["counts"]["duplicates.rows"] == 33


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], "no .parquet files"),
        (["nowhere"], "no .parquet files"),
        (["text"], "not a Parquet file"),
        (["other"], "lacks the columns columns, command_set"),
        (["imported"], "imported rows were checked by import, see report.json"),
        (["good", "--engine", "mysql"], "expected one of sqlite, duckdb, postgresql"),
        (["good", "--engine", "postgresql"], "no URL"),
        (
            ["good", "--postgres-url", "postgresql://me:hidden@127.0.0.1:1/x"],
            "check the URL and the server",
        ),
    ],
)
def test_command_tells_the_users_mistakes_in_one_line(
    verify: Verify, tmp_path: Path, arguments: list[str], message: str
) -> None:
    for name in ("good", "text", "other", "imported"):
        (tmp_path / name).mkdir()
    write_dataset(tmp_path / "good")
    (tmp_path / "text" / "train-00000.parquet").write_text("id\n1\n")
    write_rows(rows_of("train", 1).select(["id"]), tmp_path / "other" / "train-00000.parquet")
    for name, schema in (("quarantine", QUARANTINED), ("train-00000", IMPORTED)):
        write_rows(schema.empty_table(), tmp_path / "imported" / f"{name}.parquet")
    done = verify(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert "hidden" not in line
