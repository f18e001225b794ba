"""The text a causal language model writes after each prompt, token by token.

`greedy` takes the most likely token; `decode` takes what a function chooses, for one or several
answers to each prompt. Prompts of similar length share a batch, padded on the left with explicit
position ids (GPT-Neo and GPT-2 do not derive them from the mask), and each is read once, however
many answers of the batch continue it. A row that writes the end-of-sequence token leaves the batch
and its keys and values leave the cache, so a batch costs what its unfinished rows cost. Up to
rounding the batch size does not change the result.

Names of dimensions: batch, pos (prompt and answer so far), vocab.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tinysql.errors import InputError
from tinysql.models.files import max_tokens
from tinysql.models.tokenizer import leading_tokens

Choose = Callable[[Tensor, Sequence[int], int], Tensor]
"""choose(logits, answers, position): the next id of each row, (batch,) int64.

logits is (batch, vocab); answers has the number of the answer that each row writes; position is how
many tokens each of them has so far."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote for one prompt."""

    text: str
    """Without special tokens and surrounding blanks."""
    truncated: bool
    """The model did not end its answer within the allowed number of tokens."""


class Padded(NamedTuple):
    """Token rows that end together, all (batch, pos) int64."""

    input_ids: Tensor
    """Padding has id 0, which the mask hides."""
    attention_mask: Tensor
    position_ids: Tensor
    """Counted from each row's first token."""


def greedy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int = 64,
) -> list[Completion]:
    """The most likely continuation, token by token, of each prompt, in the order given.

    Args:
        model: in evaluation mode; decoding runs on its device and in its dtype.
        tokenizer: its end-of-sequence token ends an answer, as do those of the model's
            generation config.
        max_new_tokens: most tokens to write for a prompt, the end-of-sequence token included.
        batch_size: prompts per batch; affects speed and memory only.

    Raises:
        InputError: a prompt is empty, or does not fit into the model's context with its answer.
    """
    answers = decode(
        model,
        prompt_tokens(tokenizer, prompts),
        range(len(prompts)),
        most_likely,
        ends=end_ids(model, tokenizer),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    return completions(model, tokenizer, answers)


def most_likely(logits: Tensor, answers: Sequence[int], position: int) -> Tensor:  # noqa: ARG001
    """The choice of greedy decoding."""
    return logits.argmax(dim=-1)


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    sources: Sequence[int],
    choose: Choose,
    *,
    ends: frozenset[int],
    max_new_tokens: int,
    batch_size: int,
) -> list[list[int]]:
    """The token ids of each answer; the last one is of `ends` unless the answer was cut off.

    Args:
        sources: the number of the prompt that each answer continues.
        choose: chooses the tokens of the answers of a batch that have not ended.
        batch_size: answers per batch.

    Raises:
        InputError: a prompt is empty, or does not fit into the model's context with its answer.
    """
    check_context(model, prompt_ids, [max_new_tokens] * len(prompt_ids))
    answers: list[list[int]] = [[] for _ in sources]
    # Longest first, so that a batch too large for the memory fails at once and not at the end.
    by_length = sorted(range(len(sources)), key=lambda i: -len(prompt_ids[sources[i]]))
    for start in range(0, len(sources), batch_size):
        batch = by_length[start : start + batch_size]
        rows = _Rows(model, prompt_ids, [sources[i] for i in batch])
        for position in range(max_new_tokens):
            new_ids = choose(rows.next_logits(), batch, position)
            keep = []
            for index, (answer, new_id) in enumerate(zip(batch, new_ids.tolist(), strict=True)):
                answers[answer].append(new_id)
                if new_id not in ends:
                    keep.append(index)
            if not keep:
                break
            batch = [batch[index] for index in keep]
            rows.append(new_ids, keep)
    return answers


def completions(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Sequence[list[int]]
) -> list[Completion]:
    """The text of each answer of `decode`."""
    ends = end_ids(model, tokenizer)
    texts = [cast(str, tokenizer.decode(ids, skip_special_tokens=True)) for ids in answers]
    return [
        Completion(text.strip(), ids[-1] not in ends)
        for text, ids in zip(texts, answers, strict=True)
    ]


def prompt_tokens(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> list[list[int]]:
    """The tokens that a model reads for each prompt, begun as its tokenizer begins texts."""
    begin = leading_tokens(tokenizer)
    return [[*begin, *ids] for ids in token_ids(tokenizer, prompts)]


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text by itself, none added."""
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that end an answer; some models declare more than the tokenizer's own."""
    declared = model.generation_config.eos_token_id if model.generation_config else None
    listed = declared if isinstance(declared, list) else [declared]
    ids = frozenset(i for i in (*listed, tokenizer.eos_token_id) if i is not None)
    if not ids:
        raise InputError("the tokenizer has no end-of-sequence token: set eos_token")
    return ids


def check_context(
    model: PreTrainedModel, prompt_ids: Sequence[Sequence[int]], num_new: Sequence[int]
) -> None:
    """Raise InputError unless the model can read each prompt and so many new tokens after it."""
    lengths = [len(ids) for ids in prompt_ids]
    if not lengths:
        return
    if min(lengths) == 0:
        raise InputError(f"prompt {lengths.index(0)} is empty: expected at least one token")
    window = max_tokens(model)
    length, new = max(zip(lengths, num_new, strict=True), key=sum)
    if length + new > window:
        raise InputError(
            f"a prompt of {length} tokens and {new} new ones exceed the model's "
            f"context of {window}: allow fewer new tokens or use a model with a longer context"
        )


def left_pad(rows: Sequence[Sequence[int]], device: torch.device) -> Padded:
    """The rows as tensors, padded on the left to the longest."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(each)) + list(each) for each in rows], device=device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=device)
    return Padded(ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0))


class _Rows:
    """The rows of a running batch: what the model has read, in its cache, and what it reads next.

    Row i continues prompt sources[i]; each prompt is read once and then stands in as many rows as
    continue it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompt_ids: Sequence[Sequence[int]],
        sources: Sequence[int],
    ) -> None:
        self._model = model
        self._cache: Any = None
        distinct = list(dict.fromkeys(sources))
        self._next = left_pad([prompt_ids[source] for source in distinct], model.device)
        row_of = {source: row for row, source in enumerate(distinct)}
        self._repeats = [row_of[source] for source in sources]

    def next_logits(self) -> Tensor:
        """(batch, vocab)"""
        reads_prompts = self._cache is None
        output = self._model(
            **self._next._asdict(), past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        self._cache = output.past_key_values
        logits = output.logits[:, -1]
        if not reads_prompts or len(self._repeats) == len(logits):
            return logits
        return self._select(self._repeats, logits)

    def append(self, new_ids: Tensor, keep: Sequence[int]) -> None:
        """Go on with these rows only, each with its new token."""
        if len(keep) < len(new_ids):
            new_ids = self._select(keep, new_ids)
        _, mask, positions = self._next
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        self._next = Padded(new_ids[:, None], mask, positions[:, -1:] + 1)

    def _select(self, rows: Sequence[int], values: Tensor) -> Tensor:
        """Keep these rows, some perhaps several times; returns the same selection of values."""
        index = torch.tensor(rows, device=values.device)
        self._cache.batch_select_indices(index)
        self._next = Padded(*(each[index] for each in self._next))
        return values[index]
