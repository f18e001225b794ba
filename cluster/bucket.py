"""Objects in an S3 bucket.

Conditional PutObject with If-None-Match and If-Match; 412 and 409 both mean another writer won. A
request whose reply was lost is retried by the client and then conflicts with itself, so every
conditional write carries a random writer mark in the object's metadata, and the loser looks whose
it is. Endpoint, region and credentials come from the usual AWS settings; requests are bounded in
time and listings never cached. A store that refuses us or does not answer raises an OSError that
says in one line what to do.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import s3fs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from fsspec.asyn import sync
from pyarrow import fs as arrow_fs
from s3fs.core import set_custom_error_handler

from cluster.backends import StoredObject, Tagged
from cluster.errors import StoreRefused, StoreUnreachable
from cluster.metrics import STORE_ERRORS, STORE_GIVE_UPS, count

_TRIES = 3
_BROKEN_REPLY = (
    aiohttp.ClientPayloadError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
_BOUNDS = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
"""Per request, and s3fs tries it up to five times: minutes at worst, where its default of reading
without end would hang a job."""


def _is_passing(error: Exception) -> bool:
    return isinstance(error, ClientError) and _http_status(error) >= 500


# s3fs itself has patience with 503 SlowDown only, and gives up at the second 500.
set_custom_error_handler(_is_passing)


class _FileSystem(s3fs.S3FileSystem):
    """Counts the requests that failed, in whichever process it is unpickled."""

    _counted: Any = None

    async def set_session(self, *arguments: Any, **named: Any) -> Any:
        client = await super().set_session(*arguments, **named)
        if client is not self._counted:
            self._counted = client
            client.meta.events.register("needs-retry.s3", _count_failure)
        return client


def _count_failure(
    operation: Any, response: Any, caught_exception: Exception | None, **_: object
) -> None:
    """Told of every reply; what comes of it is for others to decide."""
    if caught_exception is None:
        status, code = response[0].status_code, response[1].get("Error", {}).get("Code")
        if status < 500 and status != 429 and code != "RequestTimeout":
            return
        error = code or str(status)
    else:
        error = type(caught_exception).__name__
    count(STORE_ERRORS, operation=operation.name, error=error)


@cache
def _client(bucket: str, pid: int) -> s3fs.S3FileSystem:  # noqa: ARG001 - none survives a fork
    return _FileSystem(
        use_listings_cache=False, skip_instance_cache=True, config_kwargs=_BOUNDS
    )


class Bucket:
    """A bucket, through s3fs's client for its credentials, retries and concurrent transfers."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._bucket, _, prefix = root.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._fs = _client(self._bucket, os.getpid())

    def read_tagged(self, key: str) -> Tagged:
        async def fetch() -> Tagged:
            reply = await self._fs._call_s3("get_object", Bucket=self._bucket, Key=self._key(key))
            async with reply["Body"] as body:
                return Tagged(await body.read(), reply["ETag"])

        with self._explained():
            for _ in range(_TRIES - 1):
                try:
                    return sync(self._fs.loop, fetch)
                except _BROKEN_REPLY as error:
                    count(STORE_ERRORS, operation="GetObject", error=type(error).__name__)
            return sync(self._fs.loop, fetch)

    def write(self, key: str, data: bytes) -> None:
        self._call("put_object", Key=self._key(key), Body=data)

    def create(self, key: str, data: bytes) -> bool:
        return self._put_if(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        return self._put_if(key, data, IfMatch=tag)

    def upload(self, key: str, path: Path) -> None:
        with self._explained():
            self._fs.put_file(str(path), f"{self._root}/{key}")

    def download(self, key: str, path: Path) -> None:
        with self._explained():
            self._fs.get_file(f"{self._root}/{key}", str(path))

    def exists(self, key: str) -> bool:
        return self._head(key) is not None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._key(prefix), **more)
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._prefix)
                yield StoredObject(key, entry["Size"], entry["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        self._call("delete_object", Key=self._key(key))

    def arrow_filesystem(self) -> tuple[arrow_fs.FileSystem, str]:
        return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(self._fs)), self._root

    def _key(self, key: str) -> str:
        return f"{self._prefix}{key}"

    def _call(self, method: str, **arguments: object) -> Any:
        with self._explained():
            return self._fs.call_s3(method, Bucket=self._bucket, **arguments)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Names the store and what to do. botocore's own failures are not even an OSError."""
        try:
            yield
        except (PermissionError, NoCredentialsError, CredentialRetrievalError) as error:
            count(STORE_GIVE_UPS, error=_code(error))
            raise StoreRefused(
                f"store s3://{self._root} refuses access: {_reason(error)}; renew the credentials "
                "or their rights and run the same command again"
            ) from error
        except Exception as error:
            if not _is_unanswered(error):
                raise
            count(STORE_GIVE_UPS, error=_code(error))
            raise StoreUnreachable(
                f"store s3://{self._root} does not answer: {_reason(error)}; check the endpoint, "
                "or run the same command again when it is back"
            ) from error

    def _head(self, key: str) -> Any | None:
        try:
            return self._call("head_object", Key=self._key(key))
        except FileNotFoundError:
            return None

    def _put_if(self, key: str, data: bytes, **condition: str) -> bool:
        mark = secrets.token_hex(8)
        for _ in range(_TRIES):
            try:
                self._call(
                    "put_object",
                    Key=self._key(key),
                    Body=data,
                    Metadata={"writer": mark},
                    **condition,
                )
            except OSError as error:
                lost = (404, 409, 412) if "IfMatch" in condition else (409, 412)
                if _status(error) not in lost:
                    raise
            else:
                return True
            stored = self._head(key)
            if stored is not None:
                return bool(stored["Metadata"].get("writer") == mark)
            if "IfMatch" in condition:
                return False
            # 409 and no object: whoever conflicted with us failed or deleted it. Try again.
            time.sleep(0.1)
        return False


def _is_unanswered(error: Exception) -> bool:
    no_answer = (BotoCoreError, aiohttp.ClientError, TimeoutError)
    return isinstance(error, no_answer) or (_status(error) or 0) >= 500


def _status(error: Exception) -> int | None:
    cause = error.__cause__
    return _http_status(cause) if isinstance(cause, ClientError) else None


def _http_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    """What metrics call it."""
    cause = error.__cause__
    response = cause.response if isinstance(cause, ClientError) else {}
    return str(response.get("Error", {}).get("Code", type(error).__name__))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
