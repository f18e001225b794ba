"""The verbs and steps of export, import and statistics, as a user meets them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import psutil
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from cluster.errors import UserError
from cluster.graph import run_steps
from cluster.steps import Step, StepKind
from cluster.store import open_store
from jobs import data_export, data_import, data_stats, export, imported
from jobs.entry import main
from tinysql.data.interchange import importing
from tinysql.data.interchange.config import ExportConfig, ImportConfig

ROOT = Path(__file__).resolve().parents[3]


class Nothing(BaseModel):
    """No configuration."""


class Silent:
    """A progress that shows nothing."""

    def start(self, step: str, total: int | None, unit: str) -> None: ...

    def advance(self, n: int = 1, **info: object) -> None: ...

    def done(self) -> None: ...


class Called(NamedTuple):
    """How a command ended and what it said."""

    code: object
    stdout: str
    stderr: str


Call = Callable[..., Called]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a verb with arguments in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(verb: Callable[..., None], *arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["tinysql", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main(verb)
        return Called(ended.value.code or 0, *capsys.readouterr())

    return run


def test_export_import_and_stats_by_command(call: Call, dataset: Path) -> None:
    done = call(data_export.export, dataset, "--format", "jsonl", "--out", "rows.jsonl")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["files"] == {"rows.jsonl": 5}
    done = call(
        data_import.import_, "rows.jsonl", "--format", "jsonl", "--out", "in", "--no-json"
    )
    assert done.code == 0, done.stderr
    assert "5 of 5 rows in in, 0 (0.0%) in quarantine.parquet" in done.stdout
    done = call(data_stats.stats, "in", "--out", "page/x.html", "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 5
    assert json.loads(Path("page/statistics.json").read_text())["rows"] == 5
    assert Path("page/x.html").is_file()


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [
        (data_export.export, "nowhere --format jsonl --out x", "no dataset in 'nowhere'"),
        (data_export.export, ". --format xml --out x", "format: Input should be"),
        (data_stats.stats, "nowhere", "no dataset in 'nowhere'"),
        (data_import.import_, "nowhere.json --format gretel --out x", "no file or directory"),
        (data_import.import_, "bad.jsonl --format gretel --out x", "bad.jsonl:2: not JSON"),
        (data_import.import_, "bad.jsonl --format gretel --out x --revision 1", "40-digit commit"),
        (data_import.import_, "bad.jsonl --format gretel --out /proc/x", "cannot write '/proc/x'"),
        (data_import.import_, "bad.jsonl --format gretel --out bad.jsonl/x", "cannot write '"),
    ],
)
def test_mistakes_give_one_line_and_exit_code_2(
    call: Call, verb: Callable[..., None], arguments: str, message: str
) -> None:
    row = {"sql_prompt": "A?", "sql_context": "CREATE TABLE t (a INT)", "sql": "SELECT a FROM t"}
    Path("bad.jsonl").write_text(json.dumps(row) + "\n{,}\n")
    done = call(verb, *arguments.split())
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
    assert [path.name for path in Path().iterdir()] == ["bad.jsonl"]


@pytest.mark.parametrize(
    ("out", "message"), [("full", "it is a directory"), (".", "it is a directory"),
                         ("file/x.html", "cannot write 'file/x.html'"), ("/proc/x", "cannot write"),
                         ("statistics.json", "name a page")]
)  # fmt: skip
def test_page_that_cannot_be_written_is_one_line(
    call: Call, dataset: Path, out: str, message: str
) -> None:
    Path("full").mkdir()
    Path("file").touch()
    done = call(data_stats.stats, dataset, "--out", out)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr
    assert sorted(path.name for path in Path().rglob("*")) == ["file", "full"]


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_ctrl_c_ends_an_import_and_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    context = "CREATE TABLE t ( a INTEGER, b TEXT )"
    rows = [
        {"question": f"Row {n}?", "context": context, "answer": f"SELECT a + {n} FROM t"}
        for n in range(8_000)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    command = [
        sys.executable, "-m", "jobs.data_import", "rows.json", "--format", "sql-create-context",
        "--out", "out", "--workers", "2",
    ]  # fmt: skip
    running = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        # Its workers start once its folder is there.
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(seconds)
        family = psutil.Process(running.pid).children(recursive=True)
        os.killpg(running.pid, signal.SIGINT)
        _, stderr = running.communicate(timeout=60)  # the rows in hand first
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130
    assert stderr == "interrupted; run the same command again to go on\n"
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_no_way_to_the_hub_gives_one_line_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jobs.data_import", "some/set", "--format", "gretel"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "--out", "x"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "'some/set' is nothing on this machine" in done.stderr


def test_import_step_reads_local_files_and_counts_by_content(
    sources: Path, tmp_path: Path
) -> None:
    source = tmp_path / "gretel_test.jsonl"
    source.write_bytes((sources / "gretel_test.jsonl").read_bytes())
    settings = ImportConfig(source=str(source), format="gretel")
    step = Step("foreign", imported.KIND, settings)
    moved = settings.model_copy(update={"source": str(sources / source.name)})
    assert Step("foreign", imported.KIND, moved).identity == step.identity
    store = open_store(str(tmp_path / "runs"))
    (result,) = run_steps([step], store, progress=Silent())
    names = [ref.name for ref in result.manifest.objects]
    assert names == ["quarantine.parquet", "report.json", "test-00000.parquet"]
    assert result.manifest.metrics["rows"] == 1
    (again,) = run_steps([step], store, progress=Silent())
    assert again.reused


def test_import_step_refuses_a_source_that_changes_meanwhile(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "gretel_test.jsonl"
    source.write_bytes((sources / "gretel_test.jsonl").read_bytes())

    def read_and_change(*arguments: Any, **more: Any) -> Any:
        with source.open("a") as file:
            file.write("\n")
        return import_into(*arguments, **more)

    import_into = importing.import_into
    monkeypatch.setattr(importing, "import_into", read_and_change)
    step = Step("foreign", imported.KIND, ImportConfig(source=str(source), format="gretel"))
    with pytest.raises(UserError, match="changed while it was read"):
        list(run_steps([step], open_store(str(tmp_path / "runs")), progress=Silent()))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_export_step_writes_every_file_of_its_dataset(dataset: Path, tmp_path: Path) -> None:
    (dataset / "card.json").write_text("{}")

    def put(context: Any, _: Any) -> dict[str, Any]:
        with context.results() as results:
            copytree(dataset, results, dirs_exist_ok=True)
        return {}

    kind = StepKind("dataset", 1, Nothing, lambda _: (), put, lambda _: "x")
    parents = {"dataset": Step("dataset", kind, Nothing())}
    step = Step("out", export.KIND, ExportConfig(format="tinysql-rows"), parents)
    store = open_store(str(tmp_path / "runs"))
    *_, result = run_steps([step], store, progress=Silent(), cache=tmp_path / "cache")
    assert result.manifest.metrics == {"rows": 4, "left_out": 1}
    refs = {ref.name: ref for ref in result.manifest.objects}
    assert sorted(refs) == ["test-00000.parquet", "train-00000.parquet"]
    (tmp_path / "train.parquet").write_bytes(store.read(refs["train-00000.parquet"].key))
    assert pq.read_table(tmp_path / "train.parquet").num_rows == 3
    wrong = Step("out", export.KIND, ExportConfig(format="jsonl", splits=("dev",)), parents)
    with pytest.raises(Exception, match="unknown split 'dev'; expected one of test, train"):
        list(run_steps([wrong], store, progress=Silent(), cache=tmp_path / "cache"))
