"""connect: what a process that joins a cluster sees, and one line when it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from cluster.connect import connect
from cluster.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
JOIN = """
import sys
from cluster.connect import connect
from cluster.errors import UserError
try:
    connect(sys.argv[1] or None)
except UserError as error:
    print(error)
else:
    import ray
    print(ray.get_runtime_context().gcs_address)
"""

pytestmark = pytest.mark.ray


def join(address: str, cwd: Path, **environment: str) -> str:
    """What a fresh process in another directory prints."""
    done = subprocess.run(
        [sys.executable, "-c", JOIN, address],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def address(ray_session: None) -> str:  # noqa: ARG001 - starts it
    return ray.get_runtime_context().gcs_address


def test_connect_joins_by_address_and_by_environment(address: str, tmp_path: Path):
    assert join(address, tmp_path) == address
    assert join("", tmp_path, RAY_ADDRESS=address) == address


def test_connect_wrong_token_is_one_line(address: str, tmp_path: Path):
    said = join(address, tmp_path, RAY_AUTH_TOKEN="0" * 64)
    assert said.startswith(f"Ray at {address}: it refuses our token")
    assert "\n" not in said


def test_connect_dead_address_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.connect.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError, match=r"^Ray at 127.0.0.1:1: no Ray head answered [^\n]*$"):
        connect("127.0.0.1:1")


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265", "nonsense"])
def test_connect_what_is_no_head_is_refused(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError, match="expected host:port"):
        connect(address)


@pytest.mark.usefixtures("ray_session")
def test_connect_twice_is_once(address: str):
    connect()
    assert ray.get_runtime_context().gcs_address == address


@pytest.mark.usefixtures("ray_session")
def test_connect_embedded_requires_a_token_kept_out_of_home():
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    token = Path.home() / ".ray" / "auth_token"
    assert not token.exists() or os.environ["RAY_AUTH_TOKEN"] not in token.read_text()
