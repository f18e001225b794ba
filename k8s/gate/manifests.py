"""Kubernetes manifests, and where in them pods and Ray clusters are written."""

from collections.abc import Iterator
from typing import Any

Manifest = dict[str, Any]
"""One document of Kubernetes YAML."""


def title(manifest: Manifest) -> str:
    """What people call it: "RayJob/tinysql"."""
    return f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name')}"


Pod = tuple[Manifest, str, dict[str, Any]]
"""The manifest, the place of the pod template in it, and the template."""

_TEMPLATES = {
    "Deployment": "spec.template",
    "StatefulSet": "spec.template",
    "Job": "spec.template",
    "CronJob": "spec.jobTemplate.spec.template",
}
_JOBS = {"RayJob": "spec", "RayCronJob": "spec.jobTemplate"}
_CLUSTERS = {
    "RayCluster": "spec",
    "RayService": "spec.rayClusterConfig",
    **{kind: f"{place}.rayClusterSpec" for kind, place in _JOBS.items()},
}


def at(manifest: Manifest, place: str) -> Any:
    """What is there, or None."""
    found: Any = manifest
    for part in filter(None, place.split(".")):
        if isinstance(found, list):
            found = found[int(part)] if int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def ray_jobs(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str, dict[str, Any]]]:
    """Every specification of a RayJob, with the manifest and its place there."""
    yield from _specs(manifests, _JOBS)


def ray_clusters(manifests: list[Manifest]) -> Iterator[tuple[Manifest, str, dict[str, Any]]]:
    """Every specification of a RayCluster, with the manifest and its place there."""
    yield from _specs(manifests, _CLUSTERS)


def pods(manifests: list[Manifest]) -> Iterator[Pod]:
    """Every pod template there is."""
    yield from _specs(manifests, _TEMPLATES)
    for manifest, place, spec in ray_jobs(manifests):
        if "submitterPodTemplate" in spec:
            yield manifest, f"{place}.submitterPodTemplate", spec["submitterPodTemplate"]
    for manifest, place, spec in ray_clusters(manifests):
        head = at(spec, "headGroupSpec.template")
        if head:
            yield manifest, f"{place}.headGroupSpec.template", head
        for number, group in enumerate(spec.get("workerGroupSpecs", [])):
            if "template" in group:
                yield manifest, f"{place}.workerGroupSpecs.{number}.template", group["template"]


def containers(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container of a pod's specification, with its place there."""
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield f"{kind}.{number}", container


def submits(pod: dict[str, Any]) -> bool:
    """Whether a pod makes RayJobs: `tinysql submit --kubernetes`."""
    return any(
        "--kubernetes" in [*container.get("command", ()), *container.get("args", ())]
        for _, container in containers(pod.get("spec", {}))
    )


def uses_store(pod: dict[str, Any]) -> bool:
    """Whether a pod of no Ray cluster works on the store: any verb but `tinysql submit`."""
    commands = (each.get("command", []) for _, each in containers(pod.get("spec", {})))
    return any(command[:1] == ["tinysql"] and command[1:2] != ["submit"] for command in commands)


def scales(manifest: Manifest, place: str) -> bool:
    """Whether the pod at a place is a head with the autoscaler beside it."""
    cluster, is_head, _ = place.partition(".headGroupSpec")
    return bool(is_head and at(manifest, f"{cluster}.enableInTreeAutoscaling"))


def walk(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a manifest, with its place."""
    yield place, node
    named = node.items() if isinstance(node, dict) else ()
    numbered = enumerate(node) if isinstance(node, list) else ()
    for name, child in [*named, *numbered]:
        yield from walk(child, f"{place}.{name}".lstrip("."))


def _specs(
    manifests: list[Manifest], places: dict[str, str]
) -> Iterator[tuple[Manifest, str, dict[str, Any]]]:
    for manifest in manifests:
        place = places.get(manifest.get("kind", ""))
        found = at(manifest, place) if place else None
        if place and isinstance(found, dict):
            yield manifest, place, found
