"""The statistics of a dataset as one HTML page without any outside reference.

It has the style sheet of the report, and like that forbids itself every load; it has no script.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from tinysql.data.writing import whole_file
from tinysql.report.charts import Bar, bar_chart, column_chart
from tinysql.report.marking import clip, visible
from tinysql.report.svg import number, percent

_BINS = 12
_TOP = 12
_SAMPLE_CHARS = 900

_LENGTHS = {
    "question_words": "Words of a question",
    "question_characters": "Characters of a question",
    "schema_characters": "Characters of a schema",
    "gold_characters": "Characters of a query",
    "gold_tokens": "Tokens of a query",
    "tables_per_schema": "Tables of a schema",
    "columns_per_schema": "Columns of a schema",
}
_DISTINCT = {
    "question": "questions",
    "schema_sql": "schemas",
    "gold_sql": "queries",
    "tables": "table names",
    "columns": "column names",
    "words": "words in questions",
    "content_words": "content words",
}


def write_page(out: Path, statistics: Mapping[str, Any], *, title: str) -> None:
    """Write the page; the file appears whole."""
    text = render_page(statistics, title=title)
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_statistics(out: Path, statistics: Mapping[str, Any]) -> None:
    """Write the statistics as JSON; the file appears whole."""
    text = json.dumps(statistics, indent=1, ensure_ascii=False)
    with whole_file(out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def render_page(statistics: Mapping[str, Any], *, title: str) -> str:
    """The page as HTML."""
    page = _template().render(
        title=title,
        style=_style(),
        statistics=statistics,
        length_names=_LENGTHS,
        distinct_names=_DISTINCT,
        charts=_charts(statistics),
        samples=_samples(statistics["samples"]),
    )
    return visible(page).strip() + "\n"


@cache
def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "svg": Markup}
    source = files("tinysql.data.interchange").joinpath("statistics.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))


@cache
def _style() -> Markup:
    """The report's own style sheet, so that the two pages cannot drift apart."""
    page = files("tinysql.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return Markup(page.partition("<style>")[2].partition("</style>")[0])


def _charts(statistics: Mapping[str, Any]) -> dict[str, str]:
    splits = [Bar(name, group["rows"]) for name, group in statistics["splits"].items()]
    sets = [Bar(_set_name(name), group["rows"]) for name, group in _sets(statistics)]
    hardness = [Bar(name, rows) for name, rows in statistics["hardness"].items()]
    spread = statistics["distributions"]
    return {
        "splits": bar_chart(splits, label="Rows per split"),
        "command_sets": bar_chart(sets, label="Rows per command set"),
        "hardness": bar_chart(hardness, label="Rows per Spider hardness"),
        "clauses": _share_chart(statistics["clauses"], "Share of queries with each clause"),
        "aggregates": _share_chart(statistics["aggregates"], "Share of queries with aggregates"),
        "question_words": column_chart(
            _binned(spread["question_words"]), label="Words of a question", x_title="words"
        ),
        "gold_tokens": column_chart(
            _binned(spread["gold_tokens"]), label="Tokens of a query", x_title="tokens"
        ),
        "columns_per_schema": column_chart(
            _binned(spread["columns_per_schema"]), label="Columns of a schema", x_title="columns"
        ),
        **{
            f"top_{name}": bar_chart(
                [Bar(clip(word, 40), count) for word, count in found[:_TOP]],
                label=f"Most frequent {name.replace('_', ' ')}",
            )
            for name, found in statistics["most_frequent"].items()
        },
    }


def _sets(statistics: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return list(statistics["command_sets"].items())


def _set_name(command_set: str) -> str:
    return "unknown" if command_set == "0" else f"command set {command_set}"


def _share_chart(shares: Mapping[str, float], label: str) -> str:
    return bar_chart([Bar(name, share) for name, share in shares.items()], label=label,
                     caption=percent)  # fmt: skip


def _binned(counts: Mapping[str, int]) -> list[Bar]:
    """The distribution in at most _BINS columns of equal width."""
    values = {int(value): count for value, count in counts.items()}
    if not values:
        return []
    low, high = min(values), max(values)
    width = max(1, -(-(high - low + 1) // _BINS))
    bars = []
    for start in range(low, high + 1, width):
        stop = start + width - 1
        rows = sum(count for value, count in values.items() if start <= value <= stop)
        bars.append(Bar(str(start) if width == 1 else f"{start}-{stop}", rows))
    return bars


def _samples(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    return [
        {
            "name": f"{_set_name(command_set)}, {row['split']}",
            **{
                part: clip(row[part] or "", _SAMPLE_CHARS)
                for part in ("question", "schema_sql", "gold_sql")
            },
        }
        for command_set, rows in samples.items()
        for row in rows
    ]
