"""The search for secrets finds them."""

import base64
import gzip
from pathlib import Path

from leaks import files_in, leaks

SECRET = {"KEY": "0123456789abcdef0123456789abcdef"}


def test_a_secret_is_found_in_every_form(tmp_path: Path) -> None:
    value = SECRET["KEY"].encode()
    (tmp_path / "plain").write_bytes(b"a " + value + b" z")
    (tmp_path / "base64").write_bytes(base64.b64encode(value))
    (tmp_path / "compressed").write_bytes(gzip.compress(b"x" + value))
    (tmp_path / "clean").write_bytes(b"0123")
    found = leaks(SECRET, files_in(tmp_path))
    assert sorted(line.rpartition("/")[2] for line in found) == ["base64", "compressed", "plain"]
