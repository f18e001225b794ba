"""Who may import whom, read from the code's own imports, and what starting the command loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Our packages, and which of the others each may import.
MAY_IMPORT = {"jobs": {"cluster", "tinysql"}, "cluster": set(), "tinysql": set()}

# Libraries that stay behind a few modules: a file, or a folder with all its files.
_MODELS = ("tinysql/models/", "tinysql/train/", "tinysql/evaluate/", "tinysql/interp/")
ONLY_IN = {
    "ray": ("cluster/connect.py", "cluster/drain.py", "cluster/exporter.py", "cluster/fanout.py",
            "cluster/gang.py", "cluster/ranks.py", "cluster/ray_jobs.py", "cluster/sweep.py",
            "cluster/trials.py"),
    "kubernetes": ("cluster/kube_jobs.py",),
    "s3fs": ("cluster/bucket.py",),
    "fsspec": ("cluster/bucket.py",),
    "aiohttp": ("cluster/bucket.py",),
    "botocore": ("cluster/bucket.py",),
    "httpx2": ("cluster/alerts.py", "tinysql/endpoint.py"),
    "wandb": ("cluster/tracking.py",),
    "nnsight": ("tinysql/interp/tracing.py",),
    "deepspeed": ("tinysql/train/",),
    "torch": _MODELS,
    "transformers": _MODELS,
    "duckdb": ("tinysql/sql/engines.py",),
    "psycopg": ("tinysql/sql/engines.py",),
    "typer": ("jobs/",),
    "rich": ("jobs/",),
}

# What a package must not reach even through other modules of ours. nnsight changes Tensor.backward
# for the whole process, so no trainer may come near it.
NEVER_REACHES = {
    "tinysql.data": {"torch", "transformers"},
    "tinysql.sql": {"torch", "transformers"},
    "tinysql.report": {"torch", "transformers"},
    "tinysql.train": {"nnsight"},
}

SLOW_TO_IMPORT = {"torch", "ray", "transformers", "deepspeed", "nnsight", "wandb", "s3fs"}


def imports_of(tree: ast.Module) -> set[str]:
    """The dotted names a module imports anywhere, its functions included."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in MAY_IMPORT
    for path in sorted((ROOT / package).rglob("*.py"))
}
IMPORTS = {path: imports_of(tree) for path, tree in TREES.items()}


def file_of(module: str) -> str | None:
    """The file of one of our modules, or None."""
    path = module.replace(".", "/")
    return next((each for each in (f"{path}.py", f"{path}/__init__.py") if each in IMPORTS), None)


def reached_from(package: str) -> set[str]:
    """Every name imported by the package's modules, by ours that those import, and so on."""
    waiting = [path for path in IMPORTS if path.startswith(package.replace(".", "/") + "/")]
    seen, names = set(waiting), set()
    while waiting:
        imported = IMPORTS[waiting.pop()]
        names |= imported
        files = {file for file in map(file_of, imported) if file is not None}
        waiting.extend(files - seen)
        seen |= files
    return names


def test_packages_of_ours_import_only_the_allowed_ones() -> None:
    edges = {
        (path, name.split(".")[0]) for path, names in IMPORTS.items() for name in names
    }
    wrong = [
        (path, name)
        for path, name in sorted(edges)
        if name in MAY_IMPORT
        and name != path.split("/")[0]
        and name not in MAY_IMPORT[path.split("/")[0]]
    ]
    assert wrong == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_in_its_own_modules_only(library: str) -> None:
    users = [
        path
        for path, names in IMPORTS.items()
        if any(name.split(".")[0] == library for name in names)
    ]
    assert [path for path in users if not path.startswith(ONLY_IN[library])] == []
    unused = [place for place in ONLY_IN[library] if not any(u.startswith(place) for u in users)]
    assert unused == [], "the table above allows more than the code needs"


@pytest.mark.parametrize("package", NEVER_REACHES)
def test_package_never_reaches_a_forbidden_library(package: str) -> None:
    reached = {name.split(".")[0] for name in reached_from(package)}
    assert reached & NEVER_REACHES[package] == set()


def test_science_reads_neither_environment_nor_arguments() -> None:
    outside = {"os.environ", "os.getenv", "sys.argv"}
    used = {
        (path, ast.unparse(node))
        for path, tree in TREES.items()
        if path.startswith("tinysql/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in outside
    }
    imported = {(path, name) for path in IMPORTS for name in IMPORTS[path] & outside}
    assert used == set()
    assert {path for path, _ in imported if path.startswith("tinysql/")} == set()


def named_functions() -> list[str]:
    """The functions that steps name instead of importing them."""
    return sorted(
        {
            node.args[1].value
            for path, tree in TREES.items()
            if path.startswith("jobs/")
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("map_shards", "run_gang", "run_trials")
            if isinstance(node.args[1], ast.Constant)
        }
    )


@pytest.mark.parametrize("function", named_functions())
def test_function_that_a_step_names_exists(function: str) -> None:
    module, _, name = function.rpartition(".")
    defined = {node.name for node in TREES[str(file_of(module))].body
               if isinstance(node, ast.FunctionDef)}  # fmt: skip
    assert name in defined


def test_every_step_that_fans_out_names_its_function() -> None:
    callers = [path for path, names in IMPORTS.items()
               if names & {"cluster.fanout.map_shards", "cluster.gang.run_gang",
                           "cluster.sweep.run_trials"}]  # fmt: skip
    assert len(named_functions()) >= len(callers) > 0


def test_starting_the_command_loads_no_slow_library() -> None:
    code = "import sys, jobs.cli; print(*{name.split('.')[0] for name in sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert SLOW_TO_IMPORT & set(output.split()) == set()
