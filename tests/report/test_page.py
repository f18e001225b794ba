"""The page as a file: complete, escaped, self-contained, and honest about what was not run."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tinysql.errors import InputError
from tinysql.report.page import SECTIONS, build_report

LARGEST_PAGE = 1_500_000
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """The ids, addresses and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "data", "action", "srcset", "poster", "xlink:href"}:
                self.addresses.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def section(out_dir: Path, artifacts: dict[str, Any], name: str) -> str:
    """The text of one section, a blank between any two pieces."""
    build_report(out_dir, **artifacts)
    source = (out_dir / "report.html").read_text(encoding="utf-8")
    start = source.index(f'<section id="{name}">')
    part = source[start : source.index("</section>", start) + len("</section>")]
    return " ".join(Outline(part.replace("<", " <")).text.split())


def built(out_dir: Path, artifacts: dict[str, Any], **changes: Any) -> Outline:
    build_report(out_dir, **{**artifacts, **changes})
    return Outline((out_dir / "report.html").read_text(encoding="utf-8"))


def test_report_has_every_section_and_a_link_to_each(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    page = built(tmp_path, artifacts)
    for section, _ in SECTIONS:
        assert page.ids.count(section) == 1
        assert f"#{section}" in page.addresses


def test_report_returns_its_own_size_and_findings(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    metrics = build_report(tmp_path, **artifacts)
    assert metrics["bytes"] == (tmp_path / "report.html").stat().st_size
    assert metrics["wrong_answers"] == 4


def test_report_is_a_function_of_its_inputs(tmp_path: Path, artifacts: dict[str, Any]) -> None:
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        build_report(tmp_path / name, **artifacts)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_headline_tells_accuracy_counts_and_interval(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    text = " ".join(built(tmp_path, artifacts).text.split())
    assert "94.2%" in text
    assert "942 of 1,000 questions" in text
    assert "95% Wilson interval 91.2% to 96.2%" in text


def test_report_loads_nothing_from_outside(tmp_path: Path, artifacts: dict[str, Any]) -> None:
    page = built(tmp_path, artifacts)
    outside = [link for link in page.addresses if not link.startswith("#") and link != "data:,"]
    assert outside == []
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|https?://", source)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src="http://example.invalid/x" onerror="alert(1)">',
        "</td></table></main><svg onload=alert(1)>",
        "{{ run }} {% raw %} &lt;b&gt; <!-- ]]> \x00\x1b[31m \u202e",
    ],
)
def test_hostile_text_stays_text(
    tmp_path: Path, make_artifacts: Callable[..., dict[str, Any]], hostile: str
) -> None:
    (tmp_path / "plain").mkdir()
    plain = built(tmp_path / "plain", make_artifacts(tmp_path / "a", pred_sql="SELECT 1"))
    artifacts = make_artifacts(tmp_path / "b", recipe=hostile, pred_sql=hostile)
    for step in artifacts["run"]["steps"]:
        step |= {"name": hostile, "config": {hostile: hostile}}
    page = built(tmp_path, artifacts)
    marks = {"del", "ins"}
    assert set(page.tags) - marks == set(plain.tags) - marks
    assert page.tags.count("script") == 1
    assert page.tags.count("td") == plain.tags.count("td")
    assert [link for link in page.addresses if link.startswith("http")] == []
    assert "\x00" not in page.text
    assert "\u202e" not in page.text


def test_missing_steps_are_named_as_not_part_of_the_recipe(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    absent = dict.fromkeys(("base", "baseline", "adapter_study", "pairs", "patching", "sae"))
    page = built(tmp_path, artifacts, **absent)
    assert page.text.count("not part of this recipe") == 5
    assert "resid_post.0" not in page.text
    assert "Loss of the base model" not in page.text
    assert "Loss of the model" in page.text


def test_patching_without_pairs_shows_maps_and_says_so(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    page = built(tmp_path, artifacts, pairs=None)
    assert page.text.count("not part of this recipe") == 1
    assert "effect +" in page.text


def test_patching_states_n_and_the_effect_of_every_cell(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    text = built(tmp_path, artifacts).text
    assert text.count("n = 128") == 3
    rows = pq.read_table(artifacts["patching"] / "layer-02.parquet").to_pylist()
    for row in (row for row in rows if row["site"] != "z"):
        role = row["role"].replace("_", " ")
        effect = "n/a" if row["effect"] is None else f"{row['effect']:+.3f}"
        fewer = " (n = 97)" if row["n"] == 97 else ""
        assert f"layer 2, {role}: effect {effect}{fewer}" in text


def test_patching_shows_the_strongest_role_of_each_head(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    text = built(tmp_path, artifacts).text
    rows = pq.read_table(artifacts["patching"] / "layer-02.parquet").to_pylist()
    head = [row for row in rows if row["head"] == 5]
    strongest = max(head, key=lambda row: abs(row["effect"] or 0))
    assert f"layer 2 head 5, {strongest['role']}: effect {strongest['effect']:+.3f}" in text


@pytest.mark.parametrize(
    ("near_zero", "accuracy", "caution"),
    [
        (42, 0.1, ""),
        (43, 0.99, "The model hardly reacts to this change"),
        (43, 0.0, "The model hardly reacts to this change"),
        (0, 0.09, "The model hardly ever tells these prompts apart"),
    ],
)
def test_patching_cautions_where_the_model_hardly_tells_the_pairs_apart(
    tmp_path: Path,
    make_artifacts: Callable[..., dict[str, Any]],
    near_zero: int,
    accuracy: float,
    caution: str,
) -> None:
    artifacts = make_artifacts(tmp_path / "artifacts")
    path = artifacts["patching"] / "summary.json"
    summary = json.loads(path.read_text())
    summary["features"]["DefFieldName"] |= {"near_zero": near_zero, "accuracy": accuracy}
    path.write_text(json.dumps(summary))
    text = built(tmp_path, artifacts).text
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{near_zero} of 128" in text
    assert source.count('class="feature weak"') == source.count('class="caution"') == bool(caution)
    assert caution in text


def test_wrong_answers_are_compared_with_gold(tmp_path: Path, artifacts: dict[str, Any]) -> None:
    built(tmp_path, artifacts)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<del>ASC</del>" in source
    assert "<ins>DESC</ins>" in source


def test_no_wrong_answers_is_said(
    tmp_path: Path, make_artifacts: Callable[..., dict[str, Any]]
) -> None:
    artifacts = make_artifacts(tmp_path / "artifacts")
    predictions = artifacts["evaluation"] / "predictions.parquet"
    table = pq.read_table(predictions)
    pq.write_table(table.filter(table["strict"]), predictions)
    page = built(tmp_path, artifacts, baseline=None)
    assert "Every answer returned the right rows." in page.text


def test_page_of_a_large_model_stays_small(
    tmp_path: Path, make_artifacts: Callable[..., dict[str, Any]]
) -> None:
    artifacts = make_artifacts(tmp_path, pred_sql="SELECT x, " * 5_000, layers=24, heads=14)
    assert build_report(tmp_path, **artifacts)["bytes"] < LARGEST_PAGE


def test_base_and_tuned_answers_stand_side_by_side(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    text = section(tmp_path, artifacts, "comparison")
    folders = artifacts["baseline"], artifacts["evaluation"]
    tables = (pq.read_table(folder / "predictions.parquet") for folder in folders)
    base, tuned = ({row["id"]: row for row in table.to_pylist()} for table in tables)
    right = {key: (base[key]["strict"], tuned[key]["strict"]) for key in base}
    differ = [key for key, pair in right.items() if pair == (False, True)]
    assert len(differ) < 20 < len(base)
    assert all(base[key]["question"] in text for key in differ)
    assert f"tuned is better: {26 / 30:.2f} against {(26 - len(differ)) / 30:.2f}" in text
    assert f"by tuned alone {len(differ)} by base alone 0" in text
    assert text.count("base: wrong columns tuned: strict") == len(differ)


def test_evaluations_of_other_rows_are_refused(
    tmp_path: Path, make_artifacts: Callable[..., dict[str, Any]]
) -> None:
    artifacts = make_artifacts(tmp_path / "artifacts")
    predictions = artifacts["baseline"] / "predictions.parquet"
    pq.write_table(pq.read_table(predictions).slice(3), predictions)
    with pytest.raises(InputError, match="two models cannot be compared: 3 ids are of one model"):
        build_report(tmp_path, **artifacts)


def test_adapters_are_shown_with_sizes_changes_checks_and_forgetting(
    tmp_path: Path, artifacts: dict[str, Any]
) -> None:
    text = section(tmp_path, artifacts, "adapters")
    for told in (
        "peak memory of a training process 1.23 GB",
        "parameters 100,000 1,000,000 10.0%",
        "file to keep for each task 402 kB 4 MB 10.0%",
        "state of the optimizer 800 kB 8 MB 10.0%",
        "optimizer in training 5.6 MB 16 MB 35.0%",
        "The strongest color is 13.4%",
        "model.layers.3.mlp.down_proj: 13.4% of the weight's norm, norm 3.40, effective rank 3.21",
        "number 1: 3.down 1, 3.up 1, 3.gate 1",
        "adapters off base 0 the same",
        "adapters off base 2.5e-01 DIFFERENT",
        "question and schema 40,000 1.250 1.500 +0.250 +0.200 to +0.300 forgotten",
        "SQL 40,000 1.250 1.500 -0.500 -0.600 to -0.400 improved",
        "whole row 40,000 1.250 1.500 +0.250 -0.100 to +0.600 not distinguishable",
    ):
        assert told in text
