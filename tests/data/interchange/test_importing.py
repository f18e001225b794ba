"""Imports of every format: good rows like ours, broken ones in quarantine, and what is reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tinysql.data.interchange import checking, importing
from tinysql.data.interchange.columns import IMPORTED
from tinysql.data.interchange.config import ImportConfig, identify_import
from tinysql.data.interchange.importing import import_dataset, import_shard
from tinysql.data.interchange.sources import split_named
from tinysql.data.interchange.sql_eval import first_gold
from tinysql.errors import InputError

Import = Callable[..., dict[str, Any]]

CONTEXT = "CREATE TABLE t ( a INTEGER, b TEXT )"


def config(source: Path, row_format: Any, **more: Any) -> ImportConfig:
    return ImportConfig(source=str(source), format=row_format, **more)


def accepted(folder: Path) -> list[dict[str, Any]]:
    """The rows of every split, by id."""
    found = [row for path in folder.glob("*-*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda row: row["id"])


def quarantined(folder: Path) -> dict[str, list[str]]:
    """The problems of every row that is kept out, by its place."""
    rows = pq.read_table(folder / "quarantine.parquet").to_pylist()
    return {row["place"]: [each["problem"] for each in row["problems"]] for row in rows}


def triple(question: str, answer: str, context: str = CONTEXT) -> dict[str, str]:
    return {"question": question, "context": context, "answer": answer}


def write_json(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows, indent=0))
    return path


def test_tinysql_rows(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = import_dataset(out, config(sources / "tinysql_rows.jsonl", "tinysql-rows"))
    good = accepted(out)
    assert [row["command_set"] for row in good] == [1, 2]
    assert {(row["split"], row["variant"]) for row in good} == {("train", "imported")}
    assert json.loads(good[0]["source"])["table_name_synonym"] == "urls"
    assert quarantined(out) == {
        "tinysql_rows.jsonl:3": ["reserved_name", "gold_unparsable"],
        "tinysql_rows.jsonl:4": ["unknown_table"],
        "tinysql_rows.jsonl:5": ["malformed_row"],
    }
    assert report["notes"]["bare_column_beside_aggregate"]["rows"] == 1
    kept_out = pq.read_table(out / "quarantine.parquet").to_pylist()
    assert kept_out[0]["gold_sql"] == "SELECT amount FROM values"
    assert kept_out[0]["problems"][0]["detail"] == "'values' is reserved in SQLite"


def test_folder_that_was_imported_is_imported_again(sources: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    import_dataset(once, config(sources / "tinysql_rows.jsonl", "tinysql-rows"))
    (once / "card.json").write_text("{}")
    report = import_dataset(twice, config(once, "jsonl"))
    assert (report["accepted"], report["quarantined"]) == (2, 0)
    assert [row["gold_sql"] for row in accepted(twice)] == [
        row["gold_sql"] for row in accepted(once)
    ]
    before = identify_import(config(once, "jsonl"))
    (once / "report.json").write_text("{}")
    assert identify_import(config(once, "jsonl")) == before


def test_sql_create_context(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = import_dataset(out, config(sources / "sql_create_context.json", "sql-create-context"))
    assert [row["gold_sql"] for row in accepted(out)] == [
        "SELECT COUNT(*) FROM head WHERE age > 56",
        "SELECT age FROM head WHERE name = 'O''Neil'",
    ]
    found = {place.split(":")[1]: names for place, names in quarantined(out).items()}
    assert found == {
        "4": ["duplicate"],
        "5": ["unknown_column"],
        "6": ["unknown_table"],
        "7": ["ambiguous_column"],
        "8": ["schema_unparsable"],
        "9": ["gold_unparsable"],
        "10": ["schema_fails"],
        "11": ["malformed_row"],
        "12": ["malformed_row"],
        "13": ["reserved_name"],
    }
    assert (report["rows"], report["accepted"], report["quarantined"]) == (12, 2, 10)
    malformed = report["problems"]["malformed_row"]
    assert (malformed["rows"], malformed["share"]) == (2, round(2 / 12, 6))
    assert malformed["examples"][0]["detail"] == "question is empty"


def test_gretel(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_dataset(out, config(sources / "gretel_test.jsonl", "gretel"))
    (row,) = accepted(out)
    assert row["split"] == "test"
    assert row["schema_sql"].count("CREATE TABLE") == 2
    assert "INSERT" not in row["schema_sql"]
    assert row["foreign_keys"] == [
        {"table": 1, "column": "salesperson_id", "parent": 0, "parent_column": "salesperson_id"}
    ]
    assert json.loads(row["source"])["domain"] == "forestry"
    assert list(quarantined(out).values()) == [
        ["not_a_query"], ["gold_fails"], ["dangling_foreign_key"], ["no_schema"]
    ]  # fmt: skip


def test_spider(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = import_dataset(out, config(sources / "spider", "spider"))
    good = accepted(out)
    assert [row["split"] for row in good] == ["validation"] * 4 + ["train"]
    assert good[0]["schema_sql"] == (
        "CREATE TABLE singer ( Singer_ID NUMERIC PRIMARY KEY, Name TEXT, Is_male BOOLEAN, "
        '"Home Town" TEXT ); CREATE TABLE concert ( concert_ID NUMERIC PRIMARY KEY, Theme TEXT, '
        "Year TIMESTAMP, headliner NUMERIC REFERENCES singer ( Singer_ID ) ); "
        "CREATE TABLE singer_in_concert ( concert_ID NUMERIC REFERENCES concert ( concert_ID ), "
        "Singer_ID TEXT REFERENCES singer ( Singer_ID ), PRIMARY KEY ( concert_ID, Singer_ID ) )"
    )
    assert len(good[0]["foreign_keys"]) == 3
    assert good[1]["hardness"] == "hard"
    assert good[3]["schema_sql"].startswith('CREATE TABLE "order" ( id NUMERIC PRIMARY KEY')
    assert quarantined(out) == {
        "dev.json:5": ["unknown_column"],
        "dev.json:6": ["no_schema"],
        "train_spider.json:2": ["leak"],
        "train_spider.json:3": ["leak"],
    }
    assert report["splits"]["validation"] == {"accepted": 4, "quarantined": 2}


def test_sql_eval(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder = sources / "sql_eval"
    settings = config(
        folder / "questions_gen_sqlite.csv", "sql-eval", schemas=str(folder / "schemas")
    )
    report = import_dataset(out, settings)
    good = accepted(out)
    assert {row["split"] for row in good} == {"test"}
    assert [row["gold_sql"] for row in good] == [
        "SELECT users.name, users.uid, COUNT(*) FROM users GROUP BY users.name, users.uid",
        "SELECT tip.text FROM tip WHERE LOWER(tip.month) LIKE 'j%;x'",
        "SELECT cars.make, sales.sale_price FROM sales JOIN cars ON sales.car_id = cars.id",
        "SELECT CAST(tip.year AS REAL) FROM tip",
    ]
    assert good[1]["question"].endswith("months with J? Always use LIKE.")
    assert good[2]["schema_sql"] == (
        "CREATE TABLE cars ( id INTEGER PRIMARY KEY, make TEXT ); CREATE TABLE sales ( id INTEGER "
        "PRIMARY KEY, car_id INTEGER REFERENCES cars ( id ), sale_price NUMERIC(10, 2), "
        "crtd_ts TIMESTAMP )"
    )
    assert list(quarantined(out).values()) == [["unknown_column"], ["no_schema"]]
    assert report["notes"]["translated"]["rows"] == 1


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("SELECT a FROM t;SELECT b FROM t;", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = 'x;y{z}'", "SELECT a FROM t WHERE b = 'x;y{z}'"),
        ("SELECT {t.a, ROUND(b,2)} FROM t GROUP BY {}", "SELECT t.a, ROUND(b,2) FROM t GROUP BY "
         "t.a, ROUND(b,2)"),
        ("SELECT 'x", "SELECT 'x"),
        ("", ""),
    ],
)  # fmt: skip
def test_first_of_several_golds_has_every_optional_column(cell: str, expected: str) -> None:
    assert first_gold(cell, "sqlite") == expected


def test_imported_columns_have_the_types_of_ours(sources: Path, tmp_path: Path) -> None:
    import_dataset(tmp_path / "out", config(sources / "spider", "spider"))
    for path in (tmp_path / "out").glob("*-*.parquet"):
        assert pq.read_schema(path).equals(IMPORTED)


def test_a_row_of_the_test_split_is_a_leak_in_training_whatever_the_file_order(
    tmp_path: Path,
) -> None:
    rows = [triple("A?", "SELECT a FROM t"), triple("B?", "SELECT b FROM t")]
    (tmp_path / "in").mkdir()
    write_json(tmp_path / "in" / "a_train.json", [*rows, triple("C?", "SELECT a, b FROM t")])
    write_json(tmp_path / "in" / "z_test.json", [triple(" a ", "SELECT b, a FROM t"), rows[1]])
    out = tmp_path / "out"
    report = import_dataset(out, config(tmp_path / "in", "sql-create-context"))
    assert [(row["split"], row["question"]) for row in accepted(out)] == [
        ("test", " a "), ("test", "B?"), ("train", "C?")
    ]  # fmt: skip
    assert quarantined(out) == {"a_train.json:2": ["leak"], "a_train.json:7": ["leak", "leak"]}
    assert report["problems"]["leak"]["rows"] == 2


@pytest.mark.parametrize(
    ("stem", "split"),
    [("train-00000-of-00001", "train"), ("synthetic_text_to_sql_test.snappy", "test"),
     ("my_dev", "validation"), ("valid", "validation"), ("held_tables", "held_tables"),
     ("held_tables-00001", "held_tables"), ("sql_create_context_v4", None), ("latest", None)],
)  # fmt: skip
def test_file_names_tell_splits(stem: str, split: str | None) -> None:
    assert split_named(stem) == split


def test_same_texts_over_another_schema_are_neither_leak_nor_duplicate(tmp_path: Path) -> None:
    other = "CREATE TABLE t ( a INTEGER, c TEXT )"
    (tmp_path / "in").mkdir()
    write_json(tmp_path / "in" / "test.json", [triple("A?", "SELECT a FROM t")])
    write_json(
        tmp_path / "in" / "train.json",
        [triple("A?", "SELECT a FROM t", other), triple("A?", "SELECT 1", other)],
    )
    report = import_dataset(tmp_path / "out", config(tmp_path / "in", "sql-create-context"))
    assert report["problems"] == {}


def test_rows_without_a_question_do_not_leak_into_each_other(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_json(tmp_path / "in" / "test.json", [triple("", "SELECT a FROM t")])
    write_json(tmp_path / "in" / "train.json", [triple("", "SELECT b FROM t")])
    import_dataset(tmp_path / "out", config(tmp_path / "in", "sql-create-context"))
    assert list(quarantined(tmp_path / "out").values()) == [["malformed_row"], ["malformed_row"]]


def test_workers_change_nothing(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "_BATCH_ROWS", 5)
    settings = config(sources / "sql_create_context.json", "sql-create-context")
    one, two = tmp_path / "one", tmp_path / "two"
    assert import_dataset(one, settings) == import_dataset(two, settings, workers=2)
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {
        p.name: p.read_bytes() for p in two.iterdir()
    }


def test_files_hold_so_many_rows_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SHARD_ROWS", 2)
    rows = [triple(f"Row {n}?", f"SELECT {n} FROM t") for n in range(5)]
    source = write_json(tmp_path / "train.json", rows)
    import_dataset(tmp_path / "out", config(source, "sql-create-context"))
    sizes = {p.name: pq.read_metadata(p).num_rows for p in (tmp_path / "out").glob("train-*")}
    assert sizes == {f"train-0000{n}.parquet": rows for n, rows in enumerate((2, 2, 1))}


def test_a_mistake_leaves_no_folder(sources: Path, tmp_path: Path) -> None:
    source = tmp_path / "train.json"
    source.write_text(json.dumps([triple("A?", "SELECT a FROM t")])[:-1] + ",\n{]")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"train\.json:2: not JSON"):
        import_dataset(tmp_path / "out", config(source, "sql-create-context"))
    with pytest.raises(InputError, match="train.json:1: not JSON|not gretel: no 'sql_prompt'"):
        import_dataset(tmp_path / "out", config(source, "gretel"))
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        import_dataset(tmp_path / "out", config(sources / "spider", "spider"))
    assert (tmp_path / "out" / "mine").exists()


@pytest.mark.parametrize(
    ("source", "row_format", "more", "message"),
    [
        ("nowhere", "gretel", {}, "no file or directory"),
        ("spider/dev.json", "sql-eval", {}, "not sql-eval: no 'db_name' among"),
        ("sql_create_context.json", "spider", {}, "not spider: no 'db_id' among question"),
        ("sql_eval", "spider", {}, "no tables.json in"),
        ("sql_eval", "sql-eval", {"schemas": "nowhere"}, "no schemas in 'nowhere'"),
        ("spider/tables.json", "gretel", {}, "no 'sql_prompt' among db_id"),
        ("spider/tables.json", "spider", {}, "no questions in"),
    ],
)
def test_wrong_sources_are_refused_in_one_line(
    sources: Path, tmp_path: Path, source: str, row_format: str, more: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        import_dataset(tmp_path / "out", config(sources / source, row_format, **more))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_identity_is_the_content_and_how_it_is_read(sources: Path, tmp_path: Path) -> None:
    spider = tmp_path / "spider"
    spider.mkdir()
    for path in (sources / "spider").iterdir():
        (spider / path.name).write_bytes(path.read_bytes())
    here, there = (identify_import(config(each, "spider")) for each in (spider, sources / "spider"))
    assert here == there
    alone = identify_import(config(spider / "dev.json", "spider"))
    (spider / "tables.json").write_text((spider / "tables.json").read_text() + " ")
    assert identify_import(config(spider, "spider")) != there
    assert identify_import(config(spider / "dev.json", "spider")) != alone
    assert identify_import(config(spider, "spider", split="test")) != identify_import(
        config(spider, "spider")
    )


def test_shard_function_returns_counts(sources: Path, tmp_path: Path) -> None:
    settings = config(sources / "gretel_test.jsonl", "gretel")
    metrics = import_shard(tmp_path, config=settings)
    assert (metrics["rows"], metrics["quarantined"]) == (1, 4)
    assert metrics["problems"]["no_schema"] == 1
    json.dumps(metrics)


def test_fields_of_any_type_and_any_text_are_survived(tmp_path: Path) -> None:
    odd = [None, 5, [], {}, "\ud800", "x\0", "x" * 300_000, "\u202e", True]
    rows = [triple(value, value, value) for value in odd]  # type: ignore[arg-type]
    rows += [triple("Q?", "SELECT a FROM t", value) for value in odd]  # type: ignore[arg-type]
    source = tmp_path / "train.jsonl"
    rows.append(triple("A?", "SELECT a FROM t"))
    source.write_text("\n".join(map(json.dumps, rows)))
    report = import_dataset(tmp_path / "out", config(source, "sql-create-context"))
    assert (report["rows"], report["accepted"]) == (19, 1)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(
        json.dumps(report)
    )


def test_too_many_splits_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(
        "\n".join(
            json.dumps({"question": f"{n}?", "schema_sql": CONTEXT, "gold_sql": f"SELECT {n}",
                        "split": f"split_{n}"})
            for n in range(70)
        )
    )  # fmt: skip
    with pytest.raises(InputError, match="over 64 splits"):
        import_dataset(tmp_path / "out", config(source, "jsonl"))
    report = import_dataset(tmp_path / "out", config(source, "jsonl", split="test"))
    assert report["splits"] == {"test": {"accepted": 70, "quarantined": 0}}


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", ""), ("a.json", "[]"), ("a.jsonl", "\n"), ("a.csv", "question\n")]
)
def test_source_without_rows_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"no rows in '.*{name}'"):
        import_dataset(tmp_path / "out", config(tmp_path / name, "sql-create-context"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
