"""Outcomes go to a webhook; one that does not take them is said, without its address."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from kube_api import kube_api

from cluster.alerts import send_alert

OUTCOME = {"date": "2026-11-21", "verdict": "held", "reasons": ["frozen, all: too bad", "slow"]}


class Hook(HTTPServer):
    """Answers with a status and keeps what it got."""

    status = 200
    got: list[dict[str, object]]


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(json.loads(body))
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = Hook(("127.0.0.1", 0), Handler)
    server.got = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_outcome_is_posted_with_a_text_for_people(hook: Hook) -> None:
    assert send_alert(f"http://127.0.0.1:{hook.server_port}/secret", OUTCOME) is None
    text = "tinysql 2026-11-21: held\nfrozen, all: too bad\nslow"
    assert hook.got == [{"text": text, **OUTCOME}]


def test_a_refusal_is_said_without_the_address(hook: Hook) -> None:
    hook.status = 500
    assert send_alert(f"http://127.0.0.1:{hook.server_port}/secret", OUTCOME) == "status 500"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/secret", "not an address", "ftp://x/secret"]
)
def test_nobody_there(address: str) -> None:
    problem = send_alert(address, OUTCOME)
    assert problem and "secret" not in problem


def test_whoever_submits_a_night_tells_that_its_job_failed(hook: Hook, tmp_path: Path) -> None:
    """Its driver may never have started, and then nobody else does."""
    with kube_api() as api:
        api.ray_jobs["tinysql"] = {
            "apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "tinysql"}, "spec": {}
        }  # fmt: skip
        secret = f"http://127.0.0.1:{hook.server_port}/secret"
        kubeconfig = str(api.kubeconfig(tmp_path / "config"))
        settings = {"KUBECONFIG": kubeconfig, "TINYSQL_WEBHOOK": secret}
        night = ["nightly", "--verb", "nightly", "--kubernetes"]
        with subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "submit", *night], env=os.environ | settings,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as submitting:  # fmt: skip
            while len(api.ray_jobs) == 1 and submitting.poll() is None:
                time.sleep(0.1)
            job = max(api.ray_jobs)
            api.set_status(job, "Failed", reason="DeadlineExceeded")
            printed, _ = submitting.communicate(timeout=60)
    assert submitting.returncode == 1, printed
    assert [told["verdict"] for told in hook.got] == ["failed"]
    assert hook.got[0]["reasons"] == [f"see the job {job}"]
    assert "secret" not in printed
