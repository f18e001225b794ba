"""The score and equivalent verbs as a user meets them."""

import json
from pathlib import Path
from typing import Any

import pytest
from processes import Tinysql
from test_cli import assert_one_line

SCHEMA = "CREATE TABLE cars ( name TEXT, price INTEGER )"
GOLD = "SELECT name FROM cars ORDER BY price DESC"
PREDICTIONS = {
    "same": GOLD, "flipped": GOLD.replace("DESC", "ASC"), "broken": "SELEC", "none": None,
    "more": GOLD.replace("name", "price, name"),
}  # fmt: skip


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def row_of(row_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": row_id, "schema_sql": SCHEMA, "gold_sql": GOLD, "pred_sql": PREDICTIONS.get(row_id),
        **changes,
    }  # fmt: skip


def test_score_writes_a_verdict_per_row_and_a_page(tinysql: Tinysql, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", *map(row_of, PREDICTIONS))
    done = tinysql(
        "score", "--input", "rows.jsonl", "--out", "verdicts.jsonl", "--databases", "3",
        "--page", "page.html", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["n"], summary["execution"]["k"], summary["subset"]["k"]) == (5, 1, 2)
    assert summary["by"]["hardness"]["easy"]["n"] == 5
    rows = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [(row["id"], row["verdict"], row["error_class"]) for row in rows] == [
        ("same", "strict", None), ("flipped", "wrong", "wrong_order"),
        ("broken", "error", "syntax"), ("none", "error", "no_sql"), ("more", "subset", None),
    ]  # fmt: skip
    assert {row["databases"] for row in rows} == {3}
    assert "wrong order" in (tmp_path / "page.html").read_text()
    compared = tinysql(
        "score", "--input", "rows.jsonl", "--out", "again.jsonl", "--databases", "3",
        "--page", "both.html", "--base", "verdicts.jsonl", "--workers", "2",
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["comparison"]["overall"]["only_tuned"] == 0
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "verdicts.jsonl").read_bytes()
    assert "not distinguishable" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "rows.jsonl:2: not a JSON object"),
        ("[1]", "rows.jsonl:2: not a JSON object"),
        (json.dumps({"id": 1, "schema_sql": SCHEMA}), "rows.jsonl:2: row 1: gold_sql"),
        (json.dumps(row_of("same", pred_sql=3)), "rows.jsonl:2: pred_sql: got 3"),
        (json.dumps(row_of("same", database="no.db")), "database 'no.db': no such file"),
        (json.dumps({"id": 1, "schema_sql": SCHEMA, "gold_sql": GOLD}), "pred_sql: got none"),
        ("{" * 100_000, "rows.jsonl:2: not a JSON object"),
    ],
)
def test_score_bad_row_is_one_line_and_writes_nothing(
    tinysql: Tinysql, tmp_path: Path, line: str, message: str
) -> None:
    write_rows(tmp_path / "rows.jsonl", row_of("same"))
    with (tmp_path / "rows.jsonl").open("a") as stream:
        stream.write(line + "\n")
    done = tinysql("score", "--input", "rows.jsonl", "--out", "verdicts.jsonl")
    assert_one_line(done, message)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "missing.jsonl"), "missing.jsonl"),
        (("--input", "rows.jsonl", "--engine", "mysql"), "--engine"),
        (("--input", "rows.jsonl", "--databases", "0"), "--databases"),
        (("--input", "rows.jsonl", "--engine", "postgres"), "no URL"),
        (("--input", "rows.jsonl", "--page", "rows.jsonl"), "--page 'rows.jsonl': is --input, too"),
        (("--input", "rows.jsonl", "--base", "verdicts.jsonl"), "is --base, too"),
    ],
)
def test_score_bad_option_is_one_line(
    tinysql: Tinysql, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write_rows(tmp_path / "rows.jsonl", row_of("same"))
    assert_one_line(tinysql("score", *arguments, "--out", "verdicts.jsonl"), message)
    assert not (tmp_path / "verdicts.jsonl").exists()


def test_equivalent_prints_the_smallest_database(tinysql: Tinysql, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA)
    one, other = "SELECT name FROM cars WHERE price > 5", "SELECT name FROM cars WHERE price >= 5"
    done = tinysql("equivalent", "--schema", "schema.sql", one, other, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["equivalent_so_far"] is False
    assert found["inserts"].count("(") == 1
    assert ", 5)" in found["inserts"]
    assert sorted(map(len, found["answers"])) == [0, 1]
    turned = one.replace("price > 5", "5 < price")
    same = tinysql("equivalent", "--schema", "schema.sql", one, turned)
    assert (same.returncode, json.loads(same.stdout)["equivalent_so_far"]) == (0, True)


@pytest.mark.parametrize(
    ("sql", "message"),
    [("SELECT cost FROM cars", "no such column"), ("DROP TABLE cars", "expected a query")],
)
def test_equivalent_bad_query_is_one_line(
    tinysql: Tinysql, tmp_path: Path, sql: str, message: str
) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA)
    assert_one_line(tinysql("equivalent", "--schema", "schema.sql", GOLD, sql), message)
