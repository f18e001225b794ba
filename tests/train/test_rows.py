"""Tokenized splits: every row in order, prompt and SQL told apart, misfits refused."""

import copy
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tinysql.data.files import split_files
from tinysql.errors import InputError
from tinysql.models.tokenizer import EOS, train_tokenizer
from tinysql.train.fit import Splits
from tinysql.train.rows import corpus, tokenize_split


def table_of(dataset: Path, split: str) -> list[dict[str, str]]:
    return pq.read_table(dataset / f"{split}-00000.parquet").to_pylist()


def test_tokenized_rows_decode_to_prompt_sql_and_end(
    dataset: Path, splits: Splits, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = splits.train
    table = table_of(dataset, "train")
    assert len(rows.lengths) == len(rows.prompt_lengths) == len(table) == 48
    for i, row in enumerate(table):
        ids = rows.ids[rows.starts[i] : rows.starts[i + 1]]
        prompt, answer = np.split(ids, [rows.prompt_lengths[i]])
        assert tokenizer.decode(prompt) == (
            f"### Instruction: {row['question']} ### Context: {row['schema_sql']} ### Response:"
        )
        assert tokenizer.decode(answer[:-1]) == f" {row['gold_sql']}"
        assert answer[-1] == tokenizer.eos_token_id


def test_rows_begin_as_the_tokenizer_begins_texts(
    dataset: Path, splits: Splits, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    begun = copy.deepcopy(tokenizer)
    mark = (EOS, begun.eos_token_id)
    begun.backend_tokenizer.post_processor = processors.TemplateProcessing(
        f"{EOS} $A", special_tokens=[mark]
    )
    rows = tokenize_split(dataset, "train", begun, max_tokens=512, cache=tmp_path / "tokens")
    bare = splits.train
    assert rows.ids[: rows.starts[1]].tolist() == [mark[1], *bare.ids[: bare.starts[1]]]
    assert (rows.lengths - bare.lengths).tolist() == [1] * len(bare.lengths)
    assert (rows.prompt_lengths - bare.prompt_lengths).tolist() == [1] * len(bare.lengths)


def test_tokenized_rows_of_several_files_follow_each_other(
    dataset: Path, splits: Splits, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    table = pq.read_table(dataset / "train-00000.parquet")
    pq.write_table(table[:20], tmp_path / "train-00000.parquet")
    pq.write_table(table[20:], tmp_path / "train-00001.parquet")
    rows = tokenize_split(
        tmp_path, "train", tokenizer, max_tokens=512, cache=tmp_path / "tokens"
    )
    for name in ("ids", "starts", "prompt_lengths"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(splits.train, name))


def test_corpus_is_the_training_rows_as_a_model_reads_them(dataset: Path) -> None:
    texts = list(corpus(dataset))
    assert len(texts) == 48
    assert texts[0].endswith(f" ### Response: {table_of(dataset, 'train')[0]['gold_sql']}")


def test_row_as_long_as_allowed_passes_and_a_longer_one_is_refused(
    dataset: Path, splits: Splits, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    longest = int(splits.train.lengths.max())
    tokenize_split(dataset, "train", tokenizer, max_tokens=longest, cache=tmp_path)
    with pytest.raises(InputError, match=f"{longest} tokens.*at most {longest - 1}"):
        tokenize_split(dataset, "train", tokenizer, max_tokens=longest - 1, cache=tmp_path)


def test_tokens_are_made_once_for_each_dataset_and_tokenizer(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    def tokenize(with_tokenizer: PreTrainedTokenizerFast) -> None:
        tokenize_split(dataset, "train", with_tokenizer, max_tokens=512, cache=tmp_path)

    tokenize(tokenizer)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/ids*")}
    tokenize(tokenizer)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/ids*")} == first
    tokenize(train_tokenizer(corpus(dataset), vocab_size=400))
    assert len(list(tmp_path.glob("*/ids*"))) == 2


def test_a_split_without_rows_is_refused(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    name = "train-00000.parquet"
    pq.write_table(pq.read_table(dataset / name)[:0], tmp_path / name)
    with pytest.raises(InputError, match="no train rows"):
        tokenize_split(tmp_path, "train", tokenizer, max_tokens=512, cache=tmp_path / "tokens")


def test_missing_split_is_refused(dataset: Path) -> None:
    with pytest.raises(InputError, match="'holdout'"):
        split_files(dataset, "holdout")
    with pytest.raises(InputError, match="no directory '.*nowhere'"):
        split_files(dataset / "nowhere", "train")
