"""Exact match of greedy decoding without decoding: every gold read in one forward pass per batch.

Greedy decoding writes the gold exactly if and only if at every position of the gold, given the
prompt and the gold's own tokens before it, the gold's next token is the most likely one, and an
end-of-sequence token is after its last (by induction over the positions). Causal attention gives
all these positions in one pass over prompt + gold.

What must match is tokens: those that the tokenizer makes of the gold by itself, as training does
(tinysql.train.rows), and then an end. A model that spells the gold in other tokens, such as a name
letter by letter, writes the same text and is no match here. So these matches are some of the rows
whose greedy text is the gold's, or all where the model keeps to the tokenizer's spelling.

Near ties: the pass and token-by-token decoding add numbers in different order, so their logits
differ by rounding. A row is decided by the pass when some position is against it by more than
`NEAR_TIE`, or all are for it by more than that. Any other row is decoded, by itself, so that no
other row has a say; in a tie within rounding, what `greedy` writes depends on its batch.

Names of dimensions: batch, pos, answer (positions of all rows that predict the gold or its end),
ends, vocab.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tinysql.evaluate.decode import (
    check_context,
    decode,
    end_ids,
    left_pad,
    most_likely,
    prompt_tokens,
    token_ids,
)

NEAR_TIE = 0.01
"""A difference of logits; rounding in float32 (TF32 off, as PyTorch has it) changes far less."""

_HEAD_POSITIONS = 1024
"""Positions whose logits are in memory at a time: 0.6 GB for a vocabulary of 150,000."""

_Row = tuple[list[int], list[int]]
"""The tokens of a prompt and of its gold, without an end."""


@torch.inference_mode()
def teacher_forced(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    golds: Sequence[str],
    *,
    batch_size: int = 64,
) -> list[bool]:
    """Whether greedy decoding after each prompt writes exactly its gold's tokens and ends.

    Args:
        model: in evaluation mode and float32.
        golds: the whole text to write after each prompt, with the blank that opens it
            (`tinysql.data.prompts.format_completion`).
        batch_size: rows per batch; affects speed and memory only.

    Raises:
        InputError: a prompt is empty, or does not fit into the model's context with its gold.
    """
    if model.dtype != torch.float32:
        raise ValueError(f"model in {model.dtype}: near ties are told in float32 only")
    read, gold_ids = prompt_tokens(tokenizer, prompts), token_ids(tokenizer, golds)
    check_context(model, read, [len(gold) + 1 for gold in gold_ids])
    ends = end_ids(model, tokenizer)
    rows = list(zip(read, gold_ids, strict=True))
    matches = [False] * len(rows)
    # Longest first, so that a batch too large for the memory fails at once and not at the end.
    by_length = sorted(range(len(rows)), key=lambda i: -sum(map(len, rows[i])))
    for start in range(0, len(rows), batch_size):
        batch = by_length[start : start + batch_size]
        for i, lead in zip(batch, _leads(model, [rows[i] for i in batch], ends), strict=True):
            # An end inside the gold ends the answer there.
            if ends.intersection(gold_ids[i]) or lead < -NEAR_TIE:
                continue
            matches[i] = lead > NEAR_TIE or _writes(model, *rows[i], ends)
    return matches


def _leads(model: PreTrainedModel, rows: Sequence[_Row], ends: frozenset[int]) -> list[float]:
    """Per row, by how much the wanted token's logit leads all others where it leads least."""
    padded = left_pad([prompt + gold for prompt, gold in rows], model.device)
    hidden = model.base_model(**padded._asdict(), use_cache=False).last_hidden_state
    # The last token of a prompt predicts the gold's first, and the gold's last the end.
    num_wanted = [len(gold) + 1 for _, gold in rows]
    from_end = torch.arange(hidden.shape[1], 0, -1, device=model.device)
    predicts = from_end <= torch.tensor(num_wanted, device=model.device)[:, None]  # (batch, pos)
    # A wanted end is any of them; a gold's token is repeated to be as many.
    any_end = list(ends)
    wanted = torch.tensor(
        [ids for _, gold in rows for ids in (*([token] * len(ends) for token in gold), any_end)],
        device=model.device,
    )  # (answer, ends)
    head = model.get_output_embeddings()
    leads = [
        _lead(head(states).float(), ids)
        for states, ids in zip(
            hidden[predicts].split(_HEAD_POSITIONS), wanted.split(_HEAD_POSITIONS), strict=True
        )
    ]
    return [float(each.min()) for each in torch.cat(leads).split(num_wanted)]


def _lead(logits: Tensor, wanted: Tensor) -> Tensor:
    """The best of the wanted logits less the best other, (answer,); overwrites (answer, vocab)."""
    best = logits.gather(1, wanted).amax(dim=1)
    return best - logits.scatter_(1, wanted, -torch.inf).amax(dim=1)


def _writes(
    model: PreTrainedModel, prompt: Sequence[int], gold: Sequence[int], ends: frozenset[int]
) -> bool:
    (answer,) = decode(
        model, [prompt], [0], most_likely, ends=ends, max_new_tokens=len(gold) + 1, batch_size=1
    )
    return answer[:-1] == list(gold) and answer[-1] in ends
