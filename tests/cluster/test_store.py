"""Both stores keep the same promises, and a store that cannot is refused."""

import os
import pickle
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyarrow import fs as arrow_fs
from s3_proxy import Fault, Proxy, always, faulty_s3, serve

from cluster.errors import StoreRefused, StoreUnreachable, UserError
from cluster.store import PROBE, Store, find_store, open_store


def test_write_then_read_gives_the_last_bytes(store: Store) -> None:
    store.write("a/b.txt", b"one")
    store.write("a/b.txt", b"two")
    assert store.read("a/b.txt") == b"two"
    assert store.exists("a/b.txt")


def test_absent_object_reads_as_missing(store: Store) -> None:
    assert store.read_tagged("a") is None
    assert not store.exists("a")
    store.delete("a")
    with pytest.raises(FileNotFoundError):
        store.read("a")


def test_create_keeps_the_first_object(store: Store) -> None:
    assert store.create("a/b", b"one")
    assert not store.create("a/b", b"two")
    assert not store.create("a/b", b"one")
    assert store.read("a/b") == b"one"


def test_replace_with_an_old_tag_changes_nothing(store: Store) -> None:
    store.create("a", b"one")
    first = store.read_tagged("a")
    assert first is not None
    assert store.replace("a", b"two", first.tag)
    assert not store.replace("a", b"three", first.tag)
    assert store.read("a") == b"two"


def test_replace_of_an_absent_object_creates_nothing(store: Store) -> None:
    assert not store.replace("a", b"one", "0" * 32)
    assert not store.exists("a")


def test_list_gives_keys_with_the_prefix_and_sizes(store: Store) -> None:
    for key in ("a/x", "a/y/z", "ab", "b"):
        store.write(key, key.encode())
    assert [(found.key, found.bytes) for found in store.list("a/")] == [("a/x", 3), ("a/y/z", 5)]
    assert [found.key for found in store.list("a")] == ["a/x", "a/y/z", "ab"]
    assert [found.key for found in store.list("")] == ["a/x", "a/y/z", "ab", "b"]
    assert abs(store.list("b")[0].modified - time.time()) < 60


def test_delete_removes_one_object(store: Store) -> None:
    store.write("a/x", b"1")
    store.write("a/y", b"2")
    store.delete("a/x")
    assert [found.key for found in store.list("")] == ["a/y"]


def test_upload_and_download_carry_whole_files(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(1 << 20) * 12)
    store.upload("big", tmp_path / "in")
    store.download("big", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    with pytest.raises(FileNotFoundError):
        store.download("none", tmp_path / "none")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/./b", "a/"])
def test_key_outside_the_root_raises(local_store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        local_store.write(key, b"")


def test_concurrent_creates_have_one_winner(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.create("a", b"%d" % n), range(8)))
    assert won.count(True) == 1
    assert store.read("a") == b"%d" % won.index(True)


def test_concurrent_replaces_lose_no_update(store: Store) -> None:
    store.create("count", b"0")

    def add(_: int) -> None:
        while True:
            now = store.read_tagged("count")
            assert now is not None
            if store.replace("count", b"%d" % (int(now.data) + 1), now.tag):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert store.read("count") == b"12"


def test_delete_pruning_folders_does_not_break_writers(local_store: Store) -> None:
    def churn(n: int) -> None:
        for _ in range(40):
            local_store.write(f"a/b/{n}", b"x")
            local_store.delete(f"a/b/{n}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(churn, range(4)))
    assert local_store.list("") == []


def test_store_survives_pickling(store: Store) -> None:
    store.write("a", b"1")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"1"


def test_arrow_filesystem_sees_the_same_objects(store: Store) -> None:
    store.write("a/b", b"123")
    filesystem, root = store.arrow_filesystem()
    assert filesystem.get_file_info(f"{root}/a/b").type is arrow_fs.FileType.File
    assert filesystem.get_file_info(f"{root}/a/b").size == 3


def test_killed_writer_leaves_no_partial_object(
    tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    code = """
import sys
from cluster.store import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
for n in range(10**6):
    store.write("a", b"%07d" % n * 500_000)
"""
    process = spawn(code, str(tmp_path))
    assert process.stdout and process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    data = open_store(str(tmp_path)).read("a")
    assert data == data[:7] * 500_000


def test_open_store_leaves_no_probe(store: Store) -> None:
    assert store.list(".probe") == []
    assert store.list("") == []


def one_line(uri: str) -> str:
    with pytest.raises(UserError) as caught:
        open_store(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_store_can_be_found_while_another_run_proves_it(store: Store) -> None:
    store.create(f"{PROBE}/of-another-run", b"first")
    assert find_store(store.uri) == store


def test_open_store_on_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "directory" in one_line(str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_open_store_where_nothing_may_be_written_is_refused() -> None:
    assert "/proc/store" in one_line("/proc/store")


@pytest.mark.parametrize("uri", ["gs://bucket/x", "http://host/x", "s3://"])
def test_open_store_of_another_kind_is_refused(uri: str) -> None:
    assert "s3://bucket/prefix" in one_line(uri)


def test_open_store_on_a_missing_bucket_is_refused(s3_endpoint: str) -> None:  # noqa: ARG001
    assert "no-such-bucket" in one_line("s3://no-such-bucket/x")


def test_open_store_without_credentials_is_refused(
    fresh_bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "credentials" in one_line(fresh_bucket_uri)


def test_open_store_on_an_unreachable_endpoint_is_refused(
    fresh_bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    assert str(port) in one_line(fresh_bucket_uri)


def test_open_store_refuses_a_store_that_ignores_conditions(
    fresh_bucket_uri: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(Proxy):
        target = s3_endpoint

        def do_PUT(self) -> None:
            for name in ("If-None-Match", "If-Match"):
                del self.headers[name]
            self.relay()

    with serve(Careless) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert "conditional" in one_line(fresh_bucket_uri)


def test_open_store_with_refused_credentials_is_refused(
    fresh_bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strict(Proxy):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown key</Message></Error>"
            self.answer(403, body, {"Content-Type": "application/xml"})

        do_GET = do_DELETE = do_HEAD = do_PUT

    with serve(Strict) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert "unknown key" in one_line(fresh_bucket_uri)


@pytest.mark.parametrize(
    ("fault", "error", "advice"),
    [
        (Fault.EXPIRED_TOKEN, StoreRefused, "token has expired; renew the credentials"),
        (Fault.FORBIDDEN, StoreRefused, "renew the credentials or their rights"),
        (Fault.RESET_BEFORE, StoreUnreachable, "run the same command again"),
        (Fault.SLOW_DOWN, StoreUnreachable, "run the same command again"),
    ],
)
def test_store_that_fails_later_on_says_what_to_do_in_one_line(
    fresh_bucket_uri: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, error: type[OSError], advice: str,
) -> None:  # fmt: skip
    with faulty_s3(s3_endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        store = open_store(fresh_bucket_uri)
        front.choose = always(fault)
        with pytest.raises(error, match=advice) as caught:
            store.create("a", b"1")
    assert fresh_bucket_uri in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_server_error_is_tried_again_more_than_once(
    fresh_bucket_uri: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_s3(s3_endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        store = open_store(fresh_bucket_uri)
        left = iter([Fault.INTERNAL_ERROR] * 4)
        front.choose = lambda _: next(left, None)
        assert store.create("a", b"1")
    assert front.happened[Fault.INTERNAL_ERROR] == 4


def test_conditional_write_whose_reply_was_lost_still_counts_as_ours(
    fresh_bucket_uri: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = []

    class Forgetful(Proxy):
        target = s3_endpoint

        def do_PUT(self) -> None:
            reply = self.forward()
            if reply[0] == 200 and "/precious" in self.path and len(lost) % 2 == 0:
                lost.append(self.path)
                self.answer(500, b"", {})
            else:
                self.answer(*reply)
                lost.extend(["-"] * (len(lost) % 2))

    with serve(Forgetful) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(fresh_bucket_uri)
        assert store.create("precious", b"one")
        now = store.read_tagged("precious")
        assert now is not None
        assert store.replace("precious", b"two", now.tag)
        assert not store.replace("precious", b"three", now.tag)
        assert store.read("precious") == b"two"
    assert len(lost) >= 3


def test_identical_bytes_of_another_writer_do_not_count_as_ours(store: Store) -> None:
    assert store.create("a", b"same")
    assert not pickle.loads(pickle.dumps(store)).create("a", b"same")


def test_read_whose_reply_broke_off_is_tried_again(
    fresh_bucket_uri: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = []

    class Flaky(Proxy):
        target = s3_endpoint

        def do_GET(self) -> None:
            status, body, headers = self.forward()
            if "/long" in self.path and not broken:
                broken.append(self.path)
                self.close_connection = True
                self.answer(status, body[: len(body) // 2], headers)
            else:
                self.answer(status, body, headers)

    with serve(Flaky) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(fresh_bucket_uri)
        store.write("long", b"x" * 100_000)
        assert store.read("long") == b"x" * 100_000
    assert broken
