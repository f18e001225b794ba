"""Properties every pair must have, under three kinds of tokenizers."""

import json

import pyarrow.parquet as pq
import pytest
from small_datasets import corpus, read_rows, small_config, write_dataset
from small_tokenizers import TOKENIZERS

from tinysql.data.reading.derive import derive
from tinysql.data.reading.records import read_schema
from tinysql.data.reading.render import write_sql
from tinysql.errors import InputError
from tinysql.interp.config import FEATURES, PairsConfig
from tinysql.interp.pairs import generate_pairs, write_summary
from tinysql.models.files import load_tokenizer

EVERY = small_config(
    command_sets=[1, 2, 3, 4, 5, 6, 7, 8], validation_rows=640, max_columns=6,
    table_synonym_rate=0.2, column_synonym_rate=0.1,
)  # fmt: skip
ALL = PairsConfig(features=FEATURES, pairs_per_feature=6)

CHANGED = {
    "EngTableName": "question.table",
    "EngFieldName": "question.select",
    "DefTableName": "schema.table",
    "DefFieldName": "schema.column",
    "DefCreateTable": "schema.create",
    "DefFieldSeparator": "schema.separator",
    "OrderByField": "question.order",
    "OrderByDirection": "question.direction",
    "AggregateFunction": "question.select_aggregate",
    "AggregateField": "question.select",
    "WhereField": "question.filter",
    "WhereOperator": "question.operator",
    "WhereLiteral": "question.value",
    "JoinTable": "question.table",
    "GroupByField": "question.group",
    "HavingOperator": "question.having_operator",
    "HavingLiteral": "question.having_value",
    "Limit": "question.limit",
    "Distinct": "question.distinct",
    "SetOperation": "question.set_operation",
    "SubqueryAggregate": "question.operand_aggregate",
    "OuterAggregate": "question.outer",
}
"""What kind of mention each feature changes in the prompt."""

ANSWERS = {
    "EngTableName": "sql.from", "DefTableName": "sql.from", "DefCreateTable": "sql.from",
    "JoinTable": "sql.from", "AggregateFunction": "sql.aggregate",
    "SubqueryAggregate": "sql.operand", "DefFieldName": "sql.select",
    "DefFieldSeparator": "sql.select",
}  # fmt: skip
"""What kind of mention answers, where it is not named as what is changed."""

UNREADABLE = {
    "EngTableName", "JoinTable", "DefTableName", "DefFieldName", "DefCreateTable",
    "DefFieldSeparator", "GroupByField", "Distinct",
}  # fmt: skip
"""Features whose corrupted prompts contradict themselves, or say what no dataset says."""


@pytest.fixture(scope="module")
def every_dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("every"), EVERY, ["validation"])


@pytest.fixture(params=list(TOKENIZERS), scope="module")
def tokenizer_dir(request, tmp_path_factory, every_dataset):
    directory = tmp_path_factory.mktemp(request.param)
    TOKENIZERS[request.param](corpus(every_dataset)).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory, tokenizer_dir, every_dataset):
    out = tmp_path_factory.mktemp("pairs")
    counts = generate_pairs(out, model=tokenizer_dir, dataset=every_dataset, config=ALL)
    pairs = pq.read_table(out / "pairs.parquet").to_pylist()
    return pairs, read_rows(every_dataset), counts, load_tokenizer(tokenizer_dir)


def spans_of(row, kind):
    """(text, start, end) of the mentions of a kind, in characters of their own text."""
    return [
        (m["key"].split(".")[0], m["start"], m["end"])
        for m in row["mentions"]
        if m["key"].startswith(f"{kind}.")
    ]


def parts(text):
    """Question, schema and SQL of a prompt."""
    question, rest = text.removeprefix("### Instruction: ").split(" ### Context: ")
    schema, sql = rest.split(" ### Response:")
    return {"question": question, "schema": schema, "sql": sql}


def test_every_feature_has_pairs(built):
    pairs, _, counts, _ = built
    assert counts["pairs"] == len(pairs)
    for feature in FEATURES:
        entry = counts["features"][feature]
        assert 0 < entry["pairs"] <= entry["requested"] == 6
        assert entry["pairs"] == sum(pair["feature"] == feature for pair in pairs)


def test_prompts_have_equal_length_and_differ_at_the_changed_positions(built):
    for pair in built[0]:
        length = pair["answer_position"]
        assert length == len(pair["clean_ids"]) == len(pair["corrupted_ids"]) == len(pair["roles"])
        differing = [i for i in range(length) if pair["clean_ids"][i] != pair["corrupted_ids"][i]]
        assert differing
        assert differing == pair["changed_positions"]


def test_clean_answer_continues_the_gold_text(built):
    pairs, rows, _, tokenizer = built
    for pair in pairs:
        row = rows[pair["id"]]
        sql = parts(pair["clean_text"])["sql"].removeprefix(" ")
        assert parts(pair["clean_text"])["question"] == row["question"]
        assert parts(pair["clean_text"])["schema"] == row["schema_sql"]
        assert row["gold_sql"].startswith(sql)
        text = pair["clean_text"] + row["gold_sql"][len(sql) :]
        ids = tokenizer(text)["input_ids"]
        length = pair["answer_position"]
        assert ids[:length] == pair["clean_ids"]
        assert ids[length] == pair["clean_answer_id"] != pair["corrupted_answer_id"]


def test_one_cause_of_the_right_kind_in_the_prompt(built):
    pairs, rows, _, _ = built
    for pair in pairs:
        row = rows[pair["id"]]
        kind = CHANGED[pair["feature"]]
        name = kind.split(".")[0]
        clean, corrupted = parts(pair["clean_text"]), parts(pair["corrupted_text"])
        assert {key for key in clean if clean[key] != corrupted[key]} == {name}
        candidates = []
        for _, start, end in spans_of(row, kind):
            head, tail = clean[name][:start], clean[name][end:]
            if corrupted[name].startswith(head) and corrupted[name].endswith(tail):
                candidates.append(corrupted[name][start : len(corrupted[name]) - len(tail)])
        if pair["feature"] == "DefTableName" and not candidates:
            # The table is named again wherever a foreign key refers to it.
            old = row["tables"][row["from_tables"][0]]["name"]
            assert f" REFERENCES {old} (" in clean[name]
            assert old not in corrupted[name].replace("(", " ").split()
            continue
        assert candidates


def test_answers_belong_to_the_right_mention(built):
    pairs, rows, _, _ = built
    for pair in pairs:
        row = rows[pair["id"]]
        kind = ANSWERS.get(pair["feature"], CHANGED[pair["feature"]].replace("question", "sql"))
        at = len(parts(pair["clean_text"])["sql"].removeprefix(" "))
        after = row["gold_sql"][at:]
        answer = pair["clean_answer"].strip()
        assert after.strip().startswith(answer)
        first = at + len(after) - len(after.lstrip())
        assert any(
            start < first + len(answer) and first < end for _, start, end in spans_of(row, kind)
        )


def test_corrupted_question_asks_for_the_corrupted_answer(built):
    """The reader of questions, which knows nothing of pairs, writes the SQL that is asked for."""
    pairs, _, _, _ = built
    read = 0
    for pair in pairs:
        if pair["feature"] in UNREADABLE:
            continue
        prompt = parts(pair["corrupted_text"])
        schema = read_schema(prompt["schema"])
        sql = write_sql(derive(prompt["question"], schema_sql=prompt["schema"]), schema)
        prefix = prompt["sql"].removeprefix(" ")
        assert sql.startswith(prefix), pair
        assert sql[len(prefix) :].strip().startswith(pair["corrupted_answer"].strip()), pair
        read += 1
    assert read > 40


def test_features_that_contradict_the_other_part_of_the_prompt_answer_with_it(built):
    pairs, rows, _, _ = built
    for pair in pairs:
        row, prompt = rows[pair["id"]], parts(pair["corrupted_text"])
        names = {each["name"] for each in (*row["tables"], *row["columns"])}
        answer = pair["corrupted_answer"].strip().split(".")[-1]
        if pair["feature"] in ("DefTableName", "DefFieldName"):
            new = set(prompt["schema"].replace("(", " ").replace(",", " ").split()) - names
            assert any(answer in word for word in new)
        assert pair["foil"] == (pair["feature"] in ("DefCreateTable", "DefFieldSeparator"))


def test_roles_name_what_stands_there(built):
    pairs, rows, _, tokenizer = built
    for pair in pairs:
        row, roles, ids = rows[pair["id"]], pair["roles"], pair["clean_ids"]
        assert roles[-1] == "last"
        assert roles.count("last") == 1

        def text(role, ids=ids, roles=roles):
            found = tokenizer.decode([i for i, r in zip(ids, roles, strict=True) if r == role])
            return found.replace(" ", "").strip(".?,")

        question = row["question"]
        table = f"question.table.{row['from_tables'][0]}."
        said = [
            question[m["start"] : m["end"]]
            for m in row["mentions"]
            if f"{m['key']}." == table
        ]
        assert text("question_table") == said[0].replace(" ", "")
        assert text("template").removeprefix("<s>").startswith("###Instruction:###Context:###Res")
        main = row["tables"][row["from_tables"][0]]["name"]
        assert set(text("schema_table").split(main)) == {""}
        changed = {roles[i] for i in pair["changed_positions"]}
        expected = {
            "question.table": {"question_table", "question_join_table"},
            "question.direction": {"question_direction_target"},
            "question.limit": {"question_limit"},
            "question.distinct": {"question_distinct"},
            "question.set_operation": {"question_set_operation"},
            "schema.table": {"schema_table"},
            "schema.column": {"schema_column_target"},
            "schema.create": {"schema_keyword_target"},
            "schema.separator": {"separator_target"},
        }
        by_word = {"aggregate": "aggregate", "operator": "operator", "value": "value",
                   "outer": "aggregate"}  # fmt: skip
        kind = CHANGED[pair["feature"]]
        role = by_word.get(kind.split(".")[1].split("_")[-1], "column")
        assert changed <= expected.get(kind, {f"question_{role}_target"})


def test_ranges_stay_in_order(built):
    pairs, rows, _, _ = built
    ranges = 0
    for pair in pairs:
        if pair["feature"] != "WhereLiteral":
            continue
        sql = write_sql(
            derive(parts(pair["corrupted_text"])["question"],
                   parts(pair["corrupted_text"])["schema"]),
            read_schema(rows[pair["id"]]["schema_sql"]),
        )  # fmt: skip
        words = sql.split()
        for place, word in enumerate(words):
            if word == "BETWEEN":
                low, high = words[place + 1], words[place + 3]
                assert low < high if low.startswith("'") else float(low) < float(high)
                ranges += 1


def test_same_config_same_pairs(tmp_path, tokenizer_dir, every_dataset, built):
    generate_pairs(tmp_path, model=tokenizer_dir, dataset=every_dataset, config=ALL)
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist() == built[0]


def test_pairs_of_a_feature_do_not_depend_on_the_other_features(
    tmp_path, tokenizer_dir, every_dataset, built
):
    config = PairsConfig(features=("DefFieldName",), pairs_per_feature=6)
    counts = generate_pairs(
        tmp_path, model=tokenizer_dir, dataset=every_dataset, config=config, name="pairs-one"
    )
    alone = pq.read_table(tmp_path / "pairs-one.parquet").to_pylist()
    assert alone == [pair for pair in built[0] if pair["feature"] == "DefFieldName"]
    assert counts["features"]["DefFieldName"] == built[2]["features"]["DefFieldName"]


def test_summary_counts_skipped_rows_by_reason(tmp_path, built):
    counts = built[2]
    write_summary(tmp_path, [counts])
    written = json.loads((tmp_path / "summary.json").read_text())["features"]
    assert written == counts["features"]
    assert written["EngFieldName"]["skipped"]["no unselected column of the same length"] > 0


def test_novel_names_are_in_no_row(tmp_path, tokenizer_dir, every_dataset, built):
    features = ("EngTableName", "DefTableName", "DefFieldName", "JoinTable")
    config = PairsConfig(features=features, pairs_per_feature=4, novel_names=True)
    generate_pairs(tmp_path, model=tokenizer_dir, dataset=every_dataset, config=config)
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert {pair["feature"] for pair in pairs} == set(features)
    known = {
        each["name"] for row in built[1].values() for each in (*row["tables"], *row["columns"])
    }
    for pair in pairs:
        name = "schema" if pair["feature"].startswith("Def") else "question"
        clean, corrupted = (parts(pair[f"{side}_text"])[name] for side in ("clean", "corrupted"))
        assert clean != corrupted
        new = set(corrupted.strip(".?").replace(",", " ").split()) - set(
            clean.strip(".?").replace(",", " ").split()
        )
        assert len(new) <= 1
        assert not new & known


def test_feature_without_rows_is_one_line_with_its_reasons(
    tmp_path, tokenizer_dir, plain_dataset
):
    config = PairsConfig(features=("Limit", "OrderByField"))
    with pytest.raises(InputError, match=r"OrderByField.*no ORDER BY \(\d+\)") as error:
        generate_pairs(tmp_path, model=tokenizer_dir, dataset=plain_dataset, config=config)
    assert "\n" not in str(error.value)


def test_dataset_of_unknown_origin_is_an_input_error(tmp_path, tokenizer_dir, plain_dataset):
    (tmp_path / "card.json").write_text("{}")
    file = "validation-00000.parquet"
    (tmp_path / file).write_bytes((plain_dataset / file).read_bytes())
    with pytest.raises(InputError, match="generated here"):
        generate_pairs(tmp_path, model=tokenizer_dir, dataset=tmp_path, config=PairsConfig())
