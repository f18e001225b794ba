"""Model directories: what is saved is what is loaded, and what is no model is refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tinysql.errors import InputError
from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.models.files import Loaded, load_model, load_tokenizer, save_model
from tinysql.models.tokenizer import train_tokenizer

SMALL = {"num_layers": 1, "d_model": 16, "num_heads": 2, "d_mlp": 16, "max_tokens": 32}


def made(model_type: str) -> Loaded:
    tokenizer = train_tokenizer([" SELECT price FROM products"], vocab_size=300)
    config = ArchitectureConfig(type=model_type, **SMALL)
    model = build_model(
        config, vocab_size=len(tokenizer), end_token=tokenizer.eos_token_id, seed=0
    )
    return Loaded(model, tokenizer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(*made("llama"), tmp_path)
    return tmp_path


def edit_json(path: Path, **changes: object) -> None:
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


@pytest.mark.parametrize("model_type", ["llama", "gpt_neo"])
def test_saved_model_loads_with_equal_weights_and_settings(
    model_type: str, tmp_path: Path
) -> None:
    model, tokenizer = made(model_type)
    save_model(model, tokenizer, tmp_path)
    loaded = load_model(tmp_path)
    assert not loaded.model.training
    weights, found = model.state_dict(), loaded.model.state_dict()
    assert weights.keys() == found.keys()
    assert all(torch.equal(weights[name], found[name]) for name in weights)
    assert loaded.model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not loaded.model.generation_config.do_sample
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert list(tmp_path.glob("*.bin")) == []


def test_saved_model_of_half_precision_loads_in_full(tmp_path: Path) -> None:
    model, tokenizer = made("llama")
    save_model(model.bfloat16(), tokenizer, tmp_path)
    assert load_model(tmp_path).model.dtype == torch.float32


def test_a_model_with_a_sharded_weight_is_not_saved(tmp_path: Path) -> None:
    model, tokenizer = made("llama")
    model.lm_head.weight.data = torch.empty(0)
    with pytest.raises(RuntimeError, match="not whole: .* is empty"):
        save_model(model, tokenizer, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_saving_the_same_model_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for each in folders:
        save_model(*made("gpt_neo"), each)
    one, two = ({p.name: p.read_bytes() for p in each.iterdir()} for each in folders)
    assert one == two


def no_directory(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def unknown_architecture(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="abacus")


def no_causal_model(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="t5")


def own_code(folder: Path) -> None:
    edit_json(
        folder / "config.json",
        model_type="abacus",
        auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    )
    (folder / "code.py").write_text("raise SystemExit('ran the code of a model')")


def pickled_weights_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def truncated_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def missing_weights(folder: Path) -> None:
    edit_json(folder / "config.json", num_hidden_layers=2, layer_types=None)


def weights_of_another_size(folder: Path) -> None:
    edit_json(folder / "config.json", hidden_size=32)


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def no_end_token(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", eos_token=None, pad_token=None)


def tokenizer_of_a_larger_model(folder: Path) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    train_tokenizer([words], vocab_size=900).save_pretrained(folder)


@pytest.mark.parametrize(
    "damage",
    [
        no_directory,
        no_config,
        broken_config,
        unknown_architecture,
        no_causal_model,
        own_code,
        pickled_weights_only,
        truncated_weights,
        missing_weights,
        weights_of_another_size,
        no_tokenizer,
        broken_tokenizer,
        no_end_token,
        tokenizer_of_a_larger_model,
    ],
)
def test_loading_a_damaged_model_is_refused_in_one_line(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder)
    with pytest.raises(InputError) as raised:
        load_model(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_tokenizer_without_padding_pads_by_its_end_token(folder: Path) -> None:
    edit_json(folder / "tokenizer_config.json", pad_token=None)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
