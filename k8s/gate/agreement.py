"""Whether manifests agree with the code: every command they run is planned, and would fit.

A command is run as it stands, with --dry-run added: in a shell, with the variables of the settings,
the store being an empty directory, and ConfigMaps where they would be mounted.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k8s.gate.manifests import Manifest, at, pods, ray_clusters, ray_jobs, title
from k8s.gate.policy import amount
from k8s.gate.problem import Problem

_STORE = "TINYSQL_STORE"


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Commands that would fail at once or wait for ever, and another Ray than the one in use."""
    with tempfile.TemporaryDirectory() as folder:
        variables = _variables(manifests) | {_STORE: f"{folder}/store"}
        yield from _submissions(manifests, variables)
        maps = _written(manifests, Path(folder))
        for manifest, place, spec in ray_jobs(manifests):
            where = f"{place}.entrypoint"
            command = spec.get("entrypoint", "")
            if "$" in command:
                message = "KubeRay's submitter expands variables, and has none of a worker's"
                yield Problem(title(manifest), where, message)
                continue
            for mounted, local in _mounts(spec, maps).items():
                command = command.replace(mounted, str(local))
            ended = _run(f"{command} --dry-run --json", variables)
            if ended.returncode:
                yield Problem(title(manifest), where, _last_line(ended))
            else:
                plan = json.loads(ended.stdout.splitlines()[-1])["plan"]
                for message in _too_large(plan, spec):
                    yield Problem(title(manifest), where, message)
    for manifest, place, spec in ray_clusters(manifests):
        if spec.get("rayVersion") != version("ray"):
            message = f"got {spec.get('rayVersion')}, this code runs on {version('ray')}"
            yield Problem(title(manifest), f"{place}.rayVersion", message)


def _submissions(manifests: list[Manifest], variables: dict[str, str]) -> Iterator[Problem]:
    """Pods that submit runs: what they submit must be a plan, too."""
    for manifest, place, pod in pods(manifests):
        for number, container in enumerate(at(pod, "spec.containers") or ()):
            command = container.get("command", [])
            if command[:2] != ["tinysql", "submit"]:
                continue
            where = f"{place}.spec.containers.{number}.command"
            # What would be submitted is the same; only here there is nobody to submit it to.
            elsewhere = [each for each in command if each != "--kubernetes"]
            asked = [*elsewhere, "--address", "http://nowhere", "--store", "s3://nowhere/store"]
            ended = _run(shlex.join([*asked, "--print"]), variables)
            if ended.returncode == 0:
                entrypoint = json.loads(ended.stdout)["entrypoint"]
                planned = entrypoint.replace(" --store s3://nowhere/store", "")
                ended = _run(f"{planned} --dry-run --json", variables)
            if ended.returncode:
                yield Problem(title(manifest), where, _last_line(ended))


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    return (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]


def _run(command: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=kept | variables | {"PATH": path, "PYTHONPATH": os.getcwd()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _variables(manifests: list[Manifest]) -> dict[str, str]:
    """What pods see of the settings, but for where home is, which is not there."""
    found: dict[str, str] = {}
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"] == "tinysql-settings":
            found |= manifest["data"]
    found.pop("HOME", None)
    return found


def _written(manifests: list[Manifest], folder: Path) -> dict[str, Path]:
    """Every ConfigMap as a folder of files, by name."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            place = folder / manifest["metadata"]["name"]
            place.mkdir()
            for name, text in manifest["data"].items():
                (place / name).write_text(text, encoding="utf-8")
            found[manifest["metadata"]["name"]] = place
    return found


def _mounts(spec: dict[str, Any], maps: dict[str, Path]) -> dict[str, Path]:
    """Where the pods of a worker see ConfigMaps, and where they lie here."""
    pod = at(spec, "rayClusterSpec.workerGroupSpecs.0.template.spec") or {}
    volumes = {each["name"]: at(each, "configMap.name") for each in pod.get("volumes", [])}
    mounts = at(pod, "containers.0.volumeMounts") or []
    return {
        mount["mountPath"]: maps[volumes[mount["name"]]]
        for mount in mounts
        if volumes.get(mount["name"]) in maps
    }


def _too_large(plan: list[dict[str, Any]], spec: dict[str, Any]) -> Iterator[str]:
    """Steps that ask for more than all workers have: Ray would wait for them without an end."""
    cpus, gpus = _most(spec, "cpu"), _most(spec, "nvidia.com/gpu")
    for step in plan:
        asked = step["resources"]
        workers = asked["workers"] or 1
        needed = workers * asked["cpus_per_worker"] + spec.get("entrypointNumCpus", 0)
        if needed > cpus:
            yield f"step {step['name']} needs {needed:g} CPUs, all workers have {cpus:g}"
        if workers * (asked["gpus_per_worker"] or 0) > gpus:
            yield f"step {step['name']} needs {workers} GPUs, all workers have {gpus:g}"


def _most(spec: dict[str, Any], resource: str) -> float:
    groups = at(spec, "rayClusterSpec.workerGroupSpecs") or []
    return sum(
        group.get("maxReplicas", 1)
        * amount((at(group, "template.spec.containers.0.resources.limits") or {}).get(resource, 0))
        for group in groups
    )
