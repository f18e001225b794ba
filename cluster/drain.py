"""Tells Ray that this machine is about to go, and waits: what a pod does before it is stopped.

    python -m cluster.drain --seconds 90

Ray then starts nothing new here, and trainings, which ask every few seconds, keep a checkpoint. The
wait ends when nothing here holds a CPU or a GPU any more, or when the time is over. Ray's own
command, `ray drain-node`, is hidden and starts a worker first, to ask which machine it is on.
"""

import argparse
import logging
import os
import time
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.autoscaler.v2.sdk import get_cluster_resource_state
from ray.core.generated import autoscaler_pb2

_POLL_SECONDS = 1.0
_HELD = ("CPU", "GPU")
_ENUMS: Any = autoscaler_pb2  # whose types know only its messages
_DEAD = _ENUMS.NodeStatus.Value("DEAD")
_PREEMPTION = _ENUMS.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
_log = logging.getLogger(__name__)


def drain(client: GcsClient, node_id: str, seconds: float) -> None:
    """Tells Ray; returns when the node is idle or after so many seconds, at once if it refuses."""
    deadline = time.time() + seconds
    accepted, why = client.drain_node(
        node_id,
        _PREEMPTION,
        "the machine is about to be taken away",
        int(deadline * 1000),
    )
    if not accepted:
        _log.warning("Ray refuses to drain %s: %s", node_id, why)
        return
    while time.time() < deadline and _is_busy(client, node_id):
        time.sleep(_POLL_SECONDS)


def node_here(client: GcsClient) -> str | None:
    """The living node with this machine's address, of which a pod has one; None without any."""
    address = ray.util.get_node_ip_address()
    for node in get_cluster_resource_state(client).node_states:
        if node.node_ip_address == address and node.status != _DEAD:
            return str(node.node_id.hex())
    return None


def _is_busy(client: GcsClient, node_id: str) -> bool:
    for node in get_cluster_resource_state(client).node_states:
        if node.node_id.hex() == node_id and node.status != _DEAD:
            total, left = node.total_resources, node.available_resources
            return any(left.get(name, 0.0) < total.get(name, 0.0) for name in _HELD)
    return False


def main() -> None:
    """Drain this machine, or a node by its id. A hook that fails must not keep a pod alive."""
    parser = argparse.ArgumentParser(prog="python -m cluster.drain", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--address", default=os.environ.get("RAY_ADDRESS", "auto"))
    parser.add_argument("--node-id", help="default: the node of this machine")
    asked = parser.parse_args()
    client = GcsClient(address=canonicalize_bootstrap_address_or_die(asked.address))
    node_id = asked.node_id or node_here(client)
    if node_id is None:
        _log.warning("no node of the cluster has this machine's address")
        return
    drain(client, node_id, asked.seconds)


if __name__ == "__main__":
    main()
