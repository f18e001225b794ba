"""A client of any OpenAI-compatible endpoint, and a way to ask it many things at a time.

Asked again, after growing pauses or the one that the server wants: requests whose connection fails
or times out, 408, 429 and 5xx, and replies that are no chat completion. Any other refusal is the
user's to fix. The key goes into one header: it is in no repr and no message, and what a server says
is quoted without it. An endpoint can be pickled, the key included, and has no connection until it
is asked.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypeVar

import httpx2

from tinysql.errors import InputError

Messages = Sequence[Mapping[str, str]]
"""[{"role": "system" | "user" | "assistant", "content": text}, ...]"""

_Item = TypeVar("_Item")
_Out = TypeVar("_Out")

_LONGEST_PAUSE = 30.0
_LONGEST_WISH = 300.0
_MAX_REPLY_BYTES = 2**20
_MAX_QUOTED = 200
_ABOUT_THE_REQUEST = (400, 413, 422)


class EndpointError(RuntimeError):
    """The endpoint gave no usable answer, however often it was asked."""


class RequestRefused(InputError):
    """The endpoint refuses this request, and perhaps only this one."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, why it stopped ("stop", "length", ...), and tokens where reported."""

    text: str
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


Chat = Callable[..., Reply]
"""chat(messages, **params) of an endpoint, or of a cache before it."""


class _Passing(Exception):
    """A failure that may be over when asked again, `pause` seconds later if the server said so."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True)
class Endpoint:
    """A model behind `url`, such as https://api.openai.com/v1. key "" sends none."""

    url: str
    key: str = field(repr=False)
    model: str
    timeout_seconds: float = 120.0
    retries: int = 6
    pause_seconds: float = 1.0
    """Before the second try; each further pause is twice as long."""

    def __post_init__(self) -> None:
        _require_url(self.url)
        # A header that cannot be sent would be quoted in the client's own exception.
        if not all("!" <= letter <= "~" for letter in self.key):
            raise InputError(
                "the endpoint's key has blanks or characters beyond ASCII; give the key alone"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def name(self) -> str:
        """The address for messages: no query, which may hold a secret."""
        url = httpx2.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode()}{url.path}"

    def chat(self, messages: Messages, **params: Any) -> Reply:
        """The model's reply; params are further fields of the request, None leaving one out.

        Raises:
            InputError: the endpoint refuses the key, the model or (RequestRefused) this request.
            EndpointError: it gave no usable answer in 1 + retries tries.
        """
        given = {name: value for name, value in params.items() if value is not None}
        body = {"model": self.model, "messages": list(messages), **given}
        for number in range(self.retries + 1):
            try:
                return self._ask(body)
            except _Passing as passing:
                failure = passing
            if number < self.retries:
                time.sleep(self._pause(number, failure))
        raise EndpointError(
            f"endpoint {self.name}: {failure}, {self.retries + 1} times; run again to go on"
        )

    @cached_property
    def _client(self) -> httpx2.Client:
        return httpx2.Client(
            headers={
                # Answers are short; a compressed one could unfold to anything.
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            },
            timeout=self.timeout_seconds,
            limits=httpx2.Limits(max_connections=None),
        )

    def _pause(self, number: int, failure: _Passing) -> float:
        if failure.pause is None:
            longest = min(self.pause_seconds * 2**number, _LONGEST_PAUSE)
            return longest * random.uniform(0.5, 1.0)
        if failure.pause > _LONGEST_WISH:
            raise EndpointError(
                f"endpoint {self.name}: {failure}, and it wants a pause of {failure.pause:.0f} s; "
                "run again later to go on"
            )
        return failure.pause

    def _ask(self, body: Mapping[str, Any]) -> Reply:
        url = httpx2.URL(self.url)
        target = url.copy_with(path=url.path.rstrip("/") + "/chat/completions")
        deadline = time.monotonic() + self.timeout_seconds
        try:
            with self._client.stream("POST", target, json=body) as response:
                data = b""
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > _MAX_REPLY_BYTES:
                        raise _Passing(f"a reply over {_MAX_REPLY_BYTES} bytes")
                    # The client's own timeout is for each read.
                    if time.monotonic() > deadline:
                        raise _Passing(f"no whole reply within {self.timeout_seconds:g} s")
        except httpx2.TransportError as error:
            raise _Passing(f"{type(error).__name__} ({error})") from error
        if response.status_code != 200:
            self._refuse(response, data)
        return _read_reply(data)

    def _refuse(self, response: httpx2.Response, data: bytes) -> None:
        """Raise what a reply with this status means."""
        status, said = response.status_code, self._quoted(data)
        # Paying is no matter of waiting, though it has the status of one.
        unpaid = b"insufficient_quota" in data
        if status >= 500 or (status in (408, 429) and not unpaid):
            raise _Passing(f"status {status} {said}".strip(), _wished_pause(response))
        if status in (401, 403):
            # What it says may hold parts of the key.
            raise InputError(
                f"endpoint {self.name} refuses the key (status {status}); give one that it accepts"
            )
        kind = RequestRefused if status in _ABOUT_THE_REQUEST else InputError
        raise kind(
            f"endpoint {self.name} refuses a request for model {self.model!r} "
            f"(status {status}): {said or 'no reason given'}; change the URL, model or parameters"
        )

    def _quoted(self, data: bytes) -> str:
        """What the server says, on one line without the key."""
        try:
            text = str(json.loads(data)["error"]["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            text = data.decode(errors="replace")
        if self.key:
            text = text.replace(self.key, "***")
        line = " ".join(text.split())[:_MAX_QUOTED]
        return "".join(letter if letter.isprintable() else "?" for letter in line)


def in_parallel(
    function: Callable[[_Item], _Out], items: Sequence[_Item], concurrency: int
) -> list[_Out]:
    """function of each item, in order, on so many threads; the first error cancels what waits."""
    pool = ThreadPoolExecutor(concurrency)
    try:
        return list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)


def _require_url(text: str) -> None:
    wanted = "expected one such as https://api.openai.com/v1"
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise InputError(f"endpoint URL: {error}; {wanted}") from error
    if url.userinfo:
        raise InputError("endpoint URL: it holds a user or password; give those as the key")
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"endpoint URL {text!r}: {wanted}")


def _wished_pause(response: httpx2.Response) -> float | None:
    """Seconds of the Retry-After header, which has a number or a date; None without one."""
    wish = response.headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(wish))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(wish)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _read_reply(data: bytes) -> Reply:
    try:
        body = json.loads(data)
        choice = body["choices"][0]
        text = choice["message"]["content"] or ""
        finish, usage = choice.get("finish_reason"), body.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise _Passing("a reply that is no chat completion") from error
    if not isinstance(text, str):
        raise _Passing("a reply whose content is no text")
    # JSON can spell lone surrogates, which no file and no request can hold.
    text = text.encode(errors="replace").decode()
    return Reply(text, str(finish or ""), *(n if type(n) is int else None for n in counts))
