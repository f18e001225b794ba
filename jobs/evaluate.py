"""The evaluate verb: a model's answers to a dataset in a directory, judged by execution.

    python -m jobs.evaluate --model model --data data --split test --out evaluated
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cluster.errors import UserError
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json
from jobs.recipes import checked_config

if TYPE_CHECKING:
    from tinysql.evaluate.decode import Completion
    from tinysql.evaluate.items import Scored
    from tinysql.evaluate.score import EvaluationConfig

Model = Annotated[
    str, typer.Option(help="A Hugging Face directory; with --endpoint, the name of the model.")
]
Data = Annotated[Path, typer.Option(help="Directory with <split>-00000.parquet files.")]
Out = Annotated[Path, typer.Option(help="Directory to make: predictions, summary, page.")]
Split = Annotated[str, typer.Option(help="Part of the dataset to answer.")]
Limit = Annotated[int | None, typer.Option(help="Rows of the split, from its start.")]
Base = Annotated[
    Path | None, typer.Option(help="Another model directory, to compare with on the same rows.")
]
Endpoint = Annotated[
    str | None,
    typer.Option(help="URL of an OpenAI-compatible server; its key comes from OPENAI_API_KEY."),
]
Samples = Annotated[int, typer.Option(min=1, help="Answers per row; above 1 also pass@k, votes.")]
Temperature = Annotated[float, typer.Option(help="Of the samples.")]
Databases = Annotated[int, typer.Option(help="Random databases per row.")]
Seed = Annotated[int, typer.Option(help="Seed of databases and samples.")]
Device = Annotated[str, typer.Option(help="cpu, or cuda.")]
_OPTIONS = {
    "split": "--split", "limit": "--limit", "num_databases": "--databases", "seed": "--seed"
}  # fmt: skip
_SYSTEM = (
    "Answer with one SQLite query in a ```sql block and nothing else. Select exactly the columns "
    "that are asked for, in that order."
)
_TOP_P = 0.95
_BATCH = 64
_CONCURRENCY = 8


def evaluate(
    model: Model,
    data: Data,
    out: Out,
    split: Split = "test",
    limit: Limit = None,
    base: Base = None,
    endpoint: Endpoint = None,
    samples: Samples = 1,
    temperature: Temperature = 0.8,
    databases: Databases = 4,
    seed: Seed = 0,
    device: Device = "cpu",
    json_output: Json = None,
) -> None:
    """Let a model answer a dataset's questions greedily and judge its SQL by running it.

    Example: tinysql evaluate --model model --data data --split test --base base --out evaluated
    """
    from tinysql.data.writing import whole_folder  # noqa: PLC0415
    from tinysql.evaluate.score import EvaluationConfig  # noqa: PLC0415

    wanted = {"split": split, "limit": limit, "num_databases": databases, "seed": seed}
    config = checked_config(EvaluationConfig, wanted, _OPTIONS)
    if endpoint and samples > 1:
        raise UserError("--samples: got more than 1 with --endpoint, expected a model directory")
    rows = _rows(data, config)
    with whole_folder(out) as folder:
        answer = _asking(endpoint, model) if endpoint else _decoding(Path(model), device)
        found, truncated = _score(rows, answer, config, "model")
        others = None
        if base is not None:
            others, _ = _score(rows, _decoding(base, device), config, "base")
        summary = _write(folder, found, others, truncated, {"model": model, "data": str(data)})
        if samples > 1:
            summary["samples"] = _sampled(
                rows, Path(model), config, samples, temperature, device
            )
        (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **summary}))  # noqa: T201
    else:
        _print(summary, out)


Answers = Callable[[Sequence[str], "EvaluationConfig"], "list[Completion]"]


def _rows(data: Path, config: "EvaluationConfig") -> list[dict[str, Any]]:
    from pyarrow import parquet  # noqa: PLC0415

    from tinysql.data.files import split_files  # noqa: PLC0415
    from tinysql.evaluate.score import read_rows  # noqa: PLC0415

    total = sum(parquet.read_metadata(file).num_rows for file in split_files(data, config.split))
    return read_rows(data, config.split, 0, min(total, config.limit or total))


def _decoding(folder: Path, device: str) -> Answers:
    from tinysql.evaluate.decode import greedy  # noqa: PLC0415
    from tinysql.models.files import load_model  # noqa: PLC0415

    network, tokenizer = load_model(folder, device=device)

    def answers(prompts: Sequence[str], config: "EvaluationConfig") -> "list[Completion]":
        return greedy(
            network, tokenizer, prompts, max_new_tokens=config.max_new_tokens, batch_size=_BATCH
        )

    return answers


def _asking(url: str, name: str) -> Answers:
    from tinysql.evaluate.answers import endpoint_answers  # noqa: PLC0415

    def answers(prompts: Sequence[str], config: "EvaluationConfig") -> "list[Completion]":
        return endpoint_answers(
            url,
            name,
            prompts,
            max_new_tokens=config.max_new_tokens,
            key=os.environ.get("OPENAI_API_KEY", ""),
            system=_SYSTEM,
            seed=config.seed,
            concurrency=_CONCURRENCY,
        )

    return answers


def _score(
    rows: Sequence[dict[str, Any]], answers: Answers, config: "EvaluationConfig", name: str
) -> tuple[list["Scored"], int]:
    """The scored answer to each row, and how many answers were cut off."""
    from tinysql.data.prompts import format_prompt  # noqa: PLC0415
    from tinysql.evaluate.score import score  # noqa: PLC0415

    found: list[Scored] = []
    truncated = 0
    with one_bar(name, len(rows), "rows") as advance:
        for start in range(0, len(rows), 4 * _BATCH):
            part = rows[start : start + 4 * _BATCH]
            prompts = [format_prompt(row["question"], row["schema_sql"]) for row in part]
            completions = answers(prompts, config)
            truncated += sum(each.truncated for each in completions)
            found += score(part, [each.text for each in completions], config)
            advance(len(part))
    return found, truncated


def _write(
    folder: Path,
    found: Sequence["Scored"],
    others: Sequence["Scored"] | None,
    truncated: int,
    about: dict[str, str],
) -> dict[str, Any]:
    from tinysql.evaluate.breakdown import as_json, compare_models  # noqa: PLC0415
    from tinysql.evaluate.page import write_page  # noqa: PLC0415
    from tinysql.evaluate.score import count, summarize, write_predictions  # noqa: PLC0415

    write_predictions(folder / "predictions.parquet", found)
    rows = [asdict(each) for each in found]
    summary = {**about, **summarize([{**count(found), "truncated": truncated}])}
    base_rows = None
    if others is not None:
        write_predictions(folder / "base-predictions.parquet", others)
        base_rows = [asdict(each) for each in others]
        summary["comparison"] = as_json(compare_models(base_rows, rows))
    write_page(
        folder / "page.html", title=Path(about["model"]).name, rows=rows, base_rows=base_rows,
        summary=about,
    )  # fmt: skip
    return summary


def _sampled(
    rows: Sequence[dict[str, Any]],
    folder: Path,
    config: "EvaluationConfig",
    num_samples: int,
    temperature: float,
    device: str,
) -> dict[str, Any]:
    from tinysql.data.prompts import format_prompt  # noqa: PLC0415
    from tinysql.evaluate.sampling import sample  # noqa: PLC0415
    from tinysql.evaluate.score import score  # noqa: PLC0415
    from tinysql.evaluate.voting import of_samples, vote  # noqa: PLC0415
    from tinysql.models.files import load_model  # noqa: PLC0415
    from tinysql.sql.worker import Worker  # noqa: PLC0415

    network, tokenizer = load_model(folder, device=device)
    drawn = sample(
        network,
        tokenizer,
        [format_prompt(row["question"], row["schema_sql"]) for row in rows],
        num_samples=num_samples,
        temperature=temperature,
        top_p=_TOP_P,
        seed=config.seed,
        max_new_tokens=config.max_new_tokens,
        batch_size=_BATCH,
        numbers=[row["id"] for row in rows],
    )
    texts = [[each.text for each in group] for group in drawn]
    asked = [row for row in rows for _ in range(num_samples)]
    flat = score(asked, [text for group in texts for text in group], config)
    groups = [flat[start : start + num_samples] for start in range(0, len(flat), num_samples)]
    with Worker() as worker:
        votes = [
            vote(row, group, config, worker) for row, group in zip(rows, texts, strict=True)
        ]
    return {"temperature": temperature, "top_p": _TOP_P, **of_samples(groups, votes)}


def _print(summary: dict[str, Any], out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for name in ("execution", "equivalent", "exact"):
        found = summary[name]
        console.print(
            f"{name:<11} {found['rate']:.4f}  ({found['k']}/{found['n']}, "
            f"95% interval {found['low']:.4f} to {found['high']:.4f})"
        )
    if "comparison" in summary:
        console.print(summary["comparison"]["overall"]["words"])
    if "samples" in summary:
        sampled = summary["samples"]
        for k, value in sampled["pass_at"].items():
            console.print(f"pass@{k:<6} {value:.4f}")
        console.print(f"majority    {sampled['majority']['rate']:.4f}")
    console.print(f"all of it: {out / 'page.html'}")


if __name__ == "__main__":
    main(evaluate)
