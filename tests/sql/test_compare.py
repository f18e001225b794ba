import json
import random
import sqlite3
from itertools import permutations
from pathlib import Path

import pytest

from tinysql.sql.compare import Verdict, answer, compare, judge, same_bag
from tinysql.sql.execute import Result, Row
from tinysql.sql.sample import fill

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sql" / "verdicts.jsonl"
CASES = [json.loads(line) for line in FIXTURES.read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_judge_gives_the_expected_verdict_and_touches_no_file(
    case: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    databases = [fill(case["schema_sql"], seed=seed) for seed in range(4)]
    copies = [bytes(bytearray(database)) for database in databases]
    answers = [answer(case["gold_sql"], case["order_by"], each) for each in databases]
    judgement = judge(case["pred_sql"], answers)
    assert judgement.verdict.value == case["verdict"]
    did_not_run = judgement.verdict not in (
        Verdict.MATCH,
        Verdict.WRONG_ORDER,
        Verdict.WRONG_COLUMNS,
        Verdict.WRONG_ROWS,
    )
    assert (judgement.error is not None) == did_not_run
    assert judge(case["gold_sql"], answers).verdict is Verdict.MATCH
    assert databases == copies
    assert not list(tmp_path.iterdir())


def test_answer_broken_gold_raises_instead_of_scoring() -> None:
    database = fill("CREATE TABLE t ( a INTEGER )", seed=0)
    with pytest.raises(RuntimeError, match="no such column"):
        answer("SELECT b FROM t", [], database)
    with pytest.raises(RuntimeError, match="FROM"):
        answer("SELECT a from t ORDER BY a", ["a"], database)


def test_judge_without_a_match_on_every_database_fails() -> None:
    schema = "CREATE TABLE t ( a INTEGER )"
    answers = [answer("SELECT a FROM t", [], fill(schema, seed=seed)) for seed in range(4)]
    frozen = " UNION ALL ".join(
        f"SELECT {'NULL' if row[0] is None else row[0]}" for row in answers[0].gold.rows
    )
    assert judge(frozen, answers[:1]).verdict is Verdict.MATCH
    assert judge(frozen, answers).verdict is Verdict.WRONG_COLUMNS


def result(rows: list[Row]) -> Result:
    return Result(tuple("abcdef"[: len(rows[0]) if rows else 0]), rows)


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


def test_compare_order_agrees_with_all_allowed_sequences() -> None:
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
        expected = Verdict.MATCH if tuple(pred) in allowed else Verdict.WRONG_ORDER
        assert compare(result(gold), result(pred), keys=keys) is expected
        assert compare(result(gold), result(pred), keys=None) is Verdict.MATCH
        seen.add(expected)
    assert seen == {Verdict.MATCH, Verdict.WRONG_ORDER}


def test_compare_empty_answers_need_the_same_width() -> None:
    assert compare(Result(("a",), []), Result(("b",), []), keys=None) is Verdict.MATCH
    assert compare(Result(("a",), []), Result(("a", "b"), []), keys=None) is Verdict.WRONG_COLUMNS


@pytest.mark.parametrize(
    ("gold", "pred"),
    [
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)]),
        ([(5,)], [(5,), (5,), (5,)]),
        ([], [(5,)]),
        ([(5,)], []),
    ],
)
def test_compare_is_not_fooled_by_sets_or_broadcasting(gold: list[Row], pred: list[Row]) -> None:
    verdict = compare(Result(("a",), gold), Result(("a",), pred), keys=None)
    assert verdict in (Verdict.WRONG_ROWS, Verdict.WRONG_COLUMNS)


def test_answer_takes_keys_by_position_and_as_hidden_columns() -> None:
    database = fill("CREATE TABLE t ( a INTEGER, b INTEGER, c INTEGER )", seed=0)
    sql = "SELECT a, b FROM t ORDER BY c DESC, b ASC"
    mixed = answer(sql, ["c", 1], database)
    hidden = answer(sql, ["c", "b"], database)
    assert mixed == hidden
    assert mixed.gold.columns == ("a", "b")
    assert [key[1] for key in mixed.keys or ()] == [row[1] for row in mixed.gold.rows]


def test_answer_of_distinct_rows_with_keys_by_position_keeps_them_distinct() -> None:
    database = fill("CREATE TABLE t ( a INTEGER, b INTEGER )", seed=0)
    rows = answer("SELECT DISTINCT a FROM t ORDER BY a ASC", [0], database).gold.rows
    assert len(set(rows)) == len(rows) < 32


def test_answer_limit_that_is_not_there_raises() -> None:
    database = fill("CREATE TABLE t ( a INTEGER )", seed=0)
    with pytest.raises(RuntimeError, match="LIMIT 3"):
        answer("SELECT a FROM t LIMIT 2", [], database, limit=3)


def test_compare_limit_agrees_with_all_allowed_cuts() -> None:
    rng = random.Random(2)
    seen = set()
    for _ in range(200):
        size = rng.randint(2, 6)
        keyed = sorted((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(size))
        kept = rng.randint(1, size - 1)
        keys = [(key,) for key, _ in keyed]
        rows = [(value,) for _, value in keyed]
        allowed = {
            tuple((value,) for _, value in order[:kept])
            for order in permutations(keyed)
            if [key for key, _ in order] == [key for key, _ in keyed]
        }
        cut = [row for row, key in zip(rows, keys, strict=True) if key == keys[kept - 1]]
        pred = rng.sample(rows, kept)
        verdict = compare(result(rows[:kept]), result(pred), keys=keys[:kept], cut=cut)
        assert (verdict is Verdict.MATCH) == (tuple(pred) in allowed)
        seen.add(verdict)
    assert {Verdict.MATCH, Verdict.WRONG_ORDER} < seen


def test_judge_accepts_another_choice_among_rows_that_tie_at_the_limit() -> None:
    database = fill("CREATE TABLE t ( a INTEGER, b BOOLEAN )", seed=0)
    gold = answer("SELECT a FROM t ORDER BY b ASC LIMIT 1", ["b"], database, limit=1)
    assert len(set(gold.cut)) > 1
    for direction in ("ASC", "DESC"):
        other = f"SELECT a FROM t WHERE b IS NULL ORDER BY a {direction} LIMIT 1"
        assert judge(other, [gold]).verdict is Verdict.MATCH
    assert judge("SELECT 12345 FROM t LIMIT 1", [gold]).verdict is Verdict.WRONG_COLUMNS
    assert judge("SELECT a FROM t WHERE b IS NULL", [gold]).verdict is Verdict.WRONG_ROWS
