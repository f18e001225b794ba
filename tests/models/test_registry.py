"""Short names: one Hub model each, and nothing else is taken for one."""

import pytest

from tinysql.models.registry import KNOWN_MODELS, hub_id, is_hub_id


def test_names_and_hub_ids_are_all_different() -> None:
    assert len({known.name for known in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert len({known.hub_id for known in KNOWN_MODELS}) == len(KNOWN_MODELS)
    assert all(is_hub_id(known.hub_id) for known in KNOWN_MODELS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bm1", "roneneldan/TinyStories-Instruct-2Layers-33M"),
        ("bm1-cs1-syn", "withmartian/sql_interp_bm1_cs1_experiment_1.10"),
        ("bm1-cs3", "withmartian/sql_interp_bm1_cs3_experiment_3.8"),
        ("bm1-cs5-syn", "withmartian/sql_interp_bm1_cs5_dataset_synonyms_experiment_1.2"),
        ("bm3-cs2-syn", "withmartian/sql_interp_bm3_cs2_experiment_8.3"),
        ("some/model", "some/model"),
        ("./bm1", "./bm1"),
        ("scratch", "scratch"),
    ],
)
def test_name_stands_for_its_hub_id(name: str, expected: str) -> None:
    assert hub_id(name) == expected


@pytest.mark.parametrize(
    "text", ["", "gpt2", "./model", "/a/b", "~/model", "../model", "a/b/c", "s3://a/b", "a/b\n"]
)
def test_what_is_no_hub_id(text: str) -> None:
    assert not is_hub_id(text)
