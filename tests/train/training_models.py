"""Small random models of the classes that the project trains, and a place in a gang of one."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GraniteMoeConfig,
    GraniteMoeForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
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


def qwen3() -> PreTrainedModel:
    """With norms on queries and keys, and heads of a width of their own."""
    config = Qwen3Config(**_SHAPE, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True)
    return Qwen3ForCausalLM(config)


def granite() -> PreTrainedModel:
    """A mixture of experts whose logits are divided behind the head, as in Granite 3.0."""
    config = GraniteMoeConfig(
        **_SHAPE, num_key_value_heads=2, tie_word_embeddings=True, num_local_experts=4,
        num_experts_per_tok=2, logits_scaling=6.0, residual_multiplier=0.5,
    )  # fmt: skip
    return GraniteMoeForCausalLM(config)


def gpt2() -> PreTrainedModel:
    """With matrices that lie the other way round."""
    config = GPT2Config(
        vocab_size=1000, n_embd=32, n_inner=48, n_head=4, n_layer=2, n_positions=128,
        eos_token_id=0, bos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


CLASSES: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt_neo": gpt_neo, "llama": llama, "qwen2": qwen2
}  # fmt: skip


ALL_CLASSES = {**CLASSES, "qwen3": qwen3, "granite": granite, "gpt2": gpt2}


def model_of(name: str) -> PreTrainedModel:
    """The same weights at every call."""
    set_seed(3)
    return ALL_CLASSES[name]()


@contextmanager
def forgotten(_: Record) -> Iterator[Path]:
    """A checkpoint that nobody keeps."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def kept_in(folder: Path) -> Callable[[Record], AbstractContextManager[Path]]:
    """Keeps the checkpoint of each step in a folder of its number, which all ranks fill."""

    @contextmanager
    def save(metrics: Record) -> Iterator[Path]:
        json.dumps(metrics, allow_nan=False)  # as Ray keeps it
        kept = folder / str(metrics["step"])
        kept.mkdir(parents=True, exist_ok=True)
        yield kept

    return save


def restored_from(checkpoint: Path) -> Path:
    """A copy of a checkpoint, for a training to go on from."""
    return Path(shutil.copytree(checkpoint, Path(mkdtemp(dir=checkpoint.parent)) / "restore"))


def worker_of(
    *,
    save: Callable[[Record], AbstractContextManager[Path]] = forgotten,
    restore: Path | None = None,
    rank: int = 0,
    world_size: int = 1,
    is_ending: Callable[[], bool] = lambda: False,
    cache: Path = Path(os.devnull),
) -> Worker:
    """A worker on a CPU that keeps nothing."""
    return Worker(rank, world_size, rank, "cpu", lambda _: None, save, is_ending, cache, restore)
