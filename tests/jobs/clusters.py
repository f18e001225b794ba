"""Ray clusters of real processes on this machine, with token authentication."""

import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from processes import ROOT, end

_RAY = Path(sys.executable).with_name("ray")


@dataclass(frozen=True)
class Host:
    """Where a node runs: its address, and what its commands have to begin with."""

    ip: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


@dataclass(frozen=True)
class RayCluster:
    """A cluster that runs, and the settings of whoever submits to it."""

    address: str
    """host:port, for drivers."""
    dashboard: str
    metrics: str
    """Where Prometheus would ask the head."""
    settings: dict[str, str]
    nodes: list[subprocess.Popen[bytes]]
    """Each has all processes of a node below it; the head first."""
    folder: Path
    """Its sessions, logs included."""
    orphans: list[psutil.Process] = field(default_factory=list)
    """What may have outlived a node that was killed."""

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    def worker_ids(self) -> list[str]:
        """Ray's ids of the nodes that are alive, without the head."""
        nodes = _living_nodes(self.dashboard, self.settings)
        return [node["nodeId"] for node in nodes if not node["isHeadNode"]]

    def family(self, number: int) -> list[psutil.Process]:
        """The processes of a node that are alive."""
        return psutil.Process(self.nodes[number].pid).children(recursive=True)

    def kill_node(self, number: int) -> None:
        """SIGKILL to all processes of a node, as when its machine is switched off."""
        family = self.family(number)
        self.nodes[number].kill()
        end(family)

    def kill_raylet(self, number: int) -> None:
        """SIGKILL to the raylet of a node alone."""
        family = self.family(number)
        self.orphans.extend(family)
        (raylet,) = (each for each in family if each.name() == "raylet")
        raylet.kill()

    def submission(self, verb: str, *arguments: str) -> list[str]:
        """The command that submits `python -m jobs.VERB ARGUMENTS`, from this checkout.

        It goes along where there is one node: two on one machine would unpack it over each other.
        """
        checkout = ["--working-dir", str(ROOT)] if self.num_nodes == 1 else []
        return [
            str(_RAY), "job", "submit", "--address", self.dashboard, *checkout,
            "--", "python", "-m", f"jobs.{verb}", *arguments,
        ]  # fmt: skip

    def submit(
        self, verb: str, *arguments: str, timeout: float = 400
    ) -> subprocess.CompletedProcess[str]:
        """What came of it, after it ended."""
        return subprocess.run(
            self.submission(verb, *arguments), env=self.settings,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip


@contextmanager
def ray_cluster(
    settings: dict[str, str],
    cpus_of_nodes: tuple[int, ...],
    hosts: Sequence[Host] | None = None,
) -> Iterator[RayCluster]:
    """`ray start` once for every number, the first one being the head.

    hosts: one for each; None: all on this machine's loopback.
    """
    hosts = hosts or [Host()] * len(cpus_of_nodes)
    head = hosts[0].ip
    settings = settings | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ports = _free_ports()
    address, dashboard = f"{head}:{ports['port']}", f"http://{head}:{ports['dashboard-port']}"
    metrics = f"http://{head}:{ports['metrics-export-port']}/metrics"
    # Short, because sockets live below it and their paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        cluster = RayCluster(address, dashboard, metrics, settings, [], Path(folder))

        def start(host: Host, num_cpus: int, *options: str) -> None:
            command = [
                *host.enter, _RAY, "start", "--block", f"--num-cpus={num_cpus}",
                "--object-store-memory=268435456", f"--node-ip-address={host.ip}",
                "--disable-usage-stats", *options,
            ]  # fmt: skip
            cluster.nodes.append(
                subprocess.Popen(
                    command, cwd=folder, env=settings,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            )

        try:
            start(
                hosts[0], cpus_of_nodes[0],
                "--head", f"--temp-dir={folder}", f"--dashboard-host={head}",
                "--include-dashboard=true", *(f"--{name}={port}" for name, port in ports.items()),
            )  # fmt: skip
            _wait_until(lambda: _answers(dashboard), 90)
            for host, num_cpus in zip(hosts[1:], cpus_of_nodes[1:], strict=True):
                start(host, num_cpus, f"--address={address}")
            expected = len(cpus_of_nodes)
            _wait_until(lambda: len(_living_nodes(dashboard, settings)) == expected, 60)
            yield cluster
        finally:
            for number in reversed(range(cluster.num_nodes)):
                node = cluster.nodes[number]
                if node.poll() is None:
                    family = cluster.family(number)
                    node.terminate()
                    end(psutil.wait_procs(family, timeout=5)[1])
                    node.kill()
                    node.wait()
            end(psutil.wait_procs(cluster.orphans, timeout=5)[1])


def _free_ports() -> dict[str, int]:
    names = (
        "port", "dashboard-port", "ray-client-server-port", "object-manager-port",
        "node-manager-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
        "metrics-export-port", "runtime-env-agent-port",
    )  # fmt: skip
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return dict(zip(names, ports, strict=True))


def _answers(dashboard: str) -> bool:
    try:
        urllib.request.urlopen(f"{dashboard}/api/version", timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it is up and wants the token
    except OSError:
        return False
    return True


def _living_nodes(dashboard: str, settings: dict[str, str]) -> list[dict[str, Any]]:
    token = {"Authorization": f"Bearer {settings['RAY_AUTH_TOKEN']}"}
    asked = urllib.request.Request(f"{dashboard}/nodes?view=summary", headers=token)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        raylets = [node["raylet"] for node in json.load(answer)["data"]["summary"]]
    return [raylet for raylet in raylets if raylet.get("state") == "ALIVE"]


def _wait_until(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the cluster did not come up"
        time.sleep(0.2)
