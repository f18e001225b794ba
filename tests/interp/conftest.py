"""Tiny random models of every supported architecture, tokenizers and a small dataset."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tinysql.data.phrasing import SHAPES, direction_phrases, parse_shape, type_family
from tinysql.data.prompts import format_completion, format_prompt

torch.set_num_threads(1)

TABLES = ["orders", "order_items", "order_lines", "users", "products", "shops", "routes"]
COLUMNS = ["price", "name", "unit_price", "unit_cost", "color", "size", "weight", "unit"]
SYNONYMS = {"orders": "purchases", "users": "people", "price": "cost of it", "color": "hue"}
TYPES = ["INTEGER", "TEXT", "VARCHAR(20)", "DATE"]

ARCHITECTURES = ("gpt_neo", "llama", "qwen2")


def build_model(architecture: str, *, vocab_size: int = 101, num_layers: int = 3, seed: int = 0):
    """A random model whose weights are large enough for attention patterns to be far from flat."""
    torch.manual_seed(seed)
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    if architecture == "gpt_neo":
        model: PreTrainedModel = GPTNeoForCausalLM(
            GPTNeoConfig(
                vocab_size=vocab_size,
                hidden_size=32,
                num_layers=num_layers,
                num_heads=4,
                intermediate_size=64,
                attention_types=[[["global"], num_layers]],
                max_position_embeddings=256,
                **ids,
            )
        )
    else:
        config_class, model_class = {
            "llama": (LlamaConfig, LlamaForCausalLM),
            "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        }[architecture]
        model = model_class(
            config_class(
                vocab_size=vocab_size,
                hidden_size=32,
                num_hidden_layers=num_layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=64,
                max_position_embeddings=256,
                **ids,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)
    return model.eval()


@pytest.fixture(params=ARCHITECTURES, scope="session")
def model(request) -> PreTrainedModel:
    return build_model(request.param)


def build_row(number: int, *, ordered: bool, split: str) -> dict:
    """A row with the columns of a dataset, drawn from the word lists above."""
    rng = random.Random(number)
    table = rng.choice(TABLES)
    columns = rng.sample(COLUMNS, rng.randint(2, 5))
    types = [rng.choice(TYPES) for _ in columns]
    select = rng.sample(columns, rng.randint(1, len(columns)))
    order_by = rng.sample(columns, rng.randint(1, len(columns))) if ordered else []
    directions = [rng.choice(["ASC", "DESC"]) for _ in order_by]
    order_phrases = [
        rng.choice(direction_phrases(d, type_family(types[columns.index(c)])))
        for c, d in zip(order_by, directions, strict=True)
    ]
    table_phrase = SYNONYMS.get(table, table) if number % 5 == 0 else table
    select_phrases = [SYNONYMS.get(c, c) if number % 7 == 0 else c for c in select]
    template_id = rng.randrange(len(SHAPES))
    shape = parse_shape(SHAPES[template_id])
    listing = ", ".join(select_phrases[:-1]) + " and " * (len(select) > 1) + select_phrases[-1]
    items = [f"{c} {phrase}" for c, phrase in zip(order_by, order_phrases, strict=True)]
    order = ", sorted by " * ordered + ", then by ".join(items)
    first, second = (listing, table_phrase) if shape.columns_first else (table_phrase, listing)
    question = shape.before + first + shape.between + second + shape.tail + order + shape.end
    declared = ", ".join(f"{c} {t}" for c, t in zip(columns, types, strict=True))
    gold_sql = f"SELECT {', '.join(select)} FROM {table}"
    if ordered:
        keys = [f"{c} {d}" for c, d in zip(order_by, directions, strict=True)]
        gold_sql += f" ORDER BY {', '.join(keys)}"
    return {
        "id": number,
        "command_set": 2 if ordered else 1,
        "split": split,
        "question": question,
        "schema_sql": f"CREATE TABLE {table} ( {declared} )",
        "gold_sql": gold_sql,
        "table": table,
        "table_phrase": table_phrase,
        "columns": columns,
        "column_types": types,
        "select": select,
        "select_phrases": select_phrases,
        "order_by": order_by,
        "order_directions": directions,
        "order_phrases": order_phrases,
        "template_id": template_id,
    }


def write_dataset(directory, *, ordered: bool, rows: int = 120):
    """Parquet files of a dataset with train and validation splits; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for start, split in ((0, "train"), (rows, "validation")):
        records = [
            build_row(n, ordered=ordered, split=split) for n in range(start, start + rows)
        ]
        pq.write_table(pa.Table.from_pylist(records), directory / f"{split}-00000.parquet")
    return directory


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), ordered=True)


@pytest.fixture(scope="session")
def plain_dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("plain"), ordered=False)


def corpus(dataset) -> list[str]:
    """The training texts of a dataset."""
    rows = [row for file in dataset.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return [
        format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
        for row in rows
    ]


def word_tokenizer(texts) -> Tokenizer:
    """Every word with its leading blank is one token."""
    split = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+|\s+"), behavior="isolated")
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate(["<|endoftext|>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def bpe_tokenizer(texts) -> Tokenizer:
    """As GPT-2's, with so few merges that most names are several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


TOKENIZERS = {"word": word_tokenizer, "bpe": bpe_tokenizer}


def write_model(directory, dataset, *, architecture="gpt_neo", tokenizer="word", num_layers=2):
    """A random model with a tokenizer of the dataset's texts, in one directory."""
    backend = TOKENIZERS[tokenizer](corpus(dataset))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    wrapped.save_pretrained(directory)
    model = build_model(architecture, vocab_size=len(wrapped), num_layers=num_layers)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(params=["word", "bpe"], scope="session")
def tokenizer_dir(request, tmp_path_factory, dataset):
    return write_model(tmp_path_factory.mktemp(request.param), dataset, tokenizer=request.param)


@pytest.fixture(params=ARCHITECTURES, scope="session")
def model_dir(request, tmp_path_factory, dataset):
    return write_model(tmp_path_factory.mktemp("m"), dataset, architecture=request.param)
