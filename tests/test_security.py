"""What the code never does, whatever it is given: unpickle, evaluate text, run code of a model."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CALLS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads",
    "torch.load", "joblib.load", "shelve.open", "yaml.unsafe_load", "yaml.full_load", "eval",
    "exec", "os.system",
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


def test_nothing_read_is_run() -> None:
    dangerous = {
        (path, ast.unparse(node.func))
        for path, tree in code().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS
    }
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
