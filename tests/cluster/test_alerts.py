"""Outcomes go to a webhook; one that does not take them is said, without its address."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

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
