"""The natural step: a dataset's questions rewritten by a language model, each one checked.

    OPENAI_BASE_URL=http://127.0.0.1:8000/v1 python -m jobs.natural --recipe mine --store runs

The endpoint's URL and key are read here, where the run was started, and travel to the workers
inside the tasks' pickled arguments: workers need no variables, and neither is in a manifest, in a
log or in the job's metadata. Answers are kept in the machine's cache, so that a rerun asks only for
what is missing even of a shard that was killed halfway.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from cluster.artifact import default_cache_dir
from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.data.natural.plan import NaturalConfig, natural_card, natural_shards
from tinysql.data.natural.prompts import PROMPTS

_SHARD_FILE = re.compile(r"(.+)-\d{5}\.parquet")


def run(context: StepContext, config: NaturalConfig) -> dict[str, Any]:
    """Rewrite every shard, and write the card."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415

    shards = natural_shards(config, _rows_of_splits(context))
    given = {"config": config, "endpoint": _endpoint(config)}
    receipts = map_shards(
        context,
        "jobs.natural.write_shard",
        [
            Shard(shard.file_name.removesuffix(".parquet"), given | shard._asdict())
            for shard in shards
        ],
    )
    for receipt in receipts:
        context.include(receipt)
    source = json.loads(context.inputs["dataset"].read("card.json"))
    card = natural_card(config, shards, [receipt.metrics for receipt in receipts], source)
    context.put_json("card.json", card)
    shown = ("asked", "accepted", "refused", "requests", "prompt_tokens", "completion_tokens")
    metrics = {name: card[name] for name in shown}
    return metrics | {f"{split}_rows": rows for split, rows in card["rows"].items()}


def write_shard(
    out_dir: Path, *, dataset: Path, endpoint: Any, config: NaturalConfig, **shard: Any
) -> dict[str, Any]:
    """Rewrite one shard on this machine, with its cache of answers."""
    from tinysql.data.natural.answers import Cache  # noqa: PLC0415
    from tinysql.data.natural.rewriting import rewrite_shard  # noqa: PLC0415

    cache = Cache(endpoint, default_cache_dir() / "answers")
    return rewrite_shard(out_dir, dataset=dataset, chat=cache.chat, config=config, **shard)


def _endpoint(config: NaturalConfig) -> Any:
    from tinysql.endpoint import Endpoint  # noqa: PLC0415

    connection = config.connection
    url = os.environ.get(connection.url_variable, "").strip()
    if not url:
        raise UserError(
            f"{connection.url_variable} is not set; expected the URL of an OpenAI-compatible "
            "endpoint, such as https://api.openai.com/v1"
        )
    return Endpoint(
        url,
        os.environ.get(connection.key_variable, "").strip(),
        config.model,
        timeout_seconds=connection.timeout_seconds,
        retries=connection.retries,
    )


def _rows_of_splits(context: StepContext) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for ref in context.inputs["dataset"].manifest().objects:
        if found := _SHARD_FILE.fullmatch(ref.name):
            rows[found[1]] += ref.rows or 0
    return dict(rows)


def _identify(config: NaturalConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"connection"}) | {"prompts": PROMPTS}


def _slug(config: NaturalConfig) -> str:
    return f"{config.model.split('/')[-1]}-{config.rows_per_split}rows"


KIND: StepKind = StepKind(
    "natural", 1, NaturalConfig, lambda _: ("dataset",), run, _slug, _identify
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("natural"))
