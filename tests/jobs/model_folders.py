"""A model of one small layer in Hugging Face format."""

from pathlib import Path

from tinysql.models.architecture import build_model
from tinysql.models.config import ArchitectureConfig
from tinysql.models.files import save_model
from tinysql.models.tokenizer import train_tokenizer


def write_model(folder: Path) -> Path:
    """The folder, with the model in it."""
    tokenizer = train_tokenizer([" SELECT price FROM products"], vocab_size=300)
    shape = ArchitectureConfig(num_layers=1, d_model=16, num_heads=2, d_mlp=16)
    model = build_model(
        shape, vocab_size=len(tokenizer), end_token=tokenizer.eos_token_id, seed=0
    )
    save_model(model, tokenizer, folder)
    return folder
