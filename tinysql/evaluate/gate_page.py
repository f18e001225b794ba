"""What a gate decided, as one HTML page without any outside reference, in the report's style."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tinysql.data.writing import whole_file
from tinysql.evaluate.gate import Check, reasons
from tinysql.report.marking import visible
from tinysql.report.template import load_template, report_style


def write_gate_page(
    path: Path, checks: Sequence[Check], *, title: str, models: Mapping[str, str]
) -> None:
    """Write the page; the file appears whole. models: their paths, by what they are called."""
    template = load_template("tinysql.evaluate", {}, name="gate.html.j2")
    held = reasons(checks)
    page = template.render(
        title=title, style=report_style(), checks=checks, models=models,
        reasons=held, passed=not held,
    )  # fmt: skip
    with whole_file(path) as temporary:
        temporary.write_bytes((visible(page).strip() + "\n").encode("utf-8", errors="replace"))
