"""The decoder's proof passes for real models and finds one that looks at its batch."""

from typing import Any

import pytest
import torch
from small_models import KINDS, make_model, make_tokenizer, random_texts

from tinysql.evaluate.proof import prove_decoding

PROMPTS = random_texts(4, longest=20)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_is_proven(kind: str) -> None:
    tokenizer = make_tokenizer()
    prove_decoding(make_model(kind, len(tokenizer)), tokenizer, PROMPTS, max_new_tokens=8)


def test_a_model_that_depends_on_its_batch_is_found() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", len(tokenizer))

    def shift(_module: torch.nn.Module, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.roll(len(logits), dims=-1)

    model.get_output_embeddings().register_forward_hook(shift)
    with pytest.raises(RuntimeError, match="depends on its batch"):
        prove_decoding(model, tokenizer, PROMPTS, max_new_tokens=8)


def test_a_tie_may_fall_either_way() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", len(tokenizer))

    def tie(_module: torch.nn.Module, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        tied = torch.zeros_like(logits)
        tied[..., 5 + len(logits)] = 1e-6
        return tied

    model.get_output_embeddings().register_forward_hook(tie)
    prove_decoding(model, tokenizer, PROMPTS, max_new_tokens=8)
