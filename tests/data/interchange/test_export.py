"""Exports: what is written, what is left out, and that a file is there whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tinysql.data.interchange import export
from tinysql.data.interchange.config import ExportConfig, ImportConfig
from tinysql.data.interchange.export import export_dataset, export_file
from tinysql.data.interchange.importing import import_dataset
from tinysql.errors import InputError


def config(row_format: Any, *splits: str) -> ExportConfig:
    return ExportConfig(format=row_format, splits=splits or None)


def test_tinysql_rows_are_parquet_files_with_what_the_format_can_hold(
    dataset: Path, tmp_path: Path
) -> None:
    told: list[int] = []
    exported = export_dataset(dataset, tmp_path / "out", config("tinysql-rows"), told.append)
    assert exported.as_json() == {
        "rows": 4,
        "left_out": 1,
        "left_out_because": {"command set 6": 1},
        "files": {"test.parquet": 1, "train.parquet": 3},
    }
    assert sum(told) == 5
    train = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert [row["command_set"] for row in train] == [1, 2, 3]
    assert [row["order_by"] is None for row in train] == [True, False, False]


def test_sql_create_context_is_one_json_list(
    dataset: Path, tmp_path: Path, rows: list[Any]
) -> None:
    out = tmp_path / "train.json"
    export_dataset(dataset, out, config("sql-create-context", "train"))
    assert json.loads(out.read_text()) == [
        {"question": row["question"], "context": row["schema_sql"], "answer": row["gold_sql"]}
        for row in rows
        if row["split"] == "train"
    ]


def test_jsonl_in_one_file_keeps_the_splits(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    export_dataset(dataset, out, config("jsonl"))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["id"], line["split"]) for line in lines] == [
        (4, "test"), (0, "train"), (1, "train"), (2, "train"), (3, "train")
    ]  # fmt: skip


def test_an_export_of_no_rows_is_a_valid_file(dataset: Path, tmp_path: Path) -> None:
    for path in dataset.glob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    export_dataset(dataset, tmp_path / "json", config("sql-create-context"))
    export_dataset(dataset, tmp_path / "lines", config("jsonl"))
    export_dataset(dataset, tmp_path / "parquet", config("tinysql-rows"))
    assert json.loads((tmp_path / "json" / "train.json").read_text()) == []
    assert (tmp_path / "lines" / "train.jsonl").read_text() == ""
    assert pq.read_table(tmp_path / "parquet" / "train.parquet").num_rows == 0


def test_rows_stream_in_groups(dataset: Path, tmp_path: Path) -> None:
    table = pq.read_table(dataset / "train-00000.parquet")
    many = pa.concat_tables([table] * 3_000)
    pq.write_table(many, dataset / "train-00001.parquet")
    exported = export_dataset(dataset, tmp_path / "out", config("tinysql-rows", "train"))
    file = pq.ParquetFile(tmp_path / "out" / "train.parquet")
    assert exported.rows == file.metadata.num_rows == 3 * 3_001
    assert file.metadata.num_row_groups == 2


@pytest.mark.parametrize(
    ("row_format", "out", "splits", "message"),
    [
        ("tinysql-rows", "x.csv", (), "tinysql-rows goes into files that end in .parquet"),
        ("tinysql-rows", "x.parquet", (), "has test, train; give a folder"),
        ("jsonl", "x.json", (), "end in .jsonl"),
        ("jsonl", "x", ("dev",), "unknown split 'dev'; expected one of test, train"),
    ],
)
def test_wrong_targets_are_refused_before_anything_is_written(
    dataset: Path, tmp_path: Path, row_format: str, out: str, splits: tuple[str, ...], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        export_dataset(dataset, tmp_path / out, config(row_format, *splits))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset in"):
        export_dataset(tmp_path, tmp_path / "out", config("jsonl"))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "train-00000.parquet")
    with pytest.raises(InputError, match="no column 'question'"):
        export_dataset(tmp_path, tmp_path / "out", config("jsonl"))
    (tmp_path / "train-00000.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(InputError, match="not a Parquet file"):
        export_dataset(tmp_path, tmp_path / "out", config("jsonl"))


@pytest.mark.parametrize("row_format", ["tinysql-rows", "sql-create-context", "jsonl"])
def test_a_failure_midway_leaves_the_old_files_and_nothing_else(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_format: str
) -> None:
    out = tmp_path / "out"
    export_dataset(dataset, out, config(row_format))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    written: list[Any] = []

    def fail_late(row: Any, row_format: str) -> Any:
        written.append(row)
        if len(written) == 3:  # the first file is complete by then
            raise RuntimeError("killed")
        return convert(row, row_format)

    convert = export.convert
    monkeypatch.setattr(export, "convert", fail_late)
    with pytest.raises(RuntimeError, match="killed"):
        export_dataset(dataset, out, config(row_format))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_shard_function_writes_one_file(dataset: Path, tmp_path: Path) -> None:
    wanted = config("tinysql-rows")
    name = "train-00000.parquet"
    metrics = export_file(tmp_path, dataset=dataset, file_name=name, config=wanted)
    assert metrics == {"rows": 3, "left_out": 1}
    assert pq.read_table(tmp_path / name).num_rows == 3


@pytest.mark.parametrize("row_format", ["tinysql-rows", "sql-create-context", "jsonl"])
def test_what_is_exported_and_imported_again_is_the_same(
    dataset: Path, tmp_path: Path, rows: list[Any], row_format: Any
) -> None:
    export_dataset(dataset, tmp_path / "out", config(row_format))
    source = ImportConfig(source=str(tmp_path / "out"), format=row_format)
    report = import_dataset(tmp_path / "again", source)
    assert report["quarantined"] == 0
    again = [
        row
        for path in sorted((tmp_path / "again").glob("*-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    texts = ("split", "question", "schema_sql", "gold_sql")
    kept = [row for row in rows if row_format != "tinysql-rows" or row["command_set"] != 6]
    expected = sorted(tuple(row[name] for name in texts) for row in kept)
    assert sorted(tuple(row[name] for name in texts) for row in again) == expected
    names = {row["question"]: [column["name"] for column in row["columns"]] for row in kept}
    assert {row["question"]: [c["name"] for c in row["columns"]] for row in again} == names
