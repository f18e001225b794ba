"""A small but complete set of artifacts, as the steps of a recipe leave them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows

HOSTILE = "SELECT name FROM t <script>document.title='owned'</script><img src=x onerror=alert(1)>"

DATASET = DatasetConfig(
    command_sets=(1, 2, 5, 6), train_rows=240, validation_rows=30, test_rows=30,
    table_synonym_rate=0.3, column_synonym_rate=0.3,
)  # fmt: skip


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _dataset_rows(split: str) -> pa.Table:
    return generate_rows(DATASET, split, np.array(DATASET.rows_of(split)))


def _dataset(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pq.write_table(_dataset_rows(split), directory / f"{split}-00000.parquet")
    _write_json(directory / "card.json", {"config": DATASET.model_dump(mode="json")})
    return directory


def _training(directory: Path, start: float, floor: float) -> Path:
    rows = []
    for step in range(10, 3001, 10):
        loss = floor + start * math.exp(-step / 300) * (1 + 0.12 * math.sin(step * 1.7))
        base = {"step": step, "lr": 3e-3, "tokens": step * 4096}
        rows.append({**base, "loss": loss, "split": "train"})
        if step % 250 == 0:
            rows.append({**base, "loss": loss * 1.08, "split": "validation"})
    _write(directory / "log.parquet", rows)
    _write_json(directory / "summary.json", {"steps": 3000})
    return directory


def _share(k: int, n: int) -> dict[str, float]:
    rate = k / n
    return {"k": k, "n": n, "rate": rate, "low": max(0, rate - 0.03), "high": min(1, rate + 0.02)}


def _evaluation(directory: Path, pred_sql: str, *, forgets: bool = False) -> Path:
    """Answers of which four are wrong, and with `forgets` every third one too."""
    gold = _dataset_rows("test").to_pylist()
    sorts = next(n for n, row in enumerate(gold) if n > 5 and " ASC" in row["gold_sql"])
    wrong = {
        0: (gold[1]["gold_sql"], "wrong_columns"),
        4: (gold[2]["gold_sql"], "wrong_columns"),
        5: (pred_sql, "syntax"),
        sorts: (gold[sorts]["gold_sql"].replace(" ASC", " DESC", 1), "wrong_order"),
    }
    rows = []
    for index, row in enumerate(gold):
        pred, error_class = wrong.get(index, (row["gold_sql"], None))
        if forgets and error_class is None and index % 3 == 0:
            pred, error_class = "SELECT 1", "wrong_columns"
        texts = {key: row[key] for key in ("id", "question", "schema_sql", "gold_sql")}
        kinds = {"command_set": row["command_set"], "hardness": row["hardness"], "split": "test"}
        kinds |= {"category": None, "num_tables": 1, "num_selected": len(row["select"])}
        error = 'near "<": syntax error' if error_class == "syntax" else None
        match = error_class is None
        verdict = "strict" if match else "error" if error else "wrong"
        scored = {"verdict": verdict, "strict": match, "exact_match": match, "error": error}
        scored["error_class"] = error_class
        rows.append({**texts, **kinds, "gold_sql": [texts["gold_sql"]], "pred_sql": pred, **scored})
    _write(directory / "predictions.parquet", rows)
    summary = {
        "n": 1000,
        "execution": _share(942, 1000),
        "equivalent": _share(944, 1000),
        "subset": _share(947, 1000),
        "exact": _share(931, 1000),
        "verdicts": {
            "strict": 942,
            "wrong_columns": 41,
            "wrong_order": 12,
            "syntax": 5,
            "timeout": 0,
        },
        "by": {
            "num_selected": {
                str(count): {"n": 250, "execution": _share(k, 250), "exact": _share(k - 3, 250)}
                for count, k in ((1, 249), (2, 243), (3, 231), (4, 219))
            }
        },
        "seconds": 31.5,
    }
    _write_json(directory / "summary.json", summary)
    return directory


def _adapter_study(directory: Path, layers: int) -> Path:
    modules = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    rows = [
        {
            "name": f"model.layers.{layer}.mlp.{module}",
            "layer": layer,
            "module": module,
            "norm": 0.4 + layer,
            "relative_norm": 0.02 * (layer + 1) + 0.009 * number,
            "effective_rank": 3.21,
            "singular_values": [math.exp(-index / 3) for index in range(16)],
        }
        for layer in range(layers)
        for number, module in enumerate(modules)
    ]
    _write(directory / "layers.parquet", rows)
    loss = {"tokens": 40_000, "base": 1.25, "tuned": 1.5, "difference": 0.25}
    better = {"difference": -0.5, "low": -0.6, "high": -0.4}
    check = {"left": "adapters off", "right": "base", "limit": 1e-3}
    found = {
        "adapter": {"method": "lora", "rank": 16, "alpha": 32},
        "parameters": {"total": 1_000_000, "trained": 100_000},
        "bytes": {
            "adapter": 402_000, "model": 4_000_800, "optimizer": 800_000,
            "optimizer_full": 8_000_000, "training": 5_600_000, "training_full": 16_000_000,
        },
        "checks": [
            {**check, "difference": 0.0, "passed": True},
            {**check, "difference": 0.25, "passed": False},
        ],
        "checked_rows": 8,
        "losses": {
            "rows": 500,
            "prompt": {**loss, "low": 0.2, "high": 0.3},
            "sql": {**loss, **better},
            "all": {**loss, "low": -0.1, "high": 0.6},
        },
    }  # fmt: skip
    _write_json(directory / "study.json", found)
    return directory


FEATURES = ("DefFieldName", "EngFieldName", "OrderByField")
ROLES = (
    "question_word", "question_table", "question_column_target", "question_column_other",
    "template", "schema_table", "schema_column_target", "schema_column_corrupted",
    "schema_type", "separator", "sql_keyword", "last",
)  # fmt: skip


def _pairs(directory: Path) -> Path:
    prompt = (
        "### Instruction: List {0} from shipments ### Context: CREATE TABLE shipments ( barcode "
        "TEXT, ship_date DATE ) ### Response: SELECT"
    )
    rows = [
        {
            "id": index,
            "feature": feature,
            "clean_text": prompt.format("barcode"),
            "corrupted_text": prompt.format("ship_date"),
            "clean_answer": " barcode",
            "corrupted_answer": " ship_date",
            "roles": list(ROLES),
            "changed_positions": [4],
        }
        for index, feature in enumerate(FEATURES)
    ]
    _write(directory / "pairs.parquet", rows)
    _write_json(directory / "summary.json", {"n": 2})
    return directory


def _measurement(
    feature: str, site: str, layer: int, head: int | None, role: str
) -> dict[str, Any]:
    early = role.endswith("target") and layer < 2
    late = role == "last" and layer >= 2
    peak = 0.92 if (early or late) else 0.0
    wave = 0.09 * math.sin(7 * layer + 3 * len(role) + 5 * (head or 0) + len(feature))
    share = {"resid_pre": 1.0, "mlp_out": 0.2, "z": 0.7 * (head == 5)}[site]
    effect = share * peak + wave
    return {
        "feature": feature,
        "site": site,
        "layer": layer,
        "head": head,
        "role": role,
        "n": 97 if role == "schema_column_corrupted" else 128,
        "near_zero": 0,
        "clean": 7.4,
        "corrupted": -6.9,
        "patched": -6.9 + 14.3 * effect,
        "effect": None if role == "separator" else effect,
    }


def _patching(directory: Path, layers: int, heads: int) -> Path:
    streams = [("resid_pre", None), ("mlp_out", None)]
    sites = [*streams, *(("z", head) for head in range(heads))]
    for layer in range(layers):
        rows = [
            _measurement(feature, site, layer, head, role)
            for feature in FEATURES
            for site, head in sites
            for role in ROLES
        ]
        _write(directory / f"layer-{layer:02}.parquet", rows)
    baseline = {"n": 128, "clean": 7.4, "corrupted": -6.9, "accuracy": 0.99, "near_zero": 0}
    _write_json(directory / "summary.json", {"features": dict.fromkeys(FEATURES, baseline)})
    return directory


def _sae(directory: Path) -> Path:
    for layer, fvu in ((0, 0.031), (1, 0.058), (2, 0.0094)):
        site = directory / f"resid_post.{layer}"
        log = [
            {"step": s, "fvu": fvu + 0.8 * math.exp(-s / 400), "l0": 32.0, "dead": 0.1}
            for s in range(0, 4000, 20)
        ]
        _write(site / "log.parquet", log)
        _write_json(site / "cfg.json", {"d_in": 128, "d_sae": 2048, "k": 32})
        metrics = {"fvu": fvu, "l0": 31.7, "dead_fraction": 0.042, "ce_recovered": 0.987}
        _write_json(site / "metrics.json", metrics)
    return directory


RUN_STEPS = (
    ("dataset", "dataset", 4.2),
    ("base", "model", 212.0),
    ("model", "model", 148.0),
    ("test-score", "evaluation", 31.5),
    ("pairs", "pairs", 2.4),
    ("patching", "patching", 64.0),
    ("saes", "sae", 88.0),
)


def _run(name: str) -> dict[str, Any]:
    return {
        "recipe": name,
        "created_at": "2026-03-14T09:26:53Z",
        "code_version": "9f2c1d7",
        "environment": {"python": "3.11.7", "torch": "2.13.0", "cpus": 2},
        "steps": [
            {
                "name": step,
                "kind": kind,
                "identity": f"{index:x}c3e9a71b04d" * 5 + "0123",
                "path": f"{kind}/{step}-{index:x}c3e9a71b04d",
                "seconds": seconds,
                "peak_memory_bytes": 1_234_567_890,
                "config": {"seed": index, "rows": 60_000},
                "metrics": {"loss": 0.0123},
            }
            for index, (step, kind, seconds) in enumerate(RUN_STEPS, start=1)
        ],
    }


@pytest.fixture(scope="session")
def make_artifacts() -> Callable[..., dict[str, Any]]:
    """A function that writes every artifact under a directory, as `build_report` arguments."""

    def make(
        root: Path,
        *,
        recipe: str = "quickstart",
        pred_sql: str = HOSTILE,
        layers: int = 4,
        heads: int = 8,
    ) -> dict[str, Any]:
        return {
            "dataset": _dataset(root / "dataset"),
            "base": _training(root / "base", 8.2, 0.41),
            "model": _training(root / "model", 1.1, 0.012),
            "evaluation": _evaluation(root / "evaluation", pred_sql),
            "baseline": _evaluation(root / "baseline", pred_sql, forgets=True),
            "adapter_study": _adapter_study(root / "adapter_study", layers),
            "pairs": _pairs(root / "pairs"),
            "patching": _patching(root / "patching", layers, heads),
            "sae": _sae(root / "sae"),
            "run": _run(recipe),
        }

    return make


@pytest.fixture(scope="session")
def artifacts(
    make_artifacts: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A full set of artifacts, shared by the tests that only read it."""
    return make_artifacts(tmp_path_factory.mktemp("artifacts"))
