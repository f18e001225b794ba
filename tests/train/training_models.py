"""Small random models of the classes that the project trains, and a place in a gang of one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from transformers import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    set_seed,
)

from tinysql.train.worker import Record, Worker

_SHAPE = {
    "vocab_size": 1000, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
    "num_hidden_layers": 2, "max_position_embeddings": 128, "bos_token_id": None,
    "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


def gpt_neo() -> PreTrainedModel:
    """With a local layer, as in TinyStories, whose window is shorter than a row."""
    config = GPTNeoConfig(
        **_SHAPE, num_heads=4, num_layers=2, attention_types=[[["global", "local"], 1]],
        window_size=16, resid_dropout=0.0, embed_dropout=0.0, attention_dropout=0.0,
    )  # fmt: skip
    return GPTNeoForCausalLM(config)


def llama() -> PreTrainedModel:
    """With fewer keys than queries and tied embeddings, as in Llama 3.2."""
    return LlamaForCausalLM(LlamaConfig(**_SHAPE, num_key_value_heads=2, tie_word_embeddings=True))


def qwen2() -> PreTrainedModel:
    """The same for Qwen 2.5, which has biases on queries, keys and values."""
    return Qwen2ForCausalLM(Qwen2Config(**_SHAPE, num_key_value_heads=2, tie_word_embeddings=True))


CLASSES: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_neo": gpt_neo, "llama": llama, "qwen2": qwen2
}  # fmt: skip


def model_of(name: str) -> PreTrainedModel:
    """The same weights at every call."""
    set_seed(3)
    return CLASSES[name]()


def worker_of(
    *,
    save: Callable[[Path, Record], None] = lambda folder, _: shutil.rmtree(folder),
    restore: Path | None = None,
    rank: int = 0,
    world_size: int = 1,
    is_ending: Callable[[], bool] = lambda: False,
    cache: Path = Path(os.devnull),
) -> Worker:
    """A worker on a CPU that keeps nothing."""
    return Worker(rank, world_size, rank, "cpu", lambda _: None, save, is_ending, cache, restore)
