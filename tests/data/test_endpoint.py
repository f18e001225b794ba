"""The client against a real server: what it sends, retries, refuses and never tells."""

import json
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from scripted_endpoint import Scripted, Server, serving

from tinysql.data.natural.answers import Cache
from tinysql.endpoint import Endpoint, EndpointError, Reply, RequestRefused, in_parallel
from tinysql.errors import InputError

Serve = Callable[..., Scripted]
KEY = "sk-never-shown"
HELLO = [{"role": "user", "content": "hello"}]
BUSY = {"status": 503, "body": "try later"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture
def serve(server: Server) -> Serve:
    """Plays replies in turn, whatever is asked."""
    return lambda *replies: server.play([{"contains": [], "replies": list(replies)}])


def endpoint(played: Scripted, **settings: Any) -> Endpoint:
    return Endpoint(played.url, KEY, "tiny", **{"pause_seconds": 0.01, **settings})


def test_chat_sends_model_messages_and_parameters_and_reads_the_reply(serve: Serve) -> None:
    played = serve({"text": "hi"})
    reply = endpoint(played).chat(HELLO, temperature=0.5, seed=None, stop=["\n"])
    assert reply == Reply("hi", "stop", 7, 3)
    (request,) = played.requests()
    assert request["path"].endswith("/v1/chat/completions")
    assert request["headers"]["Authorization"] == f"Bearer {KEY}"
    assert request["body"] == {
        "model": "tiny", "messages": HELLO, "temperature": 0.5, "stop": ["\n"],
    }  # fmt: skip


def test_chat_sends_no_header_without_a_key_and_keeps_the_query(serve: Serve) -> None:
    played = serve({"text": "hi"})
    Endpoint(f"{played.url}/?api-version=1", "", "tiny").chat(HELLO)
    (request,) = played.requests()
    assert "Authorization" not in request["headers"]
    assert request["path"].endswith("/v1/chat/completions?api-version=1")


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 429}, {"status": 500}, {"status": 502}, BUSY, {"status": 408}, {"reset": True},
        {"raw": "<html>"}, {"raw": "{}"}, {"raw": '{"choices": []}'}, {"raw": "[" * 10_000},
        {"raw": "x" * 2**21}, {"raw": '{"choices": [{"message": {"content": [1]}}]}'},
    ],
    ids=lambda failure: str(failure)[:40],
)  # fmt: skip
def test_chat_asks_again_after_a_passing_failure(serve: Serve, failure: dict[str, Any]) -> None:
    failure = {"body": "", **failure} if "status" in failure else failure
    played = serve(failure, failure, {"text": "at last"})
    assert endpoint(played).chat(HELLO).text == "at last"
    assert len(played.requests()) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_chat_waits_as_long_as_the_server_wants(serve: Serve, form: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=2)
    wish = "1" if form == "seconds" else format_datetime(moment, usegmt=True)
    played = serve({"status": 429, "body": "", "headers": {"Retry-After": wish}}, {"text": "hi"})
    began = time.monotonic()
    assert endpoint(played).chat(HELLO).text == "hi"
    # The date has whole seconds, and the server took some time to start.
    assert time.monotonic() - began > (0.9 if form == "seconds" else 0.2)


def test_chat_gives_up_after_its_retries_and_says_what_happened(serve: Serve) -> None:
    played = serve(BUSY)
    with pytest.raises(EndpointError, match=r"status 503 try later, 3 times; run again"):
        endpoint(played, retries=2).chat(HELLO)
    assert len(played.requests()) == 3


def test_chat_gives_up_at_once_when_the_server_wants_an_hour(serve: Serve) -> None:
    played = serve({"status": 429, "body": "", "headers": {"Retry-After": "3600"}})
    with pytest.raises(EndpointError, match="wants a pause of 3600 s"):
        endpoint(played).chat(HELLO)
    assert len(played.requests()) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ({"status": 401, "body": KEY}, InputError, "refuses the key"),
        ({"status": 404, "body": "no such model"}, InputError, "no such model"),
        ({"status": 400, "body": '{"error": {"message": "bad seed"}}'}, RequestRefused, "bad seed"),
        ({"status": 302, "body": "", "headers": {"Location": "/x"}}, InputError, "status 302"),
        (
            {"status": 429, "body": '{"error": {"message": "pay", "code": "insufficient_quota"}}'},
            InputError,
            "pay",
        ),
    ],
)
def test_chat_never_repeats_what_only_the_user_can_fix(
    serve: Serve, reply: dict[str, Any], kind: type[InputError], words: str
) -> None:
    played = serve(reply)
    with pytest.raises(InputError, match=words) as caught:
        endpoint(played).chat(HELLO)
    assert type(caught.value) is kind
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert len(played.requests()) == 1


def test_chat_counts_a_slow_reply_as_a_passing_failure(serve: Serve) -> None:
    played = serve({"text": "slow", "sleep": 2}, {"text": "quick"})
    assert endpoint(played, timeout_seconds=0.3).chat(HELLO).text == "quick"


def test_key_is_in_no_repr_and_no_message(serve: Serve) -> None:
    said = f'{{"error": {{"message": "what is {KEY}?\\n\\u001b[2J"}}}}'
    played = serve({"status": 418, "body": said})
    with pytest.raises(InputError, match=r"what is \*\*\*\? \?\[2J") as caught:
        endpoint(played).chat(HELLO)
    assert KEY not in str(caught.value)
    assert KEY not in repr(endpoint(played))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\n", "über"])
def test_key_that_no_header_can_have_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InputError, match="key") as caught:
        Endpoint("http://127.0.0.1:1/v1", key, "tiny")
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://u:p@h/v1"])
def test_url_that_is_none_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(InputError, match="endpoint URL") as caught:
        Endpoint(url, "", "tiny")
    assert "u:p" not in str(caught.value)


def test_endpoint_can_be_pickled_after_use(serve: Serve) -> None:
    played = serve({"text": "hi"})
    used = endpoint(played)
    used.chat(HELLO)
    again = pickle.loads(pickle.dumps(used))
    assert again == used
    assert again.chat(HELLO).text == "hi"


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ({"text": None}, Reply("", "stop", 7, 3)),
        ({"text": "a\ud800b"}, Reply("a?b", "stop", 7, 3)),
        ({"text": "cut", "finish_reason": "length", "usage": None}, Reply("cut", "length")),
        ({"text": "odd", "usage": {"prompt_tokens": "9"}}, Reply("odd", "stop")),
    ],
)
def test_reply_is_text_whatever_the_model_sends(
    serve: Serve, reply: dict[str, Any], wanted: Reply
) -> None:
    assert endpoint(serve(reply)).chat(HELLO) == wanted


def test_in_parallel_keeps_the_order_and_the_bound(server: Server) -> None:
    rules = [
        {"contains": [f"<{n}>"], "replies": [{"text": f"reply {n}", "sleep": 0.03 * (n % 3)}]}
        for n in range(24)
    ]
    asked = [[{"role": "user", "content": f"<{n}>"}] for n in range(24)]
    played = server.play(rules)
    replies = in_parallel(endpoint(played).chat, asked, 4)
    in_flight = [request["in_flight"] for request in played.requests()]
    assert [reply.text for reply in replies] == [f"reply {n}" for n in range(24)]
    assert 1 < max(in_flight) <= 4


def test_in_parallel_stops_at_the_first_error(serve: Serve) -> None:
    played = serve({"status": 401, "body": ""})
    with pytest.raises(InputError):
        in_parallel(endpoint(played).chat, [HELLO] * 200, 2)
    assert len(played.requests()) < 200


def test_cache_asks_once_for_the_same_model_messages_and_parameters(
    serve: Serve, tmp_path: Path
) -> None:
    played = serve({"text": "first"}, {"text": "second"}, {"text": "third"})
    cache = Cache(endpoint(played), tmp_path / "answers")
    assert cache.chat(HELLO, seed=1).text == "first"
    assert Cache(endpoint(played), tmp_path / "answers").chat(HELLO, seed=1) == Reply(
        "first", "stop", 7, 3
    )
    assert cache.chat(HELLO, seed=2).text == "second"
    assert Cache(Endpoint(played.url, KEY, "other"), tmp_path / "answers").chat(
        HELLO, seed=1
    ).text == "third"  # fmt: skip
    assert not [file for file in (tmp_path / "answers").rglob("*") if KEY in str(_content(file))]


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"other": 1}', json.dumps("text")])
def test_cache_asks_again_for_a_broken_file(serve: Serve, tmp_path: Path, broken: str) -> None:
    played = serve({"text": "first"}, {"text": "second"})
    cache = Cache(endpoint(played), tmp_path / "answers")
    cache.chat(HELLO)
    (file,) = (tmp_path / "answers").rglob("*.json")
    file.write_text(broken)
    assert [cache.chat(HELLO).text for _ in range(2)] == ["second", "second"]


def test_cache_keeps_no_failure(serve: Serve, tmp_path: Path) -> None:
    played = serve({"status": 400, "body": ""}, {"text": "hi"})
    cache = Cache(endpoint(played), tmp_path / "answers")
    with pytest.raises(RequestRefused):
        cache.chat(HELLO)
    assert cache.chat(HELLO).text == "hi"


def _content(file: Path) -> str:
    return file.read_text() if file.is_file() else file.name
