"""Data files of strangers: read record by record, refused in one line with file and line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data.interchange import records
from tinysql.data.interchange.records import read_records
from tinysql.errors import InputError

OBJECTS = st.lists(
    st.dictionaries(
        st.text(max_size=4),
        st.text(max_size=30) | st.integers() | st.none() | st.lists(st.booleans(), max_size=3),
        max_size=3,
    ),
    max_size=6,
)


def values_of(path: Path) -> list[Any]:
    return [record.values for record in read_records(path)]


@given(objects=OBJECTS, block=st.integers(1, 40), indent=st.sampled_from([None, 1]))
@settings(deadline=None, max_examples=150)
def test_array_in_small_blocks_is_what_json_reads(
    tmp_path_factory: pytest.TempPathFactory, objects: list[Any], block: int, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps(objects, indent=indent, ensure_ascii=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_BLOCK_CHARS", block)
        assert values_of(path) == objects


def test_lines_are_those_that_a_reader_of_the_file_sees(tmp_path: Path) -> None:
    array = tmp_path / "a.json"
    array.write_text('\ufeff[\n {"a": 1},\n\n {"a":\n 2}]', encoding="utf-8")
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"a": 1}\n\n{"a": 2}\n')
    cells = tmp_path / "a.csv"
    cells.write_text('a,b\n1,"x\ny"\n2,z\n')
    table = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), table)
    assert [record.line for record in read_records(array)] == [2, 4]
    assert [record.line for record in read_records(lines)] == [1, 3]
    assert [record.line for record in read_records(cells)] == [2, 4]
    assert [record.line for record in read_records(table)] == [1, 2]
    assert values_of(cells) == [{"a": "1", "b": "x\ny"}, {"a": "2", "b": "z"}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"a": 1}\n{"a": }\n', r"x\.jsonl:2: not JSON: Expecting value at column 7"),
        ("x.jsonl", '{"a": 1}\n[1]\n', r"x\.jsonl:2: expected an object .*got a list"),
        ("x.json", '[\n{"a": 1},\n{"a" 1}]', r"x\.json:3: not JSON: Expecting ':' delimiter"),
        ("x.json", '[\n{"a": 1}\n{"a": 2}]', r"x\.json:3: not JSON: expected ',' or '\]', got"),
        ("x.json", '[{"a": 1},\n', r"x\.json:\d: not JSON"),
        ("x.json", '[{"a": 1},\n"b"]', r"x\.json:2: expected an object .*got a string"),
        ("x.json", '["' + "[" * 50, r"x\.json:1: not JSON"),
        ("x.json", "[" + "[" * 100_000, r"x\.json:1: not JSON that can be read"),
        ("x.jsonl", '{"a": ' + "[" * 100_000 + "\n", r"x\.jsonl:1: not JSON that can be read"),
        ("x.jsonl", '{"a": ' + "9" * 5_000 + "}\n", r"x\.jsonl:1: not JSON that can be read"),
        ("x.csv", "a,b\n1,2\n3\n", r"x\.csv:3: 1 cells, expected 2 as in the first line"),
        ("x.csv", "a,b\n1,2,3\n", r"x\.csv:2: 3 cells, expected 2"),
        ("x.parquet", "PAR1 not", r"x\.parquet: not a Parquet file"),
    ],
)
def test_broken_files_give_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        values_of(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="not UTF-8"):
        values_of(tmp_path / "x.jsonl")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
def test_endless_records_are_refused_without_being_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_CHARS", 1_000)
    monkeypatch.setattr(records, "_BLOCK_CHARS", 100)
    start = {"x.jsonl": '{"a": "', "x.json": '[{"a": "', "x.csv": 'a\n"'}[name]
    (tmp_path / name).write_text(start + "x" * 1_000_000)
    with pytest.raises(InputError, match=r"x\.\w+:\d+: "):
        values_of(tmp_path / name)
