import json
import random
import sqlite3
from itertools import permutations
from pathlib import Path

import pytest

from tinysql.sql.compare import Answer, Fit, Reason, Ties, Verdict, fit, judge, same_bag, ties
from tinysql.sql.gold import answer, read_gold
from tinysql.sql.result import Result, Row
from tinysql.sql.sample import fill

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sql" / "verdicts.jsonl"
CASES = [json.loads(line) for line in FIXTURES.read_text().splitlines()]


def answers_of(schema_sql: str, gold_sql: str, count: int = 4) -> list[Answer]:
    gold = read_gold(gold_sql)
    return [answer(gold, fill(schema_sql, seed=seed)) for seed in range(count)]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_judge_gives_the_expected_verdict_and_touches_no_file(
    case: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = answers_of(case["schema_sql"], case["gold_sql"])
    copies = [bytes(bytearray(each.database)) for each in answers]
    judgement = judge(case["pred_sql"], answers)
    assert (judgement.verdict.value, judgement.reason) == (case["verdict"], case.get("reason"))
    assert (judgement.error is not None) == (judgement.verdict is Verdict.ERROR)
    assert judge(case["gold_sql"], answers).verdict is Verdict.STRICT
    assert [each.database for each in answers] == copies
    assert not list(tmp_path.iterdir())


def test_judge_without_a_match_on_every_database_fails() -> None:
    answers = answers_of("CREATE TABLE t ( a INTEGER )", "SELECT a FROM t")
    frozen = " UNION ALL ".join(
        f"SELECT {'NULL' if row[0] is None else row[0]}" for row in answers[0].gold.rows
    )
    assert judge(frozen, answers[:1]).verdict is Verdict.STRICT
    assert judge(frozen, answers).reason == Reason.COLUMNS


def test_one_choice_of_columns_must_hold_on_all_databases() -> None:
    def of(gold: list[Row]) -> Answer:
        return Answer(b"", result(gold), (Ties(gold),))

    answers = [of([(1, 2), (3, 4)]), of([(5, 6), (7, 8)])]
    swapped = [[(2, 1), (4, 3)], [(6, 5), (8, 7)]]
    flukes = [[(1, 2), (3, 4)], [(6, 5), (8, 7)]]
    for preds, verdict in ((swapped, Verdict.EQUIVALENT), (flukes, Verdict.WRONG)):
        replies = iter([result(rows) for rows in preds])
        assert judge("", answers, lambda *_, r=replies: next(r)).verdict is verdict


@pytest.mark.parametrize("width", [2, 4, 7])
def test_columns_are_found_in_any_order_and_among_others(width: int) -> None:
    rng = random.Random(width)
    for _ in range(20):
        gold = [tuple(rng.randint(0, 2) for _ in range(width)) for _ in range(6)]
        expected = Answer(b"", result(gold), (Ties(gold),))
        order = rng.sample(range(width), width)
        extra = [(*(row[i] for i in order), rng.random()) for row in rng.sample(gold, len(gold))]
        permuted = [row[:-1] for row in extra]
        found = judge("", [expected], lambda *_, rows=permuted: result(rows))
        assert found.verdict in (Verdict.STRICT, Verdict.EQUIVALENT)
        found = judge("", [expected], lambda *_, rows=extra: result(rows))
        assert found.verdict is Verdict.SUBSET
        assert found.precision == pytest.approx(width / (width + 1))
        broken = [(*row[:-1], row[-1] + 1) for row in permuted]
        assert judge("", [expected], lambda *_, rows=broken: result(rows)).reason is not None


def test_many_equal_columns_that_never_fit_end_soon() -> None:
    gold = [tuple(i == j for i in range(9)) for j in range(9)]
    pred = [tuple(i == (j * j) % 9 for i in range(9)) for j in range(9)]
    expected = Answer(b"", result(gold), (Ties(gold),))
    assert judge("", [expected], lambda *_: result(pred)).verdict is Verdict.WRONG


def result(rows: list[Row]) -> Result:
    return Result(tuple(f"c{place}" for place in range(len(rows[0]) if rows else 0)), rows)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (None, None, True),
        (None, 0, False),
        (None, "", False),
        (1, 1.0, True),
        (1, "1", False),
        (1, 1 + 1e-10, True),
        (1e12, 1e12 + 1, True),
        (10**12, 10**12 + 1, False),
        (2**53, 2**53 + 1, False),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.300001, False),
        (0.0, 1e-10, True),
        (float("inf"), float("inf"), True),
        (float("inf"), float("-inf"), False),
        ("a", b"a", False),
        ("a", "A", False),
        (0, False, True),
    ],
)
def test_same_bag_cells_are_typed(left: object, right: object, equal: bool) -> None:
    assert same_bag([(left,)], [(right,)]) is equal  # type: ignore[list-item]
    assert same_bag([(right,)], [(left,)]) is equal  # type: ignore[list-item]


def test_same_bag_agrees_with_sqlite_except_all() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE l ( a, b )")
    connection.execute("CREATE TABLE r ( a, b )")
    numbered = "SELECT a, b, row_number() OVER (PARTITION BY a, b) FROM {}"
    rng = random.Random(0)
    cells = [None, 0, 1, "1", "x", 2.5]
    outcomes = set()
    for _ in range(500):
        size = rng.randint(0, 4)
        left = [(rng.choice(cells), rng.choice(cells)) for _ in range(size)]
        right = rng.sample(left, size)
        if right and rng.random() < 0.6:
            right[0] = (rng.choice(cells), rng.choice(cells))
        for name, rows in (("l", left), ("r", right)):
            connection.execute(f"DELETE FROM {name}")
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", rows)
        differences = [
            connection.execute(f"{numbered.format(one)} EXCEPT {numbered.format(other)}").fetchall()
            for one, other in (("l", "r"), ("r", "l"))
        ]
        expected = not any(differences)
        assert same_bag(left, right) is expected
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_order_agrees_with_all_allowed_sequences() -> None:
    rng = random.Random(1)
    seen = set()
    for _ in range(150):
        size = rng.randint(1, 5)
        keyed = sorted((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(size))
        keys = [(key,) for key, _ in keyed]
        gold = [(value,) for _, value in keyed]
        allowed = {
            tuple((value,) for _, value in order)
            for order in permutations(keyed)
            if [key for key, _ in order] == [key for key, _ in keyed]
        }
        pred = rng.sample(gold, size)
        expected = Fit.ORDER if tuple(pred) in allowed else Fit.ROWS
        assert fit(Answer(b"", result(gold), ties(gold, keys, 0, None)), pred) is expected
        assert fit(Answer(b"", result(gold), (Ties(gold),)), pred) is Fit.ORDER
        seen.add(expected)
    assert seen == {Fit.ORDER, Fit.ROWS}


def test_empty_answers_need_as_many_columns() -> None:
    schema = "CREATE TABLE t ( a INTEGER, b INTEGER )"
    answers = answers_of(schema, "SELECT a, b FROM t WHERE 0")
    assert judge("SELECT b, a FROM t WHERE 0", answers).verdict is Verdict.STRICT
    assert judge("SELECT a FROM t WHERE 0", answers).reason == Reason.COLUMNS


@pytest.mark.parametrize(
    ("gold", "pred"),
    [
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)]),
        ([(5,)], [(5,), (5,), (5,)]),
        ([], [(5,)]),
        ([(5,)], []),
    ],
)
def test_fit_is_not_fooled_by_sets_or_broadcasting(gold: list[Row], pred: list[Row]) -> None:
    assert fit(Answer(b"", Result(("a",), gold), (Ties(gold),)), pred) is Fit.NONE


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_cuts_agree_with_all_allowed_ones(offset: int) -> None:
    rng = random.Random(2)
    seen = set()
    for _ in range(200):
        size = rng.randint(2, 6)
        keyed = sorted((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(size))
        limit = rng.randint(1, size)
        keys = [(key,) for key, _ in keyed]
        rows = [(value,) for _, value in keyed]
        allowed = {
            tuple((value,) for _, value in order[offset : offset + limit])
            for order in permutations(keyed)
            if [key for key, _ in order] == [key for key, _ in keyed]
        }
        kept = rows[offset : offset + limit]
        gold = Answer(b"", result(kept), ties(rows, keys, offset, limit))
        pred = rng.sample(rows, len(kept))
        assert (fit(gold, pred) is Fit.ORDER) == (tuple(pred) in allowed)
        seen.add(fit(gold, pred))
    assert {Fit.ORDER, Fit.ROWS} <= seen
