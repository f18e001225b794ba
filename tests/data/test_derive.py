"""Questions read back: by hand for every clause, then against rows of the generator.

The SQL of a reading is written by render.py, so each line here checks the reader and that writer.
"""

import copy
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysql.data import words
from tinysql.data.dataset import DatasetConfig, Variant
from tinysql.data.generate import generate_rows
from tinysql.data.reading import lexing
from tinysql.data.reading.agreement import disagreements
from tinysql.data.reading.derive import DeriveError, derive
from tinysql.data.reading.records import Filter, read_schema
from tinysql.data.reading.render import write_sql

ONE = (
    "CREATE TABLE products ( full_name VARCHAR(100), price DECIMAL(10,2), quantity INTEGER, "
    "order_date DATE, created_at TIMESTAMP, is_active BOOLEAN, city_name TEXT )"
)
TWO = (
    "CREATE TABLE customers ( id INTEGER PRIMARY KEY, city_name TEXT, full_name TEXT, "
    "birth_date DATE ); CREATE TABLE orders ( order_id INTEGER PRIMARY KEY, price REAL, "
    "quantity INTEGER, order_date DATE, customer_id INTEGER REFERENCES customers ( id ) )"
)
THREE = TWO + "; CREATE TABLE payments ( id INTEGER PRIMARY KEY, is_refundable BOOLEAN, " \
    "order_id INTEGER REFERENCES orders ( order_id ) )"  # fmt: skip


def sql_of(question: str, schema_sql: str) -> str:
    return write_sql(derive(question, schema_sql), read_schema(schema_sql))


SELECTS = [
    ("Show me the price from the products table.", "SELECT price FROM products"),
    ("From the products table, list price", "SELECT price FROM products"),
    ("Take the products table and return its price and quantity.",
     "SELECT price, quantity FROM products"),
    ("List the full_name, asking amount, and item tally of all goods.",
     "SELECT full_name, price, quantity FROM products"),
    ("What are the complete name along with unit volume in goods?",
     "SELECT full_name, quantity FROM products"),
    ("Get distinct price and quantity out of the goods table",
     "SELECT DISTINCT price, quantity FROM products"),
    ("Show me the average price, first order date and number of rows from the products table.",
     "SELECT AVG(price) AS AVG_price, MIN(order_date) AS MIN_order_date, "
     "COUNT(*) AS COUNT_rows FROM products"),
    ("Read the number of full_name plus alphabetically last town name from goods.",
     "SELECT COUNT(full_name) AS COUNT_full_name, MAX(city_name) AS MAX_city_name FROM products"),
    ("Get the average of the total price for each town name from goods.",
     "SELECT AVG(SUM_price) AS AVG_SUM_price FROM ( SELECT SUM(price) AS SUM_price "
     "FROM products GROUP BY city_name ) AS per_group"),
    ("Get the highest of the number of entries for each price from goods where price is above 5.",
     "SELECT MAX(COUNT_rows) AS MAX_COUNT_rows FROM ( SELECT COUNT(*) AS COUNT_rows "
     "FROM products WHERE price > 5 GROUP BY price ) AS per_group"),
]  # fmt: skip

BEHIND = [
    (", sorted by cost highest first", "ORDER BY price DESC"),
    (" ordered by price going up, town name from Z to A", None),
    (" ordered by price going up, then by town name from Z to A, then by order_date newest first",
     "ORDER BY price ASC, city_name DESC, order_date DESC"),
    (", only the first 5", "LIMIT 5"),
    (", sorted by is active in ascending order, limited to 20 rows",
     "ORDER BY is_active ASC LIMIT 20"),
    (", for each price", "GROUP BY price"),
    (", per price, full_name and quantity", "GROUP BY price, full_name, quantity"),
    (", grouped by price, keeping only groups whose number of rows is at least 3",
     "GROUP BY price HAVING COUNT(*) >= 3"),
    (", for each price, with only the groups whose average quantity exceeds 2.5, sorted by "
     "average quantity from high to low",
     "GROUP BY price HAVING AVG(quantity) > 2.5 ORDER BY AVG_quantity DESC"),
    (", for each price, sorted by number of rows lowest first",
     "GROUP BY price ORDER BY COUNT_rows ASC"),
    (", for each price, sorted by earliest order_date oldest first",
     "GROUP BY price ORDER BY MIN_order_date ASC"),
]  # fmt: skip

CONDITIONS = [
    ("price is 5", "price = 5"),
    ("price equals 3.75", "price = 3.75"),
    ("town name is Paris", "city_name = 'Paris'"),
    ("town name is Old Orleans", None),
    ("order_date falls on 2020-03-04", "order_date = '2020-03-04'"),
    ("is_active is true", "is_active = TRUE"),
    ("active flag equals false", "is_active = FALSE"),
    ("town name is other than Oslo", "city_name <> 'Oslo'"),
    ("order_date does not fall on 2020-03-04", "order_date <> '2020-03-04'"),
    ("price is more than 5", "price > 5"),
    ("order_date is later than 2020-03-04", "order_date > '2020-03-04'"),
    ("created_at is before 2022-05-06 07:08:00", "created_at < '2022-05-06 07:08:00'"),
    ("price is under 5", "price < 5"),
    ("price is no less than 5", "price >= 5"),
    ("order_date is on or before 2020-03-04", "order_date <= '2020-03-04'"),
    ("price is not above 5", "NOT price > 5"),
    ("price is not smaller than 5", "NOT price < 5"),
    ("price lies between 5 and 7.5", "price BETWEEN 5 AND 7.5"),
    ("price is outside of the range between 5 and 7", "price NOT BETWEEN 5 AND 7"),
    ("town name is one of Paris, Oslo or Lima", "city_name IN ( 'Paris', 'Oslo', 'Lima' )"),
    ("quantity is not among 3 or 4", "quantity NOT IN ( 3, 4 )"),
    ("town name begins with Par", None),
    ("town name begins with Paris", "city_name LIKE 'Paris%'"),
    ("town name ends with Paris", "city_name LIKE '%Paris'"),
    ("town name mentions Paris", "city_name LIKE '%Paris%'"),
    ("town name does not contain Paris", "city_name NOT LIKE '%Paris%'"),
    ("full name is missing", "full_name IS NULL"),
    ("price is not recorded", "price IS NULL"),
    ("is active is not missing", "is_active IS NOT NULL"),
    ("price is above the average cost of all goods",
     "price > ( SELECT AVG(price) FROM products )"),
    ("order_date is the latest buying day of all products",
     "order_date = ( SELECT MAX(order_date) FROM products )"),
    ("price is below the average quantity of all goods", None),
    ("price is 5 and quantity is 6", "price = 5 AND quantity = 6"),
    ("price is 5 or quantity is 6 or cost is 7", "price = 5 OR quantity = 6 OR price = 7"),
    ("price is between 1 and 2 and quantity is one of 3 or 4 and cost is 7",
     "price BETWEEN 1 AND 2 AND quantity IN ( 3, 4 ) AND price = 7"),
    ("quantity is one of 3 or 4 or price is 5", "quantity IN ( 3, 4 ) OR price = 5"),
    ("either price is 5 or quantity is 6, and cost is 7",
     "( price = 5 OR quantity = 6 ) AND price = 7"),
    ("neither price is 5 nor quantity is 6", "NOT ( price = 5 OR quantity = 6 )"),
    ("price is 5 and quantity is 6 or cost is 7", None),
    ("either price is 5 or quantity is 6", None),
]  # fmt: skip

JOINED = [
    ("Show me the price of orders.", None),
    ("Show the price for orders.", None),
    ("Get the price and town name from orders joined with customers.",
     "SELECT t1.price, t2.city_name FROM orders AS t1 JOIN customers AS t2 "
     "ON t1.customer_id = t2.id"),
    ("Get the number of entries from clients combined with placed orders where cost is 5, "
     "sorted by number of entries going up.",
     "SELECT COUNT(*) AS COUNT_rows FROM customers AS t1 JOIN orders AS t2 "
     "ON t1.id = t2.customer_id WHERE t2.price = 5 ORDER BY COUNT_rows ASC"),
    ("Get the refundable flag and total price from payments linked to orders and customers, "
     "for each refundable flag.",
     "SELECT t1.is_refundable, SUM(t2.price) AS SUM_price FROM payments AS t1 "
     "JOIN orders AS t2 ON t1.order_id = t2.order_id "
     "JOIN customers AS t3 ON t2.customer_id = t3.id GROUP BY t1.is_refundable"),
    ("Get the price from customers joined with payments.", None),
    ("Get the price from orders where customer_id refers to clients whose town name is Paris.",
     "SELECT price FROM orders WHERE customer_id IN "
     "( SELECT id FROM customers WHERE city_name = 'Paris' )"),
    ("Get the price from orders where quantity is 5 and customer id does not point to clients "
     "whose birthday is unknown.",
     "SELECT price FROM orders WHERE quantity = 5 AND customer_id NOT IN "
     "( SELECT id FROM customers WHERE birth_date IS NULL )"),
    ("Get the town name from customers where there are matching orders.",
     "SELECT city_name FROM customers WHERE EXISTS "
     "( SELECT * FROM orders WHERE orders.customer_id = customers.id )"),
    ("Get the town name from customers where town name is Oslo or we have no matching orders.",
     "SELECT city_name FROM customers WHERE city_name = 'Oslo' OR NOT EXISTS "
     "( SELECT * FROM orders WHERE orders.customer_id = customers.id )"),
    ("Get the price from orders where price is 5, united without repeats with the values found "
     "where quantity is 6, sorted by cost going up.",
     "SELECT price FROM orders WHERE price = 5 UNION SELECT price FROM orders "
     "WHERE quantity = 6 ORDER BY price ASC"),
    ("Get the price from orders where price is 5, without the values also found where "
     "quantity is 6.",
     "SELECT price FROM orders WHERE price = 5 EXCEPT SELECT price FROM orders "
     "WHERE quantity = 6"),
    ("Get the price from orders where price is 5, as far as the same values are also found where "
     "quantity is 6.",
     "SELECT price FROM orders WHERE price = 5 INTERSECT SELECT price FROM orders "
     "WHERE quantity = 6"),
]  # fmt: skip


def check(question: str, schema_sql: str, sql: str | None) -> None:
    if sql is None:
        with pytest.raises(DeriveError):
            derive(question, schema_sql)
    else:
        assert sql_of(question, schema_sql) == sql


@pytest.mark.parametrize(("question", "sql"), SELECTS)
def test_selected_columns_and_aggregates_are_read(question: str, sql: str) -> None:
    check(question, ONE, sql)


@pytest.mark.parametrize(("clause", "sql"), BEHIND)
def test_groups_order_and_limit_are_read(clause: str, sql: str | None) -> None:
    check(
        f"Get the price and average quantity from goods{clause}.",
        ONE,
        sql and f"SELECT price, AVG(quantity) AS AVG_quantity FROM products {sql}",
    )


@pytest.mark.parametrize(("condition", "sql"), CONDITIONS)
@pytest.mark.parametrize("end", ["", ", sorted by price going up"])
def test_conditions_are_read(condition: str, sql: str | None, end: str) -> None:
    order = end and " ORDER BY price ASC"
    check(
        f"Get the price from goods for which {condition}{end}.",
        ONE,
        sql and f"SELECT price FROM products WHERE {sql}{order}",
    )


@pytest.mark.parametrize(("question", "sql"), JOINED)
def test_joins_subqueries_and_set_operations_are_read(question: str, sql: str | None) -> None:
    check(question, THREE, sql)


def test_columns_joined_as_in_the_paper_are_read() -> None:
    schema = "CREATE TABLE products ( price REAL ); CREATE TABLE orders ( quantity REAL )"
    question = "Get the cost from goods joined with orders on price equals quantity."
    assert write_sql(derive(question, schema), read_schema(schema), aliases=False) == (
        "SELECT price FROM products JOIN orders ON products.price = orders.quantity"
    )


def test_phrases_are_kept_as_the_question_has_them() -> None:
    question = "Get the mean asking amount from goods where unit volume is no less than 5."
    reading = derive(question, ONE)
    (item,) = reading.select
    assert (item.phrase, item.aggregate_phrase) == ("asking amount", "mean")
    assert item.alias == "AVG_price"
    assert reading.filters == (
        Filter(0, 0, "quantity", ">=", ("5",), "", "unit volume", "is no less than"),
    )
    assert reading.table_phrases == ("goods",)


def test_a_table_named_only_in_a_condition_keeps_its_phrase() -> None:
    condition = "customer_id refers to clients whose town name is Oslo"
    reading = derive(f"Get the price from orders where {condition}.", TWO)
    assert reading.table_phrases == ("clients", "orders")
    assert [(f.scope, f.table, f.operator) for f in reading.filters] == [
        (0, 1, "IN SELECT"),
        (1, 0, "="),
    ]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Get the price from lorries.", '"lorries"'),
        ("Get the weight from goods.", '"weight from'),
        ("Get the price from goods sorted by price alphabetically.", '"alphabetically"'),
        ("Get the price from goods, sorted by price going up, for each price.", '", for each'),
        ("Get the total order_date from goods.", "cannot be read"),
        ("Get the price from goods where price is Paris.", '"Paris"'),
        ("Get the price  from goods.", "blanks"),
        ("Get the price from goods ,for each price.", "blanks"),
        ("Get the price from goods?", "cannot be read"),
        ("Show me the price from the goods tables.", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(question: str, reason: str) -> None:
    with pytest.raises(DeriveError, match=re.escape(reason)):
        derive(question, ONE)


def test_a_column_of_a_table_that_is_not_joined_is_refused() -> None:
    with pytest.raises(DeriveError, match="full_name is not a column of the tables"):
        derive("Get the complete name from orders.", TWO)
    with pytest.raises(DeriveError, match="city_name is not a column of the tables"):
        derive("Get the price from orders where town name is Paris.", TWO)


@pytest.mark.parametrize(
    "schema_sql",
    ["SELECT 1", "CREATE TABLE a ( b REAL", "CREATE TABLE a ( b_id INTEGER REFERENCES b ( id ) )"],
)
def test_a_schema_of_another_form_is_refused(schema_sql: str) -> None:
    with pytest.raises(DeriveError):
        derive("Get the price from goods.", schema_sql)


def test_a_type_that_is_not_ours_is_refused() -> None:
    with pytest.raises(DeriveError, match="unknown type JSON"):
        derive("Get the price from goods.", "CREATE TABLE products ( price JSON )")


def test_two_foreign_keys_between_the_same_tables_are_ambiguous() -> None:
    twice = TWO[:-2] + ", payer_id INTEGER REFERENCES customers ( id ) )"
    with pytest.raises(DeriveError, match="ambiguous"):
        derive("Get the town name from customers where there are matching orders.", twice)
    with pytest.raises(DeriveError, match="2 foreign keys join customers"):
        derive("Get the price from orders joined with customers.", twice)


def test_a_value_that_may_go_on_as_a_clause_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"Paris", "Paris sorted by price going up"}
    monkeypatch.setattr(lexing, "text_values", lambda _: values)
    monkeypatch.setattr(lexing, "MOST_WORDS_OF_A_VALUE", 9)
    with pytest.raises(DeriveError, match="ambiguous"):
        derive("Get the price from goods where town name is Paris sorted by price going up.", ONE)


def test_every_type_of_the_word_list_has_a_family() -> None:
    every = ", ".join(
        f"c{n} {t}" for n, t in enumerate(sorted({t for c in words.columns() for t in c.types}))
    )
    schema_sql = f"CREATE TABLE products ( {every} )"
    assert sql_of("Get the c0 and number of c1 from goods.", schema_sql) == (
        "SELECT c0, COUNT(c1) AS COUNT_c1 FROM products"
    )


# Against the generator.

Row = dict[str, Any]
SPLITS = ("train", "held_phrases")


@cache
def generated(
    command_set: int, split: str, num_rows: int, variant: Variant = "default"
) -> list[Row]:
    config = DatasetConfig(
        variant=variant,
        command_sets=(command_set,),
        table_synonym_rate=0.8,
        column_synonym_rate=0.5,
        seed=11,
    )
    return generate_rows(config, split, np.arange(num_rows)).to_pylist()


@pytest.mark.parametrize("command_set", range(1, 9))
@pytest.mark.parametrize("split", SPLITS)
def test_generated_rows_agree_with_their_questions(command_set: int, split: str) -> None:
    for row in generated(command_set, split, 60):
        assert disagreements(row) == [], row["question"]


@pytest.mark.parametrize("command_set", range(1, 6))
def test_generated_rows_of_the_paper_variant_agree(command_set: int) -> None:
    for row in generated(command_set, "train", 60, "paper"):
        assert disagreements(row) == [], row["question"]


CHANGES = {
    "select": lambda row: row["select"].pop(),
    "tables": lambda row: row["tables"][0].update(name="elsewhere"),
    "columns": lambda row: row["columns"][-1].update(type="TEXT NOT NULL"),
    "from_tables": lambda row: row["from_tables"].append(0),
    "table_phrases": lambda row: row["tables"][0].update(phrase="elsewhere"),
    "where_form": lambda row: row.update(where_form="A OR B"),
    "limit": lambda row: row.update(limit=7),
    "distinct": lambda row: row.update(distinct=not row["distinct"]),
    "set_operation": lambda row: row.update(set_operation="UNION"),
    "outer_aggregate": lambda row: row.update(outer_aggregate="MAX"),
    "order_by": lambda row: row["order_by"].append({
        "table": 0, "column": "price", "aggregate": "", "direction": "ASC", "phrase": "price",
        "direction_phrase": "going up",
    }),
    "gold_sql": lambda row: row.update(gold_sql=row["gold_sql"] + " LIMIT 9"),
    "question": lambda row: row.update(question="Show " + row["question"]),
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_row_no_longer_agrees(field: str) -> None:
    for original in generated(4, "train", 20):
        row = copy.deepcopy(original)
        CHANGES[field](row)
        if row != original:
            assert any(each.startswith(field) for each in disagreements(row)), row["question"]


@pytest.mark.parametrize(
    "part", ["column", "phrase", "aggregate", "operator", "values", "direction"]
)
def test_a_changed_part_of_a_record_is_found(part: str) -> None:
    changed = 0
    for original in generated(6, "train", 40):
        for name in ("select", "filters", "having", "order_by"):
            for number, record in enumerate(original[name]):
                if part not in record:
                    continue
                row = copy.deepcopy(original)
                row[name][number][part] = ["1", "2"] if part == "values" else "other"
                assert [each.split(":")[0] for each in disagreements(row)] == [f"{name} {number}"]
                changed += 1
    assert changed > 20


def test_a_question_that_loses_or_adds_a_column_is_found() -> None:
    several = [row for row in generated(4, "train", 80) if len(row["select"]) > 2]
    assert several
    for row in several:
        first, second = (item["phrase"] for item in row["select"][:2])
        lost = row["question"].replace(f"{first}, ", "", 1)
        swapped = row["question"].replace(f"{first}, {second}", f"{second}, {first}", 1)
        for question in {lost, swapped} - {row["question"]}:
            assert disagreements({**row, "question": question}) != []


@given(st.integers(1, 8), st.integers(0, 29), st.data())
@settings(deadline=None, max_examples=100)
def test_whatever_the_words_reading_ends_in_records_or_a_reason(
    command_set: int, number: int, data: st.DataObject
) -> None:
    row = generated(command_set, "train", 30)[number]
    said = row["question"].split(" ")
    at = data.draw(st.integers(0, len(said)))
    stop = data.draw(st.integers(at, len(said)))
    others = [[], said[at:stop] * 2, said[:at], said[stop:], ["and"], [","]]
    other = data.draw(st.sampled_from(others))
    question = " ".join(said[:at] + other + said[stop:])
    try:
        again = write_sql(derive(question, row["schema_sql"]), read_schema(row["schema_sql"]))
    except DeriveError as error:
        assert str(error)
    else:
        assert again.startswith("SELECT ")


SWAPS = [
    ("ascending", "descending"), ("going up", "going down"), ("lowest first", "highest first"),
    ("alphabetically,", "reverse alphabetically,"), ("oldest first", "newest first"),
    ("average ", "lowest "), ("number of ", ""), ("total ", "average "), ("distinct ", ""),
    ("is above", "is below"), ("is above", "is not above"), ("is at least", "is at most"),
    ("is one of", "is none of"), ("starts with", "ends with"), ("is between", "is not between"),
    ("is known", "is unknown"), ("does not contain", "contains"), (" is not ", " is "),
    (" or ", " and "), (" and ", " or "), ("true", "false"), ("Get the ", "Get the price and "),
    (", only the first 1", ", only the first 9"), (", for each ", " sorted by "),
    (", keeping only groups whose ", " where "), ("20", "30"),
]  # fmt: skip


@pytest.mark.parametrize("command_set", [2, 4, 6])
def test_a_question_that_says_something_else_is_found(command_set: int) -> None:
    changed = 0
    for row in generated(command_set, "train", 80):
        for one, other in SWAPS:
            if one in row["question"]:
                question = row["question"].replace(one, other, 1)
                assert disagreements({**row, "question": question}) != [], question
                changed += 1
    assert changed > 50
