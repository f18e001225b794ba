"""Small string columns: gather from a word list, and turn padded index tables into lists."""

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray


def pick(strings: list[str], index: NDArray[np.int64]) -> pa.Array:
    """strings[index] as an Arrow string array, shape (len(index),)."""
    return pa.array(strings, pa.string()).take(pa.array(index))


def join_lists(flat: pa.Array, counts: ArrayLike) -> pa.ListArray:
    """Lists whose lengths are `counts`, filled from `flat` in order."""
    offsets = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def flat_lists(
    strings: list[str], index: NDArray[np.int64], counts: NDArray[np.int64]
) -> pa.ListArray:
    """Per row the first `counts` words of a padded index table, shape (rows, widest)."""
    used = np.arange(index.shape[1]) < counts[:, None]
    return join_lists(pick(strings, index[used]), counts)
