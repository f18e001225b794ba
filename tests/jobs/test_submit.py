"""Submitting: a mistake is found here, and what would be submitted can be seen."""

import json
from pathlib import Path

import pytest
from processes import TINY, Tinysql

RAY = ("--address", "http://127.0.0.1:1", "--store", "s3://bucket/prefix")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quickstart"], "expected one of --address"),
        (["quickstart", *RAY, "--kubernetes"], "expected one of --address"),
        (["quickstart", *RAY[:2]], "--store: expected s3://bucket/prefix"),
        (["quickstrt", *RAY], "unknown recipe 'quickstrt'"),
        (["quickstart", *RAY, "--set", "model.steps=0"], "steps.model.config.steps"),
        (["quickstart", *RAY, "--date", "2026-11-21"], "only --verb nightly has a date"),
        (["quickstart", *RAY], "no dashboard answers"),
        ([str(TINY), "--kubernetes"], "put it into the ConfigMap tinysql-recipes"),
        ([str(TINY), *RAY, "--working-dir", "."], "is not in --working-dir"),
        (["quickstart", "--kubernetes"], "neither a service account nor a kubeconfig"),
    ],
)
def test_a_mistake_is_one_line(tinysql: Tinysql, arguments: list[str], said: str) -> None:
    ended = tinysql("submit", *arguments)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*RAY, "--kubernetes"], "expected one of --address"),
        (RAY, "no dashboard answers"),
        (["--kubernetes"], "neither a service account nor a kubeconfig"),
    ],
)
def test_a_cluster_whose_runs_cannot_be_listed(
    tinysql: Tinysql, arguments: list[str], said: str
) -> None:
    ended = tinysql("status", *arguments)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_would_be_submitted(tinysql: Tinysql, tmp_path: Path) -> None:
    def printed(recipe: str, *arguments: str) -> dict[str, str]:
        ended = tinysql("submit", recipe, *RAY, "--print", *arguments)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    found = printed("quickstart", "--set", "model.steps=300")
    assert found["entrypoint"] == (
        "python -m jobs.pipeline --recipe quickstart --store s3://bucket/prefix "
        "--set=model.steps=300"
    )
    assert printed("quickstart", "--set", "model.steps=300")["job"] == found["job"]
    assert printed("quickstart")["job"] != found["job"]
    # A file goes along under its own name.
    (tmp_path / "mine.yaml").write_text(TINY.read_text())
    assert "--recipe mine.yaml" in printed(str(tmp_path / "mine.yaml"))["entrypoint"]
    night = printed("nightly", "--verb", "nightly", "--date", "2026-11-21")
    assert night["entrypoint"].endswith("--store s3://bucket/prefix --date=2026-11-21")
