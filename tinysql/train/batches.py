"""The order of training rows, and batches of them, padded or packed.

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
_LOGITS = 2**25
"""Numbers in the logits of one batch that is only looked at: 128 MiB."""


class Batch(NamedTuple):
    """Sequences of one row or of several, padded on the right; weight 0 bears no loss."""

    input_ids: torch.Tensor  # (sequences, width) int64
    targets: torch.Tensor  # (sequences, width) int64, the token to predict next
    weights: torch.Tensor  # (sequences, width) float32, 1 on SQL, `prompt_weight` on the prompt
    positions: torch.Tensor | None  # (sequences, width) int64, from 0 in each row; None: one row


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
    rows: TokenizedRows,
    numbers: NDArray[np.int64],
    *,
    prompt_weight: float,
    device: str,
    pack_tokens: int | None = None,
    prompt_share: float = 1.0,
    seed: tuple[int, ...] = (),
) -> Batch:
    """The rows with these numbers, each padded to the longest of them, or packed.

    Args:
        pack_tokens: width of the sequences that hold several rows each; None for a row each.
        prompt_share: of the prompt tokens, drawn for each row by `seed` and its number, that have a
            loss, and as much more of it: the expected loss is the same, in any layout.
    """
    lengths = rows.lengths[numbers]
    sequences, offsets = np.arange(len(numbers)), np.zeros(len(numbers), np.int64)
    if pack_tokens is not None:
        sequences, offsets = _packed(lengths, max(pack_tokens, int(lengths.max())))
    shape = int(sequences.max()) + 1, int((offsets + lengths).max())
    input_ids, targets, positions = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    weights = np.zeros(shape, dtype=np.float32)
    for number, sequence, start, length in zip(numbers, sequences, offsets, lengths, strict=True):
        tokens = rows.ids[rows.starts[number] : rows.starts[number + 1]]
        # The last position of the prompt predicts the first token of the SQL.
        first_of_sql, stop = start + rows.prompt_lengths[number] - 1, start + length
        input_ids[sequence, start:stop] = tokens
        targets[sequence, start : stop - 1] = tokens[1:]
        kept = _drawn(first_of_sql - start, prompt_share, (*seed, int(number)))
        weights[sequence, start:first_of_sql] = prompt_weight * kept
        weights[sequence, first_of_sql : stop - 1] = 1.0
        positions[sequence, start:stop] = np.arange(length)
    arrays = (input_ids, targets, weights, positions)
    ids, wanted, shares, places = (torch.from_numpy(array).to(device) for array in arrays)
    return Batch(ids, wanted, shares, places if pack_tokens is not None else None)


def _drawn(length: int, share: float, seed: tuple[int, ...]) -> NDArray[np.float64] | float:
    """For each of so many tokens 0, or 1 / share where it is drawn."""
    if share == 1:
        return 1.0
    return (np.random.default_rng(seed).random(length) < share) / share


def _packed(
    lengths: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row its sequence and its start there: longest first, each where it first fits."""
    used: list[int] = []
    places = np.zeros((2, len(lengths)), np.int64)
    for row in np.argsort(-lengths, kind="stable"):
        length = int(lengths[row])
        fits = (number for number, taken in enumerate(used) if taken + length <= width)
        sequence = next(fits, len(used))
        if sequence == len(used):
            used.append(0)
        places[:, row] = sequence, used[sequence]
        used[sequence] += length
    return places[0], places[1]


def in_sql(
    rows: TokenizedRows, numbers: NDArray[np.int64], width: int, *, device: str | torch.device
) -> torch.Tensor:
    """Which positions of a padded batch predict SQL or what is behind it, bool (rows, width)."""
    first_of_sql = torch.from_numpy(rows.prompt_lengths[numbers] - 1).to(device)
    return torch.arange(width, device=device) >= first_of_sql[:, None]


def whole_batches(
    numbers: NDArray[np.int64],
    tokens: NDArray[np.int64],
    vocab_size: int,
    *,
    most_rows: int | None = None,
) -> list[NDArray[np.int64]]:
    """The rows with these numbers, longest first, in batches.

    A batch has fewer where logits would take more than 128 MiB.

    Args:
        tokens: of each of these rows, how many have logits.
        most_rows: of a batch; None: a hundred.
    """
    at_once = min(most_rows or 100, max(1, _LOGITS // (int(tokens.max()) * vocab_size)))
    by_length = numbers[np.argsort(-tokens, kind="stable")]
    return np.split(by_length, range(at_once, len(by_length), at_once))


def total_weight(
    rows: TokenizedRows, numbers: NDArray[np.int64], *, prompt_weight: float
) -> float:
    """Sum of the weights of such a batch."""
    on_prompt = (rows.prompt_lengths[numbers] - 1).sum()
    on_sql = (rows.lengths[numbers] - rows.prompt_lengths[numbers]).sum()
    return float(on_sql + prompt_weight * on_prompt)
