"""The command as a user meets it: help, plans that write nothing, one line for every mistake."""

import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from artifacts import commit
from moto.server import DomainDispatcherApplication, create_backend_app
from processes import TINY, Start, Tinysql, aws_settings, s3_client
from werkzeug.serving import make_server

from cluster.store import Store
from jobs.cli import main
from jobs.recipes import load_recipe, recipe_names

VERBS = (
    "run", "ls", "show", "report", "gc", "finetune", "evaluate", "score", "equivalent",
    "dataset", "natural", "import", "verification", "export", "base", "sweep", "model",
    "evaluation", "pairs", "patching", "sae",
)  # fmt: skip
DATA_VERBS = ("generate", "verify", "export", "import", "pairs", "stats")
MODEL_VERBS = ("ls", "pull")
NESTED_VERBS = [*(f"data {verb}" for verb in DATA_VERBS), *(f"models {v}" for v in MODEL_VERBS)]


def assert_one_line(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    """A user's mistake: exit code 2 and one line on stderr that says all of expected."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for part in expected:
        assert part in done.stderr


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port of the loopback where something that is not Ray listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def forgetful_endpoint() -> Iterator[str]:
    """An S3 server that ignores If-None-Match and If-Match, as older ones do."""
    app = DomainDispatcherApplication(create_backend_app)

    def forget(request: dict[str, Any], reply: Callable[..., Any]) -> Any:
        request.pop("HTTP_IF_NONE_MATCH", None)
        request.pop("HTTP_IF_MATCH", None)
        return app(request, reply)

    server = make_server("127.0.0.1", 0, forget, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_console_script_shows_where_to_start(environment: dict[str, str]):
    script = Path(sys.executable).with_name("tinysql")
    said = subprocess.run(
        [script, "--help"], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "tinysql run quickstart" in said
    assert all(verb in said for verb in VERBS)


@pytest.mark.parametrize("verb", [*VERBS, *NESTED_VERBS])
def test_help_of_a_verb_shows_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["tinysql", *verb.split(), "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"Example: tinysql {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "recipe", [*(name for name in recipe_names() if name != "nightly"), str(TINY)]
)
def test_dry_run_plans_every_step_and_writes_nothing(
    tinysql: Tinysql, tmp_path: Path, recipe: str
):
    done = tinysql("run", recipe, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout.splitlines()[-1])["plan"]
    assert {step["name"] for step in plan} == set(load_recipe(recipe).steps)
    assert not any(step["committed"] for step in plan)
    assert everything_below(tmp_path) == []


def test_dry_run_of_a_verb_plans_what_it_needs(tinysql: Tinysql, tmp_path: Path):
    done = tinysql("base", str(TINY), "--dry-run", "--json", "--store", "file:///nowhere/at/all")
    plan = json.loads(done.stdout.splitlines()[-1])["plan"]
    assert [step["name"] for step in plan] == ["dataset", "base"]
    assert everything_below(tmp_path) == []
    assert not Path("/nowhere").exists()


def test_dry_run_says_what_the_last_of_a_kind_took(tinysql: Tinysql, tmp_path: Path):
    commit(Store(str(tmp_path / "store")), "dataset/other-0123456789ab")
    done = tinysql("run", str(TINY), "--store", "store", "--dry-run", "--json")
    plan = json.loads(done.stdout)["plan"]
    took = {step["kind"]: step["last_one"] for step in plan if "last_one" in step}
    assert set(took) == {"dataset"}
    assert set(took["dataset"]) == {"seconds", "cpu_seconds", "gpu_seconds"}
    table = tinysql("run", str(TINY), "--store", "store", "--dry-run", "--no-json").stdout
    assert table.count("the last one") == sum(step["kind"] == "dataset" for step in plan)


def test_dry_run_writes_nothing_to_a_bucket(
    tinysql: Tinysql, bucket: str, s3_environment: dict[str, str]
):
    done = tinysql(
        "run", str(TINY), "--dry-run", "--store", f"s3://{bucket}/a", environment=s3_environment
    )
    assert done.returncode == 0, done.stderr
    found = s3_client(s3_environment["AWS_ENDPOINT_URL"]).list_objects_v2(Bucket=bucket)
    assert found["KeyCount"] == 0


def test_readers_of_an_empty_store_say_so_and_write_nothing(tinysql: Tinysql, tmp_path: Path):
    listed = tinysql("ls", "--json")
    assert json.loads(listed.stdout.splitlines()[-1]) == {"store": "runs", "artifacts": []}
    collected = tinysql("gc", "--dry-run", "--json")
    assert json.loads(collected.stdout.splitlines()[-1])["removed"] == []
    assert_one_line(tinysql("show", "dataset/x"), "'dataset/x' in /", "/runs: exp", "tinysql ls")
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("verb", [["gc"], ["promote", "model/x-0123456789ab"], ["rollback"]])
def test_what_changes_a_store_makes_none(tinysql: Tinysql, tmp_path: Path, verb: list[str]):
    assert_one_line(tinysql(*verb, "--store", "rusn"), "rusn': there is no such directory")
    assert everything_below(tmp_path) == []


RECIPE_MISTAKES = {
    "unknown recipe": (["quickstrat"], "unknown recipe 'quickstrat'", "quickstart"),
    "unknown key": ([str(TINY), "--set", "dataset.sede=1"], "dataset.config.sede: unknown key"),
    "wrong type": ([str(TINY), "--set", "dataset.seed=many"], "valid integer", "'many'"),
    "directory without a model": (
        [str(TINY), "--set", "base.source=./missing"],
        "unknown model 'missing'",
        "config.json",
    ),
    "other kind of store": ([str(TINY), "--store", "ftp://host/x"], "s3://bucket/prefix"),
}


@pytest.mark.parametrize("case", RECIPE_MISTAKES)
def test_mistake_in_what_to_run_is_one_line(case: str, tinysql: Tinysql, tmp_path: Path):
    arguments, *expected = RECIPE_MISTAKES[case]
    assert_one_line(tinysql("run", *arguments), *expected)
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("verb", ["run", "ls"])
def test_store_below_a_file_is_one_line(tinysql: Tinysql, tmp_path: Path, verb: str):
    (tmp_path / "file").write_text("mine")
    recipe = [] if verb == "ls" else [str(TINY)]
    done = tinysql(verb, *recipe, "--store", "file/runs")
    assert_one_line(done, "file/runs", "is not usable", "expected a")
    assert everything_below(tmp_path) == ["file"]


def test_store_that_cannot_be_written_is_one_line(tinysql: Tinysql, tmp_path: Path):
    # Not even root creates files in /proc.
    done = tinysql("dataset", str(TINY), "--store", "/proc/tinysql")
    assert_one_line(done, "'/proc/tinysql' is not usable", "expected a writable directory")
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("verb", [["run", str(TINY)], ["run", str(TINY), "--dry-run"], ["ls"]])
def test_bucket_that_does_not_exist_is_one_line(
    tinysql: Tinysql, s3_environment: dict[str, str], verb: list[str]
):
    name = f"absent-{secrets.token_hex(6)}"
    done = tinysql(*verb, "--store", f"s3://{name}/x", environment=s3_environment)
    assert_one_line(done, f"'s3://{name}/x' is not usable", "bucket that exists")


def test_bucket_without_conditional_writes_is_one_line(
    tinysql: Tinysql, environment: dict[str, str], forgetful_endpoint: str
):
    name = f"forgetful-{secrets.token_hex(6)}"
    client = s3_client(forgetful_endpoint)
    client.create_bucket(Bucket=name)
    done = tinysql(
        "run", str(TINY), "--store", f"s3://{name}/x",
        environment=environment | aws_settings(forgetful_endpoint),
    )  # fmt: skip
    assert_one_line(done, "ignores conditional writes", "use a store that honors them")
    assert client.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_report_port_taken_is_one_line_before_any_work(
    tinysql: Tinysql, tmp_path: Path, busy_port: int
):
    done = tinysql("report", str(TINY), "--port", str(busy_port))
    assert_one_line(done, f"--port {busy_port}", "choose another")
    assert everything_below(tmp_path) == []


def test_address_without_a_ray_head_is_one_line(
    start: Start, tmp_path: Path, busy_port: int, free_port: int
):
    command = [sys.executable, "-m", "jobs.dataset", str(TINY)]
    tries = {
        port: start(*command, "--address", f"127.0.0.1:{port}") for port in (busy_port, free_port)
    }
    for port, started in tries.items():
        assert started.process.wait(60) == 2
        said = started.stderr.read_text()
        assert said.startswith(f"error: Ray at 127.0.0.1:{port}: no Ray head answered within 15 s")
        assert said.count("\n") == 1
    assert not list(tmp_path.rglob("manifest.json"))
