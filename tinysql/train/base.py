"""Base models: pre-trained from scratch on the dataset itself, or taken from elsewhere.

From scratch, the loss is on whole sequences with the SQL weighing most: predicting the schema from
the question teaches the model to copy names, and most of a prompt cannot be predicted at all.
"""

import itertools
import shutil
from pathlib import Path
from typing import Any

from tinysql.models.architecture import build_model
from tinysql.models.files import Loaded, load_model
from tinysql.models.hub import fetch_model
from tinysql.models.tokenizer import train_tokenizer
from tinysql.train.config import MODEL_FILES, BaseConfig, local_files
from tinysql.train.finetune import train_and_save
from tinysql.train.rows import corpus
from tinysql.train.worker import Worker


def pretrain(out_dir: Path, *, dataset: Path, config: BaseConfig, **worker: Any) -> dict[str, Any]:
    """Gang function: a tokenizer and a model trained on the dataset's whole sequences."""
    gang = Worker(**worker)
    texts = itertools.islice(corpus(dataset), config.tokenizer_rows)
    tokenizer = train_tokenizer(texts, vocab_size=config.vocab_size)
    model = build_model(
        config.architecture,
        vocab_size=len(tokenizer),
        end_token=tokenizer.eos_token_id,
        seed=config.training.seed,
    )
    return train_and_save(out_dir, Loaded(model, tokenizer), dataset, config.training, gang)


def import_model(out_dir: Path, *, config: BaseConfig) -> dict[str, Any]:
    """Copy the model of a Hub id or a local directory, and check that it loads.

    Raises InputError when there is no such model or it has no safetensors weights.
    """
    if config.is_from_hub:
        assert config.revision is not None
        folder = fetch_model(config.source, config.revision, MODEL_FILES)
    else:
        folder = Path(config.source).expanduser()
    for file in local_files(folder):
        shutil.copy(file, out_dir / file.name)
    model = load_model(out_dir).model
    return {"parameters": model.num_parameters()}
