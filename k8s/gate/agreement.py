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
from typing import Any, NamedTuple

from k8s.gate.manifests import Manifest, at, pods, ray_clusters, ray_jobs, title
from k8s.gate.problem import Problem
from k8s.gate.quantities import amount

_STORE = "TINYSQL_STORE"


class _Group(NamedTuple):
    """Workers that are alike: how many there may be, and what each has."""

    most: int
    cpus: float
    gpus: float


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Commands that would fail at once or wait for ever, and another Ray than the one in use."""
    with tempfile.TemporaryDirectory() as folder:
        variables = _variables(manifests) | {_STORE: f"{folder}/store"}
        yield from _commands(manifests, variables)
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
                for message in _too_large(_plan(ended.stdout), spec):
                    yield Problem(title(manifest), where, message)
    for manifest, place, spec in ray_clusters(manifests):
        if spec.get("rayVersion") != version("ray"):
            message = f"got {spec.get('rayVersion')}, this code runs on {version('ray')}"
            yield Problem(title(manifest), f"{place}.rayVersion", message)


def _commands(manifests: list[Manifest], variables: dict[str, str]) -> Iterator[Problem]:
    """Pods of no Ray cluster that run a verb of ours."""
    for manifest, place, pod in pods(manifests):
        for number, container in enumerate(at(pod, "spec.containers") or ()):
            command = container.get("command", [])
            if command[:1] != ["tinysql"]:
                continue
            if command[1] == "submit":
                ended = _submitted(command, variables)
            else:
                ended = _run(f"{shlex.join(command)} --dry-run", variables)
            if ended.returncode:
                where = f"{place}.spec.containers.{number}.command"
                yield Problem(title(manifest), where, _last_line(ended))


def _submitted(
    command: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The plan of what a command would submit."""
    # It is the same elsewhere; only here there is nobody to submit it to.
    elsewhere = [each for each in command if each != "--kubernetes"]
    asked = [*elsewhere, "--address", "http://nowhere", "--store", "s3://nowhere/store"]
    ended = _run(shlex.join([*asked, "--print"]), variables)
    if ended.returncode:
        return ended
    planned = json.loads(ended.stdout)["entrypoint"].replace(" --store s3://nowhere/store", "")
    return _run(f"{planned} --dry-run --json", variables)


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    lines = (line.strip(" │") for line in ended.stderr.splitlines())  # typer draws a frame
    said = [line for line in lines if any(map(str.isalnum, line))]
    return (said or [f"exit code {ended.returncode}"])[-1]


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


def _plan(printed: str) -> list[dict[str, Any]]:
    """The steps of a dry run; none of a command without a plan, such as `python -m jobs.gc`."""
    last = (printed.splitlines() or [""])[-1]
    found = json.loads(last) if last.startswith("{") else {}
    steps: list[dict[str, Any]] = found.get("plan", [])
    return steps


def _too_large(plan: list[dict[str, Any]], spec: dict[str, Any]) -> Iterator[str]:
    """Steps that ask for more than all workers have, or one: Ray would wait without an end."""
    groups = _groups(spec)
    cpus = sum(each.most * each.cpus for each in groups)
    gpus = sum(each.most * each.gpus for each in groups)
    for step in plan:
        asked = step["resources"]
        workers, name = asked["workers"] or 1, step["name"]
        cpus_each, gpus_each = asked["cpus_per_worker"], asked["gpus_per_worker"] or 0
        needed = workers * cpus_each + spec.get("entrypointNumCpus", 0)
        if needed > cpus:
            yield f"step {name} needs {needed:g} CPUs, all workers have {cpus:g}"
        if workers * gpus_each > gpus:
            yield f"step {name} needs {workers * gpus_each:g} GPUs, all workers have {gpus:g}"
        if not any(cpus_each <= each.cpus and gpus_each <= each.gpus for each in groups):
            pods_have = ", ".join(f"{each.cpus:g} and {each.gpus:g}" for each in groups)
            worker = f"a worker of step {name} needs {cpus_each:g} CPUs and {gpus_each:g} GPUs"
            yield f"{worker}, pods have {pods_have or 'none'}"


def _groups(spec: dict[str, Any]) -> list[_Group]:
    found = []
    for group in at(spec, "rayClusterSpec.workerGroupSpecs") or ():
        limits = at(group, "template.spec.containers.0.resources.limits") or {}
        cpus, gpus = (amount(limits.get(name, 0)) for name in ("cpu", "nvidia.com/gpu"))
        found.append(_Group(group.get("maxReplicas", 1), cpus, gpus))
    return found
