import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysql.evaluate.breakdown import (
    BREAKDOWNS,
    ITEM_KINDS,
    TIERS,
    VERDICTS,
    as_json,
    breakdown,
    compare_models,
    components,
    error_shares,
    totals,
)
from tinysql.evaluate.stats import holm, mcnemar, wilson


def verdict_row(row_id: int | str, verdict: str, **changes: Any) -> dict[str, Any]:
    """A verdict whose tier flags follow from its name."""
    rank = TIERS.index(verdict) if verdict in TIERS else len(TIERS)
    return {
        "id": row_id,
        "question": f"List the names of orders above {row_id}",
        "schema_sql": "CREATE TABLE orders (name TEXT, price INTEGER)",
        "gold_sql": f"SELECT name FROM orders WHERE price > {row_id}",
        "pred_sql": "SELECT name FROM orders",
        "verdict": verdict,
        **{tier: rank <= place for place, tier in enumerate(TIERS)},
        "precision": 0.5 if verdict == "subset" else None,
        "weak": False,
        "error_class": "filter" if rank == len(TIERS) else None,
        "error": None,
        "hardness": "easy",
        "command_set": 1,
        "category": None,
        "split": "test",
        "num_tables": 1,
        "num_selected": 1,
        "exact_match": verdict == "strict",
        "components": {},
        "databases": 4,
        "mutation_score": None,
    } | changes


def rows_of(verdicts: Sequence[str], **changes: Any) -> list[dict[str, Any]]:
    return [verdict_row(number, verdict, **changes) for number, verdict in enumerate(verdicts)]


VERDICT = st.sampled_from(VERDICTS)
BUCKET = st.sampled_from([None, 1, 2, 10])


@given(st.lists(st.tuples(VERDICT, BUCKET), max_size=40))
def test_breakdown_counts_every_tier_of_every_bucket(drawn: list[tuple[str, int | None]]) -> None:
    rows = [verdict_row(i, verdict, command_set=b) for i, (verdict, b) in enumerate(drawn)]
    found = {(cell.bucket, cell.tier): cell for cell in breakdown(rows, "command_set")}
    valid = [row for row in rows if row["verdict"] != "gold_invalid"]
    buckets = {"none" if row["command_set"] is None else str(row["command_set"]) for row in valid}
    assert found.keys() == {(bucket, tier) for bucket in buckets for tier in TIERS}
    for (bucket, tier), cell in found.items():
        value = None if bucket == "none" else int(bucket)
        group = [row for row in valid if row["command_set"] == value]
        right = [row for row in group if row[tier]]
        assert (cell.k, cell.n) == (len(right), len(group))
        assert cell.rate == cell.k / cell.n
        assert (cell.low, cell.high) == wilson(cell.k, cell.n)


@given(st.lists(VERDICT, max_size=30))
def test_tiers_are_nested_and_sum_up_over_any_breakdown(verdicts: list[str]) -> None:
    rows = rows_of(verdicts)
    whole = {cell.tier: cell for cell in totals(rows).cells}
    for by in BREAKDOWNS:
        cells = breakdown(rows, by)
        for tier in whole.keys() & set(TIERS):
            assert sum(cell.k for cell in cells if cell.tier == tier) == whole[tier].k
    if whole:
        assert whole["strict"].k <= whole["equivalent"].k <= whole["subset"].k


@pytest.mark.parametrize(
    ("by", "values", "order"),
    [
        ("hardness", ["extra", None, "easy", "hard", "medium"],
         ["easy", "medium", "hard", "extra", "none"]),
        ("num_tables", [10, 2, 1], ["1", "2", "10"]),
        ("category", ["where", None, "join", "9" * 5000], ["join", "where"]),
    ],
)  # fmt: skip
def test_buckets_come_in_their_natural_order(
    by: str, values: list[object], order: list[str]
) -> None:
    rows = [verdict_row(i, "strict", **{by: value}) for i, value in enumerate(values)]
    buckets = [cell.bucket for cell in breakdown(rows, by) if cell.tier == "strict"]
    assert [bucket for bucket in buckets if bucket in order] == order


def test_breakdown_refuses_an_unknown_field() -> None:
    with pytest.raises(ValueError, match="no breakdown by 'id'.*command_set"):
        breakdown([], "id")


def test_totals_keep_invalid_golds_and_weak_items_apart() -> None:
    rows = [
        verdict_row(0, "strict", weak=True, mutation_score=1.0),
        verdict_row(1, "wrong", weak=True),
        verdict_row(2, "subset", mutation_score=0.5),
        verdict_row(3, "gold_invalid", weak=True, mutation_score=0.0),
    ]
    found = totals(rows)
    assert (found.n, found.gold_invalid, found.weak, found.weak_strict) == (3, 1, 2, 1)
    assert found.mutation_score == 0.75
    assert [(cell.tier, cell.k) for cell in found.cells] == [
        ("strict", 1), ("equivalent", 1), ("subset", 2), ("exact_match", 1),
    ]  # fmt: skip
    assert [(cell.bucket, cell.k, cell.n) for cell in found.verdicts] == [
        ("strict", 1, 3), ("equivalent", 0, 3), ("subset", 1, 3), ("wrong", 1, 3), ("error", 0, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("verdicts", [[], ["gold_invalid"]])
def test_totals_of_nothing_have_no_rates(verdicts: list[str]) -> None:
    found = totals(rows_of(verdicts))
    assert (found.n, found.cells, found.verdicts, found.mutation_score) == (0, (), (), None)


def test_error_shares_are_of_all_scored_answers() -> None:
    rows = rows_of(["strict", "wrong", "wrong", "error", "gold_invalid"])
    rows[3]["error_class"] = "syntax"
    found = error_shares(rows, also=["timeout"])
    assert [(cell.bucket, cell.k, cell.n) for cell in found] == [
        ("filter", 2, 4), ("syntax", 1, 4), ("timeout", 0, 4),
    ]  # fmt: skip


def test_components_count_where_they_were_scored() -> None:
    scores = [
        {"select": {"f1": 1.0}, "where": {"f1": 0.5}},
        {"select": {"f1": 0.99}, "where": {"f1": None}},
        {},
    ]
    rows = [verdict_row(i, "wrong", components=each) for i, each in enumerate(scores)]
    assert [(cell.bucket, cell.k, cell.n) for cell in components(rows)] == [
        ("select", 1, 2), ("where", 0, 1),
    ]  # fmt: skip


def two_models(only_base: int, only_tuned: int, both: int, neither: int) -> tuple[Any, Any]:
    counts = {(1, 0): only_base, (0, 1): only_tuned, (1, 1): both, (0, 0): neither}
    pairs = [kind for kind, count in counts.items() for _ in range(count)]
    base, tuned = (
        rows_of(["strict" if pair[side] else "wrong" for pair in pairs]) for side in (0, 1)
    )
    return base, tuned


def test_comparison_says_which_model_is_better() -> None:
    base, tuned = two_models(3, 25, 68, 4)
    found = compare_models(base, tuned[::-1])
    overall = found.overall
    assert (overall.base.k, overall.tuned.k, overall.base.n) == (71, 93, 100)
    assert (overall.only_base, overall.only_tuned) == (3, 25)
    assert overall.p == overall.p_adjusted == mcnemar(3, 25)
    assert overall.words == "tuned is better: 0.93 against 0.71, p < 0.001"
    assert overall.difference.difference == pytest.approx(0.22)
    assert 0 < overall.difference.low < 0.22 < overall.difference.high
    mirrored = compare_models(tuned, base).overall
    assert mirrored.words == "base is better: 0.71 against 0.93, p < 0.001"
    assert mirrored.difference.difference == pytest.approx(-0.22)


def test_comparison_of_a_model_with_itself_is_not_distinguishable() -> None:
    base, _ = two_models(10, 0, 10, 0)
    found = compare_models(base, base).overall
    assert found.words == "not distinguishable: 1.00 against 1.00, p = 1.000"
    assert (found.difference.low, found.difference.high) == (0, 0)


def test_comparison_adjusts_over_all_buckets_of_all_kinds() -> None:
    base, tuned = two_models(0, 24, 40, 40)
    for rows in (base, tuned):
        for number, row in enumerate(rows):
            row["hardness"] = ("easy", "hard", "extra")[number % 3]
            row["command_set"] = 1 + number % 4
    found = compare_models(base, tuned)
    assert {each.by for each in found.buckets} == {"hardness", "command_set"}
    assert len(found.buckets) == 7
    assert [each.p_adjusted for each in found.buckets] == holm([each.p for each in found.buckets])
    assert all(each.p < 0.05 for each in found.buckets)
    for each in found.buckets:
        assert each.words.startswith("not distinguishable") == (each.p_adjusted >= 0.05)
        assert each.only_tuned == (8 if each.by == "hardness" else 6)
    assert any(each.p_adjusted >= 0.05 for each in found.buckets)


@given(st.lists(st.tuples(VERDICT, VERDICT, BUCKET), min_size=1, max_size=30), st.randoms())
def test_comparison_does_not_depend_on_the_order_of_rows(
    drawn: list[tuple[str, str, int | None]], random: Any
) -> None:
    base, tuned = (
        [verdict_row(i, each[side], command_set=each[2]) for i, each in enumerate(drawn)]
        for side in (0, 1)
    )
    valid = [each for each in drawn if "gold_invalid" not in each[:2]]
    if not valid:
        with pytest.raises(ValueError, match="none has a valid gold"):
            compare_models(base, tuned, draws=50)
        return
    found = compare_models(base, tuned, draws=50)
    random.shuffle(base)
    random.shuffle(tuned)
    assert compare_models(base, tuned, draws=50) == found
    assert found.gold_invalid == len(drawn) - len(valid)
    assert found.overall.base.n == found.overall.tuned.n == len(valid)
    per_bucket = [each for each in found.buckets if each.by == "command_set"]
    if per_bucket:
        assert sum(each.only_tuned for each in per_bucket) == found.overall.only_tuned
        assert sum(each.base.n for each in per_bucket) == len(valid)


def test_comparison_by_another_tier() -> None:
    base, tuned = rows_of(["equivalent", "wrong"]), rows_of(["strict", "subset"])
    by_tier = {tier: compare_models(base, tuned, tier=tier).overall for tier in TIERS}
    assert [by_tier[tier].base.k for tier in TIERS] == [0, 1, 1]
    assert [by_tier[tier].tuned.k for tier in TIERS] == [1, 1, 2]
    with pytest.raises(ValueError, match="no tier 'weak'"):
        compare_models(base, tuned, tier="weak")


def test_comparison_refuses_other_items() -> None:
    rows = rows_of(["strict", "wrong"])
    with pytest.raises(ValueError, match="1 ids are of one model only, such as 1"):
        compare_models(rows, rows[:1])
    with pytest.raises(ValueError, match="tuned has 2 rows of 1 ids"):
        compare_models(rows[:1], [rows[0], rows[0]])
    with pytest.raises(ValueError, match="id 0 has another gold_sql"):
        compare_models(rows[:1], [rows[0] | {"gold_sql": "SELECT 2"}])
    with pytest.raises(ValueError, match="nothing to compare in 0 items"):
        compare_models([], [])


def test_comparison_of_paired_items_by_error_class_is_not_offered() -> None:
    base, tuned = rows_of(["wrong", "error", "strict"]), rows_of(["strict", "strict", "wrong"])
    base[1]["error_class"] = "syntax"
    assert compare_models(base, tuned).buckets == ()
    assert "error_class" not in ITEM_KINDS


def test_everything_found_is_plain_json() -> None:
    base, tuned = two_models(3, 9, 5, 5)
    base[0]["hardness"] = tuned[0]["hardness"] = "hard"
    for found in (compare_models(base, tuned), totals(base), breakdown(base, "hardness")):
        assert as_json(found)
        written = json.dumps(as_json(found), allow_nan=False)
        assert json.loads(written) == json.loads(json.dumps(as_json(found)))
    cell = as_json(breakdown(base, "hardness"))[0]
    assert cell.keys() == {"bucket", "tier", "k", "n", "rate", "low", "high"}
    assert math.isclose(as_json(compare_models(base, tuned))["overall"]["base"]["rate"], 8 / 22)
