"""A dataset on an S3 that fails now and then is the dataset of a directory."""

import json
import secrets
import socket
import struct
from itertools import count
from pathlib import Path

import pytest
from processes import Tinysql, s3_client
from s3_proxy import Proxy, serve

# One request in ten fails, far more than on a bad day, so that every kind of failure occurs.
EVERY = 10
RECIPE = """
description: Many shards.
steps:
  dataset:
    config: {train_rows: 190000, validation_rows: 50, test_rows: 50}
"""


@pytest.mark.ray
@pytest.mark.slow
def test_failing_requests_lose_and_double_nothing(
    tinysql: Tinysql, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    requests, faults = count(1), []

    class Faulty(Proxy):
        target = s3_environment["AWS_ENDPOINT_URL"]

        def relay(self) -> None:
            number = next(requests)
            if number % EVERY:
                self.answer(*self.forward())
                return
            kind = ("500", "503", "reset before", "reset after")[number // EVERY % 4]
            faults.append(kind)
            if kind == "reset before":
                self.reset()
                return
            if kind == "reset after":
                self.forward()
                self.reset()
                return
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code = "SlowDown" if kind == "503" else "InternalError"
            body = f"<Error><Code>{code}</Code><Message>try again</Message></Error>"
            self.answer(int(kind), body.encode(), {"Content-Type": "application/xml"})

        def reset(self) -> None:
            """Close with RST, as a balancer that loses its backend does."""
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        do_PUT = do_GET = do_HEAD = do_DELETE = do_POST = relay

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    plain = tinysql("run", str(recipe), "--store", "runs", "--json", timeout=120)
    assert plain.returncode == 0, plain.stderr
    name = f"faulty-{secrets.token_hex(6)}"
    s3_client(s3_environment["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)
    with serve(Faulty) as endpoint:
        made = tinysql(
            "run", str(recipe), "--store", f"s3://{name}/runs", "--json", timeout=240,
            environment=s3_environment | {"AWS_ENDPOINT_URL": endpoint},
        )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert set(faults) == {"500", "503", "reset before", "reset after"}, faults
    (expected,), (step,) = (json.loads(run.stdout)["steps"] for run in (plain, made))
    assert step["identity"] == expected["identity"]
    assert step["content_sha256"] == expected["content_sha256"]
