"""Statistics: measures of text against values worked out by hand, and the page that shows them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tinysql.data.interchange import english
from tinysql.data.interchange.clauses import aggregates_of, clauses_of, tokens_of
from tinysql.data.interchange.config import ImportConfig
from tinysql.data.interchange.importing import import_dataset
from tinysql.data.interchange.measure import measure, num_rows_to_read
from tinysql.data.interchange.page import render_page, write_page, write_statistics
from tinysql.data.interchange.tallies import Lengths
from tinysql.errors import InputError


@pytest.mark.parametrize(
    ("word", "syllables"),
    [("the", 1), ("price", 1), ("prices", 2), ("table", 2), ("sorted", 2), ("named", 1),
     ("department", 3), ("salary", 3), ("query", 2), ("42", 1), ("categories", 4)],
)  # fmt: skip
def test_syllables(word: str, syllables: int) -> None:
    assert english.num_syllables(word) == syllables


def test_reading_ease_is_the_formula() -> None:
    text = "List the city and the price. Sort by price!"  # 9 words, 2 sentences, 10 syllables
    words = english.words_of(text)
    assert len(words) == 9
    assert english.num_sentences(text) == 2
    expected = 206.835 - 1.015 * 9 / 2 - 84.6 * 10 / 9
    assert english.reading_ease(words, 2) == pytest.approx(expected)


def test_sentences_end_at_marks_not_inside_of_numbers() -> None:
    assert english.num_sentences("Costs over 3.50 in all") == 1
    assert english.num_sentences("What? Now.") == 2
    assert english.num_sentences("What? Now") == 2
    assert english.num_sentences("") == 1


def test_words_density_and_rarity() -> None:
    words = english.words_of("Show the hire_date of all 3 employees")
    assert words == ["show", "the", "hire", "date", "of", "all", "3", "employees"]
    assert english.content_words(words) == ["show", "hire", "date", "employees"]
    assert english.lexical_density(words) == 0.5
    assert english.rarity(words, {"show", "date"}) == 0.5
    assert english.lexical_density([]) == english.rarity([], ()) == 0.0


@pytest.mark.parametrize(
    ("sql", "clauses", "aggregates"),
    [
        ("SELECT a FROM t", set(), set()),
        ("SELECT 'WHERE x ORDER BY' FROM t", set(), set()),
        ("SELECT a FROM t WHERE b BETWEEN 1 AND 2", {"WHERE", "BETWEEN"}, set()),
        ("SELECT a FROM t WHERE b BETWEEN 1 AND 2 AND c = 3", {"WHERE", "BETWEEN", "AND"}, set()),
        ("SELECT COUNT(*), max(a) FROM t GROUP BY b HAVING SUM(c) > 1",
         {"GROUP BY", "HAVING"}, {"COUNT", "MAX", "SUM"}),
        ("SELECT a AS count FROM t UNION SELECT b FROM u", {"UNION"}, set()),
        ("SELECT a FROM t WHERE b NOT IN (SELECT c FROM u) OR d IS NULL",
         {"WHERE", "NOT", "IN", "OR", "IS NULL", "sub-query"}, set()),
        ("SELECT DISTINCT a FROM t JOIN u ON t.a = u.a ORDER BY a LIMIT 3",
         {"DISTINCT", "JOIN", "ORDER BY", "LIMIT"}, set()),
        ("SELECT 'x", set(), set()),
    ],
)  # fmt: skip
def test_clauses_are_those_outside_of_literals(
    sql: str, clauses: set[str], aggregates: set[str]
) -> None:
    assert clauses_of(tokens_of(sql)) == clauses
    assert aggregates_of(tokens_of(sql)) == aggregates


def test_quantiles_are_exact() -> None:
    lengths = Lengths()
    for value in [5, 1, 3, 2, 4]:
        lengths.add(value)
    assert lengths.as_json() == {"mean": 3.0, "min": 1, "median": 3, "p95": 5, "max": 5}
    assert Lengths().as_json()["median"] is None


def test_statistics_of_a_dataset(dataset: Path) -> None:
    told: list[int] = []
    found = measure(dataset, told.append)
    assert sum(told) == num_rows_to_read(dataset) == 10
    assert found["rows"] == 5
    assert {name: group["rows"] for name, group in found["splits"].items()} == {
        "train": 4, "test": 1
    }  # fmt: skip
    assert list(found["command_sets"]) == ["1", "2", "3", "5", "6"]
    assert found["hardness"] == {"easy": 3, "medium": 2}
    assert found["clauses"]["ORDER BY"] == 0.4
    assert found["clauses"]["JOIN"] == found["clauses"]["DISTINCT"] == 0.2
    assert found["aggregates"] == {"COUNT": 0, "SUM": 0.2, "AVG": 0, "MIN": 0, "MAX": 0}
    assert found["distinct"]["tables"] == 3
    assert found["distinct"]["columns"] == 6
    assert found["distinct"]["schema_sql"] == 2
    assert found["most_frequent"]["tables"][0] == ("trips", 4)
    assert found["lengths"]["columns_per_schema"]["max"] == 5
    assert [row["id"] for row in found["samples"]["5"]] == [4]
    json.dumps(found)


def test_statistics_of_an_import_and_of_rows_without_records(sources: Path, tmp_path: Path) -> None:
    import_dataset(
        tmp_path / "in", ImportConfig(source=str(sources / "spider"), format="spider")
    )
    found = measure(tmp_path / "in")
    assert found["rows"] == 5
    assert list(found["command_sets"]) == ["0"]
    assert found["distinct"]["tables"] == 5
    with pytest.raises(InputError, match="no dataset"):
        measure(tmp_path)


class Outside(HTMLParser):
    """Collects whatever a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"
        ]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_complete_in_itself_and_runs_no_text(dataset: Path, tmp_path: Path) -> None:
    statistics: dict[str, Any] = measure(dataset)
    evil = "<script>alert(1)</script>\u202e"
    statistics["samples"]["1"][0]["question"] = evil
    statistics["most_frequent"]["tables"][0] = (evil, 4)
    page = render_page(statistics, title=evil)
    parser = Outside()
    parser.feed(page)
    assert parser.loads == ["data:,"]
    assert "script" not in parser.tags
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert re.search(r"--paper: #\w+", page), "the style sheet of the report is gone"
    text = " ".join(parser.texts)
    for expected in ("Rows per split", "Flesch reading ease", "GROUP BY", "SELECT city FROM trips"):
        assert expected in text
    write_page(tmp_path / "page.html", statistics, title="x")
    write_statistics(tmp_path / "statistics.json", statistics)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "statistics.json").read_text())["rows"] == 5
    assert len(list(tmp_path.glob(".*.tmp"))) == 0
