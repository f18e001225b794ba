"""The page of verdicts as a file and in a real browser: honest, escaped, silent, and filterable."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.test_breakdown import verdict_row
from tests.report.test_browser import BINARY, Browser
from tests.report.test_page import Outline
from tinysql.evaluate import page as page_module
from tinysql.evaluate.page import questions, render_page, script_json, write_page

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    "\"'`${1}{{ 7*7 }}<!--\x00\u202e\u2028\ud800]]>&lt;"
)
in_browser = pytest.mark.skipif(BINARY is None, reason="no browser")


def models() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Base and tuned on 130 items: every verdict, several buckets."""
    base, tuned = [], []
    for number in range(130):
        item: dict[str, Any] = {
            "question": f"How many orders of shop {number}?",
            "schema_sql": "CREATE TABLE orders (name TEXT, price INTEGER)" * (1 + number % 9),
            "hardness": ("easy", "medium", "hard", "extra")[number % 4],
            "command_set": 1 + number % 3,
            "category": "join" if number % 2 else None,
            "mutation_score": 0.9,
        }
        wrong = ("wrong", "subset", "equivalent", "error")[number % 4]
        base.append(verdict_row(number, wrong if number < 60 else "strict", **item))
        tuned.append(verdict_row(number, wrong if number % 13 == 0 else "strict", **item))
        for row in (base[-1], tuned[-1]):
            if row["verdict"] == "strict":
                row["pred_sql"] = row["gold_sql"]
            if row["verdict"] == "error":
                row |= {"error_class": "syntax", "error": 'near "FRO": syntax error'}
    return base, tuned


def hostile_models() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """As models, but every text of the first ten items is hostile."""
    base, tuned = models()
    texts = ("question", "schema_sql", "gold_sql", "category", "hardness", "split")
    for number in range(10):
        for row in (base[number], tuned[number]):
            row |= dict.fromkeys(texts, HOSTILE)
            row |= {"verdict": "error", "strict": False, "equivalent": False, "subset": False}
            row |= {"pred_sql": HOSTILE, "error": HOSTILE, "error_class": HOSTILE}
            row |= {"components": {HOSTILE: {"precision": 1.0, "recall": 1.0, "f1": 1.0}}}
    return base, tuned


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def test_page_tells_counts_and_intervals_in_every_cell(tmp_path: Path) -> None:
    base, tuned = models()
    path = tmp_path / "deep" / "page.html"
    write_page(path, title="two models", rows=tuned, base_rows=base, summary={"seed": 3})
    page = path.read_text(encoding="utf-8")
    text = " ".join(Outline(page).text.split())
    strict = sum(row["strict"] for row in tuned)
    assert f"strict: {strict} of 130 questions" in text
    assert "tuned is better: 0.92 against 0.54, p < 0.001" in text
    cells = re.findall(r"<td>\s*<b>\d+\.\d%</b>(.*?)</td>", page, re.S)
    assert len(cells) > 60
    for cell in cells:
        assert re.search(r">\d+/\d+<.*\d\.\d% to \d+\.\d%", cell, re.S)
    assert "not scored" not in text
    assert list(path.parent.iterdir()) == [path]


def test_page_of_one_model_compares_nothing() -> None:
    _, tuned = models()
    page = render_page(title="one model", rows=tuned)
    outline = Outline(page)
    assert "comparison" not in outline.ids
    assert "only where they differ" not in outline.text
    assert {len(item[-1]) for item in embedded(page)["items"]} == {1}


@pytest.mark.parametrize("verdicts", [[], ["gold_invalid"]])
def test_page_without_anything_scored_says_so(verdicts: list[str]) -> None:
    rows = [verdict_row(i, verdict) for i, verdict in enumerate(verdicts)]
    for base_rows in (None, rows):
        page = render_page(title="nothing", rows=rows, base_rows=base_rows)
        assert "No question could be scored." in Outline(page).text
        assert len(embedded(page)["items"]) == len(rows)


def test_page_refuses_models_on_other_items(tmp_path: Path) -> None:
    base, tuned = models()
    with pytest.raises(ValueError, match="one model only"):
        write_page(tmp_path / "page.html", title="", rows=tuned, base_rows=base[1:])
    assert list(tmp_path.iterdir()) == []


def test_page_is_a_function_of_its_inputs() -> None:
    base, tuned = models()
    pages = {render_page(title="x", rows=tuned, base_rows=base) for _ in range(2)}
    assert len(pages) == 1


def test_hostile_text_adds_no_tag(tmp_path: Path) -> None:
    base, tuned = hostile_models()
    path = tmp_path / "page.html"
    facts = {HOSTILE: HOSTILE, "nested": {"a": [HOSTILE]}}
    write_page(path, title=HOSTILE, rows=tuned, base_rows=base, summary=facts)
    page = path.read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.tags.count("script") == 2
    assert "img" not in outline.tags
    assert [link for link in outline.addresses if link.startswith("http")] == []
    assert not set(page) & {"\x00", "\u202e"}
    data = re.search(r'id="data">(.*?)</script>', page, re.S)
    assert data is not None
    assert not set(data[1]) & set("<>&\u2028")
    assert "{{ 7*7 }}" in page


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_script_json_is_the_same_value_without_a_tag(value: object) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.isascii()


def test_questions_keep_every_text_once_and_cut_long_ones() -> None:
    rows = [verdict_row(i, "strict", gold_sql=["SELECT 1", "SELECT 2"]) for i in range(50)]
    rows[0]["pred_sql"] = "SELECT x, " * 100_000
    data = questions([(row,) for row in rows])
    assert len(data["texts"]) == len(set(data["texts"]))
    assert max(map(len, data["texts"])) < 2100
    shown = data["items"][7]
    assert [data["texts"][place] for place in shown[3]] == ["SELECT 1", "SELECT 2"]
    assert data["texts"][shown[1]] == rows[7]["question"]


def test_page_of_many_questions_lists_those_that_went_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_module, "MOST_QUESTIONS", 5)
    rows = [verdict_row(i, "wrong" if i in {3, 8} else "strict") for i in range(10)]
    page = render_page(title="many", rows=rows)
    data = embedded(page)
    assert [data["texts"][item[0]] for item in data["items"]] == ["0", "1", "2", "3", "8"]
    assert "5 of 10 questions are listed" in Outline(page).text


def many_rows(count: int) -> list[dict[str, Any]]:
    return [
        verdict_row(
            number,
            "strict" if number % 3 else "wrong",
            question=f"Which orders are above {number}, and what is each of them called?",
            schema_sql=f"CREATE TABLE orders_{number} (name TEXT, price INTEGER, day DATE)",
            pred_sql=f"SELECT name FROM orders_{number} WHERE price > {number} ORDER BY day DESC",
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert BINARY is not None
    opened = Browser(BINARY, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    base, tuned = models()
    write_page(path, title="two models", rows=tuned, base_rows=base)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    base, tuned = hostile_models()
    write_page(path, title=HOSTILE, rows=tuned, base_rows=base, summary={HOSTILE: HOSTILE})
    return path


def status(browser: Browser) -> str:
    return browser.evaluate("document.getElementById('status').textContent")


def choose(browser: Browser, **values: str) -> str:
    """What the page says after these filters alone are set, each by the text of its option."""
    browser.evaluate("document.getElementById('filters').reset()")
    for name, label in values.items():
        browser.evaluate(
            f"""(() => {{
                const field = document.getElementById("filters").elements[{json.dumps(name)}];
                const options = [...(field.options ?? [])];
                const found = options.find((option) => option.text === {json.dumps(label)});
                field.value = field.options ? found.value : {json.dumps(label)};
            }})()"""
        )
    browser.evaluate(
        "document.getElementById('filters').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    return status(browser)


def matching(count: int) -> str:
    rest = "" if count == 130 else " (130 without filters)"
    return f"1 to {min(count, 50)} of {count}{rest}" if count else f"No question matches{rest}"


@in_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["two_models", "hostile"])
def test_page_fits_its_window_without_complaint(
    browser: Browser, request: pytest.FixtureRequest, name: str, width: int, dark: bool
) -> None:
    path = request.getfixturevalue(name)
    browser.open(path, width, dark=dark)
    root = "document.documentElement"
    assert browser.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert browser.evaluate("document.getElementById('items').rows.length") == 50
    assert browser.complaints() == []
    assert {url for url in browser.requests() if not url.startswith("data:")} == {path.as_uri()}


@in_browser
def test_hostile_text_stays_text(browser: Browser, hostile: Path) -> None:
    browser.open(hostile, 1280)
    assert "owned" not in browser.evaluate("document.title").split("'")[0]
    assert browser.evaluate("document.querySelectorAll('img, #items script').length") == 0
    shown = browser.evaluate("document.querySelector('#items tr').textContent")
    assert shown.count("</script><script>document.title='owned'</script><img src=x") >= 4
    assert choose(browser, search="ONERROR=alert(1)") == matching(10)


@in_browser
def test_filters_select_what_they_name(browser: Browser, two_models: Path) -> None:
    browser.open(two_models, 1280)
    base, tuned = models()
    pairs = list(zip(base, tuned, strict=True))
    assert status(browser) == matching(130)
    expected = {
        ("hardness", "hard"): [b["hardness"] == "hard" for b, _ in pairs],
        ("command_set", "2"): [b["command_set"] == 2 for b, _ in pairs],
        ("verdict_base", "subset"): [b["verdict"] == "subset" for b, _ in pairs],
        ("verdict_tuned", "wrong"): [t["verdict"] == "wrong" for _, t in pairs],
        ("error_class", "syntax"): ["syntax" in (b["error_class"], t["error_class"])
                                    for b, t in pairs],
        ("relation", "only where they differ"): [b["verdict"] != t["verdict"] for b, t in pairs],
        ("relation", "only tuned is strict"): [t["strict"] > b["strict"] for b, t in pairs],
        ("relation", "only base is strict"): [t["strict"] < b["strict"] for b, t in pairs],
        ("search", "SHOP 7?"): [b["id"] == 7 for b, _ in pairs],
        ("search", ' near  "FRO'): ["error" in (b["verdict"], t["verdict"]) for b, t in pairs],
        ("search", "nothing of this"): [False],
    }  # fmt: skip
    for (name, label), kept in expected.items():
        assert choose(browser, **{name: label}) == matching(sum(kept)), (name, label)
    both = sum(b["hardness"] == "hard" and b["verdict"] != t["verdict"] for b, t in pairs)
    assert 0 < both < 60
    found = choose(browser, hardness="hard", relation="only where they differ")
    assert found == matching(both)


@in_browser
def test_options_come_in_their_natural_order(browser: Browser, two_models: Path) -> None:
    browser.open(two_models, 1280)
    options = "[...document.getElementById('filters').elements.{}.options].map((o) => o.text)"
    assert browser.evaluate(options.format("hardness")) == [
        "any", "easy", "medium", "hard", "extra",
    ]  # fmt: skip
    assert browser.evaluate(options.format("verdict_base")) == [
        "any", "strict", "equivalent", "subset", "wrong", "error",
    ]  # fmt: skip


@in_browser
def test_answers_stand_side_by_side_with_what_is_wrong(browser: Browser, two_models: Path) -> None:
    browser.open(two_models, 1280)
    cells = browser.evaluate(
        "[...document.querySelectorAll('#items tr:nth-child(5) td')].map((td) => td.innerText)"
    )
    asked, gold, base, tuned = cells
    assert "How many orders of shop 4?" in asked
    assert "CREATE TABLE orders" in asked
    assert gold == "SELECT name FROM orders WHERE price > 4"
    assert base.split("\n")[0] == "wrong"
    assert "missing: WHERE price > 4" in base
    assert "filter" in base
    assert tuned.split("\n")[0] == "strict"


def press(browser: Browser, key: str, code: int, text: str = "") -> None:
    event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    typed = {"text": text} if text else {}
    browser.call("Input.dispatchKeyEvent", type="keyDown", **event, **typed)
    browser.call("Input.dispatchKeyEvent", type="keyUp", **event)


@in_browser
def test_keyboard_reaches_the_filters_and_turns_pages(browser: Browser, two_models: Path) -> None:
    browser.open(two_models, 1280)
    browser.evaluate("document.querySelector('input[type=search]').focus()")
    browser.call("Input.insertText", text="orders")
    press(browser, "Enter", 13, "\r")
    assert status(browser) == matching(130)
    names = []
    for _ in range(8):
        press(browser, "Tab", 9)
        names.append(
            browser.evaluate("document.activeElement.name || document.activeElement.textContent")
        )
    assert names == [
        "relation", "verdict_base", "verdict_tuned", "error_class", "hardness", "command_set",
        "Clear", "Next",
    ]  # fmt: skip
    press(browser, "Enter", 13, "\r")
    assert status(browser) == "51 to 100 of 130"
    assert "shop 50?" in browser.evaluate("document.getElementById('items').rows[0].textContent")


@in_browser
def test_page_of_five_thousand_questions_stays_usable(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, title="many", rows=many_rows(5000))
    assert path.stat().st_size < 4_000_000
    browser.open(path, 1280)
    assert status(browser) == "1 to 50 of 5,000"
    assert browser.evaluate("document.getElementsByTagName('*').length") < 2500
    assert choose(browser, search="table ORDERS_4711 (") == "1 to 1 of 1 (5,000 without filters)"
    assert browser.complaints() == []
