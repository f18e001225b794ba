"""The gate: what lets a challenger pass, what holds it, and that a few items prove nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.test_breakdown import verdict_row
from tests.report.test_page import Outline
from tinysql.evaluate.gate import Check, GateConfig, as_json, judge, judge_speed, reasons
from tinysql.evaluate.gate_page import write_gate_page

CONFIG = GateConfig(floor=0.5, kinds=("command_set",))


def rows_of(right: dict[int, int], per_set: int = 500) -> list[dict[str, Any]]:
    """The first so many of each command set are right."""
    return [
        verdict_row(
            command_set * 10_000 + number,
            "strict" if number < right[command_set] else "wrong",
            command_set=command_set,
        )
        for command_set in right
        for number in range(per_set)
    ]


def passed(checks: Sequence[Check]) -> dict[tuple[str, str], bool | None]:
    return {(check.what, check.bucket): check.passed for check in checks}


CHAMPION = rows_of({1: 490, 2: 450})


def test_the_champion_itself_passes() -> None:
    checks = judge("frozen", CHAMPION, CHAMPION, CONFIG)
    assert passed(checks) == {
        ("floor", "all"): True, ("no worse", "all"): True,
        ("no worse", "command set 1"): True, ("no worse", "command set 2"): True,
    }  # fmt: skip
    assert reasons(checks) == []


def test_one_bad_bucket_holds_a_challenger_that_is_better_elsewhere() -> None:
    checks = judge("frozen", CHAMPION, rows_of({1: 440, 2: 500}), CONFIG)
    found = passed(checks)
    assert found["no worse", "all"] and found["no worse", "command set 2"]
    assert found["no worse", "command set 1"] is False
    (reason,) = reasons(checks)
    assert reason.startswith("frozen, command set 1: 88.0% (440/500) against 98.0% (490/500)")


def test_a_loss_within_the_margin_passes_and_one_beyond_does_not() -> None:
    wide = CONFIG.model_copy(update={"margin": 0.05, "bucket_margin": 0.2})
    slightly_worse = rows_of({1: 485, 2: 445})
    assert passed(judge("frozen", CHAMPION, slightly_worse, wide))["no worse", "all"] is True
    narrow = wide.model_copy(update={"margin": 0.01})
    assert passed(judge("frozen", CHAMPION, slightly_worse, narrow))["no worse", "all"] is False


def test_few_items_prove_nothing_and_stop_nobody() -> None:
    champion, challenger = rows_of({1: 20, 2: 0}, 20), rows_of({1: 10, 2: 0}, 20)
    checks = judge("fresh", champion, challenger, CONFIG)
    bucket = next(check for check in checks if check.bucket == "command set 1")
    assert bucket.passed is None
    assert "too few items to tell" in bucket.words
    assert not any("command set" in reason for reason in reasons(checks))
    # Over all items there is no such mercy: no worse has to be shown.
    assert passed(checks)["no worse", "all"] is False


def test_floor_holds_a_challenger_that_beats_its_champion() -> None:
    checks = judge("frozen", rows_of({1: 100, 2: 90}), rows_of({1: 200, 2: 190}), CONFIG)
    assert passed(checks)["no worse", "all"] is True
    assert reasons(checks) == ["frozen, all: 39.0% (390/1000), the floor is 50.0%"]


def test_other_items_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="one model only"):
        judge("frozen", CHAMPION, CHAMPION[1:], CONFIG)


@pytest.mark.parametrize(("seconds", "expected"), [(0.19, True), (0.21, False)])
def test_speed(seconds: float, expected: bool) -> None:
    (check,) = judge_speed("frozen", 0.1, seconds, CONFIG, comparable=True)
    assert check.passed is expected


def test_speed_by_other_code_stops_nobody() -> None:
    (check,) = judge_speed("frozen", 0.1, 9.9, CONFIG, comparable=False)
    assert check.passed is None
    assert "proves nothing" in check.words


def test_speed_may_be_left_out() -> None:
    config = CONFIG.model_copy(update={"max_slowdown": None})
    assert judge_speed("frozen", 0.1, 9.9, config, comparable=True) == []


def test_decision_follows_from_the_checks() -> None:
    good = as_json(judge("frozen", CHAMPION, CHAMPION, CONFIG))
    bad = as_json(judge("frozen", CHAMPION, rows_of({1: 0, 2: 0}), CONFIG))
    assert (good["passed"], good["reasons"]) == (True, [])
    assert not bad["passed"] and len(bad["reasons"]) == 4


def test_page_names_every_check_and_is_whole(tmp_path: Path) -> None:
    checks = judge("frozen", CHAMPION, rows_of({1: 440, 2: 500}), CONFIG)
    page = tmp_path / "gate.html"
    write_gate_page(page, checks, title="<gate>", models={"champion": "model/a", "challenger": "b"})
    text = page.read_text()
    outline = Outline(text)
    assert "<gate>: the challenger is held" in outline.text
    assert all(check.words in outline.text for check in checks)
    assert outline.addresses == ["data:,"]
