"""A recipe with adapters from nothing to its page, in a real process."""

import json
from pathlib import Path

import pytest
from processes import ROOT, Tinysql

RECIPE = str(ROOT / "tests" / "fixtures" / "tiny_lora.yaml")


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(600)
def test_adapters_are_trained_compared_studied_and_shown(tinysql: Tinysql, tmp_path: Path) -> None:
    done = tinysql("report", RECIPE, "--store", "runs", "--json", timeout=500)
    assert done.returncode == 0, done.stderr[-5000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    steps = {step["name"]: step for step in summary["steps"]}
    metrics = steps["adapter_study"]["metrics"]
    trained = steps["model"]["metrics"]["trained_parameters"]
    assert metrics["parameters"] == {
        "total": steps["base"]["metrics"]["parameters"], "trained": trained
    }  # fmt: skip
    assert metrics["checks_passed"]
    assert metrics["relative_change"] > 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for told in ("What was forgotten", "adapters merged in memory", f"<td>{trained:,}</td>"):
        assert told in page.replace(' class="num"', "")

    # The base has no adapters: the user's mistake is one line, and nothing else runs again.
    refused = tinysql(
        "adapter-study", RECIPE, "--store", "runs", "--set", "adapter_study.uses.model=base",
        timeout=120,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "method full has nothing to study" in refused.stderr
    assert "Traceback" not in refused.stderr
