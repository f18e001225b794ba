"""Datasets of the Hugging Face Hub as local folders: data files only, never code.

The Hub client reads its own settings; nothing here does. Raises InputError where there is no such
dataset or no way to the Hub.
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from tinysql.data.interchange.config import DATA_SUFFIXES
from tinysql.errors import InputError


def newest_commit(name: str) -> str:
    """The 40-digit commit that the dataset's main branch stands at; its files are fetched, too."""
    # The client keeps every commit in a folder of that name.
    return fetch_dataset(name, "main").name


def fetch_dataset(name: str, revision: str) -> Path:
    """The folder of a local copy of the dataset's data files at a commit."""
    try:
        folder = snapshot_download(
            name,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[f"*{suffix}" for suffix in DATA_SUFFIXES],
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{name!r} is nothing on this machine, and no dataset of the Hub either: {reason}"
        ) from error
    return Path(folder)
