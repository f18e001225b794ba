"""What this project demands of its manifests, beyond that they are accepted."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from k8s.gate.manifests import Manifest, at, pods, ray_clusters, ray_jobs, title
from k8s.gate.problem import Problem

_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|SECRET|ACCESS_KEY|API_KEY")
_AMOUNTS = ("cpu", "memory", "ephemeral-storage")
_DASHBOARD = 8265
_UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}  # fmt: skip
_WRITABLE = ("/tmp", "/dev/shm")
"""Where Ray writes, on a root file system that is read-only."""
_LIMITED = ("activeDeadlineSeconds", "preRunningDeadlineSeconds", "ttlSecondsAfterFinished")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Everything that is against the rules."""
    for rule in _RULES:
        yield from rule(manifests)


def _pods(manifests: list[Manifest]) -> Iterator[Problem]:
    for manifest, place, pod in pods(manifests):
        for field, message in _pod(pod.get("spec", {})):
            yield Problem(title(manifest), f"{place}.spec.{field}", message)


def _pod(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
        yield "securityContext", "expected runAsNonRoot: true and a runAsUser that is not root"
    if at(security, "seccompProfile.type") != "RuntimeDefault":
        yield "securityContext.seccompProfile", "expected {type: RuntimeDefault}"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field, "the node is not ours to see"
    if "automountServiceAccountToken" not in spec:
        yield "automountServiceAccountToken", "say whether it talks to the API server"
    for number, volume in enumerate(spec.get("volumes", [])):
        if "hostPath" in volume:
            yield f"volumes.{number}", "hostPath: the node is not ours to see"
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"volumes.{number}", "an emptyDir without sizeLimit can fill the node"
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(kind, [])):
            for field, message in _container(container):
                yield f"{kind}.{number}.{field}".rstrip("."), message


def _container(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _confined(container.get("securityContext", {}))
    yield from _image(container.get("image", ""))
    for kind in ("requests", "limits"):
        amounts = at(container, f"resources.{kind}") or {}
        missing = [name for name in _AMOUNTS if name not in amounts]
        if missing:
            yield f"resources.{kind}", f"{', '.join(missing)} is missing"
    for number, variable in enumerate(container.get("env", [])):
        if _SECRET_NAME.search(variable["name"]) and variable.get("value"):
            yield f"env.{number}", f"{variable['name']} is written out: take it from a Secret"


def _confined(security: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "securityContext", "expected allowPrivilegeEscalation: false"
    if at(security, "capabilities.drop") != ["ALL"] or at(security, "capabilities.add"):
        yield "securityContext.capabilities", "expected {drop: [ALL]} and nothing added"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "securityContext.readOnlyRootFilesystem", "expected true"


def _image(image: str) -> Iterator[tuple[str, str]]:
    name = image.rpartition("/")[2]
    tag = name.partition(":")[2]
    if "@sha256:" not in name and tag in ("", "latest"):
        yield "image", f"got {image!r}, expected a version or a digest"


def _autoscaler(manifests: list[Manifest]) -> Iterator[Problem]:
    for manifest, place, spec in ray_clusters(manifests):
        if not spec.get("enableInTreeAutoscaling"):
            continue
        options = spec.get("autoscalerOptions", {})
        for field, message in _confined(options.get("securityContext", {})):
            yield Problem(title(manifest), f"{place}.autoscalerOptions.{field}", message)
        if not options.get("resources"):
            where = f"{place}.autoscalerOptions.resources"
            yield Problem(title(manifest), where, "is missing")


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


def _secrets(manifests: list[Manifest]) -> Iterator[Problem]:
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            values = {**manifest.get("data", {}), **manifest.get("stringData", {})}
            for name in sorted(name for name, value in values.items() if value):
                yield Problem(title(manifest), name, "a secret does not belong in a repository")


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


def _fits(manifests: list[Manifest]) -> Iterator[Problem]:
    """A run at its largest must fit into the quota, else it waits for ever."""
    quotas = [each for each in manifests if each["kind"] == "ResourceQuota"]
    for manifest, place, spec in ray_clusters(manifests):
        for quota in quotas:
            for name, limit in at(quota, "spec.hard").items():
                kind, _, resource = name.partition(".")
                asked = _asked(spec, kind, resource) if resource else 0.0
                if asked > amount(limit):
                    message = f"asks for {asked:g} of {name}, {title(quota)} has {limit}"
                    yield Problem(title(manifest), place, message)


def _asked(spec: dict[str, Any], kind: str, resource: str) -> float:
    """What a cluster with all its workers asks for."""
    groups = [(1, spec.get("headGroupSpec", {}))]
    groups += [(each.get("maxReplicas", 1), each) for each in spec.get("workerGroupSpecs", [])]
    return sum(
        count * amount((at(container, f"resources.{kind}") or {}).get(resource, 0))
        for count, group in groups
        for container in at(group, "template.spec.containers") or ()
    )


def amount(written: str | int | float) -> float:
    """A quantity of Kubernetes as a number: cores, bytes, pieces."""
    number = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(written))
    if number is None or number[2] not in _UNITS:
        raise ValueError(f"{written!r} is no quantity")
    return float(number[1]) * _UNITS[number[2]]


_RULES: tuple[Callable[[list[Manifest]], Iterator[Problem]], ...] = (
    _pods, _autoscaler, _ray, _namespace, _exposed, _secrets, _references, _fits,
)  # fmt: skip
