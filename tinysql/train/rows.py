"""Rows of a dataset split as texts and as token ids, which are kept in files and mapped from there.

Tokenizing takes as long as hundreds of steps, so it is done once per machine, dataset and
tokenizer; the ranks there, and their later starts, share the files. Nothing of the tokens is in
memory but what batches touch.
"""

import hashlib
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow.parquet as pq
from filelock import FileLock
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from tinysql.data.files import split_files
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.errors import InputError
from tinysql.models.tokenizer import leading_tokens

_TEXT_COLUMNS = ["question", "schema_sql", "gold_sql"]
_TOKENIZE_ROWS = 4096
_IDS, _LENGTHS = "ids.int32", "lengths.npy"
_LAYOUT = 2
"""Of these files; another number makes them anew."""


@dataclass(frozen=True)
class TokenizedRows:
    """Rows as one run of token ids: row i is ids[starts[i]:starts[i + 1]]."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    prompt_lengths: NDArray[np.int64]

    @cached_property
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
    dataset: Path,
    split: str,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_tokens: int,
    cache: Path,
) -> TokenizedRows:
    """The rows of a split as token ids, begun as the tokenizer begins texts, ended by its end.

    Args:
        cache: a folder of this machine, where the ids are looked for and left.

    Raises InputError when a row is longer than `max_tokens`, or there is none.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{split}-{_digest(dataset, split, tokenizer)}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            for debris in cache.glob(f"{folder.name}-*"):  # of a process that was killed
                shutil.rmtree(debris)
            made = Path(mkdtemp(dir=cache, prefix=f"{folder.name}-"))
            _write_tokens(made, dataset, split, tokenizer)
            made.rename(folder)
    lengths, prompt_lengths = np.load(folder / _LENGTHS)
    if not len(lengths):
        raise InputError(f"the dataset has no {split} rows: generate some")
    if lengths.max() > max_tokens:
        raise InputError(
            f"{split} row {lengths.argmax()} has {lengths.max()} tokens, the model reads at most "
            f"{max_tokens}: use fewer columns, leave such rows out, or take a model with a longer "
            "context"
        )
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return TokenizedRows(np.memmap(folder / _IDS, np.int32, "r"), starts, prompt_lengths)


def _digest(dataset: Path, split: str, tokenizer: PreTrainedTokenizerFast) -> str:
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    texts = format_prompt("question", "schema") + format_completion("sql")
    digest.update(f"{_LAYOUT} {tokenizer.eos_token_id} {texts}".encode())
    for path in split_files(dataset, split):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]


def _write_tokens(
    folder: Path, dataset: Path, split: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    begin, end = leading_tokens(tokenizer), [tokenizer.eos_token_id]
    lengths: list[int] = []
    prompt_lengths: list[int] = []
    try:
        with (folder / _IDS).open("wb") as file:
            for texts in prompts_and_completions(dataset, split):
                prompts, completions = (
                    tokenizer(part, add_special_tokens=False)["input_ids"] for part in texts
                )
                rows = [[*begin, *p, *c, *end] for p, c in zip(prompts, completions, strict=True)]
                np.fromiter(itertools.chain.from_iterable(rows), np.int32).tofile(file)
                lengths.extend(map(len, rows))
                prompt_lengths.extend(len(begin) + len(prompt) for prompt in prompts)
        np.save(folder / _LENGTHS, np.array([lengths, prompt_lengths], np.int64))
    except BaseException:
        shutil.rmtree(folder)
        raise
