"""Whether a run at its largest fits into the quota: else it waits for ever."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from k8s.gate.manifests import Manifest, at, ray_clusters, title
from k8s.gate.problem import Problem
from k8s.gate.quantities import amount


class _Pods(NamedTuple):
    number: int
    containers: list[dict[str, Any]]
    """Of each pod: objects with resources."""


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Runs that ask for more than there is, and a namespace in which there is no end of it."""
    quotas = [each for each in manifests if each["kind"] == "ResourceQuota"]
    if not quotas:
        yield Problem("the installation", "", "no ResourceQuota bounds what runs may take")
    for manifest, place, cluster in ray_clusters(manifests):
        pods = _at_its_largest(cluster, at(manifest, place.rpartition(".")[0]))
        for quota in quotas:
            for name, limit in (at(quota, "spec.hard") or {}).items():
                asked = _asked(pods, name)
                if asked > amount(limit):
                    message = f"asks for {asked:g} of {name}, {title(quota)} has {limit}"
                    yield Problem(title(manifest), place, message)


def _at_its_largest(cluster: dict[str, Any], job: dict[str, Any]) -> list[_Pods]:
    """The head with its autoscaler, all workers, and the submitter of a job."""
    head = _containers(cluster.get("headGroupSpec", {}).get("template"))
    if cluster.get("enableInTreeAutoscaling"):
        head = [*head, cluster.get("autoscalerOptions", {})]
    workers = [
        _Pods(group.get("maxReplicas", 1), _containers(group.get("template")))
        for group in cluster.get("workerGroupSpecs", [])
    ]
    submitter = job.get("submitterPodTemplate")
    submitters = [_Pods(1, _containers(submitter))] if submitter else []
    return [_Pods(1, head), *workers, *submitters]


def _containers(template: dict[str, Any] | None) -> list[dict[str, Any]]:
    return at(template or {}, "spec.containers") or []


def _asked(pods: list[_Pods], name: str) -> float:
    """What pods take of something that a quota bounds."""
    if name in ("pods", "count/pods"):
        return sum(each.number for each in pods)
    kind, _, resource = name.partition(".")
    return sum(
        each.number * amount(_resources(container, kind).get(resource, 0))
        for each in pods
        for container in each.containers
    )


def _resources(container: dict[str, Any], kind: str) -> dict[str, Any]:
    """Its requests or limits; what has a limit alone is requested just so."""
    written = at(container, f"resources.{kind}") or {}
    limits = at(container, "resources.limits") or {}
    return limits | written if kind == "requests" else written
