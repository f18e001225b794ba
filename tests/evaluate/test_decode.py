import random

import pytest
import torch
from small_models import WORDS, make_model, make_tokenizer
from tokenizers import processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.evaluate.decode import Completion, greedy

MAX_NEW_TOKENS = 12


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="module", params=["gpt_neo", "llama", "qwen2"])
def model(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return make_model(request.param, len(tokenizer))


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    rng = random.Random(0)
    return ["".join(f" {w}" for w in rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(24)]


@torch.inference_mode()
def recomputed(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str, stop_ids: set[int]
) -> Completion:
    """The definition: the whole sequence again for each token, no padding, no cache."""
    ids = tokenizer(prompt)["input_ids"]
    answer: list[int] = []
    while len(answer) < MAX_NEW_TOKENS and not stop_ids & set(answer):
        logits = model(torch.tensor([ids + answer]), use_cache=False).logits
        answer.append(int(logits[0, -1].argmax()))
    text = tokenizer.decode(answer, skip_special_tokens=True)
    return Completion(text.strip(), not stop_ids & set(answer))


def stop_early(model: PreTrainedModel, ids: list[int]) -> None:
    """Random models hardly ever write eos: let common tokens end an answer, too."""
    model.generation_config.eos_token_id = ids


def test_a_prompt_begins_as_the_tokenizer_begins_texts(prompts: list[str]) -> None:
    tokenizer = make_tokenizer()
    mark = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        f"{mark[0]} $A", special_tokens=[mark]
    )
    assert tokenizer(prompts[0])["input_ids"][0] == mark[1]
    model = make_model("llama", len(tokenizer))
    expected = [recomputed(model, tokenizer, prompt, {mark[1]}) for prompt in prompts]
    assert greedy(model, tokenizer, prompts, max_new_tokens=MAX_NEW_TOKENS) == expected
    bare = greedy(model, make_tokenizer(), prompts, max_new_tokens=MAX_NEW_TOKENS)
    assert bare != expected


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("num_stops", [1, 60])
def test_greedy_is_the_definition_at_any_batch_size(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    batch_size: int,
    num_stops: int,
) -> None:
    stops = list(range(0, len(tokenizer), len(tokenizer) // num_stops))
    stop_early(model, stops)
    expected = [recomputed(model, tokenizer, prompt, set(stops)) for prompt in prompts]
    found = greedy(model, tokenizer, prompts, max_new_tokens=MAX_NEW_TOKENS, batch_size=batch_size)
    assert found == expected
    if num_stops > 1:
        assert not all(each.truncated for each in expected)


def test_greedy_agrees_with_generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str]
) -> None:
    stop_early(model, list(range(0, len(tokenizer), 5)))
    tokenizer.padding_side = "left"
    encoded = tokenizer(prompts, return_tensors="pt", padding=True)
    ids = model.generate(**encoded, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, pad_token_id=0)[
        :, encoded["input_ids"].shape[1] :
    ]
    expected = [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    found = greedy(model, tokenizer, prompts, max_new_tokens=MAX_NEW_TOKENS, batch_size=7)
    assert [each.text for each in found] == expected


def test_greedy_without_prompts_is_empty(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert greedy(model, tokenizer, [], max_new_tokens=3) == []


@pytest.mark.parametrize(
    ("prompt", "words"), [("", "prompt 1 is empty"), (" price" * 120, "context of 128")]
)
def test_greedy_refuses_a_prompt_it_cannot_answer(
    tokenizer: PreTrainedTokenizerFast, prompt: str, words: str
) -> None:
    model = make_model("llama", len(tokenizer))
    with pytest.raises(InputError, match=words):
        greedy(model, tokenizer, [" price", prompt], max_new_tokens=20)
