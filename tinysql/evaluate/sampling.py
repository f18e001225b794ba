"""Several answers to each prompt, drawn from the model, and what is computed from several answers.

A draw depends on nothing but (seed, number of the prompt, number of the sample, position): it is
the inverse of the cumulative distribution at a uniform number hashed from these. So an answer is
the same in whatever order, batch or shard its prompt comes, up to rounding: a logit that changes in
its last digits moves the ends of an interval of the distribution as little, and changes the token
only where the number falls between.

The distribution is softmax(logits / temperature) in float32, restricted to the nucleus: the fewest
most likely tokens that have at least `top_p` of the probability (Holtzman et al., "The Curious Case
of Neural Text Degeneration", ICLR 2020, section 3.1).

Names of dimensions: batch, vocab.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tinysql.data.draws import Draws
from tinysql.evaluate.decode import Completion, completions, decode, end_ids, prompt_tokens


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    num_samples: int,
    temperature: float,
    top_p: float,
    seed: int,
    max_new_tokens: int,
    batch_size: int = 64,
    numbers: Sequence[int] | None = None,
) -> list[list[Completion]]:
    """`num_samples` answers to each prompt, in the order given.

    Args:
        model, tokenizer, max_new_tokens: as of `tinysql.evaluate.decode.greedy`.
        temperature: above 0; 1 is the model's own distribution.
        top_p: share of the probability that may be drawn, in (0, 1]; 1 restricts nothing.
        batch_size: answers written at a time; affects speed and memory only.
        numbers: what the draws of each prompt depend on, such as the row's number in the whole
            dataset, at least 0; None means its place in `prompts`.

    Raises:
        InputError: a prompt is empty, or does not fit into the model's context with its answer.
    """
    if num_samples < 1 or not temperature > 0 or not 0 < top_p <= 1:
        raise ValueError(
            f"num_samples {num_samples}, temperature {temperature}, top_p {top_p}: expected at "
            "least 1, above 0, and above 0 up to 1"
        )
    chosen = range(len(prompts)) if numbers is None else numbers
    if len(chosen) != len(prompts):
        raise ValueError(f"{len(chosen)} numbers of {len(prompts)} prompts: expected one for each")
    draws = Draws(seed, np.array(chosen, dtype=np.uint64))

    def choose(logits: Tensor, answers: Sequence[int], position: int) -> Tensor:
        prompt, number = np.divmod(np.array(answers), num_samples)
        uniform = draws.at(f"token {position}", prompt, number)
        distribution = nucleus(tempered(logits, temperature), top_p)
        return draw(distribution, torch.from_numpy(uniform).to(logits.device))

    answers = decode(
        model,
        prompt_tokens(tokenizer, prompts),
        [prompt for prompt in range(len(prompts)) for _ in range(num_samples)],
        choose,
        ends=end_ids(model, tokenizer),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    written = completions(model, tokenizer, answers)
    return [written[i : i + num_samples] for i in range(0, len(written), num_samples)]


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature), (batch, vocab) float32."""
    logits = logits.float()
    # The largest becomes 0 and stays so, however low the temperature.
    return ((logits - logits.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """The probabilities (batch, vocab), with 0 outside the nucleus; of equals the first stay."""
    if top_p == 1:
        return probabilities
    ordered, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    ordered = ordered.double()
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return probabilities.masked_fill(torch.zeros_like(outside).scatter(-1, ids, outside), 0.0)


def draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """The id that each number of [0, 1) stands for, (batch,) int64; weights are (batch, vocab).

    The ids share [0, 1) in proportion to their weights, in order; weight 0 is never drawn.
    """
    # In order of id, since in order of weight a rounding could swap two long intervals.
    cumulative = weights.double().cumsum(dim=-1)
    # Below the total: a float64 below 1 times x is below x, also when rounded.
    point = uniform.double()[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0]


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of n answers, drawn without replacement, have one of the c right ones.

    An unbiased estimate of the chance that k new answers have a right one: 1 - C(n-c, k) / C(n, k),
    as a product (Chen et al., "Evaluating Large Language Models Trained on Code", 2021, eq. 1).
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {c} right in {n} answers: expected 0 <= c <= n, 1 <= k <= n")
    if k > n - c:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def majority(results: Sequence[Hashable | None]) -> int | None:
    """The index of the first member of the largest group of equal results; None if there is none.

    A vote of answers by what they return when run (Shi et al., "Natural Language to Code
    Translation with Execution", EMNLP 2022, with equality as the loss). None is a result of an
    answer that did not run, which has no vote. Of equally large groups the earliest wins.
    """
    counts = Counter(result for result in results if result is not None)
    if not counts:
        return None
    # Counter keeps the order of first members, and max the first of equals.
    return results.index(max(counts, key=counts.__getitem__))
