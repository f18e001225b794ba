"""The finetune verb: a model and a directory of data in, a trained model in the store out.

    python -m jobs.finetune --base bm2 --revision COMMIT --data data --method lora --store runs

It is the recipe of three steps that one would write by hand, so it resumes and reuses like any.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.errors import UserError
from jobs.configs import checked_config
from jobs.entry import DEFAULT_STORE, Address, DryRun, Json, StoreUri, main, wants_json
from jobs.kinds import KINDS
from jobs.recipes import make_recipe, parse_yaml
from jobs.running import Options, run_targets
from jobs.wiring import build_steps
from tinysql.models.registry import hub_id
from tinysql.train.config import BaseConfig, TrainingConfig

Base = Annotated[
    str,
    typer.Option(
        help="A name that `tinysql models ls` shows, a Hub id, a directory such as ./model, "
        "s3://bucket/prefix, or scratch: a small one that is pre-trained on the data first."
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Commit of a Hub model; `tinysql models pull` prints it.")
]
Data = Annotated[
    Path,
    typer.Option(
        help="Directory of this machine with <split>-00000.parquet files, or the same as .jsonl or "
        ".csv; train and validation at least."
    ),
]
Method = Annotated[
    str | None, typer.Option(help="full, lora, rslora, dora or qlora. Default: full.")
]
Workers = Annotated[
    int | None, typer.Option(help="Ranks that train. Default: one per GPU; on CPUs, at most two.")
]
Zero = Annotated[int | None, typer.Option(help="DeepSpeed ZeRO stage, 0 to 3. Default: 0.")]
StageConfig = Annotated[
    Path | None, typer.Option(help="YAML file with fields of the training configuration.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--set", help="One field of the training: field=value. Repeatable."),
]
_OPTIONS = {
    "source": "--base", "revision": "--revision", "method": "--method", "zero_stage": "--zero"
}  # fmt: skip
_START = {"prompt_weight": 0, "steps": 1000, "lr": 1e-4}
"""Of the training's fields that have no default of their own."""


def finetune(
    base: Base,
    data: Data,
    revision: Revision = None,
    method: Method = None,
    workers: Workers = None,
    zero: Zero = None,
    stage_config: StageConfig = None,
    fields: Fields = None,
    store: StoreUri = DEFAULT_STORE,
    address: Address = None,
    dry_run: DryRun = False,
    json_output: Json = None,
) -> None:
    """Fine-tune a model on a dataset: loss on the SQL, steps=1000, lr=0.0001 unless set otherwise.

    Example: tinysql finetune --base ./model --data data --method lora --set steps=300
    """
    source = {"source": _named(base, revision), "revision": revision}
    checked_config(BaseConfig, source, _OPTIONS)
    training = _START | _stage(stage_config)
    for field, value in {"method": method, "zero_stage": zero}.items():
        if value is not None:
            training[field] = value
    written = {
        "description": "the finetune verb",
        "steps": {
            "base": {"config": source},
            "dataset": {
                "kind": "import",
                "config": {"source": str(data), "format": "jsonl"},
                "resources": {"workers": os.cpu_count()},
            },
            "model": {"config": training, "resources": {"workers": workers}},
        },
    }
    recipe = make_recipe(written, "finetune", [_of_model(each) for each in fields or []])
    checked_config(TrainingConfig, recipe.steps["model"].config, _OPTIONS)
    model = build_steps(recipe, KINDS)["model"]
    options = Options(store, address, dry_run, wants_json(json_output))
    run_targets([model], options, about={"base": base, "data": str(data)})


def _named(base: str, revision: str | None) -> str:
    """The source as a configuration has it, where directories begin with . or /."""
    is_name = base == "scratch" or hub_id(base) != base or revision is not None
    return base if is_name or not Path(base).is_dir() else str(Path(base).absolute())


def _stage(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    fields = parse_yaml(path, "--stage-config")
    if not isinstance(fields, dict):
        raise UserError(f"--stage-config {str(path)!r}: expected a mapping of training fields")
    return fields


def _of_model(override: str) -> str:
    field, equals, _ = override.partition("=")
    if not field or not equals:
        raise UserError(f"--set {override!r}: expected field=value, as in lr=0.001")
    return f"model.{override}"


if __name__ == "__main__":
    main(finetune)
