"""An OpenAI-compatible endpoint that answers from scripts: a process of its own on loopback.

A script is a list of rules, each {"contains": texts, "replies": replies}. The first rule whose
texts are all in the request decides, with its replies in turn, the last one for ever. A reply is
{"text": ...}, with {question}, {sql} and {known} replaced: the request's own "Request:" and "SQL:"
lines, and the SQL of the request to which this very "Request:" line was once the answer; with
"status", "headers" and "body" it is refused, with "raw" it is those bytes, with "reset" the
connection is reset, and "sleep" seconds pass before any of it.
"""

import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WRITING, READING = "Write the request the way", "Write the SQLite query"
"""What only a request for a question has, and what only a request for SQL has."""

PERFECT = [
    {"contains": [WRITING], "replies": [{"text": "Hello, {question}"}]},
    {"contains": [READING], "replies": [{"text": "```sql\n{known};\n```"}]},
]
"""A model that writes something else than it was given, and reads without mistakes."""


@dataclass(frozen=True)
class Scripted:
    """A script at work."""

    url: str
    journal: Path

    def requests(self) -> list[dict[str, Any]]:
        """What it was asked so far: path, headers, body, requests in flight."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Server:
    """A running process that plays any number of scripts, each below a path of its own."""

    port: int
    folder: Path

    def play(self, script: list[dict[str, Any]]) -> Scripted:
        """Start a script."""
        name = f"script{len(list(self.folder.glob('*.json')))}"
        (self.folder / f"{name}.json").write_text(json.dumps(script))
        return Scripted(f"http://127.0.0.1:{self.port}/{name}/v1", self.folder / f"{name}.jsonl")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Runs a server whose scripts and journals are in the folder."""
    command = [sys.executable, "-I", __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), folder)
        finally:
            process.kill()


class _Script:
    def __init__(self, rules: list[dict[str, Any]], journal: Path) -> None:
        self.rules = rules
        self.journal = journal
        self.lock = threading.Lock()
        self.turns = [0] * len(rules)
        self.known: dict[str, str] = {}
        self.in_flight = 0

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        text = "\n".join(message["content"] for message in request["body"]["messages"])
        with self.lock:
            with self.journal.open("a") as file:
                print(json.dumps(request), file=file)
            number, rule = next(
                (number, rule)
                for number, rule in enumerate(self.rules)
                if all(each in text for each in rule["contains"])
            )
            reply = dict(rule["replies"][min(self.turns[number], len(rule["replies"]) - 1)])
            self.turns[number] += 1
            if reply.get("text"):
                reply["text"] = self.fill(reply["text"], text)
        return reply

    def fill(self, template: str, text: str) -> str:
        asked, sql = (re.search(rf"^{name}: (.*)$", text, re.M) for name in ("Request", "SQL"))
        question = asked[1] if asked else ""
        filled = template.replace("{question}", question)
        filled = filled.replace("{known}", self.known.get(question, "SELECT 1"))
        if sql:
            filled = filled.replace("{sql}", sql[1])
            self.known[filled] = sql[1]
        return filled


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    scripts: dict[str, _Script] = {}
    lock = threading.Lock()

    def do_POST(self) -> None:
        script = self.script()
        with script.lock:
            script.in_flight += 1
            in_flight = script.in_flight
        try:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = script.reply(
                {"path": self.path, "headers": dict(self.headers), "body": body,
                 "in_flight": in_flight}
            )  # fmt: skip
            time.sleep(reply.get("sleep", 0))
            self.answer(reply)
        finally:
            with script.lock:
                script.in_flight -= 1

    def script(self) -> _Script:
        name = self.path.split("/")[1]
        with self.lock:
            if name not in self.scripts:
                rules = json.loads((self.folder / f"{name}.json").read_text())
                self.scripts[name] = _Script(rules, self.folder / f"{name}.jsonl")
            return self.scripts[name]

    def answer(self, reply: dict[str, Any]) -> None:
        if "reset" in reply:
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.connection.close()
            self.close_connection = True
            return
        data = reply.get("raw", reply.get("body"))
        if data is None:
            message = {"role": "assistant", "content": reply.get("text")}
            choice = {"message": message, "finish_reason": reply.get("finish_reason", "stop")}
            usage = reply.get("usage", {"prompt_tokens": 7, "completion_tokens": 3})
            data = json.dumps({"choices": [choice], "usage": usage})
        self.send_response(reply.get("status", 200))
        for name, value in reply.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data.encode())))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *address: Any) -> None:
        """Clients that are killed are nothing to talk about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*address)


def main() -> None:
    _Handler.folder = Path(sys.argv[1])
    server = _HttpServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
