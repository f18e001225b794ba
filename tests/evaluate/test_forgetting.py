"""The forgetting matrix: every cell counted, every change tested, the control held to account."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.evaluate.test_breakdown import verdict_row
from tests.report.test_page import Outline
from tinysql.errors import InputError
from tinysql.evaluate.forgetting import ForgettingConfig, Matrix, Trained, forgetting_matrix
from tinysql.evaluate.matrix_page import render_matrix_page, write_matrix_page
from tinysql.evaluate.stats import discordant, holm, mcnemar, wilson

STAGES = ("one", "two", "three")
CONFIG = ForgettingConfig(stages=STAGES, control="together")
TRAINED = {
    "one": Trained(10, 1000), "two": Trained(20, 2100), "three": Trained(30, 3300),
    "together": Trained(30, 3290),
}  # fmt: skip


def model_rows(right: Mapping[int, int], per_set: int = 40) -> list[dict[str, Any]]:
    """The first so many of each command set are right."""
    return [
        verdict_row(
            command_set * 1000 + number,
            "strict" if number < right[command_set] else "wrong",
            command_set=command_set,
            hardness="easy",
        )
        for command_set in right
        for number in range(per_set)
    ]


ROWS = {
    "one": model_rows({1: 38, 2: 2, 3: 0}),
    "two": model_rows({1: 10, 2: 36, 3: 1}),
    "three": model_rows({1: 30, 2: 36, 3: 33}),
    "together": model_rows({1: 39, 2: 38, 3: 32}),
}


def matrix_of(config: ForgettingConfig = CONFIG, **changes: Any) -> Matrix:
    return forgetting_matrix({**ROWS, **changes}, TRAINED, config)


def test_matrix_has_every_model_on_every_bucket() -> None:
    matrix = matrix_of()
    assert matrix.buckets == ("all", "1", "2", "3")
    assert [(line.model, [cell.k for cell in line.cells]) for line in matrix.lines] == [
        ("one", [40, 38, 2, 0]), ("two", [47, 10, 36, 1]), ("three", [99, 30, 36, 33]),
        ("together", [109, 39, 38, 32]),
    ]  # fmt: skip
    for line in matrix.lines:
        for cell in line.cells:
            assert cell.n == (120 if cell.bucket == "all" else 40)
            assert (cell.low, cell.high) == wilson(cell.k, cell.n)


def test_changes_are_tested_on_the_same_items_and_adjusted_over_buckets() -> None:
    matrix = matrix_of()
    pairs = [("one", "two"), ("two", "three"), ("together", "three")]
    assert [(change.before, change.after) for change in matrix.changes] == pairs
    for (before, after), change in zip(pairs, matrix.changes, strict=True):
        found = change.comparison.buckets
        assert [each.bucket for each in found] == ["1", "2", "3"]
        for each in found:
            b, c = (
                [row["strict"] for row in ROWS[name] if str(row["command_set"]) == each.bucket]
                for name in (before, after)
            )
            assert each.p == mcnemar(*discordant(b, c))
        assert [each.p_adjusted for each in found] == holm([each.p for each in found])


def test_forgetting_is_told_in_words() -> None:
    words = matrix_of().in_words()
    assert words[1:4] == [
        "two beside one, command set 1: one is better: 0.25 against 0.95, p < 0.001",
        "two beside one, command set 2: two is better: 0.90 against 0.05, p < 0.001",
        "two beside one, command set 3: not distinguishable: 0.03 against 0.00, p = 1.000",
    ]
    assert sum(line.startswith("three beside together") for line in words) == 4


def test_one_bucket_has_no_tests_but_that_of_all_items() -> None:
    matrix = matrix_of(CONFIG.model_copy(update={"by": "hardness"}))
    assert matrix.buckets == ("all", "easy")
    assert all(not change.comparison.buckets for change in matrix.changes)
    assert [[found is None for found in line] for line in matrix.contrasts] == [[False, True]] * 3
    assert "easy" in render_matrix_page(matrix, title="hardness")


@given(
    st.lists(
        st.tuples(
            st.tuples(st.booleans(), st.booleans(), st.booleans()), st.sampled_from([None, 1, 2])
        ),
        min_size=1,
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_cells_add_up_and_the_order_of_rows_says_nothing(
    drawn: list[tuple[tuple[bool, ...], int | None]], random: Any
) -> None:
    rows = {
        name: [
            verdict_row(number, "strict" if right[place] else "wrong", command_set=command_set)
            for number, (right, command_set) in enumerate(drawn)
        ]
        for place, name in enumerate(STAGES)
    }
    config = ForgettingConfig(stages=STAGES)
    matrix = forgetting_matrix(rows, TRAINED, config)
    for line in matrix.lines:
        whole, *parts = line.cells
        assert (whole.k, whole.n) == tuple(
            sum(getattr(cell, field) for cell in parts) for field in ("k", "n")
        )
    for change in matrix.changes:
        differences = change.comparison.overall
        assert differences.only_tuned - differences.only_base == differences.tuned.k - (
            differences.base.k
        )
    shuffled = {name: random.sample(each, len(each)) for name, each in rows.items()}
    assert forgetting_matrix(shuffled, TRAINED, config) == matrix


def test_tier_decides_what_is_right() -> None:
    rows = [{**row, "equivalent": True} for row in ROWS["two"]]
    matrix = matrix_of(CONFIG.model_copy(update={"tier": "equivalent"}), two=rows)
    assert [cell.k for cell in matrix.lines[1].cells] == [120, 40, 40, 40]


@pytest.mark.parametrize("tokens", [3300 * 0.98, 3300 * 1.02, 0])
def test_control_with_other_tokens_is_refused(tokens: float) -> None:
    trained = {**TRAINED, "together": Trained(30, int(tokens))}
    with pytest.raises(InputError, match="'together' was trained on .* expected within 1%") as told:
        forgetting_matrix(ROWS, trained, CONFIG)
    assert "\n" not in str(told.value)


def test_models_of_other_items_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="cannot be compared: 1 ids are of one model only") as told:
        matrix_of(two=ROWS["two"][1:])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stages": ["one"]}, "at least 2"),
        ({"stages": ["one", "one"]}, "'one' is there twice"),
        ({"stages": ["one", "two"], "control": "two"}, "'two' is there twice"),
        ({"stages": ["one", "two"], "by": "category"}, "'command_set' or 'hardness'"),
    ],
)
def test_mistakes_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ForgettingConfig.model_validate(config)


def test_json_holds_the_whole_matrix() -> None:
    found = json.loads(json.dumps(matrix_of().as_json()))
    assert found["lines"][1]["trained"] == {"steps": 20, "tokens": 2100}
    assert found["lines"][1]["cells"][1]["k"] == 10
    assert found["changes"][0]["comparison"]["buckets"][0]["only_base"] == 28


def test_page_shows_every_cell_and_change_and_calls_nothing(tmp_path: Path) -> None:
    write_matrix_page(tmp_path / "matrix.html", matrix_of(), title="<b>stages</b>")
    text = (tmp_path / "matrix.html").read_text(encoding="utf-8")
    page = Outline(text)
    assert "<b>stages</b>" in page.text
    assert "<b>stages" not in text
    assert page.addresses == ["data:,"]
    assert "script" not in page.tags
    for line in matrix_of().lines:
        for cell in line.cells:
            assert f"{cell.k}/{cell.n}" in page.text
    assert "one is better: 0.25 against 0.95, p < 0.001" in page.text
    assert page.tags.count("rect") > len(matrix_of().changes) * 4


def test_page_of_models_that_do_not_differ_can_be_drawn() -> None:
    same = dict.fromkeys(ROWS, ROWS["one"])
    matrix = forgetting_matrix(same, TRAINED, CONFIG)
    assert "not distinguishable" in Outline(render_matrix_page(matrix, title="same")).text
