"""The dataset section: counts of every split, and samples whose words are marked."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tinysql.report.rows import Sample, dataset_view


def marked(sample: Sample, mark: str) -> list[str]:
    texts = (*sample.question, *sample.schema_sql, *sample.gold_sql)
    return [segment.text for segment in texts if segment.mark == mark]


def joined(sample: Sample) -> list[str]:
    texts = (sample.question, sample.schema_sql, sample.gold_sql)
    return ["".join(segment.text for segment in text) for text in texts]


def test_samples_mark_the_words_of_every_clause(artifacts: dict[str, Any]) -> None:
    view = dataset_view(artifacts["dataset"])
    rows = {
        row["question"]: row
        for row in pq.read_table(artifacts["dataset"] / "test-00000.parquet").to_pylist()
    }
    assert len(view.samples) == 6
    for sample in view.samples:
        row = rows[joined(sample)[0]]
        for item in row["select"]:
            assert item["phrase"] in marked(sample, "select")
        for key in row["order_by"]:
            assert {key["phrase"], key["direction_phrase"]} <= set(marked(sample, "order"))
        for condition in row["filters"]:
            assert condition["operator_phrase"] in marked(sample, "filter")
        for group in row["group_by"]:
            assert group["column"] in marked(sample, "group")
        tables = {row["tables"][table]["phrase"] for table in row["from_tables"]}
        assert tables <= set(marked(sample, "table"))


def test_samples_of_a_dataset_from_elsewhere_are_plain(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    file = "test-00000.parquet"
    (tmp_path / file).write_bytes((artifacts["dataset"] / file).read_bytes())
    view = dataset_view(tmp_path)
    assert view.counts == {"train": 0, "validation": 0, "test": 30}
    assert [joined(each) for each in view.samples] == [
        joined(each) for each in dataset_view(artifacts["dataset"]).samples
    ]
    assert not any(segment.mark for each in view.samples for segment in each.question)


def test_dataset_that_does_not_say_what_it_selects_has_no_such_chart(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    for path in artifacts["dataset"].glob("*.parquet"):
        table = pq.read_table(path).drop_columns(["select", "filters", "group_by", "order_by"])
        pq.write_table(table, tmp_path / path.name)
    view = dataset_view(tmp_path)
    assert view.selected_chart == ""
    assert view.columns_chart == dataset_view(artifacts["dataset"]).columns_chart
    assert len(view.samples) == len(dataset_view(artifacts["dataset"]).samples)


def test_splits_that_test_generalization_are_counted(
    artifacts: dict[str, Any], tmp_path: Path
) -> None:
    data = (artifacts["dataset"] / "test-00000.parquet").read_bytes()
    for split in ("test", "held_tables"):
        (tmp_path / f"{split}-00000.parquet").write_bytes(data)
    assert dataset_view(tmp_path).counts == {
        "train": 0, "validation": 0, "test": 30, "held_tables": 30,
    }  # fmt: skip
