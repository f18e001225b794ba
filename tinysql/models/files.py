"""Models as directories in Hugging Face format: safetensors only, never remote code."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tinysql.errors import InputError


class Loaded(NamedTuple):
    """A model and the tokenizer that belongs to it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast


def max_tokens(model: PreTrainedModel) -> int:
    """Longest sequence that the model can read; of a class without positions, any."""
    return getattr(model.config, "max_position_embeddings", None) or sys.maxsize


def load_model(folder: Path, *, device: str = "cpu") -> Loaded:
    """The model in float32 and evaluation mode, and its tokenizer.

    Raises InputError when the directory is not such a model, or lacks some of its weights.
    """
    try:
        # Typed loosely: with loading info, transformers returns a pair and does not declare it.
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # reported below, like missing weights
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(
            f"{folder} is not a causal language model with safetensors weights: {reason}"
        ) from error
    model, found = loaded
    # Transformers would go on with random numbers in their place.
    absent = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    if absent:
        raise InputError(
            f"{folder} has no weights that fit its config.json for {len(absent)} tensors, such as "
            f"{absent[0]}: get the model again"
        )
    tokenizer = load_tokenizer(folder)
    ids, rows = len(tokenizer), model.get_input_embeddings().num_embeddings
    if ids > rows:
        raise InputError(
            f"{folder}: its tokenizer has {ids} tokens and its model {rows}: one is not the other's"
        )
    return Loaded(model.to(device).eval(), tokenizer)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model directory, padded by its end token where it has no padding.

    Read from tokenizer.json itself: AutoTokenizer replaces the word splitting it finds there by
    the one its architecture came with. Raises InputError when there is none that can be read, or
    no end token.
    """
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder} has no tokenizer.json: only fast tokenizers can be used")
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"tokenizer.json of {folder} cannot be read: {reason}") from error
    if tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer of {folder} has no end-of-sequence token: set one")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write both in Hugging Face format; greedy decoding that stops at the end token is default.

    Raises RuntimeError: a weight is empty, as sharded ones are.
    """
    empty = [name for name, weight in model.named_parameters() if not weight.numel()]
    if empty:
        raise RuntimeError(f"the weights are not whole: {empty[0]} is empty")
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
