"""The natural step in real processes: killed, with a failing endpoint, and with a key to keep."""

import io
import json
import re
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from processes import ROOT, Start, Started

from cluster.errors import UserError
from cluster.graph import Result, run_steps
from cluster.identity import canonical_json
from cluster.progress import SilentProgress
from cluster.store import open_store
from jobs.kinds import KINDS
from jobs.recipes import load_recipe
from jobs.wiring import build_steps
from tinysql.errors import InputError

sys.path.append(str(ROOT / "tests" / "data"))

from scripted_endpoint import READING, WRITING, Scripted, Server, serving  # noqa: E402

KEY = "sk-0123456789-nowhere-else"
CONCURRENCY = 4
ROWS = {"train": 60, "validation": 10, "test": 10}
RECIPE = """\
description: A dataset, and its questions in other words.
steps:
  dataset:
    config: {command_sets: [1, 4], train_rows: 60, validation_rows: 10, test_rows: 10}
  natural:
    config:
      model: some/scripted-model
      connection: {concurrency: 4, key_variable: MY_API_KEY}
"""
WRITTEN = {"text": "Hello, {question}", "sleep": 0.1}
BUSY = {"status": 429, "body": "", "headers": {"Retry-After": "0.2"}}
FAILING = [WRITTEN, BUSY, {"status": 500, "body": "oops"}, {"reset": True}, {"raw": "<html>"}]
SCRIPT: list[dict[str, Any]] = [
    {"contains": [WRITING], "replies": [*FAILING, *FAILING, *FAILING, WRITTEN]},
    {"contains": [READING], "replies": [{"text": "{known}", "sleep": 0.1}]},
]

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    file = tmp_path / "natural.yaml"
    file.write_text(RECIPE)
    return str(file)


def with_endpoint(environment: dict[str, str], played: Scripted) -> dict[str, str]:
    return environment | {"OPENAI_BASE_URL": played.url, "MY_API_KEY": KEY}


def rewriting_workers(started: Started) -> list[psutil.Process]:
    found = []
    for process in started.family():
        try:
            if process.cmdline()[:1] == ["ray::natural"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


def objects_of(store: Path, step: dict[str, Any]) -> dict[str, bytes]:
    manifest = json.loads((store / step["path"] / "manifest.json").read_text())
    return {ref["name"]: (store / ref["key"]).read_bytes() for ref in manifest["objects"]}


@pytest.mark.slow
def test_killed_run_asks_only_for_what_is_missing_and_tells_no_key(
    server: Server, recipe: str, start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    played = server.play(SCRIPT)
    settings = with_endpoint(environment, played)
    store = tmp_path / "runs"
    command = (sys.executable, "-m", "jobs.natural", recipe, "--store", str(store), "--json")

    first = start(*command, environment=settings)
    first.wait_until(lambda: len(played.requests()) >= 40)
    first.kill()

    second = start(*command, environment=settings)
    asked = len(played.requests())
    second.wait_until(lambda: len(played.requests()) >= asked + 20)
    logs = ray_session_of(second)
    rewriting_workers(second)[0].send_signal(signal.SIGKILL)
    step = json.loads(second.finish().splitlines()[-1])["steps"][-1]

    objects = objects_of(store, step)
    card = json.loads(objects["card.json"])
    metrics = step["metrics"]
    assert card["asked"] == ROWS
    assert card["accepted"] == 80 - card["refused"].get("untestable", 0) >= 75
    assert set(card["refused"]) <= {"untestable"}
    assert metrics["requests"] == 2 * card["accepted"]
    assert metrics["prompt_tokens"] == 7 * metrics["requests"]
    ids = []
    for split, rows in card["rows"].items():
        table = pq.read_table(io.BytesIO(objects[f"{split}-00000.parquet"]))
        assert table.num_rows == rows
        ids += table["id"].to_pylist()
    assert len(set(ids)) == len(ids) == card["accepted"]

    bodies = Counter(canonical_json(request["body"]) for request in played.requests())
    assert len(bodies) == metrics["requests"]
    # Asked again: what failed by the script, and what was in flight in two workers at two kills.
    assert sum(bodies.values()) <= len(bodies) + 12 + 2 * 2 * CONCURRENCY

    read = 0
    for folder in (tmp_path, Path(environment["HOME"]), logs):
        for file in folder.rglob("*"):
            if file.is_file():
                assert KEY.encode() not in file.read_bytes(), file
                read += 1
    assert read > len(bodies), "the cache of answers alone has more files"


def ray_session_of(started: Started) -> Path:
    """Where the Ray of this command has its files, logs of all its processes included."""
    lines = (" ".join(process.cmdline()) for process in started.family())
    found = [match[0] for line in lines if (match := re.search(r"/\S*/session_[-\w]+", line))]
    return Path(found[0])


@pytest.fixture
def run(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the recipe's natural step in this process, with this endpoint if any."""

    def call(*overrides: str, played: Scripted | None = None) -> Result:
        # Its workers started before, so they see none of these variables.
        monkeypatch.setenv("OPENAI_BASE_URL", played.url if played else "")
        monkeypatch.setenv("MY_API_KEY", KEY)
        steps = build_steps(load_recipe(recipe, overrides), KINDS)
        store = open_store(str(tmp_path / "runs"))
        return list(run_steps([steps["natural"]], store, progress=SilentProgress()))[-1]

    return call


SMALL = ("dataset.train_rows=20", "natural.rows_per_split=5")


@pytest.mark.usefixtures("ray_session")
def test_committed_step_and_answers_that_are_known_need_no_endpoint(
    server: Server, run: Callable[..., Result]
) -> None:
    played = server.play(
        [
            {"contains": [WRITING], "replies": [{"text": "Well, {question}"}]},
            {"contains": [READING], "replies": [{"text": "{known}"}]},
        ]
    )
    first = run(*SMALL, played=played)
    assert not first.reused
    assert {request["headers"]["Authorization"] for request in played.requests()} == {
        f"Bearer {KEY}"
    }
    assert run(*SMALL, "natural.connection.concurrency=1").reused
    # Another step, the same questions to the model: a machine asks each once.
    closed = server.play([{"contains": [], "replies": [{"status": 401, "body": ""}]}])
    second = run(*SMALL, "natural.max_tries=2", played=closed)
    assert not second.reused
    assert second.manifest.metrics == first.manifest.metrics
    assert closed.requests() == []


@pytest.mark.usefixtures("ray_session")
def test_mistakes_with_the_endpoint_are_one_line_without_the_key(
    server: Server, run: Callable[..., Result]
) -> None:
    with pytest.raises(UserError, match="OPENAI_BASE_URL is not set; expected the URL"):
        run(*SMALL, "natural.model=unheard")
    played = server.play([{"contains": [], "replies": [{"status": 401, "body": KEY}]}])
    with pytest.raises(InputError, match=r"^endpoint http\S+ refuses the key") as refused:
        run(*SMALL, "natural.model=unheard", played=played)
    assert "\n" not in str(refused.value)
    assert KEY not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(InputError, match="got 'sideways', which the dataset does not have"):
        run(*SMALL, "natural.splits=[sideways]", played=played)


def test_natural_step_serves_wherever_a_dataset_does(recipe: str) -> None:
    extended = Path(recipe)
    extended.write_text(f"{RECIPE}  base: {{uses: {{dataset: natural}}}}\n")
    steps = build_steps(load_recipe(recipe), KINDS)
    assert steps["base"].parents["dataset"].kind.name == "natural"


def test_identity_leaves_out_how_the_endpoint_is_reached(recipe: str) -> None:
    def identity(*overrides: str) -> str:
        return build_steps(load_recipe(recipe, overrides), KINDS)["natural"].identity

    same = ("natural.connection.concurrency=9", "natural.connection.url_variable=OTHER_BASE_URL")
    assert all(identity(override) == identity() for override in same)
    other = ("natural.model=x", "natural.seed=1", "natural.temperature=0", "natural.max_tries=1")
    assert len({identity(), *(identity(override) for override in other)}) == 5
