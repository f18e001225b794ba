"""An S3 front on loopback that tests can make lose, break or forget what passes through it."""

import socket
import struct
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

SLOW_SECONDS = 2.0


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to the real server; subclasses damage them on the way."""

    target = ""
    protocol_version = "HTTP/1.1"

    def forward(self) -> tuple[int, bytes, dict[str, str]]:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        # urllib would otherwise call the body a form, and the server would parse it as one.
        headers.setdefault("Content-Type", "application/octet-stream")
        request = urllib.request.Request(
            self.target + self.path, self.body() or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read(), dict(reply.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error of S3 instead of passing the request on."""
        self.body()
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self.answer(status, text.encode(), {"Content-Type": "application/xml"})

    def reset(self) -> None:
        """Close with RST, as a balancer that loses its backend does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def relay(self) -> None:
        self.answer(*self.forward())

    do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = relay

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


class Fault(StrEnum):
    """What can happen to a request."""

    INTERNAL_ERROR = "500"
    SLOW_DOWN = "503"
    RESET_BEFORE = "reset before"
    """The request has no effect."""
    RESET_AFTER = "reset after"
    """The request has its effect, and nobody is told."""
    TRUNCATED = "truncated"
    """Half of what is read arrives, then the connection ends."""
    SLOW = "slow"
    """The answer is right and takes SLOW_SECONDS."""
    EXPIRED_TOKEN = "expired token"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class Request:
    """What a fault is chosen by; number counts from 1."""

    number: int
    method: str
    path: str


Choose = Callable[[Request], Fault | None]


def passes(request: Request) -> None:  # noqa: ARG001 - a Choose
    """No fault."""


def always(fault: Fault) -> Choose:
    """Every request meets this fault."""
    return lambda _: fault


def in_turn(every: int, *faults: Fault) -> Choose:
    """One request in so many meets a fault, each fault as often as the others."""

    def choose(request: Request) -> Fault | None:
        if request.number % every:
            return None
        return faults[request.number // every % len(faults)]

    return choose


@dataclass
class FaultyS3:
    """An S3 front whose faults can be changed while it runs."""

    endpoint: str
    choose: Choose = passes
    """Called in the request's own thread: it may also wait, and so hold the request."""
    happened: Counter[Fault] = field(default_factory=Counter)


@contextmanager
def faulty_s3(
    target: str, choose: Choose = passes, host: str = "127.0.0.1"
) -> Iterator[FaultyS3]:
    """Runs one in front of the server at target."""
    numbers = count(1)

    class Faulty(Proxy):
        def relay(self) -> None:
            fault = front.choose(Request(next(numbers), self.command, self.path))
            if fault is not None:
                front.happened[fault] += 1
            match fault:
                case Fault.INTERNAL_ERROR:
                    self.refuse(500, "InternalError", "try again")
                case Fault.SLOW_DOWN:
                    self.refuse(503, "SlowDown", "try again")
                case Fault.EXPIRED_TOKEN:
                    self.refuse(400, "ExpiredToken", "The provided token has expired.")
                case Fault.FORBIDDEN:
                    self.refuse(403, "AccessDenied", "Access Denied")
                case Fault.RESET_BEFORE:
                    self.reset()
                case Fault.RESET_AFTER:
                    self.forward()
                    self.reset()
                case Fault.TRUNCATED:
                    status, body, headers = self.forward()
                    self.close_connection = True
                    headers.setdefault("Content-Length", str(len(body)))
                    self.answer(status, body[: len(body) // 2], headers)
                case Fault.SLOW:
                    time.sleep(SLOW_SECONDS)
                    self.answer(*self.forward())
                case None:
                    self.answer(*self.forward())

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = relay

    Faulty.target = target
    with serve(Faulty, host) as endpoint:
        front = FaultyS3(endpoint, choose)
        yield front


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: clients that are killed leave their connections in any state."""


@contextmanager
def serve(handler: type[Proxy], host: str = "127.0.0.1") -> Iterator[str]:
    """Address of a server with this handler, while it runs."""
    server = _Server((host, 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
