"""A machine that is cut off is made up for, and changes nothing when it comes back."""

import time
from pathlib import Path

import psutil
import pytest
from clusters import ray_cluster
from laboratory import ROWS, Outcome, laboratory
from networks import network
from processes import Start
from s3_proxy import passes

pytestmark = [pytest.mark.ray, pytest.mark.failure, pytest.mark.timeout(600)]

# What k8s/base/settings.yaml sets. By default Ray calls a silent machine dead after half a minute,
# but waits minutes for the answers to what it had asked it.
AS_ON_KUBERNETES = {
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
QUICK_CHECKS = AS_ON_KUBERNETES | {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.mark.parametrize(
    ("seconds", "checks"),
    [pytest.param(None, QUICK_CHECKS, id="until the run has ended"),
     pytest.param(60, AS_ON_KUBERNETES, id="for a minute")],
)  # fmt: skip
def test_worker_node_cut_off(
    seconds: float | None,
    checks: dict[str, str],
    s3_environment: dict[str, str],
    tmp_path: Path,
    start: Start,
    rows: Outcome,
) -> None:
    with network(2) as net, laboratory(s3_environment, tmp_path, net.gateway) as lab:
        addresses = ",".join(["127.0.0.1", net.gateway, *(host.ip for host in net.hosts)])
        settings = lab.settings | checks | {"NO_PROXY": addresses, "no_proxy": addresses}
        with ray_cluster(settings, (1, 1), net.hosts) as cluster:
            command = lab.run(ROWS, "--address", cluster.address)
            inside = (*net.hosts[0].enter, *command)
            started = lab.catch_at_work(start, *inside, environment=cluster.settings)
            lost = cluster.family(1)
            net.cut(1)
            lab.front.choose = passes
            if seconds is None:
                started.finish()
            else:
                time.sleep(seconds)
            net.mend(1)
            ended = started.finish()
            # What it still had to write arrives now; then it learns that it is dead.
            psutil.wait_procs(lost, timeout=15)
            lab.assert_as(rows, ended)
