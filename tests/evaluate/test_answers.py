"""Answers of a real endpoint on loopback."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tinysql.endpoint import EndpointError
from tinysql.errors import InputError
from tinysql.evaluate.answers import endpoint_answers, sql_of_reply
from tinysql.evaluate.decode import Completion

sys.path.append(str(Path(__file__).parents[1] / "data"))

from scripted_endpoint import Scripted, Server, serving  # noqa: E402

Serve = Callable[..., Scripted]
KEY = "sk-never-shown"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("endpoint")) as running:
        yield running


@pytest.fixture
def serve(server: Server) -> Serve:
    """Plays replies in turn, whatever is asked."""
    return lambda *replies: server.play([{"contains": [], "replies": list(replies)}])


def test_endpoint_answers_come_in_order_with_bounded_concurrency(server: Server) -> None:
    rules = [
        {"contains": [f"<{n}>"], "replies": [{"text": f"SELECT {n}", "sleep": 0.03 * (n % 3)}]}
        for n in range(12)
    ]
    played = server.play(rules)
    prompts = [f"<{n}>" for n in range(12)]
    answers = endpoint_answers(played.url, "tiny", prompts, max_new_tokens=9, concurrency=3)
    assert answers == [Completion(f"SELECT {n}", False) for n in range(12)]
    assert 1 < max(request["in_flight"] for request in played.requests()) <= 3


def test_endpoint_is_asked_for_short_likely_answers(serve: Serve) -> None:
    played = serve({"text": "SELECT 1"})
    ask = {"max_new_tokens": 9, "concurrency": 1}
    endpoint_answers(played.url, "tiny", ["how many?"], key=KEY, **ask)
    endpoint_answers(
        played.url, "tiny", ["how many?"], system="Be brief", temperature=None, seed=None, **ask
    )
    first, second = played.requests()
    user = {"role": "user", "content": "how many?"}
    assert first["headers"]["Authorization"] == f"Bearer {KEY}"
    assert first["body"] == {
        "model": "tiny", "messages": [user], "max_tokens": 9, "temperature": 0.0, "seed": 0,
    }  # fmt: skip
    assert second["body"] == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief"}, user],
        "max_tokens": 9,
    }


def test_reply_that_was_cut_off_is_truncated(serve: Serve) -> None:
    played = serve({"text": "Well:\n```sql\nSELECT a FROM", "finish_reason": "length"})
    (answer,) = endpoint_answers(played.url, "tiny", ["?"], max_new_tokens=9)
    assert answer == Completion("SELECT a FROM", True)


@pytest.mark.parametrize(
    ("reply", "sql"),
    [
        ("  SELECT 1;\n", "SELECT 1;"),
        ("```sql\nSELECT 1\n```", "SELECT 1"),
        ("Sure!\n```SQL\r\nSELECT 1; -- one\r\n```\nIt counts.", "SELECT 1; -- one"),
        ("```sql\nSELECT 1\n```\nor\n```sql\nSELECT 2\n```", "SELECT 1"),
        ("```sql SELECT 1```", "SELECT 1"),
        ("```sql\nSELECT `a` FROM `b`\n```", "SELECT `a` FROM `b`"),
        ("```python\nx\n```\n```sql\nSELECT 1\n```", "SELECT 1"),
        ("```sql\nSELECT 1 FROM", "SELECT 1 FROM"),
        ("```sql\n```", ""),
        ("", ""),
        # Nothing else is taken for a block or taken away.
        ("```\nSELECT 1\n```", "```\nSELECT 1\n```"),
        ("```sqlite\nSELECT 1\n```", "```sqlite\nSELECT 1\n```"),
        ("<think>hm</think> SELECT 1", "<think>hm</think> SELECT 1"),
        ("SQL: SELECT 1", "SQL: SELECT 1"),
    ],
)
def test_sql_of_a_reply_is_its_first_sql_block_or_all_of_it(reply: str, sql: str) -> None:
    assert sql_of_reply(reply) == sql


def test_endpoint_is_asked_again_after_a_passing_failure(serve: Serve) -> None:
    played = serve({"status": 503, "body": ""}, {"text": "SELECT 1"})
    (answer,) = endpoint_answers(played.url, "tiny", ["?"], max_new_tokens=9, retries=1)
    assert answer.text == "SELECT 1"


def test_failure_is_an_error_and_no_answer_and_keeps_what_was_answered(
    server: Server, tmp_path: Path
) -> None:
    played = server.play(
        [
            {"contains": ["good"], "replies": [{"text": "SELECT 1"}]},
            {"contains": ["bad"], "replies": [{"status": 500, "body": ""}, {"text": "SELECT 2"}]},
        ]
    )
    ask = {"max_new_tokens": 9, "concurrency": 1, "retries": 0, "cache": tmp_path}
    with pytest.raises(EndpointError, match="status 500"):
        endpoint_answers(played.url, "tiny", ["good", "bad"], **ask)
    answers = endpoint_answers(played.url, "tiny", ["good", "bad"], **ask)
    assert [answer.text for answer in answers] == ["SELECT 1", "SELECT 2"]
    assert len(played.requests()) == 3


def test_key_is_in_no_message_and_no_file(serve: Serve, tmp_path: Path) -> None:
    played = serve({"text": "SELECT 1"}, {"status": 401, "body": json.dumps({"is": KEY})})
    ask = {"max_new_tokens": 9, "key": KEY, "cache": tmp_path}
    endpoint_answers(played.url, "tiny", ["first"], **ask)
    with pytest.raises(InputError, match="refuses the key") as caught:
        endpoint_answers(played.url, "tiny", ["second"], **ask)
    assert KEY not in str(caught.value)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 1
    assert KEY not in files[0].read_text()
