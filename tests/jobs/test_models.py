"""The models verbs against a Hub of our own: names, mirrors that recipes reuse, and mistakes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_folders import write_model
from processes import Tinysql
from small_hub import Published, serving

from tinysql.models.registry import KNOWN_MODELS

BM2 = "Qwen/Qwen2.5-0.5B-Instruct"
OLD, NEW, PICKLED, CONVERTED = (digit * 40 for digit in "0123")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Hub with bm2, whose first commit is other than its newest, and a model of pickles."""
    model = write_model(tmp_path_factory.mktemp("model"))
    (model / "modeling_own.py").write_text("raise SystemExit('remote code ran')")
    (model / "pytorch_model.bin").write_bytes(b"pickle")
    pickled = tmp_path_factory.mktemp("pickled")
    for name in ("config.json", "tokenizer.json", "pytorch_model.bin"):
        (pickled / name).write_bytes((model / name).read_bytes())
    old = write_model(tmp_path_factory.mktemp("old"))
    with serving({
        BM2: Published({OLD: old, NEW: model}, {"main": NEW}),
        "some/pickles": Published(
            {PICKLED: pickled, CONVERTED: model}, {"main": PICKLED, "refs/pr/1": CONVERTED}
        ),
    }) as url:  # fmt: skip
        yield url


@pytest.fixture
def online(environment: dict[str, str], hub: str, tmp_path: Path) -> dict[str, str]:
    """A user's environment with a way to that Hub, and an empty cache."""
    cache = str(tmp_path.parent / f"{tmp_path.name}-cache")
    return environment | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub, "HF_HOME": cache}


def test_ls_shows_every_name(tinysql: Tinysql):
    listed = json.loads(tinysql("models", "ls", "--json").stdout)["models"]
    assert listed == [known._asdict() for known in KNOWN_MODELS]
    shown = tinysql("models", "ls", "--no-json").stdout
    assert all(known.name in shown for known in KNOWN_MODELS)


def test_recipe_without_internet_uses_what_pull_copied(
    tinysql: Tinysql, tmp_path: Path, online: dict[str, str]
):
    done = tinysql("models", "pull", "bm2", "--store", "runs", "--json", environment=online)
    assert done.returncode == 0, done.stderr
    pulled = json.loads(done.stdout)
    assert (pulled["source"], pulled["revision"]) == (BM2, NEW)
    (step,) = pulled["steps"]
    manifest = json.loads((tmp_path / "runs" / step["path"] / "manifest.json").read_text())
    names = {ref["name"] for ref in manifest["objects"]}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert {Path(name).suffix for name in names} <= {".json", ".safetensors"}

    (tmp_path / "recipe.yaml").write_text(
        "description: a mirror\n"
        f"steps: {{base: {{config: {{source: bm2, revision: '{NEW}'}}}}}}\n"
    )
    used = tinysql("base", "recipe.yaml", "--store", "runs", "--json")
    assert used.returncode == 0, used.stderr
    summary = json.loads(used.stdout)
    assert summary["reused"]
    assert summary["steps"][0]["identity"] == step["identity"]


def test_pull_prints_what_a_recipe_says(tinysql: Tinysql, online: dict[str, str]):
    done = tinysql("models", "pull", BM2, "--dry-run", "--no-json", environment=online)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"source: {BM2}\nrevision: {NEW}\n")


def test_pull_takes_the_commit_of_a_revision(tinysql: Tinysql, online: dict[str, str]):
    for name, revision, commit in (("bm2", OLD, OLD), ("some/pickles", "refs/pr/1", CONVERTED)):
        done = tinysql(
            "models", "pull", name, "--revision", revision, "--dry-run", "--json",
            environment=online,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["revision"] == commit


MISTAKES = {
    "no such name": (["bm7"], "NAME: got 'bm7'", "tinysql models ls"),
    "no Hub model": (["./model"], "NAME: got './model'", "Hub id"),
    "unknown model": (["some/thing"], "unknown model 'some/thing'", "HF_TOKEN"),
    "unknown revision": (["bm2", "--revision", "9" * 40], f"{BM2!r} at revision", "no such"),
    "pickles only": (["some/pickles"], "some/pickles has no safetensors weights", PICKLED),
    "no such store": (["bm2", "--store", "ftp://x"], "s3://bucket/prefix"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_one_line_and_writes_nothing(
    case: str, tinysql: Tinysql, tmp_path: Path, online: dict[str, str]
):
    arguments, *expected = MISTAKES[case]
    done = tinysql("models", "pull", *arguments, environment=online)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in expected), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_no_way_to_the_hub_is_one_line(
    settings: dict[str, str], tinysql: Tinysql, tmp_path: Path, environment: dict[str, str]
):
    offline = "0" if settings else "1"
    done = tinysql(
        "models", "pull", "bm2", environment=environment | settings | {"HF_HUB_OFFLINE": offline}
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith(f"error: unknown model {BM2!r}: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert list(tmp_path.iterdir()) == []
