"""The databases a gold query is judged on: every command set runs, and mistakes show."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.mentions import with_mentions
from tinysql.evaluate.gold import gold_answers, sort_keys
from tinysql.sql.compare import Answer, Verdict, judge
from tinysql.sql.execute import DEFAULT_LIMITS, run

Row = dict[str, Any]


def rows_of(count: int, **config: Any) -> list[Row]:
    made = DatasetConfig(train_rows=count, **config)
    return generate_rows(made, "train", np.arange(count)).to_pylist()


def answers_of(row: Row, seed: int = 0) -> list[Answer]:
    return gold_answers(row, seed=seed, num_databases=4, num_rows=32, limits=DEFAULT_LIMITS)


@pytest.mark.parametrize("command_set", range(1, 9))
def test_every_gold_matches_itself_and_hardly_any_says_nothing(command_set: int) -> None:
    silent = 0
    for row in rows_of(25, command_sets=(command_set,)):
        answers = answers_of(row)
        assert judge(row["gold_sql"], answers).verdict is Verdict.MATCH
        cells = [cell for each in answers for cells in each.gold.rows for cell in cells]
        silent += all(cell is None for cell in cells)
    assert silent <= 3


def test_paper_variant_matches_itself() -> None:
    for row in rows_of(30, command_sets=(2, 5), variant="paper"):
        assert judge(row["gold_sql"], answers_of(row)).verdict is Verdict.MATCH


def test_answers_depend_on_seed_and_row_alone() -> None:
    first, second = rows_of(2, command_sets=(5,))
    assert answers_of(first) == answers_of(first)
    assert answers_of(first) != answers_of(first, seed=1)
    assert answers_of({**second, "id": first["id"]}) != answers_of(first)


OTHER = {
    ">": "<", "<": ">", ">=": "<", "<=": ">", "=": "<>", "<>": "=", "IN": "NOT IN",
    "BETWEEN": "NOT BETWEEN", "LIKE": "NOT LIKE", "IS NULL": "IS NOT NULL", "MIN": "MAX",
    "MAX": "MIN", "SUM": "AVG", "AVG": "SUM", "ASC": "DESC", "DESC": "ASC", "UNION": "EXCEPT",
    "INTERSECT": "UNION", "EXCEPT": "UNION", "EXISTS": "NOT EXISTS",
}  # fmt: skip


def mistakes(row: Row) -> Iterator[tuple[str, str]]:
    """Gold queries with one word exchanged, and which part of the query it is in."""
    sql = row["gold_sql"]
    for mention in row["mentions"]:
        name, part, *_ = mention["key"].split(".")
        start, end = mention["start"], mention["end"]
        word = sql[start:end].strip()
        if name == "sql" and word in OTHER:
            yield part, f"{sql[:start]} {OTHER[word]}{sql[end:]}"


@pytest.mark.parametrize(
    ("command_sets", "part", "found_at_least"),
    [
        ((3,), "aggregate", 0.95),
        ((4, 5), "operator", 0.9),
        ((7,), "set_operation", 0.8),
        ((2,), "direction", 0.8),
    ],
)
def test_most_mistakes_are_found(
    command_sets: tuple[int, ...], part: str, found_at_least: float, tmp_path: Any
) -> None:
    config = DatasetConfig(train_rows=60, command_sets=command_sets)
    (tmp_path / "card.json").write_text(f'{{"config": {config.model_dump_json()}}}')
    rows = generate_rows(config, "train", np.arange(60)).to_pylist()
    verdicts = []
    for row in with_mentions(tmp_path, "train", rows):
        wrong = [sql for changed, sql in mistakes(row) if changed == part]
        answers = answers_of(row) if wrong else []
        verdicts += [judge(sql, answers).verdict for sql in wrong]
    assert len(verdicts) > 20
    found = sum(verdict is not Verdict.MATCH for verdict in verdicts)
    assert found >= found_at_least * len(verdicts)


def test_sort_keys_are_positions_where_selected_and_else_as_the_query_writes_them() -> None:
    kinds = set()
    for row in rows_of(60, command_sets=(2, 3, 5, 6)):
        keys = sort_keys(row)
        assert len(keys) == len(row["order_by"])
        for key, item in zip(keys, row["order_by"], strict=True):
            kinds.add(type(key))
            if isinstance(key, int):
                assert row["select"][key]["column"] == item["column"]
            else:
                assert f"{key} {item['direction']}" in row["gold_sql"]
    assert kinds == {int, str}


def test_limit_allows_any_of_the_rows_that_tie() -> None:
    cut = 0
    for row in rows_of(150, command_sets=(6,)):
        if not row["limit"]:
            continue
        for answer in answers_of(row):
            everything = run(row["gold_sql"].split(" LIMIT ")[0], answer.database)
            assert len(answer.gold.rows) == min(row["limit"], len(everything.rows))
            assert set(answer.gold.rows) <= set(everything.rows)
            cut += bool(answer.cut)
    assert cut > 10
