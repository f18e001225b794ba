"""Real model classes, small enough to run and to fit in a test."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tinysql.models.tokenizer import train_tokenizer

KINDS = ["gpt_neo", "gpt2", "llama", "qwen2"]
WORDS = ["select", "from", "price", "name", "order", "by", "a_b", "T1", ",", ";"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Each of WORDS is one token; other text falls back to its bytes."""
    return train_tokenizer(["".join(f" {word}" for word in WORDS)], vocab_size=300)


def make_model(kind: str, vocab_size: int, *, spread: float = 0.4) -> PreTrainedModel:
    """Random weights with this standard deviation, a context of 128, ended by token 0."""
    shared = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "max_position_embeddings": 128,
        "eos_token_id": 0,
        "bos_token_id": None,
        "initializer_range": spread,
    }
    rotary = {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
    }
    torch.manual_seed(1)
    if kind == "gpt_neo":
        kinds = [[["global", "local"], 1]]
        config = GPTNeoConfig(
            **shared, num_layers=2, num_heads=4, attention_types=kinds, window_size=8
        )
        return GPTNeoForCausalLM(config).eval()
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(**shared, n_layer=2, n_head=4)).eval()
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**shared, **rotary)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**shared, **rotary)).eval()


def random_texts(num: int, *, longest: int, seed: int = 0) -> list[str]:
    """Words, each after a blank."""
    rng = random.Random(seed)
    return ["".join(f" {w}" for w in rng.choices(WORDS, k=rng.randint(1, longest)))
            for _ in range(num)]  # fmt: skip


def fit(model: PreTrainedModel, rows: list[tuple[list[int], list[int]]], steps: int) -> None:
    """Teach the model to write the second tokens of each row after the first, and then token 0."""
    texts = [[*prompt, *answer, 0] for prompt, answer in rows]
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    labels = torch.full_like(ids, -100)
    for label, (prompt, answer) in zip(labels, rows, strict=True):
        label[len(prompt) : len(prompt) + len(answer) + 1] = torch.tensor([*answer, 0])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()


def learnt_by_heart(prompts: Sequence[str], answers: Sequence[str], directory: Path) -> None:
    """Write a model that gives each prompt its answer, with a tokenizer of their words."""
    texts = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    tokenizer = train_tokenizer(texts, vocab_size=600)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=256, eos_token_id=0, bos_token_id=None,
        )
    )  # fmt: skip
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    rows = [
        (prompt, tokenizer(text)["input_ids"][len(prompt) :])
        for prompt, text in zip(ids, texts, strict=True)
    ]
    fit(model, rows, steps=120)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
