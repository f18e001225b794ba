"""Spider's hardness: labels worked out by hand from its rules, and those of our own generator."""

import pytest
import sqlglot

from tinysql.data.interchange.hardness import Components, components, hardness


def parsed(sql: str) -> sqlglot.exp.Expression:
    tree = sqlglot.parse_one(sql, read="sqlite")
    assert isinstance(tree, sqlglot.exp.Expression)
    return tree


@pytest.mark.parametrize(
    ("sql", "counts", "label"),
    [
        ("SELECT a FROM t", (0, 0, 0), "easy"),
        ("SELECT COUNT(*) FROM t WHERE a = 1", (1, 0, 0), "easy"),
        ("SELECT a, b FROM t", (0, 0, 1), "medium"),
        ("SELECT a FROM t JOIN u ON t.x = u.y WHERE b = 1", (2, 0, 0), "medium"),
        ("SELECT MIN(a), MAX(a) FROM t WHERE b = 1 AND c = 2", (1, 0, 3), "hard"),
        ("SELECT a FROM t, u WHERE b = 1 ORDER BY a", (3, 0, 0), "hard"),
        ("SELECT a FROM t WHERE b = 1 OR c LIKE 'x%'", (3, 0, 1), "hard"),
        ("SELECT a FROM t WHERE b > (SELECT AVG(b) FROM t)", (1, 1, 0), "hard"),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE d = 1 OR e = 2)", (1, 1, 0), "hard"),
        ("SELECT a FROM t WHERE NOT EXISTS (SELECT b FROM u)", (1, 1, 0), "hard"),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY a LIMIT 3", (0, 1, 0), "hard"),
        ("SELECT a FROM t WHERE b = 1 AND c = 2 EXCEPT SELECT a FROM u", (1, 1, 1), "extra"),
        ("SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM t GROUP BY a) AS p", (0, 0, 0), "easy"),
        # In HAVING neither the aggregates count nor their values, but AND does.
        ("SELECT a FROM t GROUP BY a HAVING COUNT(*) > 1", (1, 0, 0), "easy"),
        ("SELECT a FROM t GROUP BY a HAVING SUM(b) > 1 AND SUM(c) > 2 AND SUM(d) > 3",
         (1, 0, 1), "medium"),
        ("SELECT a FROM t ORDER BY COUNT(a), SUM(b)", (1, 0, 1), "medium"),
        ("SELECT COUNT(a) AS n FROM t ORDER BY n", (1, 0, 1), "medium"),
        # A NOT before a condition counts as an aggregate, IS NOT NULL does not.
        ("SELECT a FROM t WHERE b NOT IN (1) AND c NOT LIKE 'x'", (2, 0, 2), "extra"),
        ("SELECT a FROM t WHERE b IS NOT NULL AND c IS NOT NULL", (1, 0, 1), "medium"),
        ("SELECT a FROM t WHERE NOT ( b = 1 OR c = 2 )", (2, 0, 1), "medium"),
        ("SELECT a FROM t WHERE b BETWEEN 1 AND 2", (1, 0, 0), "easy"),
        ("SELECT a, b, COUNT(*) FROM t JOIN u ON t.x = u.y WHERE c = 1 OR d = 2 "
         "GROUP BY a, b ORDER BY COUNT(*) LIMIT 1", (6, 0, 4), "extra"),
    ],
)  # fmt: skip
def test_labels_follow_the_rules(sql: str, counts: tuple[int, int, int], label: str) -> None:
    assert components(parsed(sql)) == Components(*counts)
    assert hardness(parsed(sql)) == label
