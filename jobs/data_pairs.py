"""The data pairs verb: clean and corrupted prompts of a dataset, in plain directories.

    python -m jobs.data_pairs --feature DefTableName --tokenizer model --dataset data --out pairs
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.errors import UserError
from jobs.configs import checked_config
from jobs.entry import Json, main, wants_json
from tinysql.interp.config import FEATURES, PairsConfig

Features = Annotated[
    list[str],
    typer.Option("--feature", help=f"What to corrupt: {', '.join(FEATURES)}. Repeatable."),
]
Tokenizer = Annotated[
    Path, typer.Option(help="Directory with tokenizer.json, such as a model's, or that file.")
]
Dataset = Annotated[Path, typer.Option(help="Directory with the dataset's Parquet files.")]
OutDir = Annotated[Path, typer.Option("--out", help="Directory for pairs.parquet, summary.json.")]
NumPairs = Annotated[int, typer.Option("--pairs", help="Pairs wanted per feature.")]
Split = Annotated[str, typer.Option(help="Split whose rows are used: validation or test.")]
Seed = Annotated[int, typer.Option(help="Seed of the choice of mentions and replacements.")]
NovelNames = Annotated[
    bool, typer.Option("--novel-names", help="Replace names by words that are no names.")
]

_OPTIONS = {
    "features": "--feature",
    "pairs_per_feature": "--pairs",
    "split": "--split",
    "seed": "--seed",
}
"""What the user calls a field."""


def pairs(
    feature: Features,
    tokenizer: Tokenizer,
    dataset: Dataset,
    out: OutDir,
    num_pairs: NumPairs = 64,
    split: Split = "validation",
    seed: Seed = 0,
    novel_names: NovelNames = False,
    json_output: Json = None,
) -> None:
    """Build clean and corrupted prompts that differ in one cause.

    Example: tinysql data pairs --feature EngTableName --tokenizer model --dataset data --out pairs
    """
    config = checked_config(PairsConfig, {
        "features": feature,
        "pairs_per_feature": num_pairs,
        "split": split,
        "seed": seed,
        "novel_names": novel_names,
    }, _OPTIONS)  # fmt: skip
    from tinysql.interp.pairs import generate_pairs, write_summary  # noqa: PLC0415

    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r}: it is a file; name a directory")
    folder = tokenizer.parent if tokenizer.is_file() else tokenizer
    counts = generate_pairs(out, model=folder, dataset=dataset, config=config)
    write_summary(out, [counts])
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **counts}))  # noqa: T201
        return
    table = Table("feature", "pairs", "rows refused")
    for name, entry in counts["features"].items():
        reasons = (f"{count} {reason}" for reason, count in entry["skipped"].items())
        table.add_row(name, f"{entry['pairs']} of {entry['requested']}", "\n".join(reasons))
    Console().print(table)


if __name__ == "__main__":
    main(pairs)
