"""Canonical JSON is one text per value, and refuses what has none."""

import json
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.identity import canonical_json, step_identity

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


class Color(StrEnum):
    RED = "red"


@given(VALUES)
def test_canonical_json_reads_back_to_the_same_text(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_canonical_json_ignores_key_order(value: dict[str, object]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_canonical_json_text_is_compact_sorted_and_not_escaped() -> None:
    value = {"b": [1, 1.0, 1e-7, True, None], "a": "\u00e9\n"}
    assert canonical_json(value) == '{"a":"\u00e9\\n","b":[1,1.0,1e-07,true,null]}'


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": float("nan")}, "value.a"),
        ([1, float("inf")], "value[1]"),
        ({"sites": [Path("x")]}, "value.sites[0]"),
        ({"a": {"b": {1, 2}}}, "value.a.b"),
        (b"x", "value"),
        ({"a": {1: 2}}, "value.a"),
        (object(), "value"),
        ({"color": Color.RED}, "value.color"),
        (["\ud800"], "value[0]"),
    ],
)
def test_canonical_json_of_anything_else_raises_naming_the_path(value: object, path: str) -> None:
    with pytest.raises(TypeError) as caught:
        canonical_json(value)
    assert str(caught.value).split(" ")[0] == path


def test_step_identity_error_names_the_config_path() -> None:
    with pytest.raises(TypeError, match=r"^config\.sites\[0\] is a "):
        step_identity("sae", 1, {"sites": [Path("a")]}, {})


def test_step_identity_depends_on_each_field_and_only_on_them() -> None:
    base = step_identity("model", 1, {"lr": 1.0, "seed": 3}, {"dataset": "d"})
    others = [
        step_identity("evaluation", 1, {"lr": 1.0, "seed": 3}, {"dataset": "d"}),
        step_identity("model", 2, {"lr": 1.0, "seed": 3}, {"dataset": "d"}),
        step_identity("model", 1, {"lr": 1, "seed": 3}, {"dataset": "d"}),
        step_identity("model", 1, {"lr": 1.0, "seed": 3}, {"dataset": "e"}),
        step_identity("model", 1, {"lr": 1.0, "seed": 3}, {"base": "d"}),
    ]
    assert len({base, *others}) == 6
    assert step_identity("model", 1, {"seed": 3, "lr": 1.0}, {"dataset": "d"}) == base


def test_step_identity_stays_what_released_versions_computed() -> None:
    # A change here orphans every committed artifact: raise a step's version instead.
    assert step_identity("dataset", 1, {"seed": 0}, {}) == (
        "808fba4c5d9f98a5660e5e9fab2b500a97e154d044916c3c1064f7b4e2cddc28"
    )
