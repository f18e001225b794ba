"""Submitting: a mistake is found here, and what would be submitted can be seen."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from processes import TINY, Tinysql

from jobs.recipes import load_recipe

RAY = ("--address", "http://127.0.0.1:1", "--store", "s3://bucket/prefix")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quickstart"], "expected one of --address"),
        (["quickstart", *RAY, "--kubernetes"], "expected one of --address"),
        (["quickstart", *RAY[:2]], "--store: expected s3://bucket/prefix"),
        (["quickstrt", *RAY], "unknown recipe 'quickstrt'"),
        (["quickstart", *RAY, "--set", "model.steps=0"], "steps.model.config.steps"),
        (["quickstart", *RAY[:2], "--store", "ftp://x"], "--store 'ftp://x': expected s3://bucket"),
        (["quickstart", *RAY[:2], "--store", ""], "--store '': expected s3://bucket"),
        (["quickstart", *RAY, "--date", "2026-11-21"], "only --verb nightly has a date"),
        (["quickstart", *RAY, "--verb", "nightly"], "quickstart has no step 'fresh'"),
        (["nightly", *RAY, "--verb", "nightly", "--date", "tomorrow"], "expected a date such as"),
        (["nightly", *RAY, "--verb", "nightly", "--date", "2020-01-01"], "it would be let go"),
        (["quickstart", *RAY], "no dashboard answers"),
        (["quickstart", "--address", "HEAD:8265", *RAY[2:]], "expected http://HEAD:8265"),
        (["quickstart", "--kubernetes", "--working-dir", "."], "--working-dir '.': expected a"),
        (["quickstart", *RAY, "--working-dir", "none"], "--working-dir 'none': expected a"),
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


def test_what_would_be_submitted(tinysql: Tinysql) -> None:
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
    night = printed("nightly", "--verb", "nightly", "--date", "2020-01-01", "--late-hours", "1e5")
    assert night["entrypoint"].endswith(
        "--store s3://bucket/prefix --date=2020-01-01 --late-hours=100000"
    )


def test_a_file_goes_along_whatever_the_shells_on_its_way_make_of_it(
    tinysql: Tinysql, tmp_path: Path
) -> None:
    nasty = """ $HOME `id` $(id) "x" 'y' \\ \\n !! {a,b} * ; & | < > # ~ é \t"""
    recipe = yaml.safe_load(TINY.read_text()) | {"description": nasty}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    ended = tinysql("submit", "mine.yaml", *RAY, "--print")
    assert ended.returncode == 0, ended.stderr
    entrypoint = json.loads(ended.stdout)["entrypoint"]

    def arguments(command: str) -> list[str]:
        """Those that a shell hands over for a command."""
        show = shlex.join([sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv))"])
        done = subprocess.run(["/bin/sh", "-c", f"{show} {command}"], stdout=-1, check=True)
        return json.loads(done.stdout)[1:]

    of_shell = arguments(entrypoint)
    # KubeRay's submitter has a shell read the command, and `ray job submit` has another one.
    assert arguments(subprocess.list2cmdline(of_shell)) == of_shell
    assert load_recipe(of_shell[of_shell.index("--recipe") + 1]) == load_recipe(
        str(tmp_path / "mine.yaml")
    )
    with_field = tinysql("submit", "mine.yaml", *RAY, "--print", "--set", "model.steps=7")
    assert json.loads(with_field.stdout)["entrypoint"] == f"{entrypoint} --set=model.steps=7"
