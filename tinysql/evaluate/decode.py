"""The text a causal language model writes after each prompt, by greedy decoding.

Prompts of similar length share a batch, padded on the left with explicit position ids (GPT-Neo and
GPT-2 do not derive them from the mask). A row that writes the end-of-sequence token leaves the
batch and its keys and values leave the cache, so a batch costs what its unfinished rows cost. Up to
rounding the batch size does not change the result.

Names of dimensions: batch, pos (prompt and answer so far), vocab.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tinysql.errors import InputError


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote for one prompt."""

    text: str
    """Without special tokens and surrounding blanks."""
    truncated: bool
    """The model did not end its answer within the allowed number of tokens."""


@torch.inference_mode()
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
    prompt_ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    _check_lengths(model, prompt_ids, max_new_tokens)
    stop_ids = _stop_ids(model, tokenizer)
    completions: dict[int, Completion] = {}
    # Longest first, so that a batch too large for the memory fails at once and not at the end.
    by_length = sorted(range(len(prompts)), key=lambda i: -len(prompt_ids[i]))
    for start in range(0, len(prompts), batch_size):
        batch = by_length[start : start + batch_size]
        answers = _decode_batch(model, [prompt_ids[i] for i in batch], stop_ids, max_new_tokens)
        for i, answer in zip(batch, answers, strict=True):
            text = tokenizer.decode(answer, skip_special_tokens=True)
            completions[i] = Completion(cast(str, text).strip(), answer[-1] not in stop_ids)
    return [completions[i] for i in range(len(prompts))]


def _check_lengths(
    model: PreTrainedModel, prompt_ids: Sequence[Sequence[int]], max_new_tokens: int
) -> None:
    lengths = [len(ids) for ids in prompt_ids]
    if lengths and min(lengths) == 0:
        raise InputError(f"prompt {lengths.index(0)} is empty: expected at least one token")
    window = getattr(model.config, "max_position_embeddings", None)
    if window is not None and lengths and max(lengths) + max_new_tokens > window:
        raise InputError(
            f"a prompt of {max(lengths)} tokens and {max_new_tokens} new ones exceed the model's "
            f"context of {window}: lower max_new_tokens or use a model with a longer context"
        )


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that end an answer; some models declare more than the tokenizer's own."""
    declared = model.generation_config.eos_token_id if model.generation_config else None
    listed = declared if isinstance(declared, list) else [declared]
    ids = frozenset(i for i in (*listed, tokenizer.eos_token_id) if i is not None)
    if not ids:
        raise InputError("the tokenizer has no end-of-sequence token: set eos_token")
    return ids


def _decode_batch(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    stop_ids: frozenset[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """The new token ids of each prompt, with the stop token when there is one."""
    answers: list[list[int]] = [[] for _ in prompt_ids]
    rows = list(range(len(prompt_ids)))
    input_ids, mask = _left_pad(prompt_ids, model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    cache = None
    for _ in range(max_new_tokens):
        output = model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        new_ids = output.logits[:, -1].argmax(dim=-1)  # (batch,)
        keep = []
        for index, (row, new_id) in enumerate(zip(rows, new_ids.tolist(), strict=True)):
            answers[row].append(new_id)
            if new_id not in stop_ids:
                keep.append(index)
        if not keep:
            break
        if len(keep) < len(rows):
            rows = [rows[index] for index in keep]
            kept = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(kept)
            new_ids, mask, positions = new_ids[kept], mask[kept], positions[kept]
        input_ids = new_ids[:, None]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        positions = positions[:, -1:] + 1
    return answers


def _left_pad(prompt_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask, (batch, pos) int64; padding has id 0, which the mask hides."""
    width = max(map(len, prompt_ids))
    ids = [[0] * (width - len(each)) + list(each) for each in prompt_ids]
    mask = [[0] * (width - len(each)) + [1] * len(each) for each in prompt_ids]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
