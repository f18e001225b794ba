"""Answers of a model behind an OpenAI-compatible endpoint, one completion per prompt, in order.

The endpoint is sent the prompt as a chat, and its reply may be prose around the SQL: the answer is
the first ```sql block of the reply, to its closing ``` or, as in CommonMark (section 4.5), to the
end of the reply where it has none; without such a block it is the whole reply. Blanks around the
answer are dropped and nothing else is rewritten: comments, a closing ";", blocks of another
language and a model's thoughts are judged as they stand.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tinysql.data.natural.answers import Cache
from tinysql.endpoint import Chat, Endpoint, in_parallel
from tinysql.evaluate.decode import Completion

_SQL_BLOCK = re.compile(r"```sql\b(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def endpoint_answers(
    url: str,
    model_name: str,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    key: str = "",
    system: str | None = None,
    temperature: float | None = 0.0,
    seed: int | None = 0,
    concurrency: int = 8,
    timeout_seconds: float = 120.0,
    retries: int = 6,
    cache: Path | None = None,
) -> list[Completion]:
    """The SQL in what the model behind `url` replies to each prompt, sent as a user's message.

    Args:
        url: such as https://api.openai.com/v1.
        max_new_tokens: most tokens of a reply; one that was cut there counts as truncated.
        key: sent in one header, "" for none; it is in no message and in no file.
        system: message before each prompt; None sends none.
        temperature, seed: of the request; None leaves it out, for servers that refuse it.
        concurrency: requests under way at a time.
        timeout_seconds, retries: of one try, and tries after the first.
        cache: directory of replies, so that no prompt is paid for twice, also not by a run that
            failed; None keeps none.

    Raises:
        InputError: the endpoint refuses the key, the model or a request.
        EndpointError: it gave no usable reply to some prompt, however often it was asked.
    """
    endpoint = Endpoint(url, key, model_name, timeout_seconds=timeout_seconds, retries=retries)
    chat = endpoint.chat if cache is None else Cache(endpoint, cache).chat
    asked = partial(
        _answer,
        chat=partial(chat, max_tokens=max_new_tokens, temperature=temperature, seed=seed),
        system=system,
    )
    return in_parallel(asked, prompts, concurrency)


def sql_of_reply(reply: str) -> str:
    """The SQL that a chat model's reply answers with; the module says how it is found."""
    block = _SQL_BLOCK.search(reply)
    return (block[1] if block else reply).strip()


def _answer(prompt: str, chat: Chat, system: str | None) -> Completion:
    opening = [] if system is None else [{"role": "system", "content": system}]
    reply = chat([*opening, {"role": "user", "content": prompt}])
    return Completion(sql_of_reply(reply.text), reply.finish_reason == "length")
