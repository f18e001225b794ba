"""What Ray's exporter shows Prometheus of a step."""

import re
import time
import urllib.request

import pytest
import ray

from cluster.metrics import Gauges

pytestmark = pytest.mark.ray


def exported() -> dict[str, float]:
    """The gauges of the step named "counted", by name."""
    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    lines = re.findall(r'^(ray_tinysql_\w+)\{.*identity="abcdef012345".*\} (\S+)$', text, re.M)
    return {name: float(value) for name, value in lines}


@pytest.mark.usefixtures("ray_session")
def test_numbers_of_a_step_are_exported_as_gauges():
    gauges = Gauges("abcdef0123456789", "counted")
    gauges.log({"step": 1, "loss": 3.5, "split": "train"})
    gauges.log({"step": 2, "loss": 2.5, "split": "train", "note": "text", "done": True})
    deadline = time.monotonic() + 60
    while not (found := exported()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == {"ray_tinysql_train_step": 2.0, "ray_tinysql_train_loss": 2.5}
