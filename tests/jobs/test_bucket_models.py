"""Models in a bucket count by their content, like those in a directory."""

import json
from pathlib import Path
from typing import Any

import pytest
from model_folders import write_model
from processes import Tinysql, s3_client


def planned(tinysql: Tinysql, source: str, environment: dict[str, str]) -> dict[str, Any]:
    """The base step of a recipe with this source."""
    recipe = {"description": "a base", "steps": {"base": {"config": {"source": source}}}}
    path = Path(environment["HOME"]) / "bucket.yaml"
    path.write_text(json.dumps(recipe))
    done = tinysql("base", str(path), "--dry-run", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["plan"]
    return step


def test_bucket_and_directory_with_the_same_files_are_one_base(
    tinysql: Tinysql, bucket: str, s3_environment: dict[str, str], tmp_path: Path
):
    model = write_model(tmp_path)
    (model / "notes.md").write_text("no part of the model")
    client = s3_client(s3_environment["AWS_ENDPOINT_URL"])
    for file in model.iterdir():
        client.upload_file(str(file), bucket, f"models/tiny/{file.name}")
    client.put_object(Bucket=bucket, Key="models/tiny/checkpoint/config.json", Body=b"{}")

    source = f"s3://{bucket}/models/tiny"
    here = planned(tinysql, str(model), s3_environment)
    there = planned(tinysql, source, s3_environment)
    assert there["identity"] == here["identity"]
    assert there["path"].startswith("base/tiny-")

    (model / "tokenizer_config.json").write_text("{}")
    client.put_object(Bucket=bucket, Key="models/tiny/tokenizer_config.json", Body=b"{}")
    changed = planned(tinysql, source, s3_environment)
    assert changed["identity"] != there["identity"]
    assert changed["identity"] == planned(tinysql, str(model), s3_environment)["identity"]


@pytest.mark.ray
@pytest.mark.long
def test_model_of_a_bucket_is_copied_into_the_store(
    tinysql: Tinysql, bucket: str, s3_environment: dict[str, str], tmp_path: Path
):
    (tmp_path / "model").mkdir()
    files = sorted(write_model(tmp_path / "model").iterdir())
    client = s3_client(s3_environment["AWS_ENDPOINT_URL"])
    for file in files:
        client.upload_file(str(file), bucket, f"models/tiny/{file.name}")
    (tmp_path / "recipe.yaml").write_text(
        f"description: x\nsteps: {{base: {{config: {{source: 's3://{bucket}/models/tiny'}}}}}}\n"
    )
    done = tinysql("base", "recipe.yaml", "--store", "runs", "--json", environment=s3_environment)
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    manifest = json.loads((tmp_path / "runs" / step["path"] / "manifest.json").read_text())
    assert [ref["name"] for ref in manifest["objects"]] == [file.name for file in files]


def test_bucket_without_a_model_is_one_line(
    tinysql: Tinysql, bucket: str, s3_environment: dict[str, str], tmp_path: Path
):
    (tmp_path / "recipe.yaml").write_text(
        f"description: x\nsteps: {{base: {{config: {{source: 's3://{bucket}/none'}}}}}}\n"
    )
    done = tinysql("base", "recipe.yaml", "--dry-run", environment=s3_environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown model ")
    assert done.stderr.count("\n") == 1, done.stderr
