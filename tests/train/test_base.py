"""Models that are taken from elsewhere."""

from pathlib import Path

import pytest

from tinysql.errors import InputError
from tinysql.train.base import import_model
from tinysql.train.config import BaseConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_hub_model_out_of_reach_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        import_model(tmp_path, config=BaseConfig(source="nobody/nothing", revision=COMMIT))
    assert f"unknown model 'nobody/nothing' at revision {COMMIT}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
