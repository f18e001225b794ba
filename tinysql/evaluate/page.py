"""The verdicts on one or two models as one HTML page without any outside reference.

It has the style sheet of the report. What models wrote is hostile: in the page's own text it is
escaped; the questions are JSON in a block that never runs, and the script makes text nodes of them,
never markup. The page forbids itself every load and every script but its own, named by hash, and
every turning of text into markup, so nothing runs or calls out even if escaping failed.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from tinysql.data.writing import whole_file
from tinysql.evaluate.breakdown import (
    HARDNESS,
    ITEM_KINDS,
    NONE,
    TIERS,
    VERDICTS,
    Cell,
    Comparison,
    VerdictRow,
    breakdown,
    compare_models,
    components,
    error_shares,
    paired,
    scored,
    totals,
)
from tinysql.report.charts import Interval, interval_chart
from tinysql.report.marking import clip, visible
from tinysql.report.template import load_template, report_style

MOST_QUESTIONS = 20_000
"""Questions that are listed; of more, those where something went wrong or differs come first."""

_KIND_NAMES = {
    "command_set": "Command set",
    "hardness": "Hardness",
    "category": "Category",
    "split": "Split",
    "num_tables": "Tables in the schema",
    "num_selected": "Columns selected",
}
_MEASURES = {
    "strict": "Strict",
    "equivalent": "Equivalent",
    "subset": "Subset",
    "exact_match": "Exact match of the query",
}
_SCHEMA_CHARS = 4000
_SQL_CHARS = 2000
_TEXT_CHARS = 600

Item = tuple[VerdictRow, ...]
"""The verdicts on one item: of base and tuned, or of the only model."""
Lines = Sequence[tuple[str, Sequence[Cell | None]]]
"""The lines of a table: a name, and a cell per column, None where there is nothing to say."""


def write_page(
    path: Path,
    *,
    title: str,
    rows: Sequence[VerdictRow],
    base_rows: Sequence[VerdictRow] | None = None,
    summary: Mapping[str, object] | None = None,
) -> None:
    """Write the page; the file appears whole.

    Args:
        rows: the verdicts on the model, the tuned one if there are two.
        base_rows: the verdicts on the model it is compared with, on the same items.
        summary: facts of the evaluation by name (models, dataset, seed, ...), listed as they are.

    Raises:
        ValueError: base_rows are not of the same items.
    """
    text = render_page(title=title, rows=rows, base_rows=base_rows, summary=summary)
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="replace"))


def render_page(
    *,
    title: str,
    rows: Sequence[VerdictRow],
    base_rows: Sequence[VerdictRow] | None = None,
    summary: Mapping[str, object] | None = None,
) -> str:
    """The page as HTML; see write_page."""
    models = {"tuned": rows} if base_rows is None else {"base": base_rows, "tuned": rows}
    items = [(row,) for row in rows] if base_rows is None else paired(base_rows, rows)
    listed = _most_telling(items)
    classes = {cell.bucket for each in models.values() for cell in error_shares(each)}
    page = _template().render(
        title=title,
        style=report_style(),
        totals={name: totals(each) for name, each in models.items()},
        sides=list(models) if base_rows is not None else ["answer"],
        measures=_by_model(models, lambda each: totals(each).cells, "tier"),
        verdicts=_by_model(models, lambda each: totals(each).verdicts),
        error_classes=_by_model(models, lambda each: error_shares(each, classes)),
        components=_by_model(models, components),
        breakdowns=_breakdowns(rows),
        comparison=_comparison(items),
        kind_names=_KIND_NAMES,
        measure_names=_MEASURES,
        facts=[(name, _fact(value)) for name, value in (summary or {}).items()],
        num_questions=len(rows),
        num_listed=len(listed),
        questions=Markup(script_json(questions(listed))),
    )
    return visible(page).strip() + "\n"


def _by_model(
    models: Mapping[str, Sequence[VerdictRow]],
    count: Callable[[Sequence[VerdictRow]], Sequence[Cell]],
    key: str = "bucket",
) -> Lines:
    """A line per key of the cells, those of the last model first, and a column per model."""
    cells = [{getattr(cell, key): cell for cell in count(each)} for each in models.values()]
    names = dict.fromkeys(name for each in reversed(cells) for name in each)
    return [(name, [each.get(name) for each in cells]) for name in names]


def _breakdowns(rows: Sequence[VerdictRow]) -> dict[str, Lines]:
    """A column per tier, by each kind of item of which anything is known."""
    tables: dict[str, Lines] = {}
    for by in ITEM_KINDS:
        cells = breakdown(rows, by)
        starts = range(0, len(cells), len(TIERS))
        if {cell.bucket for cell in cells} - {NONE}:
            tables[by] = [(cells[at].bucket, cells[at : at + len(TIERS)]) for at in starts]
    return tables


def _comparison(items: Sequence[Item]) -> Comparison | None:
    """The two models on the same items; None for one model, or if no gold is valid."""
    if not any(len(scored(answers)) == 2 for answers in items):
        return None
    base_rows, rows = zip(*items, strict=True)
    return compare_models(base_rows, rows)


def _most_telling(items: Sequence[Item]) -> list[Item]:
    """At most MOST_QUESTIONS of the items, in their order."""
    dull = [all(answer["verdict"] == "strict" for answer in answers) for answers in items]
    kept = sorted(range(len(items)), key=lambda index: dull[index])[:MOST_QUESTIONS]
    return [items[index] for index in sorted(kept)]


def script_json(value: object) -> str:
    """JSON that cannot end or change the script element around it."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def questions(items: Sequence[Item]) -> dict[str, Any]:
    """What the script shows, every text once.

    Returns:
        texts; items as [id, question, schema, [gold, ...], facts, hardness, command set,
        [[pred_sql, verdict, reason, error class], ...]] with an answer per model, all of them
        places in texts; order: the names whose order is not that of the alphabet.
    """
    places: dict[str, int] = {}

    def place(value: object, limit: int = _TEXT_CHARS) -> int:
        shown = visible(clip(NONE if value is None else str(value), limit))
        return places.setdefault(shown, len(places))

    listed = [
        [
            *(place(answers[-1][name]) for name in ("id", "question")),
            place(answers[-1]["schema_sql"], _SCHEMA_CHARS),
            [place(gold, _SQL_CHARS) for gold in _golds(answers[-1])],
            place(_item_facts(answers[-1])),
            *(place(answers[-1][name]) for name in ("hardness", "command_set")),
            [
                [
                    place(answer["pred_sql"], _SQL_CHARS),
                    place(answer["verdict"]),
                    place(_reason(answer)),
                    place(answer["error_class"]),
                ]
                for answer in answers
            ],
        ]
        for answers in items
    ]
    return {"texts": list(places), "items": listed, "order": [*VERDICTS, *HARDNESS]}


def _golds(item: VerdictRow) -> Sequence[str]:
    return [item["gold_sql"]] if isinstance(item["gold_sql"], str) else item["gold_sql"]


def _item_facts(item: VerdictRow) -> str:
    mutation = item["mutation_score"]
    said = (
        item["command_set"] is not None and f"command set {item['command_set']}",
        item["hardness"],
        item["category"],
        item["split"],
        f"tables: {item['num_tables']}",
        f"databases: {item['databases']}",
        mutation is not None and f"mutation score {mutation:.2f}",
        item["weak"] and "weak: the gold is empty on every database",
    )
    return " \u00b7 ".join(str(each) for each in said if each)


def _reason(answer: VerdictRow) -> str:
    """Why an answer is not strict; empty if it is."""
    said = (
        answer["error_class"] and answer["error_class"].replace("_", " "),
        answer["error"],
        answer["verdict"] == "subset"
        and answer["precision"] is not None
        and f"precision {answer['precision']:.2f}",
    )
    return ": ".join(str(each) for each in said if each)


def _fact(value: object) -> str:
    return value if isinstance(value, str) else clip(json.dumps(value, default=str), _TEXT_CHARS)


@cache
def _template() -> Template:
    return load_template("tinysql.evaluate", {"tier_chart": _tier_chart})


def _tier_chart(cells: Iterable[Cell]) -> Markup:
    intervals = [
        Interval(_MEASURES[cell.tier], cell.k, cell.n, cell.rate, cell.low, cell.high)
        for cell in cells
    ]
    return Markup(interval_chart(intervals, label="Scores with 95% Wilson intervals"))
