"""A study of adapters: size, changes, whether the algebra holds, and what was forgotten.

It needs the base, the model that came of it with its adapters in a folder beside the merged
weights, and rows. Adam keeps two float32 numbers per trained parameter (Kingma and Ba 2015,
algorithm 1), as do weights and gradients one each: what training holds apart from activations is
counted from that, for the adapters and for all weights.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from peft import PeftModel
from safetensors import safe_open

from tinysql.errors import InputError
from tinysql.models.files import load_model, max_tokens
from tinysql.train.algebra import check_algebra, row_logits
from tinysql.train.changes import layer_changes
from tinysql.train.config import AdapterStudyConfig
from tinysql.train.finetune import ADAPTER_FOLDER
from tinysql.train.held_out import Parts, compare_losses, row_losses, token_counts
from tinysql.train.rows import tokenize_split

_WEIGHTS = "adapter_model.safetensors"
_PREFIX, _SUFFIX = "base_model.model.", ".lora_A.weight"
_FLOAT_BYTES = 4
_ADAM_BYTES = 2 * _FLOAT_BYTES

_LAYERS_SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "layer": pa.int32(),
        "module": pa.string(),
        "norm": pa.float64(),
        "relative_norm": pa.float64(),
        "effective_rank": pa.float64(),
        "singular_values": pa.list_(pa.float64()),
    }
)


def study_adapters(
    out_dir: Path,
    *,
    base: Path,
    model: Path,
    dataset: Path,
    config: AdapterStudyConfig,
    device: str = "cpu",
) -> dict[str, Any]:
    """Shard function: write study.json, layers.parquet and losses.parquet.

    Raises InputError: the model has no adapters, or was not tuned from this base.
    """
    loaded = load_model(base, device=device)
    tuned = load_model(model, device=device).model
    shapes = _adapter_shapes(model)
    _check_base(loaded.model.state_dict(), tuned.state_dict(), _adapted_layers(shapes))
    with TemporaryDirectory() as cache:
        rows = tokenize_split(
            dataset, "validation", loaded.tokenizer,
            max_tokens=max_tokens(tuned), cache=Path(cache),
        )  # fmt: skip
        num_rows = min(len(rows.lengths), config.rows or len(rows.lengths))
        before = row_losses(loaded.model, rows, num_rows, device=device)
        after = row_losses(tuned, rows, num_rows, device=device)
        tokens = token_counts(rows, num_rows)
        num_checked = min(num_rows, config.checked_rows)
        plain = row_logits(loaded.model, rows, num_checked)
        adapted = PeftModel.from_pretrained(loaded.model, str(model / ADAPTER_FOLDER)).eval()
        changes = layer_changes(adapted, tuned)
        checks = check_algebra(adapted, tuned, rows, num_checked, plain=plain)
    trained = sum(map(math.prod, shapes.values()))
    found = {
        "adapter": _about_adapter(model),
        **_sizes(model, tuned.num_parameters(), trained),
        "checks": [{**asdict(check), "passed": check.passed} for check in checks],
        "checked_rows": num_checked,
        "losses": {"rows": num_rows, **compare_losses(before, after, tokens, seed=config.seed)},
    }
    (out_dir / "study.json").write_text(json.dumps(found, indent=1))
    layers = pa.Table.from_pylist([asdict(each) for each in changes], _LAYERS_SCHEMA)
    pq.write_table(layers, out_dir / "layers.parquet")
    _write_losses(out_dir / "losses.parquet", before, after, tokens)
    return {
        "parameters": found["parameters"],
        "adapted_layers": len(changes),
        "relative_change": max(change.relative_norm for change in changes),
        "checks_passed": all(check.passed for check in checks),
        "forgotten": {
            part: found["losses"][part]["difference"] for part in ("prompt", "sql", "all")
        },
    }


def _adapter_shapes(model: Path) -> dict[str, list[int]]:
    """The shape of every tensor of the adapters."""
    file = model / ADAPTER_FOLDER / _WEIGHTS
    if not file.is_file():
        raise InputError(
            f"the model has no {ADAPTER_FOLDER}/{_WEIGHTS}: expected one of method lora, rslora or "
            "dora; one of method full has nothing to study"
        )
    with safe_open(file, "pt") as opened:
        return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118


def _adapted_layers(names: Mapping[str, object]) -> set[str]:
    return {
        name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)
    }


def _check_base(before: Mapping[str, Any], after: Mapping[str, Any], adapted: set[str]) -> None:
    """All that has no adapter is as it was; raises InputError in case it is not."""
    changed = {f"{name}.weight" for name in adapted}
    wrong = sorted(
        {*(before.keys() ^ after.keys()), *(changed - before.keys())}
        | {
            name
            for name in before.keys() & after.keys()
            if before[name].shape != after[name].shape
            or (name not in changed and not before[name].equal(after[name]))
        }
    )
    if wrong:
        raise InputError(
            f"the model was not tuned from this base: {wrong[0]} does not fit; expected the base "
            "that the model step used"
        )


def _about_adapter(model: Path) -> dict[str, Any]:
    written = json.loads((model / ADAPTER_FOLDER / "adapter_config.json").read_text())
    method = "dora" if written["use_dora"] else "rslora" if written["use_rslora"] else "lora"
    return {"method": method, "rank": written["r"], "alpha": written["lora_alpha"]}


def _sizes(model: Path, total: int, trained: int) -> dict[str, Any]:
    optimizer, optimizer_full = _ADAM_BYTES * trained, _ADAM_BYTES * total
    return {
        "parameters": {"total": total, "trained": trained},
        "bytes": {
            "adapter": (model / ADAPTER_FOLDER / _WEIGHTS).stat().st_size,
            "model": sum(file.stat().st_size for file in model.glob("*.safetensors")),
            "optimizer": optimizer,
            "optimizer_full": optimizer_full,
            # The frozen weights; weights and gradients of the adapters; what Adam keeps of them.
            "training": _FLOAT_BYTES * (total + 2 * trained) + optimizer,
            "training_full": _FLOAT_BYTES * 2 * total + optimizer_full,
        },
    }


def _write_losses(path: Path, base: Parts, tuned: Parts, tokens: Parts) -> None:
    columns = {
        f"{name}_{part}": getattr(each, part)
        for name, each in (("tokens", tokens), ("base", base), ("tuned", tuned))
        for part in ("prompt", "sql")
    }
    pq.write_table(pa.table({"row": range(len(base.sql)), **columns}), path)
