"""What this project demands of its runs and their namespace, beyond that they are accepted."""

from collections.abc import Callable, Iterator
from typing import Any

from k8s.gate.manifests import Manifest, at, pods, ray_clusters, ray_jobs, title
from k8s.gate.problem import Problem

_DASHBOARD = 8265
_WRITABLE = ("/tmp", "/dev/shm")
"""Where Ray writes, on a root file system that is read-only."""
_LIMITED = ("activeDeadlineSeconds", "preRunningDeadlineSeconds", "ttlSecondsAfterFinished")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Everything that is against the rules."""
    for rule in _RULES:
        yield from rule(manifests)


def _ray(manifests: list[Manifest]) -> Iterator[Problem]:
    for manifest, place, spec in ray_clusters(manifests):
        name = title(manifest)
        if at(spec, "authOptions.mode") != "token":
            where = f"{place}.authOptions"
            yield Problem(name, where, "expected {mode: token}: whoever reaches Ray can run code")
        if at(spec, "headGroupSpec.rayStartParams.num-cpus") != "0":
            where = f"{place}.headGroupSpec.rayStartParams"
            yield Problem(name, where, 'expected num-cpus: "0", which keeps work off the head')
        groups = [("headGroupSpec", spec.get("headGroupSpec", {}))]
        groups += [
            (f"workerGroupSpecs.{number}", group)
            for number, group in enumerate(spec.get("workerGroupSpecs", []))
        ]
        for group, each in groups:
            where = f"{place}.{group}.template.spec.containers.0.volumeMounts"
            mounts = at(each, "template.spec.containers.0.volumeMounts") or []
            writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
            for needed in _WRITABLE:
                if needed not in writable:
                    yield Problem(name, where, f"Ray writes to {needed}: mount a volume there")
    for manifest, place, spec in ray_jobs(manifests):
        for field in _LIMITED:
            if not spec.get(field):
                yield Problem(title(manifest), f"{place}.{field}", "expected a limit")
        if not spec.get("backoffLimit"):
            where = f"{place}.backoffLimit"
            yield Problem(title(manifest), where, "expected 1 or more: nodes do go away")
        if not spec.get("entrypointNumCpus"):
            where = f"{place}.entrypointNumCpus"
            yield Problem(title(manifest), where, "expected 1: else the driver runs on the head")


def _namespace(manifests: list[Manifest]) -> Iterator[Problem]:
    label = "pod-security.kubernetes.io/enforce"
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            labels = manifest["metadata"].get("labels", {})
            if labels.get(label) != "restricted":
                yield Problem(title(manifest), "metadata.labels", f"expected {label}: restricted")
        elif "namespace" not in manifest["metadata"]:
            yield Problem(title(manifest), "metadata.namespace", "is missing")


def _exposed(manifests: list[Manifest]) -> Iterator[Problem]:
    for manifest in manifests:
        if manifest["kind"] == "Ingress":
            yield Problem(title(manifest), "", "the dashboard takes jobs: nothing leads in here")
        kind = at(manifest, "spec.type")
        if manifest["kind"] == "Service" and kind in ("LoadBalancer", "NodePort"):
            yield Problem(title(manifest), "spec.type", f"{kind} leads in from outside")
    for manifest, place, spec in ray_clusters(manifests):
        kind = at(spec, "headGroupSpec.serviceType") or "ClusterIP"
        if kind != "ClusterIP" or at(spec, "headGroupSpec.enableIngress"):
            message = f"port {_DASHBOARD} takes jobs: it is for this namespace alone"
            yield Problem(title(manifest), f"{place}.headGroupSpec", message)


def _references(manifests: list[Manifest]) -> Iterator[Problem]:
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for manifest, place, pod in pods(manifests):
        spec = pod.get("spec", {})
        account = spec.get("serviceAccountName")
        if ("ServiceAccount", account) not in names:
            where = f"{place}.spec.serviceAccountName"
            yield Problem(title(manifest), where, f"there is no ServiceAccount {account}")
        for name in sorted(_config_maps(spec)):
            if ("ConfigMap", name) not in names:
                yield Problem(title(manifest), f"{place}.spec", f"there is no ConfigMap {name}")


def _config_maps(spec: dict[str, Any]) -> set[str]:
    found = {at(volume, "configMap.name") for volume in spec.get("volumes", [])}
    for container in spec.get("containers", []):
        found |= {at(each, "configMapRef.name") for each in container.get("envFrom", [])}
    return {name for name in found if name}


_RULES: tuple[Callable[[list[Manifest]], Iterator[Problem]], ...] = (
    _ray, _namespace, _exposed, _references,
)  # fmt: skip
