"""The original's textual scores for command sets 1 to 3, where a prediction is right at 1.0.

Source: withmartian/TinySQL, evaluate_cs1_prediction to evaluate_cs3_prediction, as finetune.py
counts them ("Prediction Accuracy"). Above command set 3 its scorers are placeholders that give 0.
It knows no GROUP BY and no COUNT(*): of such a gold it does not accept the gold itself.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

_HIGHEST_COMMAND_SET = 3


def _scorers() -> Any:
    """The module of the scores, which lives beside the tests of the published data."""
    path = Path(__file__).parents[1] / "data" / "textual_scorers.py"
    spec = importlib.util.spec_from_file_location("rivals_textual_scorers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_score = _scorers().score


def accepts(
    gold_sql: str, pred_sql: str, _databases: Sequence[bytes], row: Mapping[str, Any]
) -> bool:
    """Whether the score of the row's command set is 1.0; nothing is executed."""
    command_set = row["command_set"]
    if command_set > _HIGHEST_COMMAND_SET:
        return False
    return bool(_score(command_set, _ten_columns(gold_sql), pred_sql) == 1.0)


def _ten_columns(gold_sql: str) -> dict[str, Any]:
    """What the original's rows say about their query."""
    tree = sqlglot.parse_one(gold_sql, read="sqlite")
    table = tree.find(exp.Table)
    assert table is not None
    order = tree.args.get("order")
    keys = order.expressions if order else []
    return {
        "sql_statement": gold_sql,
        "table_name": table.name,
        "select": json.dumps([_selected(item.unalias()) for item in tree.expressions]),
        "order_by": json.dumps([{"name": key.this.name, "asc": not key.args["desc"]}
                                for key in keys]),
    }  # fmt: skip


def _selected(item: exp.Expr) -> dict[str, str]:
    if isinstance(item, exp.AggFunc):
        name = "*" if isinstance(item.this, exp.Star) else item.this.name
        return {"name": name, "aggregate": item.sql_name()}
    return {"name": item.name, "aggregate": ""}
