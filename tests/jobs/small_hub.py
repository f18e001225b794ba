"""A Hub of a few models on a free port of the loopback: what the client asks to find and fetch."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Published:
    """One repository."""

    commits: Mapping[str, Path]
    """The files of each."""
    names: Mapping[str, str]
    """The commit of each branch and pull request; main is the newest."""


Models = Mapping[str, Published]


@contextmanager
def serving(models: Models) -> Iterator[str]:
    """The URL of a Hub that has these models by their ids."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = _answer(models, self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _answer(models: Models, url: str) -> tuple[int, dict[str, str], bytes]:
    path = unquote(urlsplit(url).path).strip("/").removeprefix("api/models/")
    hub_id = "/".join(path.split("/")[:2])
    if hub_id not in models:
        return 404, {"X-Error-Code": "RepoNotFound"}, b""
    what, _, rest = path.removeprefix(hub_id).strip("/").partition("/")
    published = models[hub_id]
    if what == "resolve":
        commit, _, name = rest.partition("/")
        data = (published.commits[commit] / name).read_bytes()
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{sha1(data).hexdigest()}"'}, data
    revision = rest or "main"
    commit = published.names.get(revision, revision)
    if commit not in published.commits:
        return 404, {"X-Error-Code": "RevisionNotFound"}, b""
    files = sorted(published.commits[commit].iterdir())
    if what == "tree":
        found: object = [
            {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
            for file in files
        ]
    else:
        siblings = [{"rfilename": file.name} for file in files]
        found = {"id": hub_id, "sha": commit, "siblings": siblings}
    return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()
