"""The part of a Kubernetes API server that RayJobs need, as an HTTP server on the loopback."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml

CREATED = "2026-11-21T00:00:00Z"
TOKEN = "a-token-of-a-service-account"


@dataclass
class KubeApi:
    """What the server holds, and how it behaves."""

    ray_jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    """What the submitter of each RayJob has printed."""
    broken: int = 0
    """Answers that are still to be 503."""
    broken_logs: int = 0
    """The same of logs alone."""
    readonly: bool = False
    port: int = 0

    def set_status(self, name: str, deployment: str, job: str = "", **more: str) -> None:
        status = {"jobDeploymentStatus": deployment, "jobStatus": job, **more}
        self.ray_jobs[name]["status"] = status

    def kubeconfig(self, path: Path) -> Path:
        """A file that points at the server."""
        name = "test"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1", "kind": "Config", "current-context": name,
                    "clusters": [
                        {"name": name, "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
                    ],
                    "users": [{"name": name, "user": {"token": TOKEN}}],
                    "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                }
            )
        )  # fmt: skip
        return path


class _Server(ThreadingHTTPServer):
    api: KubeApi


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        api, path = self.server.api, urlparse(self.path)
        parts = path.path.strip("/").split("/")
        if parts[-1] == "rayjobs":
            self._answer(200, {"kind": "RayJobList", "items": list(api.ray_jobs.values())})
        elif parts[-2] == "rayjobs":
            found = api.ray_jobs.get(parts[-1])
            self._answer(200 if found else 404, found or {"reason": "NotFound"})
        elif parts[-1] == "pods":
            name = parse_qs(path.query)["labelSelector"][0].removeprefix("job-name=")
            self._answer(200, {"kind": "PodList", "items": self._pods(name)})
        elif parts[-1] == "log" and api.broken_logs:
            api.broken_logs -= 1
            self._answer(503, {"reason": "ServiceUnavailable"})
        elif parts[-1] == "log":
            self._send(200, api.logs[parts[-2].removesuffix("-pod")].encode(), "text/plain")
        else:
            self._answer(404, {"reason": "NotFound"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_allowed():
            return
        api, name = self.server.api, body["metadata"]["name"]
        if api.readonly:
            self._answer(403, {"reason": "Forbidden"})
        elif name in api.ray_jobs:
            self._answer(409, {"reason": "AlreadyExists"})
        else:
            body["metadata"]["creationTimestamp"] = CREATED
            api.ray_jobs[name] = body
            self._answer(201, body)

    def _is_allowed(self) -> bool:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"reason": "Unauthorized"})
            return False
        if self.server.api.broken:
            self.server.api.broken -= 1
            self._answer(503, {"reason": "ServiceUnavailable"})
            return False
        return True

    def _pods(self, name: str) -> list[dict[str, Any]]:
        if name not in self.server.api.logs:
            return []
        return [{"metadata": {"name": f"{name}-pod", "creationTimestamp": CREATED}}]

    def _answer(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def kube_api() -> Iterator[KubeApi]:
    """A server that runs meanwhile."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.api = KubeApi(port=server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
