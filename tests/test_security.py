"""What the code never does, whatever it is given: unpickle, evaluate text, run code of a model."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DANGEROUS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads",
    "torch.load", "joblib.load", "shelve.open", "yaml.unsafe_load", "yaml.full_load", "eval",
    "exec", "os.system", "__import__",
}  # fmt: skip
YAML_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}
ARGUMENTS = {"trust_remote_code", "allow_pickle", "shell"}
OWN_CHILD = "tinysql/sql/worker.py"
"""Whose pipe carries pickles from the process that this one started, and to it."""


def code() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in ("cluster", "jobs", "k8s", "tinysql")
        for path in (ROOT / package).rglob("*.py")
    }


def imported(tree: ast.Module) -> dict[str, str]:
    """What the names of imports stand for, in full."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname: each.name for each in node.names if each.asname}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return found


def used(tree: ast.Module) -> set[str]:
    """The full names of everything that is named in the code, called there or elsewhere."""
    known = imported(tree)
    names = set(known.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            names.add(".".join([known.get(first, first), *rest]))
    return names


@pytest.mark.parametrize(
    "written",
    [
        "import pickle\npickle.loads(data)", "from pickle import loads", "eval(data)",
        "from pickle import loads as read\nread(data)", "import torch as t\nt.load(data)",
        "readers = {'torch': __import__('torch'), 'own': exec}",
    ],
)  # fmt: skip
def test_danger_is_seen_however_it_is_written(written: str) -> None:
    assert used(ast.parse(written)) & DANGEROUS


def test_nothing_read_is_run() -> None:
    dangerous = {(path, name) for path, tree in code().items() for name in used(tree) & DANGEROUS}
    assert dangerous == {(OWN_CHILD, "pickle.loads")}


def test_yaml_makes_plain_values_only() -> None:
    loaders = {
        ast.unparse(node)
        for tree in code().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("yaml.")
        if node.attr.endswith("Loader")
    }
    assert loaders and loaders <= YAML_LOADERS


def test_no_call_asks_for_code_pickles_or_a_shell() -> None:
    asked = {
        (path, keyword.arg)
        for path, tree in code().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in ARGUMENTS and ast.unparse(keyword.value) != "False"
    }
    assert asked == set()
