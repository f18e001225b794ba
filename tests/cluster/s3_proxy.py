"""An S3 front on loopback that tests can make lose, break or forget what passes through it."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to the real server; subclasses damage them on the way."""

    target = ""
    protocol_version = "HTTP/1.1"

    def forward(self) -> tuple[int, bytes, dict[str, str]]:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        # urllib would otherwise call the body a form, and the server would parse it as one.
        headers.setdefault("Content-Type", "application/octet-stream")
        request = urllib.request.Request(
            self.target + self.path, body or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read(), dict(reply.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def relay(self) -> None:
        self.answer(*self.forward())

    do_PUT = do_GET = do_HEAD = do_DELETE = relay

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@contextmanager
def serve(handler: type[Proxy]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
