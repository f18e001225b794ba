"""A machine that is about to go: Ray is told, and what runs there is waited for."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clusters import RayCluster, ray_cluster

pytestmark = [pytest.mark.ray, pytest.mark.long]

ASK = """
import json, sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False)

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    return ray.get_runtime_context().get_node_id()

workers = [
    node["NodeID"] for node in ray.nodes()
    if node["Alive"] and "node:__internal_head__" not in node["Resources"]
]
placed = sorted({ray.get(where.remote()) for _ in range(6)})
print(json.dumps({"workers": workers, "placed": placed}))
"""


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[RayCluster]:
    with ray_cluster(environment, (1, 1)) as found:
        yield found


def test_a_drained_node_gets_no_work(cluster: RayCluster) -> None:
    def ask() -> dict[str, list[str]]:
        ended = subprocess.run(
            [sys.executable, "-c", ASK, cluster.address], env=cluster.settings,
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return json.loads(ended.stdout.splitlines()[-1])

    before = ask()
    (leaving,) = before["workers"]
    assert leaving in before["placed"]
    ended = subprocess.run(
        [sys.executable, "-m", "cluster.drain", "--address", cluster.address,
         "--node-id", leaving, "--seconds", "60"],
        env=cluster.settings, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    # It is idle, so the wait was short; nothing is placed there from now on.
    assert leaving not in ask()["placed"]
