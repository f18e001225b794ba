"""What KubeRay's operator refuses, which no schema says: it would be an event on the object, later.

The rules are those of ray-operator/controllers/ray/utils/validation.go and constant.go in KubeRay
1.7.0, as far as the fields that these manifests use.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import yaml

from k8s.gate.manifests import Manifest, ray_clusters, ray_jobs, title
from k8s.gate.problem import Problem

_LONGEST_NAME = {"RayCluster": 53, "RayJob": 47, "RayCronJob": 36, "RayService": 47}
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_TOKEN_SINCE = (2, 52, 0)
_DELETION_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
_RESOURCE_PARAMS = ("num-cpus", "num-gpus", "memory", "resources")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """What the operator would refuse."""
    for manifest in manifests:
        if manifest.get("kind") in _LONGEST_NAME:
            yield from _name(manifest)
    for manifest, place, spec in ray_jobs(manifests):
        for field, message in _job(spec):
            yield Problem(title(manifest), f"{place}.{field}", message)
    for manifest, place, spec in ray_clusters(manifests):
        for field, message in _cluster(spec):
            yield Problem(title(manifest), f"{place}.{field}", message)


Found = Iterator[tuple[str, str]]
"""Fields below the specification, and what is wrong with them."""


def _name(manifest: Manifest) -> Iterator[Problem]:
    name = str(manifest.get("metadata", {}).get("name"))
    longest = _LONGEST_NAME[manifest["kind"]]
    if len(name) > longest:
        message = f"{len(name)} characters, a {manifest['kind']} has at most {longest}"
        yield Problem(title(manifest), "metadata.name", message)
    if not _DNS_LABEL.fullmatch(name):
        message = "expected a letter, then letters, digits and -, all lower case"
        yield Problem(title(manifest), "metadata.name", message)


def _job(spec: dict[str, Any]) -> Found:
    mode = spec.get("submissionMode", "K8sJobMode")
    selects = bool(spec.get("clusterSelector"))
    shuts_down = spec.get("shutdownAfterJobFinishes", False)
    if not spec.get("entrypoint") and mode != "InteractiveMode":
        yield "entrypoint", "is missing"
    if selects == bool(spec.get("rayClusterSpec")):
        yield "rayClusterSpec", "expected this or clusterSelector, one of the two"
    if spec.get("suspend") and not shuts_down:
        yield "suspend", "needs shutdownAfterJobFinishes: true"
    if spec.get("ttlSecondsAfterFinished", 0) and not shuts_down:
        yield "ttlSecondsAfterFinished", "needs shutdownAfterJobFinishes: true"
    if spec.get("ttlSecondsAfterFinished", 0) < 0:
        yield "ttlSecondsAfterFinished", "expected 0 or more"
    if spec.get("activeDeadlineSeconds", 1) <= 0:
        yield "activeDeadlineSeconds", "expected 1 or more"
    if spec.get("backoffLimit", 0) < 0:
        yield "backoffLimit", "expected 0 or more"
    if selects and (spec.get("suspend") or spec.get("backoffLimit") or mode == "SidecarMode"):
        yield "clusterSelector", "goes without suspend, backoffLimit and SidecarMode"
    if mode == "InteractiveMode" and spec.get("backoffLimit"):
        yield "backoffLimit", "must be 0 with InteractiveMode"
    if mode == "SidecarMode" and (spec.get("submitterPodTemplate") or spec.get("submitterConfig")):
        yield "submissionMode", "SidecarMode has no submitterPodTemplate and no submitterConfig"
    try:
        yaml.safe_load(spec.get("runtimeEnvYAML", ""))
    except yaml.YAMLError:
        yield "runtimeEnvYAML", "is no YAML"
    yield from _deletion(spec, shuts_down)


def _deletion(spec: dict[str, Any], shuts_down: bool) -> Found:
    rules = spec.get("deletionStrategy", {}).get("deletionRules", [])
    if not rules:
        return
    if shuts_down or spec.get("ttlSecondsAfterFinished"):
        yield "deletionStrategy", (
            "goes without shutdownAfterJobFinishes and ttlSecondsAfterFinished"
        )
    waits: dict[str, dict[str, int]] = {}
    for rule in rules:
        condition = rule.get("condition", {})
        status = condition.get("jobStatus") or condition.get("jobDeploymentStatus") or ""
        if rule["policy"] in waits.setdefault(status, {}):
            yield "deletionStrategy.deletionRules", f"{rule['policy']} is there twice for {status}"
        waits[status][rule["policy"]] = condition.get("ttlSeconds", 0)
    for status, of_policy in waits.items():
        known = [of_policy[policy] for policy in _DELETION_ORDER if policy in of_policy]
        if any(later < sooner for sooner, later in pairwise(known)):
            yield "deletionStrategy.deletionRules", (
                f"for {status}, ttlSeconds must not fall from workers over cluster to the job"
            )
    policies = {rule["policy"] for rule in rules}
    scales = spec.get("rayClusterSpec", {}).get("enableInTreeAutoscaling")
    if scales and "DeleteWorkers" in policies:
        yield "deletionStrategy.deletionRules", "DeleteWorkers goes without the autoscaler"
    if spec.get("clusterSelector") and policies & {"DeleteWorkers", "DeleteCluster"}:
        yield "deletionStrategy.deletionRules", "a selected cluster cannot be deleted"


def _cluster(spec: dict[str, Any]) -> Found:
    if spec.get("authOptions", {}).get("mode") == "token":
        written = str(spec.get("rayVersion", ""))
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", written)
        if numbers is None or tuple(int(each) for each in numbers.groups()) < _TOKEN_SINCE:
            yield "rayVersion", f"got {written!r}, authOptions.mode token needs 2.52.0 or later"
    scales = spec.get("enableInTreeAutoscaling", False)
    version_2 = spec.get("autoscalerOptions", {}).get("version", "v2" if scales else None) == "v2"
    groups = [("headGroupSpec", spec.get("headGroupSpec", {}))]
    groups += [
        (f"workerGroupSpecs.{number}", group)
        for number, group in enumerate(spec.get("workerGroupSpecs", []))
    ]
    names = [group.get("groupName") for _, group in groups[1:]]
    for name in {each for each in names if names.count(each) > 1}:
        yield "workerGroupSpecs", f"two groups have the name {name!r}"
    if not scales and "autoscalerOptions" in spec:
        yield "autoscalerOptions", "has no effect without enableInTreeAutoscaling: true"
    for place, group in groups:
        yield from _group(place, group, restarts_forbidden=scales and version_2)
    yield from _fault_tolerance(spec, groups)


def _group(place: str, group: dict[str, Any], *, restarts_forbidden: bool) -> Found:
    params = group.get("rayStartParams") or {}
    pod = group.get("template", {}).get("spec", {})
    if not pod.get("containers"):
        yield f"{place}.template.spec.containers", "expected the container of Ray, first"
    if "labels" in params:
        yield f"{place}.rayStartParams.labels", "write them as labels of the group"
    both = [name for name in _RESOURCE_PARAMS if name in params] if group.get("resources") else []
    if both:
        yield f"{place}.rayStartParams.{both[0]}", "is in resources of the group, too"
    low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
    if low > high:
        yield f"{place}.minReplicas", f"{low} is over maxReplicas {high}"
    if not low <= group.get("replicas", low) <= high:
        yield f"{place}.replicas", f"expected {low} to {high}, got {group['replicas']}"
    if restarts_forbidden and pod.get("restartPolicy", "Never") != "Never":
        yield f"{place}.template.spec.restartPolicy", "must be Never with autoscaler v2"


def _fault_tolerance(spec: dict[str, Any], groups: list[tuple[str, dict[str, Any]]]) -> Found:
    options = spec.get("gcsFaultToleranceOptions")
    if options and options.get("backend", "redis") == "redis" and not options.get("redisAddress"):
        yield "gcsFaultToleranceOptions.redisAddress", "is missing"
    containers = groups[0][1].get("template", {}).get("spec", {}).get("containers") or [{}]
    variables = {each["name"] for each in containers[0].get("env", [])}
    if not options and "RAY_REDIS_ADDRESS" in variables:
        yield "headGroupSpec.template.spec.containers.0.env", (
            "RAY_REDIS_ADDRESS goes with gcsFaultToleranceOptions alone"
        )
    if spec.get("tlsOptions", {}).get("enabled") and "RAY_USE_TLS" in variables:
        yield "tlsOptions", "RAY_USE_TLS is for TLS without them"
