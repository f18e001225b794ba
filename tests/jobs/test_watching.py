"""A training as a Ray job: its numbers while it runs, and whose its lines are."""

import json
import re
import time
import urllib.request

import pytest
from clusters import RayCluster, ray_cluster
from processes import TINY, Start

from cluster.metrics import CHECKPOINTS, PROGRESS_TIME, STEPS, TASKS, WORK_DONE, WORK_TOTAL
from k8s.gate import watching

SEEN = {each.exported for each in (STEPS, WORK_DONE, WORK_TOTAL, PROGRESS_TIME, TASKS, CHECKPOINTS)}
ONLY_ON_GPUS = {"ray_tinysql_train_mfu"}


def shown(cluster: RayCluster) -> set[str]:
    """The names of ours that the exporter has now."""
    with urllib.request.urlopen(cluster.metrics, timeout=30) as answer:
        return set(re.findall(r"^(ray_tinysql_\w+)\{", answer.read().decode(), re.M))


@pytest.mark.ray
@pytest.mark.long
def test_a_job_is_exported_and_its_lines_carry_its_id(
    environment: dict[str, str], start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = environment | {"TINYSQL_LOG": "json"}
    store = str(tmp_path_factory.mktemp("store"))
    with ray_cluster(settings, (3,)) as cluster:
        job = start(
            *cluster.submission("model", str(TINY), "--store", store),
            environment=cluster.settings,
        )  # fmt: skip
        names: set[str] = set()
        while job.process.poll() is None:
            time.sleep(1)
            names |= shown(cluster)
        output = job.finish()
    assert (SEEN | watching.TRAINING) - ONLY_ON_GPUS - names == set()
    (job_id,) = set(re.findall(r"Job '(raysubmit_\w+)' submitted", output))
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"time"')]
    assert {line["run"] for line in lines} == {job_id}
    told = {line["message"] for line in lines}
    assert {"step base started", "step model started"} <= told
