"""A dataset on an S3 that fails now and then is the dataset of a directory."""

import json
from pathlib import Path

import pytest
from processes import Tinysql
from s3_proxy import Fault, faulty_s3, in_turn

# One request in ten fails, far more than on a bad day, so that every kind of failure occurs.
EVERY = 10
FAULTS = (Fault.INTERNAL_ERROR, Fault.SLOW_DOWN, Fault.RESET_BEFORE, Fault.RESET_AFTER)
RECIPE = """
description: Many shards.
steps:
  dataset:
    config: {train_rows: 190000, validation_rows: 50, test_rows: 50}
"""


@pytest.mark.ray
@pytest.mark.failure
def test_failing_requests_lose_and_double_nothing(
    tinysql: Tinysql, s3_environment: dict[str, str], bucket: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    plain = tinysql("run", str(recipe), "--store", "runs", "--json", timeout=120)
    assert plain.returncode == 0, plain.stderr
    with faulty_s3(s3_environment["AWS_ENDPOINT_URL"], in_turn(EVERY, *FAULTS)) as front:
        made = tinysql(
            "run", str(recipe), "--store", f"s3://{bucket}/runs", "--json", timeout=240,
            environment=s3_environment | {"AWS_ENDPOINT_URL": front.endpoint},
        )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert set(front.happened) == set(FAULTS)
    (expected,), (step,) = (json.loads(run.stdout)["steps"] for run in (plain, made))
    assert step["identity"] == expected["identity"]
    assert step["content_sha256"] == expected["content_sha256"]
