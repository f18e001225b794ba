"""A tiny dataset with its tokenizer, and a process group of one for the trainer."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist
from transformers import PreTrainedTokenizerFast

from tinysql.data.dataset import DatasetConfig, dataset_shards
from tinysql.data.generate import generate_shard
from tinysql.models.tokenizer import train_tokenizer
from tinysql.train.fit import Splits
from tinysql.train.rows import corpus, prompts_and_completions, tokenize_split

# So that the tests of this folder can share modules.
sys.path.append(str(Path(__file__).parent))

TINY = DatasetConfig(train_rows=48, validation_rows=10, test_rows=1, max_columns=3)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for shard in dataset_shards(TINY):
        generate_shard(folder, config=TINY, **shard._asdict())
    return folder


@pytest.fixture(scope="session")
def tokenizer(dataset: Path) -> PreTrainedTokenizerFast:
    ((prompts, completions),) = prompts_and_completions(dataset, "validation")
    return train_tokenizer([*corpus(dataset), *prompts, *completions], vocab_size=1000)


@pytest.fixture(scope="session")
def splits(
    dataset: Path, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Splits:
    cache = tmp_path_factory.mktemp("tokens")
    return Splits(
        *(
            tokenize_split(dataset, split, tokenizer, max_tokens=128, cache=cache)
            for split in ("train", "validation")
        )
    )


@pytest.fixture(scope="session")
def process_group() -> Iterator[None]:
    """A group of one. DeepSpeed remembers the first group of a process, so there is one for all."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def gang_of_one(process_group: None) -> Iterator[None]:  # noqa: ARG001 - starts the group
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS_ACCELERATOR", "cpu")
        patch.setenv("LOCAL_RANK", "0")
        patch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
        yield
