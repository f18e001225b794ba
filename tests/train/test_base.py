"""Models that are taken from elsewhere."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tinysql.errors import InputError
from tinysql.train.base import import_model
from tinysql.train.config import BaseConfig, identify_base

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_short_name_is_the_same_base_as_its_hub_id() -> None:
    named, by_id = (
        BaseConfig(source=source, revision=COMMIT)
        for source in ("bm2", "Qwen/Qwen2.5-0.5B-Instruct")
    )
    assert identify_base(named) == identify_base(by_id)
    assert named.source == by_id.source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("bm2", "`tinysql models pull Qwen/Qwen2.5-0.5B-Instruct` prints"),
        ("bm7", "source: got 'bm7', expected a name that `tinysql models ls` shows"),
        ("http://host/model", "source: got 'http://host/model'"),
    ],
)
def test_source_that_says_too_little_is_refused(source: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BaseConfig(source=source)
    assert expected in str(caught.value)


def test_hub_model_out_of_reach_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        import_model(tmp_path, config=BaseConfig(source="nobody/nothing", revision=COMMIT))
    assert f"unknown model 'nobody/nothing' at revision {COMMIT}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
