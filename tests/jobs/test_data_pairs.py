"""The data pairs verb on plain directories."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from cluster.errors import UserError
from cluster.graph import Result, run_steps
from cluster.progress import SilentProgress
from cluster.steps import Step, StepContext, StepKind
from cluster.store import open_store
from jobs import pairs as step_of_pairs
from jobs.data_pairs import pairs
from tinysql.data.dataset import DatasetConfig
from tinysql.data.generate import generate_rows, write_rows
from tinysql.data.prompts import format_completion, format_prompt
from tinysql.errors import InputError
from tinysql.interp.config import Feature, PairsConfig
from tinysql.interp.pair_files import read_pairs
from tinysql.models.tokenizer import train_tokenizer

CONFIG = DatasetConfig(command_sets=(2,), train_rows=1, validation_rows=60, max_columns=4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset, and a tokenizer of its words."""
    dataset, model = tmp_path_factory.mktemp("dataset"), tmp_path_factory.mktemp("model")
    table = generate_rows(CONFIG, "validation", np.array(CONFIG.rows_of("validation")))
    write_rows(table, dataset / "validation-00000.parquet")
    (dataset / "card.json").write_text(json.dumps({"config": CONFIG.model_dump(mode="json")}))
    texts = [
        format_prompt(row["question"], row["schema_sql"]) + format_completion(row["gold_sql"])
        for row in table.to_pylist()
    ]
    train_tokenizer(texts, vocab_size=3000).save_pretrained(model)
    return dataset, model


@pytest.mark.parametrize("tokenizer", ["", "tokenizer.json"])
def test_writes_pairs_and_tells_their_number(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], tokenizer: str
) -> None:
    dataset, model = folders
    features = ["OrderByDirection", "DefTableName"]
    out = tmp_path / "new" / "pairs"
    pairs(features, model / tokenizer, dataset, out, num_pairs=3, json_output=True)
    told = json.loads(capsys.readouterr().out)
    assert told["pairs"] == len(read_pairs(out)) == 6
    assert json.loads((out / "summary.json").read_text())["features"] == told["features"]
    assert [pair["feature"] for pair in read_pairs(out)][::3] == features
    pairs(features, model / tokenizer, dataset, out, num_pairs=2, json_output=False)
    assert "2 of 2" in capsys.readouterr().out


def test_mistakes_are_one_line(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dataset, model = folders
    with pytest.raises(UserError, match="got 'Nope'") as unknown:
        pairs(["Nope"], model, dataset, tmp_path)
    with pytest.raises(UserError, match="got 0") as too_few:
        pairs(["DefTableName"], model, dataset, tmp_path, num_pairs=0)
    with pytest.raises(InputError, match=r"no tokenizer\.json") as no_tokenizer:
        pairs(["DefTableName"], dataset, dataset, tmp_path)
    with pytest.raises(InputError, match="Limit.*no LIMIT") as no_rows:
        pairs(["Limit"], model, dataset, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="it is a file") as not_a_folder:
        pairs(["DefTableName"], model, dataset, tmp_path / "file")
    with pytest.raises(InputError, match="cannot write") as below_a_file:
        pairs(["DefTableName"], model, dataset, tmp_path / "file" / "x")
    with pytest.raises(InputError, match="no directory .*nowhere") as no_dataset:
        pairs(["DefTableName"], model, tmp_path / "nowhere", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    mistakes = (unknown, too_few, no_tokenizer, no_rows, not_a_folder, below_a_file, no_dataset)
    for caught in mistakes:
        assert "\n" not in str(caught.value)


def test_feature_without_pairs_leaves_the_others(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, model = folders
    pairs(["Limit", "DefTableName"], model, dataset, tmp_path, num_pairs=3, json_output=True)
    told = json.loads(capsys.readouterr().out)["features"]
    assert (told["Limit"]["pairs"], told["DefTableName"]["pairs"]) == (0, 3)
    assert told["Limit"]["skipped"] == {"no LIMIT": 60}
    assert {pair["feature"] for pair in read_pairs(tmp_path)} == {"DefTableName"}


class Nothing(BaseModel):
    """No configuration."""


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_step_needs_pairs_of_one_feature_only(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    def parent(name: str, folder: Path) -> Step:
        def put(context: StepContext, _: Nothing) -> dict[str, Any]:
            with context.results() as results:
                copytree(folder, results, dirs_exist_ok=True)
            return {}

        return Step(name, StepKind(name, 1, Nothing, lambda _: (), put, lambda _: "x"), Nothing())

    parents = {"dataset": parent("dataset", folders[0]), "model": parent("model", folders[1])}
    store = open_store(str(tmp_path / "runs"))

    def run(*features: Feature) -> Result:
        config = PairsConfig(features=features, pairs_per_feature=3)
        step = Step("pairs", step_of_pairs.KIND, config, parents)
        *_, result = run_steps(
            [step], store, progress=SilentProgress(), cache=tmp_path / "cache"
        )
        return result

    result = run("Limit", "DefTableName")
    assert result.manifest.metrics == {"pairs": 3, "Limit": 0, "DefTableName": 3}
    assert len(result.manifest.objects) == 3
    with pytest.raises(InputError, match=r"Limit, .*no LIMIT \(60\)"):
        run("Limit", "OuterAggregate")
