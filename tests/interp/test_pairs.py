"""Properties every pair must have, under a word tokenizer and one that splits names."""

import json

import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast

from tinysql.data.prompts import format_completion, format_prompt
from tinysql.errors import InputError
from tinysql.interp.config import FEATURES, PairsConfig
from tinysql.interp.pairs import generate_pairs

ALL = PairsConfig(features=FEATURES, pairs_per_feature=20)


@pytest.fixture(scope="module")
def built(tmp_path_factory, tokenizer_dir, dataset):
    out = tmp_path_factory.mktemp("pairs")
    metrics = generate_pairs(out, model=tokenizer_dir, dataset=dataset, config=ALL)
    pairs = pq.read_table(out / "pairs.parquet").to_pylist()
    rows = {
        row["id"]: row
        for row in pq.read_table(dataset / "validation-00000.parquet").to_pylist()
    }
    return pairs, rows, metrics, PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)


def test_every_feature_has_pairs(built):
    pairs, _, metrics, _ = built
    for feature in FEATURES:
        assert 0 < metrics[feature] <= 20
        assert metrics[feature] == sum(pair["feature"] == feature for pair in pairs)


def test_prompts_have_equal_length_and_differ_at_the_changed_positions(built):
    for pair in built[0]:
        length = len(pair["clean_ids"])
        assert length == len(pair["corrupted_ids"]) == len(pair["roles"])
        differing = [i for i in range(length) if pair["clean_ids"][i] != pair["corrupted_ids"][i]]
        assert differing and differing == pair["changed_positions"]


def test_clean_answer_continues_the_gold_text(built):
    pairs, rows, _, tokenizer = built
    for pair in pairs:
        row = rows[pair["id"]]
        text = format_prompt(row["question"], row["schema_sql"])
        text += format_completion(row["gold_sql"])
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        length = len(pair["clean_ids"])
        assert ids[:length] == pair["clean_ids"]
        assert ids[length] == pair["clean_answer_id"] != pair["corrupted_answer_id"]
        assert tokenizer.decode(pair["clean_ids"]) == pair["clean_text"] == text[: len(
            pair["clean_text"])]


def test_the_sql_prefix_is_shared(built):
    for pair in built[0]:
        clean, corrupted = (
            pair[side].split("### Response:")[1] for side in ("clean_text", "corrupted_text")
        )
        assert clean == corrupted


def changed_words(clean, corrupted):
    """The words of both texts between their longest common prefix and suffix."""
    clean, corrupted = clean.split(" "), corrupted.split(" ")
    while clean and corrupted and clean[0] == corrupted[0]:
        clean, corrupted = clean[1:], corrupted[1:]
    while clean and corrupted and clean[-1] == corrupted[-1]:
        clean, corrupted = clean[:-1], corrupted[:-1]
    return " ".join(clean).strip(",.?"), " ".join(corrupted).strip(",.?")


def test_one_cause_in_the_right_part_of_the_prompt(built):
    pairs, rows, _, _ = built
    for pair in pairs:
        row = rows[pair["id"]]
        parts = [pair[s].split(" ### Context: ") for s in ("clean_text", "corrupted_text")]
        in_schema = pair["feature"].startswith("Def")
        assert parts[0][not in_schema] == parts[1][not in_schema]
        clean, corrupted = changed_words(parts[0][in_schema], parts[1][in_schema])
        names = {
            "EngTableName": [row["table_phrase"]],
            "EngFieldName": row["select_phrases"],
            "DefTableName": [row["table"]],
            "DefFieldName": row["select"],
            "OrderByField": row["order_by"],
            "OrderByDirection": row["order_phrases"],
        }[pair["feature"]]
        if pair["feature"] == "OrderByDirection":
            assert any(clean in name for name in names)
        else:
            assert clean in names
        if pair["feature"] == "EngFieldName" and row["id"] % 7:
            assert corrupted in set(row["columns"]) - set(row["select"])
        if pair["feature"] == "DefFieldName":
            assert corrupted not in {*row["columns"], *row["select_phrases"], row["table"]}
        if pair["feature"] == "OrderByField":
            assert corrupted in set(row["columns"]) - set(row["order_by"])


def test_answers_are_the_names_the_change_is_about(built):
    pairs, rows, _, tokenizer = built
    for pair in pairs:
        row = rows[pair["id"]]
        # The rest of a split name may stand before the answer token.
        tail = pair["clean_text"].split(" ")[-1]
        clean = (tail + pair["clean_answer"]).split(" ")[-1]
        if pair["feature"].endswith("TableName"):
            assert row["table"].startswith(clean)
        elif pair["feature"] == "OrderByDirection":
            assert {pair["clean_answer"][:2], pair["corrupted_answer"][:2]} == {" A", " D"}
        else:
            assert any(name.startswith(clean) for name in row["columns"])


def test_roles_name_what_stands_there(built):
    pairs, rows, _, tokenizer = built
    for pair in pairs:
        row = rows[pair["id"]]
        roles, ids = pair["roles"], pair["clean_ids"]
        assert roles[-1] == "last" and roles.count("last") == 1

        def text(role, ids=ids, roles=roles):
            return tokenizer.decode([i for i, r in zip(ids, roles, strict=True) if r == role])

        assert text("question_table").strip(" .?,") == row["table_phrase"]
        assert text("schema_table").strip() == row["table"]
        assert text("schema_keyword") == " CREATE TABLE"
        assert text("template").replace(" ", "").startswith("###Instruction:###Context:###Res")
        columns = text("schema_column_target") + text("schema_column_corrupted")
        columns += text("schema_column_other")
        assert sorted(columns.split()) == sorted(row["columns"])
        targets = {roles[i] for i in pair["changed_positions"]}
        assert targets <= {
            "EngTableName": {"question_table"},
            "EngFieldName": {"question_column_target"},
            "DefTableName": {"schema_table"},
            "DefFieldName": {"schema_column_target"},
            "OrderByField": {"question_column_target"},
            "OrderByDirection": {"question_direction_target"},
        }[pair["feature"]]


def test_same_config_same_pairs(tmp_path, tokenizer_dir, dataset):
    tables = []
    for name in "ab":
        (tmp_path / name).mkdir()
        generate_pairs(tmp_path / name, model=tokenizer_dir, dataset=dataset, config=ALL)
        tables.append(pq.read_table(tmp_path / name / "pairs.parquet"))
    assert tables[0].equals(tables[1])


def test_pairs_of_a_feature_do_not_depend_on_the_other_features(tmp_path, tokenizer_dir, dataset,
                                                                built):
    config = PairsConfig(features=("DefFieldName",), pairs_per_feature=20)
    generate_pairs(tmp_path, model=tokenizer_dir, dataset=dataset, config=config)
    alone = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert alone == [pair for pair in built[0] if pair["feature"] == "DefFieldName"]


def test_skipped_rows_are_counted_by_reason(tmp_path, tokenizer_dir, dataset):
    generate_pairs(tmp_path, model=tokenizer_dir, dataset=dataset, config=ALL)
    entry = json.loads((tmp_path / "summary.json").read_text())["features"]["EngFieldName"]
    assert entry["requested"] == 20
    assert entry["skipped"]["no unselected column of the same length"] > 0


def test_order_feature_without_order_rows_is_an_input_error(tmp_path, tokenizer_dir,
                                                            plain_dataset):
    config = PairsConfig(features=("DefTableName", "OrderByField"))
    with pytest.raises(InputError, match="OrderByField.*no ORDER BY") as error:
        generate_pairs(tmp_path, model=tokenizer_dir, dataset=plain_dataset, config=config)
    assert "\n" not in str(error.value)
