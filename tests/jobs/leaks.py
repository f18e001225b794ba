"""Looks for secrets where none may be: as they are, in base64, and inside compressed files."""

import base64
import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def leaks(secrets: Mapping[str, str], contents: Iterator[tuple[str, bytes]]) -> list[str]:
    """Every "SECRET in PLACE"; contents are (place, bytes)."""
    forms = {
        name: (value.encode(), base64.b64encode(value.encode()).rstrip(b"="))
        for name, value in secrets.items()
    }
    return [
        f"{name} in {place}"
        for place, data in contents
        for name, written in forms.items()
        if any(form in plain for form in written for plain in (data, _inflated(data)))
    ]


def files_in(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """The regular files below the folders."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()


def objects_in(client: Any, bucket: str) -> Iterator[tuple[str, bytes]]:
    """The objects of a bucket."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            body = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
            yield f"{bucket}/{found['Key']}", body


def _inflated(data: bytes) -> bytes:
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""
    except (OSError, EOFError, zlib.error):
        return b""
