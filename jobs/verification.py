"""The verification step: whether the rows of a dataset are what they should be.

    python -m jobs.verification --recipe nightly --store runs

Where PostgreSQL is one of the engines, its URL comes from TINYSQL_POSTGRES_URL, read where the run
was started: it says where the step runs, not what it is, and may hold a password.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.steps import StepContext, StepKind
from tinysql.data.verify.report import VerificationConfig

POSTGRES_URL = "TINYSQL_POSTGRES_URL"
_DUPLICATES = "duplicates"


def run(context: StepContext, config: VerificationConfig) -> dict[str, Any]:
    """Verify every file of the dataset, and add the report; a failed check fails no step."""
    from cluster.fanout import Shard, map_shards  # noqa: PLC0415
    from tinysql.data.verify.report import report  # noqa: PLC0415
    from tinysql.data.verify.rows import merge  # noqa: PLC0415

    postgres_url = os.environ.get(POSTGRES_URL)
    if "postgresql" in config.engines and not postgres_url:
        raise UserError(
            f"{POSTGRES_URL} is not set, which the engine postgresql needs; expected a URL such as "
            "postgresql://user@127.0.0.1:5432/database"
        )
    objects = context.inputs["dataset"].manifest().objects
    names = sorted(ref.name for ref in objects if ref.name.endswith(".parquet"))
    work = {name.removesuffix(".parquet"): [name] for name in names} | {_DUPLICATES: names}
    given = {"config": config, "postgres_url": postgres_url}
    receipts = map_shards(
        context,
        "jobs.verification.verify_shard",
        [Shard(name, given | {"name": name, "files": files}) for name, files in work.items()],
    )
    for receipt in receipts:
        context.include(receipt)
    found = report(merge([receipt.metrics for receipt in receipts]), config)
    context.put_json("verification.json", found)
    failed = [check["name"] for check in found["checks"] if not check["passed"]]
    return {"passed": found["passed"], "failed_checks": failed, "rows": found["counts"]["rows"]}


def verify_shard(
    out_dir: Path,  # noqa: ARG001
    *,
    dataset: Path,
    name: str,
    files: Sequence[str],
    config: VerificationConfig,
    postgres_url: str | None,
) -> dict[str, Any]:
    """What is found in some files of the dataset, or the duplicates among all of them."""
    from tinysql.data.verify.duplicates import find_duplicates  # noqa: PLC0415
    from tinysql.data.verify.rows import verify_files  # noqa: PLC0415

    paths = [dataset / file for file in files]
    if name == _DUPLICATES:
        return find_duplicates(paths)
    return verify_files(paths, config, postgres_url=postgres_url)


KIND: StepKind = StepKind(
    "verification", 1, VerificationConfig, lambda _: ("dataset",), run,
    lambda config: "-".join(config.engines),
)

if __name__ == "__main__":
    from jobs.entry import main, step_command

    main(step_command("verification"))
