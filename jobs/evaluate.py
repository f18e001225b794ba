"""The evaluate verb: a model's answers to a dataset in a directory, judged by execution.

    python -m jobs.evaluate --model model --data data --split test --out evaluated
"""

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console

from cluster.artifact import default_cache_dir
from cluster.errors import UserError
from jobs.configs import checked_config
from jobs.console import one_bar
from jobs.entry import Json, main, wants_json

if TYPE_CHECKING:
    from tinysql.evaluate.config import EvaluationConfig
    from tinysql.evaluate.decode import Completion
    from tinysql.evaluate.tally import Tally
    from tinysql.evaluate.verdicts import Scored
    from tinysql.models.files import Loaded

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
ExactOnly = Annotated[
    bool,
    typer.Option(
        "--exact-only",
        help="Only how often greedy decoding would write the gold, from one pass per batch.",
    ),
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
    exact_only: ExactOnly = False,
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
    from tinysql.evaluate.config import EvaluationConfig  # noqa: PLC0415

    wanted = {"split": split, "limit": limit, "num_databases": databases, "seed": seed}
    config = checked_config(EvaluationConfig, wanted, _OPTIONS)
    if endpoint and (samples > 1 or exact_only):
        option = "--samples" if samples > 1 else "--exact-only"
        raise UserError(f"{option}: got --endpoint, too; expected a model directory")
    if exact_only and (base or samples > 1):
        raise UserError("--exact-only: got --base or --samples, too; expected it alone")
    for option, folder in (("--model", None if endpoint else Path(model)), ("--base", base)):
        if folder is not None and not folder.is_dir():
            raise UserError(
                f"{option} {str(folder)!r}: no such directory; give one with a Hugging Face model"
            )
    rows = _rows(data, config)
    with whole_folder(out) as folder:
        about: dict[str, Any] = {"model": model, "data": str(data)}
        loaded = None if endpoint else _load(Path(model), device)
        if exact_only and loaded:
            summary = _read_golds(folder, rows, loaded, about)
        else:
            answers = (
                _decoding(loaded, rows, config) if loaded
                else _asking(str(endpoint), model, config)
            )  # fmt: skip
            answered = _score(rows, answers, config, "model")
            others = None
            if base is not None:
                others = _score(rows, _decoding(_load(base, device), rows, config), config, "base")
            if samples > 1 and loaded:
                about["samples"] = _sampled(rows, loaded, config, samples, temperature)
            summary = _write(folder, answered, others, about)
    if wants_json(json_output):
        print(json.dumps({"out": str(out), **summary}))  # noqa: T201
    else:
        _print(summary, out)


Answers = Callable[[Sequence[str]], "list[Completion]"]


def _rows(data: Path, config: "EvaluationConfig") -> list[dict[str, Any]]:
    from pyarrow import parquet  # noqa: PLC0415

    from tinysql.data.files import split_files  # noqa: PLC0415
    from tinysql.evaluate.score import read_rows  # noqa: PLC0415

    total = sum(parquet.read_metadata(file).num_rows for file in split_files(data, config.split))
    return read_rows(data, config.split, 0, min(total, config.limit or total))


def _load(folder: Path, device: str) -> "Loaded":
    from tinysql.models.files import load_model  # noqa: PLC0415

    # Full precision: in half precision near ties, and so the answers, depend on the batch.
    return load_model(folder, device=device)


def _decoding(
    loaded: "Loaded", rows: Sequence[dict[str, Any]], config: "EvaluationConfig"
) -> Answers:
    from tinysql.evaluate.decode import greedy  # noqa: PLC0415
    from tinysql.evaluate.proof import prove_decoding  # noqa: PLC0415

    most = config.max_new_tokens
    prove_decoding(*loaded, _prompts(rows), max_new_tokens=most)

    def answers(prompts: Sequence[str]) -> "list[Completion]":
        return greedy(*loaded, prompts, max_new_tokens=most, batch_size=_BATCH)

    return answers


def _prompts(rows: Sequence[dict[str, Any]]) -> list[str]:
    from tinysql.data.prompts import format_prompt  # noqa: PLC0415

    return [format_prompt(row["question"], row["schema_sql"]) for row in rows]


def _read_golds(
    folder: Path, rows: Sequence[dict[str, Any]], loaded: "Loaded", about: dict[str, Any]
) -> dict[str, Any]:
    from tinysql.data.prompts import format_completion  # noqa: PLC0415
    from tinysql.evaluate.stats import rate  # noqa: PLC0415
    from tinysql.evaluate.teacher import teacher_forced  # noqa: PLC0415

    matches: list[bool] = []
    with one_bar("model", len(rows), "rows") as advance:
        for start in range(0, len(rows), 4 * _BATCH):
            part = rows[start : start + 4 * _BATCH]
            golds = [format_completion(row["gold_sql"]) for row in part]
            matches += teacher_forced(*loaded, _prompts(part), golds, batch_size=_BATCH)
            advance(len(part))
    summary = about | {"n": len(rows), "exact": asdict(rate(sum(matches), len(rows)))}
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return summary


def _asking(url: str, name: str, config: "EvaluationConfig") -> Answers:
    from tinysql.endpoint import EndpointError  # noqa: PLC0415
    from tinysql.evaluate.answers import endpoint_answers  # noqa: PLC0415

    def answers(prompts: Sequence[str]) -> "list[Completion]":
        try:
            return endpoint_answers(
                url, name, prompts,
                max_new_tokens=config.max_new_tokens, key=os.environ.get("OPENAI_API_KEY", ""),
                system=_SYSTEM, seed=config.seed, concurrency=_CONCURRENCY,
                cache=default_cache_dir() / "answers",
            )  # fmt: skip
        except EndpointError as error:
            raise UserError(f"--endpoint: {error}") from error

    return answers


class _Answered(NamedTuple):
    """A model's scored answers, and what they add up to."""

    rows: "list[Scored]"
    tally: "Tally"


def _score(
    rows: Sequence[dict[str, Any]], answers: Answers, config: "EvaluationConfig", name: str
) -> _Answered:
    from tinysql.evaluate.scoring import score_rows  # noqa: PLC0415
    from tinysql.evaluate.tally import Tally  # noqa: PLC0415

    found, truncated = _Answered([], Tally()), deque[bool]()

    def answered() -> Iterator[dict[str, Any]]:
        for start in range(0, len(rows), 4 * _BATCH):
            part = rows[start : start + 4 * _BATCH]
            for row, completion in zip(part, answers(_prompts(part)), strict=True):
                truncated.append(completion.truncated)
                yield {**row, "pred_sql": completion.text}

    with one_bar(name, len(rows), "rows") as advance:
        for each in score_rows(answered(), config, advance=advance):
            found.tally.add(each, truncated=truncated.popleft())
            found.rows.append(each)
    return found


def _write(
    folder: Path,
    answered: _Answered,
    base: _Answered | None,
    about: dict[str, Any],
) -> dict[str, Any]:
    from tinysql.evaluate.predictions import write_predictions  # noqa: PLC0415
    from tinysql.evaluate.results import write_results  # noqa: PLC0415

    write_predictions(folder / "predictions.parquet", answered.rows)
    if base is not None:
        write_predictions(folder / "base-predictions.parquet", base.rows)
    return write_results(
        folder, answered.tally, [asdict(each) for each in answered.rows],
        None if base is None else [asdict(each) for each in base.rows],
        title=Path(about["model"]).name, about=about,
    )  # fmt: skip


def _sampled(
    rows: Sequence[dict[str, Any]],
    loaded: "Loaded",
    config: "EvaluationConfig",
    num_samples: int,
    temperature: float,
) -> dict[str, Any]:
    from tinysql.evaluate.sampling import sample  # noqa: PLC0415
    from tinysql.evaluate.score import score  # noqa: PLC0415
    from tinysql.evaluate.voting import of_samples, vote  # noqa: PLC0415
    from tinysql.sql.worker import Worker  # noqa: PLC0415

    network, tokenizer = loaded
    drawn = sample(
        network,
        tokenizer,
        _prompts(rows),
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
        if found := summary.get(name):
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
    console.print(f"all of it: {out}")


if __name__ == "__main__":
    main(evaluate)
