"""Tokenized rows of a dataset split, flat in memory."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from tinysql.data.files import split_files
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.errors import InputError

_TEXT_COLUMNS = ["question", "schema_sql", "gold_sql"]
_TOKENIZE_ROWS = 4096


class TokenizedRows(NamedTuple):
    """Rows as one run of token ids: row i is ids[starts[i]:starts[i + 1]]."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row: prompt, completion and end of sequence."""
        return np.diff(self.starts)


def prompts_and_completions(dataset: Path, split: str) -> Iterator[tuple[list[str], list[str]]]:
    """Batches of (prompts, completions) of a split, in row order."""
    for file in split_files(dataset, split):
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_TOKENIZE_ROWS, columns=_TEXT_COLUMNS):
                question, schema, sql = (batch[name].to_pylist() for name in _TEXT_COLUMNS)
                prompts = [format_prompt(q, s) for q, s in zip(question, schema, strict=True)]
                yield prompts, [format_completion(text) for text in sql]


def corpus(dataset: Path) -> Iterator[str]:
    """Every training row as the text a model sees, without the end of sequence."""
    for prompts, completions in prompts_and_completions(dataset, "train"):
        yield from (p + c for p, c in zip(prompts, completions, strict=True))


def tokenize_split(
    dataset: Path, split: str, tokenizer: PreTrainedTokenizerBase, *, max_tokens: int
) -> TokenizedRows:
    """The rows of a split as token ids, each ended by the end-of-sequence token.

    Raises InputError when a row is longer than `max_tokens`.
    """
    end = [tokenizer.eos_token_id]
    ids: list[NDArray[np.int32]] = []  # of one batch of rows each: Python integers cost 9 times it
    lengths: list[int] = []
    prompt_lengths: list[int] = []
    for texts in prompts_and_completions(dataset, split):
        prompts, completions = (
            tokenizer(part, add_special_tokens=False)["input_ids"] for part in texts
        )
        rows = [[*p, *c, *end] for p, c in zip(prompts, completions, strict=True)]
        ids.append(np.fromiter(itertools.chain.from_iterable(rows), np.int32))
        lengths.extend(map(len, rows))
        prompt_lengths.extend(map(len, prompts))
    if max(lengths) > max_tokens:
        raise InputError(
            f"a {split} row has {max(lengths)} tokens, the model reads at most {max_tokens}: "
            "use fewer columns or a model with a longer context"
        )
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return TokenizedRows(np.concatenate(ids), starts, np.array(prompt_lengths))
