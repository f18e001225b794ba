"""Coverage-guided fuzzing of the scorer: whatever is predicted, there is a verdict and no crash.

    pip install atheris
    python tests/benchmarks/fuzz_scorer.py -max_total_time=600

A prediction is made of SQL words, names of the schema and arbitrary text, as the fuzzer's bytes
say; the gold is one of a few. libFuzzer prints what it covers, and stops at the first exception.
"""

import sys

import atheris

with atheris.instrument_imports(include=["tinysql"]):
    from tinysql.evaluate.config import ScoreConfig
    from tinysql.evaluate.golds import runner
    from tinysql.evaluate.items import Item
    from tinysql.evaluate.verdicts import score_item
    from tinysql.sql.compare import Verdict

SCHEMA = (
    "CREATE TABLE shops ( id INTEGER PRIMARY KEY, city TEXT, opened DATE ); "
    "CREATE TABLE sales ( shop_id INTEGER REFERENCES shops(id), amount REAL, item TEXT )"
)
GOLDS = (
    "SELECT city FROM shops",
    "SELECT city, COUNT(*) FROM shops GROUP BY city HAVING COUNT(*) > 1 ORDER BY 2 DESC LIMIT 3",
    "SELECT s.city FROM shops AS s JOIN sales AS x ON x.shop_id = s.id WHERE x.amount >= 5.5",
    "SELECT item FROM sales EXCEPT SELECT city FROM shops WHERE LOWER(city) LIKE 'o%'",
)
_TEXT = """
    SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET JOIN LEFT ON AS AND OR NOT IN IS NULL LIKE
    BETWEEN EXISTS DISTINCT UNION ALL EXCEPT INTERSECT CASE WHEN THEN ELSE END WITH RECURSIVE COUNT
    SUM AVG MIN MAX OVER PARTITION CAST COLLATE NOCASE ASC DESC VALUES ( ) , ; . * = <> < > <= >= +
    - || -> ->>
    'o' 'Oslo' "city" `id` [item] 1 0 5.5 -1 1e400 x'00' ? :a @b $c -- /* */ { } {city,id}
    shops sales id city opened shop_id amount item rowid sqlite_schema json_each date('now')
    printf('%9d',1) é
"""
WORDS = _TEXT.split()
CONFIG = ScoreConfig(num_databases=2, num_rows=8, max_steps=20_000, spider=True)
VERDICTS = {*Verdict, "gold_invalid"}


def fuzz_one(data: bytes) -> None:
    """Score one prediction."""
    source = atheris.FuzzedDataProvider(data)
    gold = source.PickValueInList(list(GOLDS))
    parts = []
    while source.remaining_bytes():
        if source.ConsumeIntInRange(0, 7):
            parts.append(source.PickValueInList(WORDS))
        else:
            parts.append(source.ConsumeUnicode(12))
    item = Item(id=0, schema_sql=SCHEMA, golds=(gold,))
    found = score_item(item, " ".join(parts), CONFIG, runner(CONFIG))
    assert found.verdict in VERDICTS, found


atheris.Setup(sys.argv, fuzz_one)
atheris.Fuzz()
