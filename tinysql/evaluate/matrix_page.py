"""A forgetting matrix as one HTML page without any outside reference, in the report's style."""

from pathlib import Path

from markupsafe import Markup

from tinysql.data.writing import whole_file
from tinysql.evaluate.forgetting import Matrix
from tinysql.report.heat import HeatMap, color_scale, heat_map
from tinysql.report.marking import visible
from tinysql.report.template import load_template, report_style


def write_matrix_page(path: Path, matrix: Matrix, *, title: str) -> None:
    """Write the page; the file appears whole."""
    text = render_matrix_page(matrix, title=title)
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="replace"))


def render_matrix_page(matrix: Matrix, *, title: str) -> str:
    """The page as HTML."""
    template = load_template("tinysql.evaluate", {"svg": Markup}, name="matrix.html.j2")
    limit = max(abs(value) for line in _differences(matrix) for value in line if value is not None)
    page = template.render(
        title=title,
        style=report_style(),
        by=matrix.by.replace("_", " "),
        tier=matrix.tier,
        buckets=matrix.buckets,
        lines=matrix.lines,
        changes=matrix.changes,
        chart=_chart(matrix, limit or 1.0),
        scale=color_scale(limit or 1.0, title="Color scale of the changes"),
    )
    return visible(page).strip() + "\n"


def _chart(matrix: Matrix, limit: float) -> str:
    tips = [
        [
            "" if found is None else f"{bucket}: {found.words}"
            for bucket, found in zip(matrix.buckets, line, strict=True)
        ]
        for line in matrix.contrasts
    ]
    data = HeatMap(
        rows=[f"{change.after} beside {change.before}" for change in matrix.changes],
        columns=matrix.buckets,
        values=_differences(matrix),
        tips=tips,
        column_title=matrix.by.replace("_", " "),
    )
    return heat_map(data, label="Change of the rate by model and bucket", limit=limit)


def _differences(matrix: Matrix) -> list[list[float | None]]:
    return [
        [None if found is None else found.difference.difference for found in line]
        for line in matrix.contrasts
    ]
