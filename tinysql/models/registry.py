"""Short names of models on the Hugging Face Hub: base models, and the TinySQL checkpoints.

A checkpoint's name says base model, command set, and "-syn" where the questions call tables and
columns by synonyms (withmartian/TinySQL: TinySQL/load_data). A name stands for a repository only:
which of its commits is meant is for whoever uses it to say.
"""

import re
from typing import NamedTuple


class KnownModel(NamedTuple):
    """A model that has a short name."""

    name: str
    hub_id: str
    about: str


_BASE_MODELS = (
    KnownModel(
        "bm1", "roneneldan/TinyStories-Instruct-2Layers-33M",
        "TinyStories, GPT-Neo of 2 layers, 33M parameters",
    ),
    KnownModel(
        "bm2", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen 2.5, 24 layers, 0.5B parameters",
    ),
    KnownModel(
        "bm3", "meta-llama/Llama-3.2-1B-Instruct",
        "Llama 3.2, 16 layers, 1B parameters; wants its license accepted",
    ),
    KnownModel("gpt2", "openai-community/gpt2", "GPT-2, 12 layers, 124M parameters"),
    KnownModel(
        "smollm2-135m", "HuggingFaceTB/SmolLM2-135M", "SmolLM2, 30 layers, 135M parameters",
    ),
    KnownModel(
        "smollm2-360m", "HuggingFaceTB/SmolLM2-360M", "SmolLM2, 32 layers, 360M parameters",
    ),
    KnownModel(
        "granite-3.0-1b", "ibm-granite/granite-3.0-1b-a400m-instruct",
        "Granite 3.0, a mixture of experts, 1B parameters of which 400M are active",
    ),
)  # fmt: skip
_EXPERIMENTS = {
    "bm1-cs1": "cs1_experiment_1.8",
    "bm1-cs2": "cs2_experiment_2.8",
    "bm1-cs3": "cs3_experiment_3.8",
    "bm1-cs1-syn": "cs1_experiment_1.10",
    "bm1-cs2-syn": "cs2_experiment_2.10",
    "bm1-cs3-syn": "cs3_experiment_3.10",
    "bm1-cs4-syn": "cs4_dataset_synonyms_experiment_1.1",
    "bm1-cs5-syn": "cs5_dataset_synonyms_experiment_1.2",
    "bm2-cs1": "cs1_experiment_4.2",
    "bm2-cs2": "cs2_experiment_5.2",
    "bm2-cs3": "cs3_experiment_6.2",
    "bm2-cs1-syn": "cs1_experiment_4.3",
    "bm2-cs2-syn": "cs2_experiment_5.3",
    "bm2-cs3-syn": "cs3_experiment_6.3",
    "bm3-cs1": "cs1_experiment_7.2",
    "bm3-cs2": "cs2_experiment_8.2",
    "bm3-cs3": "cs3_experiment_9.2",
    "bm3-cs1-syn": "cs1_experiment_7.3",
    "bm3-cs2-syn": "cs2_experiment_8.3",
    "bm3-cs3-syn": "cs3_experiment_9.3",
}
"""Of the checkpoints, the part of their Hub ids that no rule gives."""


def _checkpoint(name: str, experiment: str) -> KnownModel:
    base, command_set, *synonyms = name.split("-")
    about = f"{base} trained on command set {command_set.removeprefix('cs')}"
    return KnownModel(
        name,
        f"withmartian/sql_interp_{base}_{experiment}",
        f"{about} with synonyms" if synonyms else about,
    )


KNOWN_MODELS = (*_BASE_MODELS, *(_checkpoint(*item) for item in _EXPERIMENTS.items()))
"""Every model that has a short name."""

_HUB_IDS = {known.name: known.hub_id for known in KNOWN_MODELS}


def hub_id(name: str) -> str:
    """The Hub id that a short name stands for; anything else as it is."""
    return _HUB_IDS.get(name, name)


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a Hub id: namespace/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text) is not None
