"""The gate: what is in k8s/ passes, and manifests with one mistake each are refused for it."""

import copy
import functools
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.gate import agreement, crds, scheduling, secrets
from k8s.gate.__main__ import CHECKS, check, definitions_folder
from k8s.gate.build import NotBuilt, builder, built
from k8s.gate.manifests import Manifest, title
from k8s.gate.problem import Problem
from k8s.gate.quantities import amount

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
BROKEN = yaml.safe_load((Path(__file__).parent / "broken.yaml").read_text(encoding="utf-8"))
FOLDERS = sorted(
    path.parent.relative_to(K8S).as_posix()
    for path in K8S.rglob("kustomization.yaml")
    if "components" not in path.parts
)
DEFINITIONS = definitions_folder()

pytestmark = pytest.mark.skipif(builder() is None, reason="needs kubectl or kustomize")
needs_definitions = pytest.mark.skipif(
    DEFINITIONS is None, reason="KUBERAY_CRDS does not say where KubeRay's definitions are"
)


@functools.cache
def overlay(name: str) -> list[Manifest]:
    """The manifests of a folder below k8s/."""
    return built(K8S / name)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_there_passes(folder: str) -> None:
    assert [str(problem) for problem in check(overlay(folder), DEFINITIONS)] == []


def test_all_components_go_together(tmp_path: Path) -> None:
    """As somebody's own installation would list them, those that copy the mould last."""
    folder, copying = K8S / "components", ["ray-cluster", "ray-cron-job"]
    names = sorted(path.name for path in folder.iterdir() if path.name not in copying)
    chosen = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "tinysql",
        "resources": [os.path.relpath(K8S / "base", tmp_path)],
        "components": [
            os.path.relpath(folder / name, tmp_path) for name in [*names, *copying]
        ],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(chosen))
    manifests = built(tmp_path)
    assert [str(problem) for problem in check(manifests, DEFINITIONS)] == []
    mould, cluster, cron = (
        next(each for each in manifests if each["kind"] == kind)
        for kind in ("RayJob", "RayCluster", "RayCronJob")
    )
    assert cluster["spec"] == mould["spec"]["rayClusterSpec"]
    copied = ("rayClusterSpec", "submitterPodTemplate", "backoffLimit")
    assert all(cron["spec"]["jobTemplate"][name] == mould["spec"][name] for name in copied)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case["mistake"], marks=needs_definitions if by_crds else ()
        )
        for case in BROKEN
        for by_crds in (case["refused_by"] == "crds",)
    ],
)
def test_a_mistake_is_refused_for_what_it_is(case: dict[str, Any]) -> None:
    name = f"overlays/{case['of']}"
    manifests = copy.deepcopy(overlay(name))
    changed = next(each for each in manifests if title(each) == case["in"])
    for path, value in case["set"].items():
        put(changed, path, value)

    found = problems(case["refused_by"], manifests)
    assert passes(case["refused_by"], name)
    assert any(case["reason"] in str(each) for each in found), [str(each) for each in found]


def test_a_corpus_of_mistakes() -> None:
    assert len(BROKEN) >= 25
    assert {case["refused_by"] for case in BROKEN} == {"crds", *CHECKS}


def test_a_folder_that_kustomize_refuses(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="kustomization"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("written", "number"), [("500m", 0.5), ("2", 2), (4, 4), ("16Gi", 16 * 2**30), ("1k", 1000)]
)
def test_a_quantity(written: str | int, number: float) -> None:
    assert amount(written) == number


def test_a_tokenizer_is_no_token() -> None:
    manifests = copy.deepcopy(overlay("overlays/dev"))
    settings = next(each for each in manifests if title(each) == "ConfigMap/tinysql-settings")
    put(settings, "data.TOKENIZERS_PARALLELISM", "false")
    assert not list(secrets.check(manifests))


def test_a_command_without_a_plan_is_right_where_it_ends_well() -> None:
    manifests = copy.deepcopy(overlay("overlays/dev"))
    job = next(each for each in manifests if each["kind"] == "RayJob")
    for command in ("python -m jobs.gc", "true"):
        put(job, "spec.entrypoint", command)
        assert not list(agreement.check(manifests))


@pytest.mark.parametrize(
    ("schedule", "right"),
    [
        ("*/15 0-6,22 1 jan-mar MON-fri", True), ("0 1 ? * 0", True), ("@daily", True),
        ("0 1 * * 7", False), ("60 1 * * *", False), ("0 1 0 * *", False), ("0 6-1 * * *", False),
        ("*/0 1 * * *", False), ("0 1, * * *", False), ("0 1 * * noday", False), ("", False),
        ("0 1 * *", False), ("CRON_TZ=UTC 0 1 * * *", False), ("@nightly", False),
    ],
)  # fmt: skip
def test_a_schedule(schedule: str, right: bool) -> None:
    manifests = copy.deepcopy(overlay("overlays/nightly"))
    cron_job = next(each for each in manifests if each["kind"] == "CronJob")
    put(cron_job, "spec.schedule", schedule)
    assert (not list(scheduling.check(manifests))) == right


@needs_definitions
def test_defaults_come_before_the_schema() -> None:
    """maxReplicas is required and has a default: without it a manifest is right."""
    manifests = copy.deepcopy(overlay("overlays/dev"))
    job = next(each for each in manifests if each["kind"] == "RayJob")
    put(job, "spec.rayClusterSpec.workerGroupSpecs.0.maxReplicas", None)
    assert not list(crds.check(manifests, Path(os.environ["KUBERAY_CRDS"])))


@functools.cache
def passes(check_name: str, name: str) -> bool:
    """Whether one check finds nothing in a folder below k8s/."""
    return not problems(check_name, overlay(name))


def problems(check_name: str, manifests: list[Manifest]) -> list[Problem]:
    """What one check finds."""
    if check_name == "crds":
        assert DEFINITIONS is not None
        return list(crds.check(manifests, DEFINITIONS))
    return list(CHECKS[check_name](manifests))


def put(manifest: Manifest, path: str, value: Any) -> None:
    """Set what is at a dotted path, or remove it."""
    *parents, last = path.split(".")
    place: Any = manifest
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        place[int(last)] = value
    elif value is None:
        place.pop(last, None)
    else:
        place[last] = value
