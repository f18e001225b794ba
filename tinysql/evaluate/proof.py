"""What an evaluation proves of itself before it counts anything.

The scorer: each gold is right as a prediction, and constant answers are wrong wherever a gold says
something. The decoder: the model at hand writes the same after a prompt alone and in any batch, so
that a planted accuracy is found however the rows are batched.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tinysql.evaluate.decode import decode, end_ids, left_pad, most_likely, prompt_tokens
from tinysql.evaluate.teacher import NEAR_TIE

_PROMPTS = 4
_BATCH_SIZES = (2, _PROMPTS)


def prove_decoding(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
) -> None:
    """Decode the first few prompts alone and in batches.

    Raises RuntimeError: an answer depends on its batch by more than a tie within rounding.
    """
    ids = prompt_tokens(tokenizer, prompts[:_PROMPTS])

    def answers(batch_size: int) -> list[list[int]]:
        return decode(
            model, ids, range(len(ids)), most_likely, ends=end_ids(model, tokenizer),
            max_new_tokens=max_new_tokens, batch_size=batch_size,
        )  # fmt: skip

    alone = answers(1)
    for batch_size in _BATCH_SIZES:
        for prompt, one, other in zip(ids, alone, answers(batch_size), strict=True):
            if one != other and not _has_near_tie(model, prompt, one):
                raise RuntimeError(
                    f"the model's answer depends on its batch: {tokenizer.decode(one)!r} alone, "
                    f"{tokenizer.decode(other)!r} in a batch of {batch_size}"
                )


@torch.inference_mode()
def _has_near_tie(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> bool:
    """Whether somewhere in the answer the two most likely tokens differ by rounding."""
    logits = model(**left_pad([prompt + answer], model.device)._asdict()).logits[0]
    best = logits[len(prompt) - 1 : -1].float().topk(2).values
    return bool((best[:, 0] - best[:, 1]).min() < NEAR_TIE)
