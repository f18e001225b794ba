"""Alerts and the dashboard: what they ask for is exported, and what must ring rings."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k8s.gate import watching

ROOT = Path(__file__).resolve().parents[2]
COMPONENT = ROOT / "k8s" / "components" / "monitoring"
RULES = yaml.safe_load((COMPONENT / "alerts.yaml").read_text(encoding="utf-8"))
ALERTS = {rule["alert"] for group in RULES["spec"]["groups"] for rule in group["rules"]}


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool here: apt-get install prometheus"
)
def test_alerts_ring_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": RULES["spec"]["groups"]}))
    tests = yaml.safe_load((ROOT / "tests" / "k8s" / "alerts.yaml").read_text(encoding="utf-8"))
    told = {each["alertname"] for test in tests["tests"] for each in test["alert_rule_test"]}
    assert told == ALERTS
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests | {"rule_files": ["rules.yaml"]}))
    ended = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yaml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_has_its_line_in_the_runbook() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(TinySQL\w+)` \|", text, re.M)) == ALERTS


def test_every_metric_of_ours_has_its_line_in_the_documentation() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(ray_tinysql_\w+)` \|", text, re.M))
    assert told == {each.exported for each in watching.METRICS}


def test_ray_has_the_metrics_of_gpus() -> None:
    """No GPU is here to be measured: the names are those that Ray's own agent makes."""
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES  # noqa: PLC0415

    assert watching.RAY_ON_GPUS - {f"ray_{name}" for name in METRICS_GAUGES} == set()


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('a{b="c"} > 5 unless on (q) d offset 5m', {"a", "d"}),
        ("max_over_time(rate(a[5m])[1h:]) * -(b)", {"a", "b"}),
        ("topk(scalar(n), a)", {"n", "a"}),
        ("time()", set()),
    ],
)
def test_metrics_of_an_expression(expression: str, names: set[str]) -> None:
    assert watching.metrics_in(expression) == names
