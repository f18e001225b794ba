"""The order of training rows, and padded batches of them.

Rows of like length share a batch, so little is padded: an epoch is shuffled, cut into pools of
many batches, each pool sorted by length and cut into batches, and the batches shuffled again. The
order is a pure function of (lengths, batch size, seed, step), so a resumed run sees the same rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tinysql.errors import InputError
from tinysql.train.rows import TokenizedRows

POOL_BATCHES = 50


class Batch(NamedTuple):
    """Right-padded rows; positions whose weight is 0 bear no loss."""

    input_ids: torch.Tensor  # (rows, width) int64
    targets: torch.Tensor  # (rows, width) int64, the token to predict next
    weights: torch.Tensor  # (rows, width) float32, 1 on SQL, `prompt_weight` on the prompt


def batch_order(
    lengths: NDArray[np.int64], batch_rows: int, *, seed: int, start_step: int
) -> Iterator[NDArray[np.int64]]:
    """Row numbers of the batches from `start_step` on, endlessly; each has `batch_rows` rows.

    Raises InputError when there are not enough rows for one batch.
    """
    per_epoch = len(lengths) // batch_rows
    if per_epoch == 0:
        raise InputError(
            f"batch_rows {batch_rows} is more than the {len(lengths)} training rows: lower it or "
            "generate more rows"
        )
    epoch, offset = divmod(start_step, per_epoch)
    while True:
        generator = np.random.default_rng((seed, epoch))
        yield from _epoch_batches(lengths, batch_rows, generator)[offset:]
        epoch, offset = epoch + 1, 0


def _epoch_batches(
    lengths: NDArray[np.int64], batch_rows: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    num_rows = len(lengths) // batch_rows * batch_rows
    order = generator.permutation(len(lengths))[:num_rows]
    pool_rows = POOL_BATCHES * batch_rows
    batches = []
    for start in range(0, num_rows, pool_rows):
        pool = order[start : start + pool_rows]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(np.split(pool, len(pool) // batch_rows))
    return [batches[i] for i in generator.permutation(len(batches))]


def make_batch(
    rows: TokenizedRows, numbers: NDArray[np.int64], *, prompt_weight: float, device: str
) -> Batch:
    """The rows with these numbers, padded to the longest of them."""
    width = int(rows.lengths[numbers].max())
    input_ids = np.zeros((len(numbers), width), dtype=np.int64)
    targets = np.zeros((len(numbers), width), dtype=np.int64)
    weights = np.zeros((len(numbers), width), dtype=np.float32)
    for i, number in enumerate(numbers):
        tokens = rows.ids[rows.starts[number] : rows.starts[number + 1]]
        # The last position of the prompt predicts the first token of the SQL.
        first_of_sql = rows.prompt_lengths[number] - 1
        input_ids[i, : len(tokens)] = tokens
        targets[i, : len(tokens) - 1] = tokens[1:]
        weights[i, :first_of_sql] = prompt_weight
        weights[i, first_of_sql : len(tokens) - 1] = 1.0
    return Batch(*(torch.from_numpy(array).to(device) for array in (input_ids, targets, weights)))


def total_weight(
    rows: TokenizedRows, numbers: NDArray[np.int64], *, prompt_weight: float
) -> float:
    """Sum of the weights of such a batch."""
    on_prompt = (rows.prompt_lengths[numbers] - 1).sum()
    on_sql = (rows.lengths[numbers] - rows.prompt_lengths[numbers]).sum()
    return float(on_sql + prompt_weight * on_prompt)
