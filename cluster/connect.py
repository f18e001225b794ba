"""Connects this process to Ray: a cluster when an address is given, else an embedded local Ray.

The embedded one has all cores and GPUs, no dashboard, and token authentication with a token that
lives only in the environment of this process and its children. Ray gives each task and actor
OMP_NUM_THREADS = max(1, its CPUs); nothing else here sets threads. RAY_ADDRESS and the RAY_AUTH_*
variables are read here and nowhere else.

A cluster is probed first because ray.init retries a dead address for two minutes and then ends the
process. Ray Client (ray://) is refused: Ray Train needs a driver inside the cluster.
"""

import logging
import os
import secrets
import site
import socket
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray._private import worker as ray_worker
from ray._private.authentication import authentication_token_setup
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from cluster.errors import UserError
from cluster.exporter import export_metrics, stop_exporting

ANSWER_SECONDS = 15.0
_OBJECT_STORE_BYTES = 256 * 2**20  # arrays travel through the store, not through Ray
_log = logging.getLogger(__name__)
_print = ray_worker.print_to_stdstream


def connect(address: str | None = None) -> None:
    """Connects to address, else to RAY_ADDRESS, else starts Ray here; no-op when connected.

    Raises UserError in one line when nothing usable answers within ANSWER_SECONDS.
    """
    if ray.is_initialized():
        return
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray_worker.print_to_stdstream = _print_on_stderr
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        _start_embedded()
    else:
        _join(address)
    export_metrics()
    resources = ray.cluster_resources()
    _log.info("Ray: %d CPUs, %d GPUs", resources.get("CPU", 0), resources.get("GPU", 0))


def num_nodes() -> int:
    """How many machines the cluster has now."""
    return sum(node["Alive"] for node in ray.nodes())


def disconnect() -> None:
    """Leaves the cluster, or stops the embedded Ray and waits for its processes."""
    stop_exporting()
    ray.shutdown(wait_for_processes=True)


def _start_embedded() -> None:
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        # ray.init turns token authentication on unless RAY_AUTH_MODE says otherwise, and without
        # a token in the environment it would write a lasting one to ~/.ray.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    _make_importable()
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=_OBJECT_STORE_BYTES,
    )


def _print_on_stderr(data: dict[str, Any], ignore_prefix: bool) -> None:
    # That a node died, say. Stdout is for what programs read.
    _print({**data, "is_err": True}, ignore_prefix)


def _make_importable() -> None:
    """Lets workers, which inherit PYTHONPATH, import these packages from a plain checkout."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in (*path, *site.getsitepackages()):
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, path)])


def _join(address: str) -> None:
    if "://" in address:
        raise UserError(
            f"Ray address {address!r}: Ray Client and URLs are not supported, expected host:port "
            "or auto; submit from outside a cluster with `ray job submit`"
        )
    # As ray.init does: a token file counts even where RAY_AUTH_MODE is unset.
    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        resolved = canonicalize_bootstrap_address(address) or address
    except (ConnectionError, ValueError) as error:
        raise UserError(
            f"Ray address {address!r}: {_first_line(error)}; expected host:port of a running head"
        ) from error
    _require_answer(address, resolved)
    try:
        ray.init(address=resolved, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, RayError) as error:
        raise UserError(f"Ray at {address}: {_first_line(error)}") from error


def _require_answer(address: str, resolved: str) -> None:
    """Raises UserError unless a Ray head that accepts our token answers at resolved in time."""
    deadline = time.monotonic() + ANSWER_SECONDS
    nothing = UserError(
        f"Ray at {address}: no Ray head answered within {ANSWER_SECONDS:g} s; check the address, "
        "or unset RAY_ADDRESS to run on this machine"
    )
    host, _, port = resolved.rpartition(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise nothing from error
            time.sleep(0.5)
    failure: list[Exception] = []

    def ask() -> None:
        try:
            GcsClient(address=resolved)
        except (RayError, RuntimeError, ConnectionError) as error:
            failure.append(error)

    # A thread, because some other service on that port keeps the client waiting for minutes.
    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(max(1.0, deadline - time.monotonic()))
    if failure and isinstance(failure[0], AuthenticationError):
        raise UserError(
            f"Ray at {address}: it refuses our token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN "
            "to the cluster's"
        ) from failure[0]
    if failure or probe.is_alive():
        raise nothing


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
