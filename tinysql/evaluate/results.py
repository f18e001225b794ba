"""What an evaluation leaves beside its predictions: summary.json and page.html."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinysql.errors import InputError
from tinysql.evaluate.breakdown import VerdictRow, as_json, compare_models
from tinysql.evaluate.page import write_page
from tinysql.evaluate.tally import Tally


def write_results(
    folder: Path,
    tally: Tally,
    rows: Sequence[VerdictRow],
    base_rows: Sequence[VerdictRow] | None,
    *,
    title: str,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary, after writing it and the page.

    Args:
        rows: what the tally counted.
        base_rows: the verdicts on another model, to compare with on the same rows.
        about: facts that open the summary and the page.

    Raises InputError: base_rows are not of the same rows, or no gold query is valid.
    """
    summary = {**about, **tally.summary()}
    if not summary["n"]:
        raise InputError(f"nothing to score in {len(rows)} rows: none has a valid gold query")
    if base_rows is not None:
        try:
            summary["comparison"] = as_json(compare_models(base_rows, rows))
        except ValueError as error:
            raise InputError(f"two models cannot be compared: {error}") from error
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    write_page(
        folder / "page.html", title=title, rows=rows, base_rows=base_rows, summary=about
    )
    return summary
