"""Batches of training rows: who comes when, and what bears how much loss."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tinysql.train.batches import batch_order, make_batch, total_weight, whole_batches
from tinysql.train.rows import TokenizedRows

# Two rows: prompt [5, 6, 7] with SQL [8, 9], and prompt [5] with SQL [4].
ROWS = TokenizedRows(
    ids=np.array([5, 6, 7, 8, 9, 5, 4], dtype=np.int32),
    starts=np.array([0, 5, 7]),
    prompt_lengths=np.array([3, 1]),
)


def lengths_of(num_rows: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(30, 200, size=num_rows)


def first_batches(
    lengths: NDArray[np.int64], num_batches: int, *, seed: int = 0, start_step: int = 0
) -> list[list[int]]:
    order = batch_order(lengths, 8, seed=seed, start_step=start_step)
    return [numbers.tolist() for numbers in itertools.islice(order, num_batches)]


@pytest.mark.parametrize("num_rows", [8, 800, 803])
def test_epoch_has_every_row_once_but_for_an_incomplete_batch(num_rows: int) -> None:
    per_epoch = num_rows // 8
    batches = first_batches(lengths_of(num_rows), 3 * per_epoch)
    assert {len(batch) for batch in batches} == {8}
    epochs = [sum(batches[i * per_epoch : (i + 1) * per_epoch], []) for i in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == per_epoch * 8
        assert set(epoch) <= set(range(num_rows))
    assert num_rows < 800 or epochs[0] != epochs[1] != epochs[2]


def test_rows_left_out_of_an_epoch_change_with_it() -> None:
    epochs = [set(first_batches(lengths_of(15), 1, start_step=step)[0]) for step in range(10)]
    assert set.union(*epochs) == set(range(15))


@pytest.mark.parametrize("start_step", [0, 1, 99, 100, 101, 250])
def test_order_from_a_later_step_continues_the_order(start_step: int) -> None:
    lengths = lengths_of(805)
    everything = first_batches(lengths, 260)
    assert first_batches(lengths, 10, start_step=start_step) == everything[start_step:][:10]


def test_order_depends_on_the_seed() -> None:
    lengths = lengths_of(800)
    assert first_batches(lengths, 5, seed=1) != first_batches(lengths, 5)


def padding_share(lengths: NDArray[np.int64], batches: list[list[int]]) -> float:
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - sum(lengths[batch].sum() for batch in batches) / padded


def test_batches_of_like_lengths_pad_little_in_no_order_of_length() -> None:
    lengths = lengths_of(4000)
    batches = first_batches(lengths, 500)
    assert padding_share(lengths, batches) < 0.03
    assert padding_share(lengths, np.arange(4000).reshape(-1, 8).tolist()) > 0.3
    means = np.array([lengths[batch].mean() for batch in batches])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2


@pytest.mark.parametrize("prompt_weight", [0.0, 0.25])
def test_batch_shifts_targets_and_weighs_prompt_and_sql(prompt_weight: float) -> None:
    p = prompt_weight
    batch = make_batch(ROWS, np.array([1, 0]), prompt_weight=p, device="cpu")
    assert batch.input_ids.tolist() == [[5, 4, 0, 0, 0], [5, 6, 7, 8, 9]]
    # Whatever follows the last target bears no weight.
    assert batch.targets[0, :1].tolist() == [4]
    assert batch.targets[1, :4].tolist() == [6, 7, 8, 9]
    assert batch.weights.tolist() == [[1, 0, 0, 0, 0], [p, p, 1, 1, 0]]
    assert batch.input_ids.dtype == batch.targets.dtype == torch.int64


@pytest.mark.parametrize("prompt_weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("numbers", [[0], [1], [0, 1], [1, 1, 0]])
def test_total_weight_is_the_sum_of_the_weights(
    prompt_weight: float, numbers: list[int]
) -> None:
    rows = np.array(numbers)
    batch = make_batch(ROWS, rows, prompt_weight=prompt_weight, device="cpu")
    total = total_weight(ROWS, rows, prompt_weight=prompt_weight)
    assert total == batch.weights.sum().item()


def test_fewer_prompt_tokens_weigh_as_much_together_and_the_sql_as_before() -> None:
    rows = TokenizedRows(np.arange(4000, dtype=np.int32), np.array([0, 4000]), np.array([3500]))
    batch, fewer = (
        make_batch(rows, np.array([0]), prompt_weight=0.2, device="cpu", prompt_share=share).weights
        for share in (1.0, 0.25)
    )
    on_prompt = torch.isclose(batch, torch.tensor(0.2))
    assert sorted({round(each, 3) for each in fewer[on_prompt].tolist()}) == [0.0, 0.8]
    assert fewer[on_prompt].sum().item() == pytest.approx(0.2 * 3499, rel=0.1)
    assert torch.equal(fewer[~on_prompt], batch[~on_prompt])


@pytest.mark.parametrize(("most_rows", "expected"), [(None, [100, 50]), (60, [60, 60, 30])])
def test_whole_batches_have_every_row_once_and_no_more_than_asked(
    most_rows: int | None, expected: list[int]
) -> None:
    numbers = np.arange(150)
    batches = whole_batches(numbers, lengths_of(150), 10, most_rows=most_rows)
    assert [len(batch) for batch in batches] == expected
    assert sorted(np.concatenate(batches).tolist()) == numbers.tolist()


def test_a_row_has_the_same_prompt_tokens_drawn_alone_among_others_and_packed() -> None:
    ends = np.arange(0, 401, 40)
    rows = TokenizedRows(np.arange(400, dtype=np.int32), ends, np.full(10, 30))

    def drawn(*numbers: int, seed: int = 0, pack_tokens: int | None = None) -> set[int]:
        """The tokens with a loss."""
        batch = make_batch(
            rows, np.array(numbers), prompt_weight=0.5, device="cpu", pack_tokens=pack_tokens,
            prompt_share=0.5, seed=(0, seed),
        )  # fmt: skip
        return set(batch.input_ids[batch.weights > 0].tolist())

    assert drawn(3) | drawn(7) == drawn(7, 3) == drawn(3, 7, pack_tokens=100)
    assert drawn(3) != drawn(3, seed=1)
    assert {token - 40 for token in drawn(4)} != drawn(3)
