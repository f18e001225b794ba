"""Teacher-forced exact match against greedy decoding, item by item."""

import pytest
import torch
from small_models import KINDS, fit, make_model, make_tokenizer, random_texts
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.evaluate.decode import (
    Completion,
    completions,
    decode,
    end_ids,
    greedy,
    most_likely,
    token_ids,
)
from tinysql.evaluate.teacher import NEAR_TIE, teacher_forced


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def greedy_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    longest: int,
    batch_size: int = 4,
) -> list[list[int]]:
    return decode(
        model,
        token_ids(tokenizer, prompts),
        range(len(prompts)),
        most_likely,
        ends=end_ids(model, tokenizer),
        max_new_tokens=longest,
        batch_size=batch_size,
    )


def written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    golds: list[str],
    batch_size: int = 4,
) -> list[bool]:
    """The definition: the tokens that greedy decoding writes are the gold's and an end."""
    gold_ids = token_ids(tokenizer, golds)
    ends = end_ids(model, tokenizer)
    answers = greedy_ids(model, tokenizer, prompts, max(map(len, gold_ids)) + 1, batch_size)
    return [
        answer[:-1] == gold and answer[-1] in ends
        for answer, gold in zip(answers, gold_ids, strict=True)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_match_is_what_greedy_writes_with_random_weights(
    tokenizer: PreTrainedTokenizerFast, kind: str
) -> None:
    model = make_model(kind, len(tokenizer))
    # Random models hardly ever write the end token: let common tokens end an answer, too.
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 5))
    prompts = random_texts(40, longest=30)
    answers = greedy_ids(model, tokenizer, prompts, 12)
    own = [tokenizer.decode(answer[:-1]) for answer in answers]
    others = [text[:-1] if i % 2 else text + ";" for i, text in enumerate(own)]
    expected = written(model, tokenizer, prompts * 2, own + others)
    assert sum(expected) >= 5
    assert not all(expected)
    for batch_size in (1, 7, 64):
        assert expected == teacher_forced(
            model, tokenizer, prompts * 2, own + others, batch_size=batch_size
        )


@pytest.mark.parametrize("kind", KINDS)
def test_match_is_what_greedy_writes_while_a_model_learns(
    tokenizer: PreTrainedTokenizerFast, kind: str
) -> None:
    model = make_model(kind, len(tokenizer), spread=0.1)
    prompts, golds = random_texts(16, longest=20), random_texts(16, longest=8, seed=1)
    ids = list(zip(token_ids(tokenizer, prompts), token_ids(tokenizer, golds), strict=True))
    shares = []
    for _ in range(5):
        fit(model, ids[:10], 12)
        expected = written(model, tokenizer, prompts, golds)
        shares.append(sum(expected) / len(expected))
        texts = greedy(model, tokenizer, prompts, max_new_tokens=12)
        # The words of these golds are single tokens, and so no text has another spelling.
        assert expected == [
            Completion(gold.strip(), False) == text for gold, text in zip(golds, texts, strict=True)
        ]
        for batch_size in (1, 3, 16):
            found = teacher_forced(model, tokenizer, prompts, golds, batch_size=batch_size)
            assert found == expected
    assert shares[0] < 0.5 <= max(shares) < 1
    assert any(0 < share < 10 / 16 for share in shares)


def test_match_wants_the_tokens_of_the_gold_and_not_only_its_text(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = make_model("llama", len(tokenizer), spread=0.1)
    prompts, gold = [" name", " T1"], " price"
    bytewise = tokenizer.convert_tokens_to_ids(["Ġ", *"price"])
    whole = token_ids(tokenizer, [gold])[0]
    assert tokenizer.decode(bytewise) == tokenizer.decode(whole) == gold
    first, second = token_ids(tokenizer, prompts)
    fit(model, [(first, bytewise), (second, whole)], 60)
    answers = greedy_ids(model, tokenizer, prompts, 10)
    assert answers == [[*bytewise, 0], [*whole, 0]]
    assert [each.text for each in completions(model, tokenizer, answers)] == ["price", "price"]
    assert teacher_forced(model, tokenizer, prompts, [gold, gold]) == [False, True]


def test_near_ties_are_decided_by_decoding(tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model("llama", len(tokenizer), spread=0.1)
    price, name = (token_ids(tokenizer, [text])[0][0] for text in (" price", " name"))
    prompts = [
        text.replace(" price", " by").replace(" name", " order")
        for text in random_texts(12, longest=9)
    ]
    texts = [" select price", " select name"]
    answers = token_ids(tokenizer, texts[:1]) * 12
    fit(model, list(zip(token_ids(tokenizer, prompts), answers, strict=True)), 60)
    with torch.no_grad():
        model.lm_head.weight[name] = model.lm_head.weight[price]
        # What follows does not depend on which of both was written.
        model.model.embed_tokens.weight[name] = model.model.embed_tokens.weight[price]
    for shift in (0.0, 0.3 * NEAR_TIE, -0.3 * NEAR_TIE, 3 * NEAR_TIE, -3 * NEAR_TIE):
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
        model.lm_head.bias.data[name] = shift
        found = [
            teacher_forced(model, tokenizer, prompts, [text] * 12, batch_size=5) for text in texts
        ]
        # Which of equals is written may depend on the batch.
        for batch_size in (1, 12) if shift else (1,):
            assert found == [
                written(model, tokenizer, prompts, [text] * 12, batch_size) for text in texts
            ]
        assert [one != other for one, other in zip(*found, strict=True)] == [True] * 12


def test_rows_without_near_ties_take_one_pass_per_batch(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = make_model("qwen2", len(tokenizer), spread=0.1)
    prompts, golds = random_texts(10, longest=20), random_texts(10, longest=8, seed=1)
    ids = list(zip(token_ids(tokenizer, prompts), token_ids(tokenizer, golds), strict=True))
    fit(model, ids, 80)
    passes, logits = [], []
    model.base_model.register_forward_hook(lambda *_: passes.append(1))
    model.lm_head.register_forward_hook(lambda *call: logits.append(len(call[2])))
    assert all(teacher_forced(model, tokenizer, prompts, golds, batch_size=4))
    assert len(passes) == 3
    assert sum(logits) == sum(len(gold) + 1 for _, gold in ids)


def test_gold_with_an_end_inside_is_never_a_match(tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model("llama", len(tokenizer), spread=0.1)
    prompt, gold = token_ids(tokenizer, [" select", " price ; name"])
    fit(model, [(prompt, gold)], 60)
    assert teacher_forced(model, tokenizer, [" select"], [" price ; name"]) == [True]
    model.generation_config.eos_token_id = token_ids(tokenizer, [" ;"])[0]
    golds = [" price ; name", " price"]
    assert teacher_forced(model, tokenizer, [" select"] * 2, golds) == [False, True]
    assert written(model, tokenizer, [" select"] * 2, golds) == [False, True]


def test_nothing_asked_is_nothing_found(tokenizer: PreTrainedTokenizerFast) -> None:
    assert teacher_forced(make_model("llama", len(tokenizer)), tokenizer, [], []) == []


@pytest.mark.parametrize(
    ("prompt", "gold", "words"),
    [
        ("", " name", "prompt 1 is empty"),
        (" price" * 60, " name" * 68, "60 tokens and 69 new ones exceed the model's context"),
    ],
)
def test_rows_that_no_answer_can_match_are_refused(
    tokenizer: PreTrainedTokenizerFast, prompt: str, gold: str, words: str
) -> None:
    model = make_model("gpt_neo", len(tokenizer))
    with pytest.raises(InputError, match=words):
        teacher_forced(model, tokenizer, [" price", prompt], [" name", gold])
    teacher_forced(model, tokenizer, [" price" * 60], [" name" * 67])


def test_half_precision_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model("llama", len(tokenizer)).to(torch.bfloat16)
    with pytest.raises(ValueError, match=r"bfloat16: .* float32 only"):
        teacher_forced(model, tokenizer, [" price"], [" name"])
