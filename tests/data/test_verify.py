import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_rows import SALES, SHOPS, make_row

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows
from tinysql.data.verify import checks
from tinysql.data.verify import rows as verify
from tinysql.data.verify.duplicates import find_duplicates
from tinysql.data.verify.report import VerificationConfig, judge, report
from tinysql.data.verify.rows import Tally, merge, verify_files, verify_row
from tinysql.sql.compare import same_bag
from tinysql.sql.engine import Engine, Tables
from tinysql.sql.engines import open_engine
from tinysql.sql.result import Row

BOTH = VerificationConfig(engines=("sqlite", "duckdb"))


def generated(command_set: int, num_rows: int, split: str = "train", **config: Any) -> pa.Table:
    """Rows of the default variant with synonyms."""
    given = DatasetConfig(
        command_sets=(command_set,), table_synonym_rate=0.8, column_synonym_rate=0.5, **config
    )
    return generate_rows(given, split, np.array(given.rows_of(split)[:num_rows]))


def tallied(row: dict[str, Any], *engines: str) -> dict[str, int]:
    """The faults of one row; without its English, for rows written by hand ask no question."""
    tally = Tally()
    with ExitStack() as stack:
        opened = [stack.enter_context(open_engine(name)) for name in engines or ("sqlite",)]
        verify_row(row, opened, tally, num_rows=24)
    json.dumps(tally.as_json())
    return {key: tally.counts[key] for key in set(tally.counts) - ROW_COUNTS - {"english"}}


ROW_COUNTS = {"rows", *(f"rows.{number}" for number in range(1, 9))}


@pytest.mark.parametrize("command_set", range(1, 9))
def test_generated_rows_are_right_in_all_engines(command_set: int, postgres_url: str) -> None:
    config = VerificationConfig(
        engines=("sqlite", "duckdb", "postgresql"), max_empty_share=0.1, max_constant_share=0.2
    )
    tally = Tally()
    with (
        open_engine("sqlite") as sqlite,
        open_engine("duckdb") as duckdb,
        open_engine("postgresql", postgres_url) as postgresql,
    ):
        for row in generated(command_set, 50).to_pylist():
            verify_row(row, [sqlite, duckdb, postgresql], tally, num_rows=12)
    assert tally.counts["rows"] == tally.counts[f"rows.{command_set}"] == 50
    failed = [check for check in judge(tally.counts, config) if not check.passed]
    assert [check.message for check in failed] == [], tally.examples


@pytest.mark.parametrize("command_set", [1, 3, 5])
def test_rows_of_the_papers_grammar_run_in_sqlite(command_set: int) -> None:
    config = VerificationConfig(engines=("sqlite",))
    tally = Tally()
    with open_engine("sqlite") as engine:
        for row in generated(command_set, 60, variant="paper").to_pylist():
            verify_row(row, [engine], tally, num_rows=16)
    failed = [check for check in judge(tally.counts, config) if not check.passed]
    assert failed == [], tally.examples


def good_row(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "select": [(SHOPS, "city", ""), (SHOPS, "rent", "")],
        "filters": [(0, SHOPS, "rent", ">", ["100"], "")],
        "order_by": [(SHOPS, "rent", "", "DESC")],
    }
    sql = "SELECT city, rent FROM shops WHERE rent > 100 ORDER BY rent DESC"
    return make_row(changes.pop("sql", sql), **given | changes)


def test_a_good_row_has_no_faults() -> None:
    assert tallied(good_row(), "sqlite", "duckdb") == {}


def test_sql_that_does_not_run_is_counted_by_engine() -> None:
    unknown = good_row(sql="SELECT town FROM shops")
    assert tallied(unknown, "sqlite", "duckdb") == {"failed.sqlite": 1, "failed.duckdb": 1}
    bare = good_row(
        sql="SELECT city, MAX(rent) AS MAX_rent FROM shops", filters=[], order_by=[],
        select=[(SHOPS, "city", ""), (SHOPS, "rent", "MAX")],
    )  # fmt: skip
    assert tallied(bare, "sqlite", "duckdb") == {"failed.duckdb": 1}


def test_engines_that_disagree_are_counted() -> None:
    integer_division = good_row(
        sql="SELECT amount / 7 AS x, amount FROM sales", from_tables=(SALES,), filters=[],
        select=[(SALES, "amount", "")], order_by=[],
    )  # fmt: skip
    assert tallied(integer_division, "sqlite", "duckdb") == {"differing": 1}


def test_choice_among_ties_is_no_disagreement() -> None:
    # The engines put NULL at different ends, and the records do not say that the SQL sorts.
    row = good_row(
        sql="SELECT city FROM shops ORDER BY city ASC LIMIT 6", select=[(SHOPS, "city", "")],
        filters=[], order_by=[], limit=6,
    )  # fmt: skip
    counts = [tallied(row | {"id": number}, "sqlite", "duckdb") for number in range(12)]
    assert {"chosen": 1} in counts
    assert all(count in ({}, {"chosen": 1}) for count in counts)
    wrong = row | {"gold_sql": "SELECT DISTINCT amount / 7 FROM sales LIMIT 6"}
    assert tallied(wrong, "sqlite", "duckdb") == {"differing": 1}


@pytest.mark.parametrize(
    ("sql", "faults"),
    [
        ("SELECT city, rent FROM shops WHERE rent > 100 ORDER BY rent ASC", {"unsorted": 1}),
        ("SELECT city, rent FROM shops WHERE rent > 100", {"unsorted": 1}),
        ("SELECT city, rent FROM shops WHERE rent > 100 AND rent < 100", {"empty": 1}),
        ("SELECT 'x' AS city, rent FROM shops WHERE rent = 7", {"constant": 1}),
        ("SELECT COUNT(*) AS city, 1 AS rent FROM shops WHERE rent < 0", {"constant": 1}),
        ("SELECT COUNT(*) AS city, 1 AS rent FROM shops WHERE rent > 0", {}),
    ],
)
def test_answers_that_say_nothing_are_counted(sql: str, faults: dict[str, int]) -> None:
    assert tallied(good_row(sql=sql, filters=[(0, SHOPS, "rent", "=", ["7"], "")])) == faults


def test_order_is_checked_as_far_as_the_keys_are_selected() -> None:
    row = make_row(
        "", select=[(SHOPS, "city", ""), (SHOPS, "rent", "MAX")],
        order_by=[(SHOPS, "rent", "MAX", "DESC"), (SHOPS, "city", "", "ASC"),
                  (SHOPS, "opened", "", "ASC")],
    )  # fmt: skip
    assert checks.is_sorted(row, [("b", 2), ("a", 1), ("c", 1), ("c", 1)])
    assert not checks.is_sorted(row, [("a", 1), ("b", 2)])
    assert not checks.is_sorted(row, [("b", 2), ("c", 1), ("a", 1)])
    assert checks.is_sorted(row, [(None, 9), ("b", 2), ("a", None), ("c", 1), (None, 3)])
    unselected = make_row("", select=[(SHOPS, "city", "")], order_by=[(SHOPS, "rent", "", "ASC")])
    assert checks.is_sorted(unselected, [("b",), ("a",)])


def test_free_questions_are_checked_word_by_word() -> None:
    row = next(row for row in generated(2, 20).to_pylist() if " DESC" in row["gold_sql"])
    free = row | {"variant": "natural", "question": "What is it?"}
    tally = Tally()
    with open_engine("sqlite") as engine:
        verify_row(free, [engine], tally, num_rows=8)
    assert tally.counts["english"] == 1


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([(1, "x"), (1, "x")], [(1, "x"), (1, "x")], True),
        ([(1, "x"), (1, "x")], [(1, "x")], False),
        ([(1,), (2,)], [(2,), (1,)], True),
        ([(1, 2.000001)], [(1.0, 2.0)], True),
        ([(1, 2.001)], [(1, 2.0)], False),
        ([(None,)], [(0,)], False),
        ([("1",)], [(1,)], False),
        ([(1, 2)], [(1,)], False),
    ],
)
def test_answers_are_bags_of_typed_cells(left: list[Row], right: list[Row], same: bool) -> None:
    assert same_bag(left, right, 1e-5) is same_bag(right, left, 1e-5) is same


def test_names_that_denote_two_things_are_counted() -> None:
    assert tallied(good_row()) == {}
    clash = good_row()
    clash["columns"][7]["name"] = "city"  # in sales too
    assert tallied(clash)["ambiguous"] == 1
    other = good_row()
    other["select"][0]["phrase"] = "rent"
    assert checks.ambiguous_names(other) == [
        "'rent' should denote city and denotes column 0.rent"
    ]
    unknown = good_row()
    unknown["tables"][0]["phrase"] = "big houses"
    assert "denotes nothing" in checks.ambiguous_names(unknown)[0]


def test_synonyms_of_another_column_are_ambiguous() -> None:
    row = next(row for row in generated(4, 50).to_pylist() if row["filters"])
    assert checks.ambiguous_names(row) == []
    taken = row["columns"][0]
    taken["name"] = "fax_number"
    assert not any("fax" in message for message in checks.ambiguous_names(row))


def test_questions_are_read_back() -> None:
    rows = generated(2, 20).to_pylist()
    row = next(row for row in rows if " DESC" in row["gold_sql"])
    flipped = row | {"gold_sql": row["gold_sql"].replace(" DESC", " ASC")}
    tally = Tally()
    with open_engine("sqlite") as engine:
        for each in rows:
            verify_row(each, [engine], tally, num_rows=8)
        assert tally.counts["english"] == 0
        verify_row(flipped, [engine], tally, num_rows=8)
    assert tally.counts["english"] == 1
    assert " ASC" in tally.examples["english"][0]["gold_sql"]


def write(folder: Path, name: str, table: pa.Table) -> Path:
    file = folder / name
    pq.write_table(table, file)
    return file


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two splits of a small dataset."""
    return [
        write(tmp_path, "train-00000.parquet", generated(2, 40)),
        write(tmp_path, "test-00000.parquet", generated(2, 20, "test")),
    ]


def test_files_are_verified_batch_by_batch(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_BATCH_ROWS", 15)
    steps: list[int] = []
    result = verify_files(files, BOTH, advance=steps.append)
    assert steps == [15, 15, 10, 15, 5]
    assert result["counts"]["rows"] == 60
    limited = verify_files(files, VerificationConfig(rows=18), advance=steps.append)
    assert steps[5:] == [15, 3, 15, 3]
    assert limited["counts"]["rows"] == 36


def test_merged_results_are_those_of_all_files(files: list[Path]) -> None:
    together = verify_files(files, BOTH)
    assert merge(verify_files([file], BOTH) for file in files) == together
    many = {"counts": {"empty": 4}, "examples": {"empty": [{"id": n} for n in range(4)]}}
    merged = merge([many, many])
    assert merged["counts"] == {"empty": 8}
    assert [example["id"] for example in merged["examples"]["empty"]] == [0, 1, 2, 3, 0]


def test_report_of_a_good_dataset(files: list[Path]) -> None:
    found = report(merge([verify_files(files, BOTH), find_duplicates(files)]), BOTH)
    assert found["passed"], found
    assert json.loads(json.dumps(found)) == found
    assert [check["name"] for check in found["checks"]][:3] == [
        "runs on sqlite", "runs on duckdb", "engines agree",
    ]  # fmt: skip
    assert found["checks"][0]["message"] == "60 of 60 rows"


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        ({"failed.duckdb": 1}, "runs on duckdb"),
        ({"differing": 1}, "engines agree"),
        ({"unsorted": 1}, "sorted as the records say"),
        ({"empty": 6}, "answers are not empty"),
        ({"constant": 16}, "answers depend on the data"),
        ({"english": 1}, "question, records and SQL agree"),
        ({"ambiguous": 1}, "names are unambiguous"),
        ({"repeated.id": 1}, "ids are unique"),
        ({"leaked.question": 1}, "no question in two splits"),
        ({"leaked.query": 1}, "no query in two splits"),
    ],
)
def test_each_count_fails_its_check(counts: dict[str, int], name: str) -> None:
    failed = [check.name for check in judge({"rows": 100} | counts, BOTH) if not check.passed]
    assert failed == [name]
    allowed = {"rows": 100, "empty": 5, "constant": 15, "chosen": 9, "repeated.question": 3}
    assert all(check.passed for check in judge(allowed, BOTH))


def test_nothing_verified_is_not_passed() -> None:
    assert not all(check.passed for check in judge({}, BOTH))


def change(name: str, number: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        cells: list[object] = table.column(name).to_pylist()
        cells[number] = value
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array(cells, table.schema.field(name).type))

    return changed


def test_duplicates_are_found_across_files(tmp_path: Path, files: list[Path]) -> None:
    train, test = (pq.read_table(file) for file in files)
    counts = find_duplicates(files)["counts"]
    assert counts.pop("duplicates.rows") == 60
    assert set(counts.values()) == {0}
    leak = train.slice(3, 2)
    leak = leak.set_column(leak.column_names.index("split"), "split", pa.array(["test"] * 2))
    leak = change("question", 1, "Another question?")(leak)
    leak = change("id", 1, 9_999)(leak)
    bad = write(tmp_path, "test-00001.parquet", pa.concat_tables([leak, test.slice(0, 1)]))
    found = find_duplicates([*files, bad])
    assert found["counts"] == {
        "duplicates.rows": 63,
        "repeated.id": 2,
        "repeated.question": 1,
        "leaked.question": 1,
        "repeated.query": 1,
        "leaked.query": 2,
    }
    first = train.column("id")[3].as_py()
    assert found["examples"]["leaked.question"] == [{"id": first, "message": f"as row {first}"}]


def test_duplicates_need_the_same_schema(tmp_path: Path, files: list[Path]) -> None:
    train = pq.read_table(files[0])
    schema_sql = train.column("schema_sql")[0].as_py() + " "
    copy = change("schema_sql", 0, schema_sql)(train.slice(0, 1))
    counts = find_duplicates([files[0], write(tmp_path, "more-00000.parquet", copy)])["counts"]
    assert (counts["repeated.id"], counts["repeated.question"]) == (1, 0)


class Unreliable(Engine):
    """Answers whatever it is told to."""

    name = "unreliable"
    errors = KeyError

    def __init__(self, answers: Sequence[list[Row]]) -> None:
        self._answers = iter(answers)

    def answer(self, schema_sql: str, tables: Tables, sql: str) -> list[Row]:  # noqa: ARG002
        return next(self._answers)

    _namespace = _execute = _query = _is_broken = _kind = None  # type: ignore[assignment]


def test_other_data_are_tried_until_an_answer_says_something() -> None:
    row = good_row(order_by=[])
    for answers, faults in (
        ([[], [], [(1,)], [(2,)]], {}),
        ([[], [], [], []], {"empty": 1}),
        ([[(1,)], [], [(1,), (1,)], [(1,)]], {"constant": 1}),
        ([[(1,), (2,)]], {}),
    ):
        tally = Tally()
        verify_row(row, [Unreliable(answers)], tally, num_rows=24)
        assert set(tally.counts) - ROW_COUNTS - {"english"} == set(faults)
