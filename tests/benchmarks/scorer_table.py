"""What scorers accept that they should refuse, and refuse that they should accept, as a table.

    python tests/benchmarks/scorer_table.py --rows 10 > table.md

Predictions are made from gold queries of every command set. One that should change the meaning
counts only where an independent oracle saw it answer differently on some database. The published
scorers are re-implemented rules (tests/rivals); each sees databases on which the gold answers with
rows, the test-suite metric ten of them. Golds that a scorer does not accept as their own prediction
do not count for it. TinySQL's own scorer knows command sets 1 to 3 in the paper's grammar.
"""

import argparse
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2]))

from rivals import bird, distilled_suites, spider, sql_eval, tinysql_text  # noqa: E402
from rivals.adversaries import Effect, adversaries  # noqa: E402
from rivals.oracle import databases_for, differs, tells  # noqa: E402

from tinysql.data.dataset import DatasetConfig  # noqa: E402
from tinysql.data.generate import generate_rows  # noqa: E402
from tinysql.evaluate.config import ScoreConfig  # noqa: E402
from tinysql.evaluate.golds import runner  # noqa: E402
from tinysql.evaluate.items import item_of  # noqa: E402
from tinysql.evaluate.verdicts import score_item  # noqa: E402

Row = Mapping[str, Any]
Accepts = Callable[[str, str, Sequence[bytes], Row], bool]
RIVALS: Mapping[str, Accepts] = {
    "TinySQL": tinysql_text.accepts,
    "sql-eval": sql_eval.accepts,
    "test-suite": distilled_suites.accepts,
    "BIRD": bird.accepts,
    "Spider": spider.accepts,
}
OURS = "ours, strict", "ours, any tier"
CONFIG = ScoreConfig()
NUM_DATABASES = 10


def rows_of(count: int) -> Iterator[Row]:
    """Rows of each command set; of sets 1 to 3 also in the paper's grammar."""
    for variant, highest in (("default", 8), ("paper", 3)):
        for command_set in range(1, highest + 1):
            config = DatasetConfig(command_sets=(command_set,), variant=variant)
            yield from generate_rows(config, "test", np.arange(count)).to_pylist()


def ours(row: Row, pred_sql: str) -> tuple[bool, bool]:
    found = score_item(item_of(row), pred_sql, CONFIG, runner(CONFIG))
    return found.strict, found.subset


def count(rows: Sequence[Row]) -> dict[tuple[Effect, str], dict[str, list[bool]]]:
    """For each kind of prediction and scorer, whether each one was accepted."""
    found: dict[tuple[Effect, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for number, row in enumerate(rows):
        gold, schema = row["gold_sql"], row["schema_sql"]
        databases = databases_for(gold, schema)
        telling = [each for each in databases if tells(gold, [each])] or databases
        given = [each.forward for each in telling[:NUM_DATABASES]]
        fair = {
            name: accepts
            for name, accepts in RIVALS.items()
            if _accepts_itself(accepts, row, given)
        }
        for each in adversaries(gold, schema):
            if each.effect is Effect.CHANGED and not differs(gold, each.sql, databases):
                continue
            cells = found[each.effect, each.name]
            for name, accepts in fair.items():
                cells[name].append(accepts(gold, each.sql, given, row))
            for name, right in zip(OURS, ours(row, each.sql), strict=True):
                cells[name].append(right)
        print(f"\r{number + 1}/{len(rows)}", end="", file=sys.stderr, flush=True)
    return found


def _accepts_itself(accepts: Accepts, row: Row, databases: Sequence[bytes]) -> bool:
    try:
        return accepts(row["gold_sql"], row["gold_sql"], databases, row)
    except sqlite3.Error:
        return False  # the test-suite metric ends where a gold takes too long


def table(found: Mapping[tuple[Effect, str], Mapping[str, Sequence[bool]]]) -> Iterator[str]:
    names = [*RIVALS, *OURS]
    for effect, title in (
        (Effect.CHANGED, "changes the meaning: accepted (0% is right)"),
        (Effect.KEPT, "keeps the meaning: accepted (100% is right)"),
        (Effect.REORDERED, "other order of columns: accepted (in a tier of its own is right)"),
    ):
        yield f"| {title} | n | {' | '.join(names)} |"
        yield "|---|" + "---:|" * (len(names) + 1)
        total: dict[str, list[bool]] = defaultdict(list)
        for (kind, name), cells in found.items():
            if kind is effect:
                yield f"| {name} | {len(cells[OURS[0]]):,} | {_cells(cells, names)} |"
                for scorer, accepted in cells.items():
                    total[scorer] += accepted
        yield f"| **all** | {len(total[OURS[0]]):,} | {_cells(total, names)} |"
        yield ""


def _cells(cells: Mapping[str, Sequence[bool]], names: Sequence[str]) -> str:
    return " | ".join(_share(cells.get(name, ())) for name in names)


def _share(accepted: Sequence[bool]) -> str:
    if not accepted:
        return "-"
    share = 100 * sum(accepted) / len(accepted)
    return f"{share:.0f}%" if share in (0, 100) or 1 <= share <= 99 else f"{share:.1f}%"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10, help="rows per command set")
    print("\n".join(table(count(list(rows_of(parser.parse_args().rows))))))
