"""Draws that depend on seed, prompt, sample and position only, and what several answers give."""

import math
from collections.abc import Hashable
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from small_models import fit, make_model, make_tokenizer, random_texts
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TopPLogitsWarper

from tinysql.errors import InputError
from tinysql.evaluate.decode import Completion, decode, greedy, most_likely, token_ids
from tinysql.evaluate.sampling import draw, majority, nucleus, pass_at_k, sample, tempered

PROMPTS = random_texts(9, longest=20)
SETTINGS = {"num_samples": 3, "temperature": 0.8, "top_p": 0.9, "seed": 4, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="module", params=["gpt_neo", "llama"])
def model(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    model = make_model(request.param, len(tokenizer), spread=0.2)
    # Random models hardly ever write the end token: let common tokens end an answer, too.
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 5))
    return model


def test_samples_do_not_depend_on_batch_size_or_order(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    expected = sample(model, tokenizer, PROMPTS, **SETTINGS, batch_size=1)
    assert [len(answers) for answers in expected] == [3] * len(PROMPTS)
    assert len({answer for answers in expected for answer in answers}) > 15
    assert {answer.truncated for answers in expected for answer in answers} == {True, False}
    for batch_size in (3, 8, 64):
        found = sample(model, tokenizer, PROMPTS, **SETTINGS, batch_size=batch_size)
        assert found == expected
    backwards = sample(
        model,
        tokenizer,
        PROMPTS[::-1],
        **SETTINGS,
        batch_size=8,
        numbers=range(len(PROMPTS))[::-1],
    )
    assert backwards[::-1] == expected
    # A shard of the prompts, and fewer samples.
    part = {**SETTINGS, "num_samples": 2}
    shard = sample(model, tokenizer, PROMPTS[4:7], **part, numbers=[4, 5, 6])
    assert shard == [answers[:2] for answers in expected[4:7]]


def test_samples_depend_on_seed_prompt_number_and_sample(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = make_model("llama", len(tokenizer))
    settings = {**SETTINGS, "num_samples": 4, "temperature": 2.0, "top_p": 1.0}
    same = [PROMPTS[0]] * 4
    texts = [
        answer.text
        for seed in (1, 2)
        for answers in sample(model, tokenizer, same, **{**settings, "seed": seed})
        for answer in answers
    ]
    assert len(set(texts)) == 32


def test_samples_have_the_distribution_of_the_model(tokenizer: PreTrainedTokenizerFast) -> None:
    model = make_model("gpt_neo", len(tokenizer), spread=0.1)
    prompt, price, name = token_ids(tokenizer, [" select", " price", " name"])
    fit(model, [(prompt, price)] * 3 + [(prompt, name)], 80)
    (answers,) = sample(
        model,
        tokenizer,
        [" select"],
        num_samples=4000,
        temperature=1.0,
        top_p=1.0,
        seed=0,
        max_new_tokens=3,
        batch_size=4000,
    )
    with torch.inference_mode():
        first = model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
        after = model(torch.tensor([[*prompt, *price]])).logits[0, -1].softmax(-1)
    expected = float(first[price[0]] * after[0])
    share = sum(answer == Completion("price", False) for answer in answers) / 4000
    assert 0.5 < expected < 0.9
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


def test_low_temperature_and_small_nucleus_are_greedy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    expected = greedy(model, tokenizer, PROMPTS, max_new_tokens=8)
    for temperature, top_p in [(1e-30, 1.0), (1.0, 1e-6)]:
        settings = {**SETTINGS, "temperature": temperature, "top_p": top_p}
        found = sample(model, tokenizer, PROMPTS, **settings)
        assert found == [[answer] * 3 for answer in expected]


def test_a_prompt_is_read_once_for_the_answers_of_a_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    read = []
    hook = model.base_model.register_forward_hook(
        lambda _, __, output: read.append(tuple(output.last_hidden_state.shape[:2]))
    )
    prompt_ids = token_ids(tokenizer, [" price name", " by"])
    sources = [0, 1, 0, 1, 1]
    settings = {"ends": frozenset(), "max_new_tokens": 2, "batch_size": 5}
    answers = decode(model, prompt_ids, sources, most_likely, **settings)
    hook.remove()
    assert read == [(2, 2), (5, 1)]
    single = decode(model, prompt_ids, [0, 1], most_likely, **settings)
    assert answers == [single[source] for source in sources]


def test_nucleus_keeps_what_transformers_keeps() -> None:
    logits = torch.randn(200, 50, generator=torch.Generator().manual_seed(0)) * 3
    for top_p in (0.1, 0.5, 0.9, 0.99):
        kept = nucleus(logits.softmax(-1), top_p) > 0
        ids = torch.zeros(200, 1, dtype=torch.int64)
        assert torch.equal(kept, TopPLogitsWarper(top_p)(ids, logits).isfinite())


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.5, [2]), (0.51, [1, 2]), (0.75, [1, 2]), (0.76, [0, 1, 2])]
)
def test_nucleus_is_the_least_that_has_top_p_and_takes_the_first_of_equals(
    top_p: float, kept: list[int]
) -> None:
    weights = torch.tensor([[0.125, 0.25, 0.5, 0.125]])
    assert nucleus(weights, top_p).nonzero()[:, 1].tolist() == kept
    assert torch.equal(nucleus(weights, 1.0), weights)


def test_draw_inverts_the_cumulative_distribution() -> None:
    weights = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    largest = np.nextafter(1.0, 0.0)
    points = [0.0, 0.2499999, 0.25, 0.7499999, 0.75, largest]
    for total in (1.0, 0.3, 0.7, 3.0):
        rows = (weights * total).expand(len(points), -1)
        assert draw(rows, torch.tensor(points, dtype=torch.float64)).tolist() == [1, 1, 3, 3, 4, 4]


def test_temperature_is_that_of_softmax() -> None:
    logits = torch.tensor([[1.0, 3.0, -200.0]])
    expected = (logits / 0.7).softmax(-1)
    assert torch.allclose(tempered(logits, 0.7), expected)
    assert tempered(logits.bfloat16(), 1e-40).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    "wrong", [{"num_samples": 0}, {"temperature": 0.0}, {"temperature": math.nan}, {"top_p": 0.0},
              {"top_p": 1.1}, {"numbers": [1]}],
    ids=str,
)  # fmt: skip
def test_settings_without_meaning_are_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        sample(model, tokenizer, PROMPTS, **{**SETTINGS, **wrong})


def test_prompt_that_does_not_fit_is_refused_and_none_is_nothing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError, match="context of 128"):
        sample(model, tokenizer, [" price" * 125], **SETTINGS)
    assert sample(model, tokenizer, [], **SETTINGS) == []


def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer() -> None:
    for n in range(1, 8):
        for c in range(n + 1):
            right = [True] * c + [False] * (n - c)
            for k in range(1, n + 1):
                subsets = list(combinations(right, k))
                share = Fraction(sum(map(any, subsets)), len(subsets))
                assert pass_at_k(n, c, k) == pytest.approx(float(share), abs=1e-12)


def test_pass_at_k_stays_exact_for_many_answers() -> None:
    exact = 1 - Fraction(math.comb(9_000, 500), math.comb(10_000, 500))
    assert pass_at_k(10_000, 1_000, 500) == pytest.approx(float(exact), rel=1e-12)
    assert pass_at_k(200, 0, 200) == 0.0
    assert pass_at_k(200, 1, 200) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4), (0, 0, 1)])
def test_pass_at_k_of_impossible_counts_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} of {c} right in {n}"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("results", "winner"),
    [
        ([], None), ([None, None], None), ([None, "a"], 1), (["a", "b", "b"], 1),
        (["a", "b", "b", "a"], 0), ([None, "b", None, "a", None, "a"], 3), ([(), None, None], 0),
        ([frozenset({1}), ((1, None),), ((1, None),)], 1),
    ],
)  # fmt: skip
def test_majority_is_the_first_of_the_largest_group(
    results: list[Hashable | None], winner: int | None
) -> None:
    assert majority(results) == winner
