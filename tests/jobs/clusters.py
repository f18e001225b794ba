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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from processes import ROOT, end

_RAY = Path(sys.executable).with_name("ray")


@dataclass(frozen=True)
class RayCluster:
    """A cluster that runs, and the settings of whoever submits to it."""

    address: str
    """host:port, for drivers."""
    dashboard: str
    metrics: str
    """Where Prometheus would ask the head."""
    settings: dict[str, str]
    num_nodes: int
    folder: Path
    """Its sessions, logs included."""

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
def ray_cluster(settings: dict[str, str], cpus_of_nodes: tuple[int, ...]) -> Iterator[RayCluster]:
    """`ray start` once for every number, the first one being the head."""
    settings = settings | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ports = _free_ports()
    nodes: list[subprocess.Popen[bytes]] = []
    # Short, because sockets live below it and their paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:

        def start(num_cpus: int, *options: str) -> None:
            command = [
                _RAY, "start", "--block", f"--num-cpus={num_cpus}",
                "--object-store-memory=268435456", "--node-ip-address=127.0.0.1",
                "--disable-usage-stats", *options,
            ]  # fmt: skip
            nodes.append(
                subprocess.Popen(
                    command, cwd=folder, env=settings,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            )

        try:
            start(
                cpus_of_nodes[0], "--head", f"--temp-dir={folder}", "--dashboard-host=127.0.0.1",
                "--include-dashboard=true", *(f"--{name}={port}" for name, port in ports.items()),
            )  # fmt: skip
            address = f"127.0.0.1:{ports['port']}"
            dashboard = f"http://127.0.0.1:{ports['dashboard-port']}"
            _wait_until(lambda: _answers(dashboard), 90)
            for num_cpus in cpus_of_nodes[1:]:
                start(num_cpus, f"--address={address}")
            _wait_until(lambda: _num_nodes(dashboard, settings) == len(cpus_of_nodes), 60)
            metrics = f"http://127.0.0.1:{ports['metrics-export-port']}/metrics"
            yield RayCluster(
                address, dashboard, metrics, settings, len(cpus_of_nodes), Path(folder)
            )
        finally:
            for node in reversed(nodes):
                family = psutil.Process(node.pid).children(recursive=True)
                node.terminate()
                end(psutil.wait_procs(family, timeout=5)[1])
                node.wait(30)


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


def _num_nodes(dashboard: str, settings: dict[str, str]) -> int:
    token = {"Authorization": f"Bearer {settings['RAY_AUTH_TOKEN']}"}
    asked = urllib.request.Request(f"{dashboard}/nodes?view=summary", headers=token)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        nodes = json.load(answer)["data"]["summary"]
    return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)


def _wait_until(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the cluster did not come up"
        time.sleep(0.2)
