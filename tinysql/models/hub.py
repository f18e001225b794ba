"""Models of the Hugging Face Hub: which commit, and its files in a local folder.

Safetensors only and no code: what is fetched is chosen by file name. The Hub client reads its own
settings (address, token, cache); nothing here does. Raises InputError where there is no such model,
no way to the Hub, or nothing but pickles.
"""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tinysql.errors import InputError

_TIMEOUT_SECONDS = 15.0
# The client raises its own errors, those of its HTTP library, and of the system.
_HUB_ERRORS = (HTTPError, HFValidationError, OSError)


def find_commit(hub_id: str, revision: str | None = None) -> str:
    """The 40-digit commit of a branch, tag, pull request (refs/pr/1) or commit that has weights.

    revision: None means the newest one.
    """
    try:
        found = HfApi().model_info(hub_id, revision=revision, timeout=_TIMEOUT_SECONDS)
    except _HUB_ERRORS as error:
        raise _unknown(hub_id, revision, error) from error
    if found.sha is None:
        raise InputError(f"unknown model {hub_id!r}: the Hub names no commit of it")
    _check_weights(hub_id, found.sha, (file.rfilename for file in found.siblings or ()))
    return found.sha


def fetch_model(hub_id: str, commit: str, patterns: Iterable[str]) -> Path:
    """The folder of a local copy of those files of the model at a commit."""
    try:
        folder = Path(
            snapshot_download(hub_id, revision=commit, allow_patterns=list(patterns))
        )
    except _HUB_ERRORS as error:
        raise _unknown(hub_id, commit, error) from error
    _check_weights(hub_id, commit, (file.name for file in folder.glob("*")))
    return folder


def _check_weights(hub_id: str, commit: str, names: Iterable[str]) -> None:
    if not any(name.endswith(".safetensors") and "/" not in name for name in names):
        raise InputError(
            f"{hub_id} has no safetensors weights at {commit}, and nothing else is loaded: look "
            "for a revision that has some, such as a pull request that converts them (refs/pr/1)"
        )


def _unknown(hub_id: str, revision: str | None, error: Exception) -> InputError:
    where = f" at revision {revision}" if revision else ""
    return InputError(f"unknown model {hub_id!r}{where}: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, GatedRepoError):
        return "accept its license on the Hub and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hub has none of that name, or it is private and wants HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision"
    return str(error).strip().split("\n")[0] or type(error).__name__
