"""Small generated datasets, and three kinds of tokenizers trained on them."""

import json

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.mentions import with_mentions
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.models.tokenizer import train_tokenizer


def write_dataset(directory, config, splits=("train", "validation")):
    """Parquet files and card of some splits of a dataset; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for split in splits:
        rows = generate_rows(config, split, np.array(config.rows_of(split)))
        pq.write_table(rows, directory / f"{split}-00000.parquet")
    card = {"config": config.model_dump(mode="json")}
    (directory / "card.json").write_text(json.dumps(card))
    return directory


def small_config(**changes):
    """A dataset of few rows and words."""
    fields = {
        "train_rows": 120, "validation_rows": 120, "num_tables": 100, "num_columns": 300,
        "max_columns": 4,
    }  # fmt: skip
    return DatasetConfig.model_validate(fields | changes)


def read_rows(dataset, split="validation"):
    """The rows of a split with their mentions, by id."""
    rows = pq.read_table(dataset / f"{split}-00000.parquet").to_pylist()
    return {row["id"]: row for row in with_mentions(dataset, split, rows)}


def corpus(dataset) -> list[str]:
    """The training texts of a dataset."""
    rows = [row for file in dataset.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return [
        format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
        for row in rows
    ]


def word_tokenizer(texts):
    """Ours: every word is one token."""
    return train_tokenizer(texts, vocab_size=5000)


def trained_bpe(texts, tokenizer, alphabet, **model) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=2500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", **model)


def gpt2_tokenizer(texts):
    """As GPT-2's, with so few merges that many names are several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained_bpe(texts, tokenizer, pre_tokenizers.ByteLevel.alphabet())


def llama_tokenizer(texts):
    """As Llama 2's: a sign for the blank before a word, and a token that begins every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    # SentencePiece cuts between letters and signs, and every digit is a token.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trained = trained_bpe(texts, tokenizer, [], unk_token="<unk>")
    tokenizer.add_special_tokens(["<s>"])
    begin = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token=trained.eos_token, unk_token="<unk>"
    )


TOKENIZERS = {"word": word_tokenizer, "gpt2": gpt2_tokenizer, "llama": llama_tokenizer}
