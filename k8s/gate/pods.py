"""What every pod keeps to: no rights over its node, a bounded share of it, and a time to stop."""

import re
from collections.abc import Iterator
from typing import Any

from k8s.gate.manifests import Manifest, at, containers, pods, ray_clusters, title
from k8s.gate.problem import Problem
from k8s.gate.quantities import amount

_AMOUNTS = ("cpu", "memory", "ephemeral-storage")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SPOT = ("tinysql/capacity", "spot")
"""Label and taint of nodes that may be taken away."""
_DRAIN = re.compile(r"cluster\.drain(?:.*?--seconds[ =]([0-9]+))?")
_DRAIN_SECONDS, _GRACE_SECONDS = 90, 30
"""Where nothing else is said: of cluster.drain, of Kubernetes."""

Found = Iterator[tuple[str, str]]
"""Fields, and what is wrong with them."""


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Pods, and containers that the operator adds to them, that are against the rules."""
    for manifest, place, pod in pods(manifests):
        spec = pod.get("spec", {})
        claims = at(manifest, "spec.volumeClaimTemplates") or []
        volumes = {each["name"] for each in spec.get("volumes", [])}
        volumes |= {each["metadata"]["name"] for each in claims}
        for field, message in [*_pod(spec), *_mounts(spec, volumes), *_drain(spec)]:
            yield Problem(title(manifest), f"{place}.spec.{field}", message)
    for manifest, place, cluster in ray_clusters(manifests):
        if cluster.get("enableInTreeAutoscaling"):
            for field, message in _autoscaler(cluster.get("autoscalerOptions", {})):
                yield Problem(title(manifest), f"{place}.autoscalerOptions.{field}", message)


def _pod(spec: dict[str, Any]) -> Found:
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
    label, value = _SPOT
    if (spec.get("nodeSelector") or {}).get(label) == value and not _tolerates_spot(spec):
        yield "tolerations", f"nodes with the label {label}: {value} have that taint: tolerate it"
    for place, container in containers(spec):
        for field, message in _container(container):
            yield f"{place}.{field}", message


def _tolerates_spot(spec: dict[str, Any]) -> bool:
    label, value = _SPOT
    return any(
        each.get("key") in (None, label)
        and (each.get("operator") == "Exists" or each.get("value") == value)
        and each.get("effect") in (None, "NoSchedule")
        for each in spec.get("tolerations") or ()
    )


def _container(container: dict[str, Any]) -> Found:
    yield from _confined(container.get("securityContext", {}))
    yield from _image(container.get("image", ""))
    yield from _amounts(container.get("resources", {}))
    for number, port in enumerate(container.get("ports", [])):
        if port.get("hostPort"):
            yield f"ports.{number}", "hostPort: the node is not ours to open"


def _confined(security: dict[str, Any]) -> Found:
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "securityContext", "expected allowPrivilegeEscalation: false"
    if at(security, "capabilities.drop") != ["ALL"] or at(security, "capabilities.add"):
        yield "securityContext.capabilities", "expected {drop: [ALL]} and nothing added"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "securityContext.readOnlyRootFilesystem", "expected true"
    # What a container says counts for more than what its pod says.
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield "securityContext", "runs as root, whatever its pod says"
    if at(security, "seccompProfile.type") not in (None, "RuntimeDefault"):
        yield "securityContext.seccompProfile", "expected none but its pod's"


def _image(image: str) -> Found:
    name, has_digest, digest = image.rpartition("/")[2].partition("@")
    tag = name.partition(":")[2]
    if tag == "latest" or not (tag or has_digest):
        yield "image", f"got {image!r}, expected a version or a digest, and never latest"
    if has_digest and not _DIGEST.fullmatch(digest):
        yield "image", f"got digest {digest!r}, expected sha256: and 64 hex digits"


def _amounts(resources: dict[str, Any]) -> Found:
    requests, limits = (resources.get(kind) or {} for kind in ("requests", "limits"))
    for kind, amounts in (("requests", requests), ("limits", limits)):
        missing = [name for name in _AMOUNTS if name not in amounts]
        if missing:
            yield f"resources.{kind}", f"{', '.join(missing)} is missing"
    for name in sorted(requests.keys() & limits.keys()):
        if amount(requests[name]) > amount(limits[name]):
            message = f"{requests[name]} is more than its limit of {limits[name]}"
            yield f"resources.requests.{name}", message


def _mounts(spec: dict[str, Any], volumes: set[str]) -> Found:
    for place, container in containers(spec):
        for number, mount in enumerate(container.get("volumeMounts", [])):
            if mount["name"] not in volumes:
                yield f"{place}.volumeMounts.{number}", f"the pod has no volume {mount['name']}"


def _drain(spec: dict[str, Any]) -> Found:
    """A pod is killed when its grace is over, whatever it still waits for."""
    grace = spec.get("terminationGracePeriodSeconds", _GRACE_SECONDS)
    for _, container in containers(spec):
        command = " ".join(at(container, "lifecycle.preStop.exec.command") or ())
        drain = _DRAIN.search(command)
        if drain and int(drain[1] or _DRAIN_SECONDS) > grace:
            seconds = drain[1] or _DRAIN_SECONDS
            message = f"{grace} seconds are over before its drain of {seconds} is"
            yield "terminationGracePeriodSeconds", message


def _autoscaler(options: dict[str, Any]) -> Found:
    yield from _confined(options.get("securityContext", {}))
    yield from _amounts(options.get("resources", {}))
