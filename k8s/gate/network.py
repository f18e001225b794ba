"""Whether network policies shut out the world and let every pod reach what it works with.

Policies add up (networking.k8s.io/v1 NetworkPolicy): a pod that any of them selects for a direction
may do there what at least one that selects it allows. A connection inside the namespace needs to be
let out by the policies of the one pod and in by those of the other.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from k8s.gate.manifests import Manifest, at, pods, scales, submits, title, uses_store
from k8s.gate.problem import Problem

Labels = Mapping[str, str]

_HEAD = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head"}
_WORKER = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "worker"}
"""What KubeRay puts on the pods of a cluster."""
_OPERATOR = {"app.kubernetes.io/name": "kuberay-operator"}
_OPERATOR_NAMESPACE = {"kubernetes.io/metadata.name": "kuberay-system"}
"""As its Helm chart labels it."""
_RANDOM_PORT = 45_678
"""Any of those that Ray picks."""
_DASHBOARD, _REDIS, _TLS, _DNS = 8265, 6379, 443, 53


class _Need(NamedTuple):
    what: str
    port: int
    to: Labels | None
    """Labels of the other pod; None: it is outside of the namespace."""


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Doors that stand open, and connections that a run needs and nothing allows."""
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    if not any(map(_denies_everything, policies)):
        message = "no NetworkPolicy denies what the others do not allow"
        yield Problem("the installation", "", message)
    for policy in policies:
        for place, message in _open(policy):
            yield Problem(title(policy), place, message)
    for manifest, place, pod in pods(manifests):
        labels = _labels(place, pod)
        if "headGroupSpec" in place and not _lets_operator_in(policies, labels):
            message = f"no NetworkPolicy lets KubeRay's operator reach it, port {_DASHBOARD}"
            yield Problem(title(manifest), place, message)
        for need in _needs(manifest, place, pod, manifests):
            if not _is_allowed(policies, labels, need):
                message = f"no NetworkPolicy lets it reach {need.what}, port {need.port}"
                yield Problem(title(manifest), place, message)


def admits_outsiders(policies: list[Manifest], labels: Labels, port: int) -> bool:
    """Whether pods of another namespace may reach this one."""
    rules = _rules(policies, labels, "Ingress")
    return any(
        _has_port(rule, port) and any("namespaceSelector" in peer for peer in rule.get("from", ()))
        for rule in rules or ()
    )


def labels_of(manifests: list[Manifest]) -> Iterator[tuple[dict[str, Any], Labels]]:
    """Every pod template, and the labels of its pods."""
    return ((pod, _labels(place, pod)) for _, place, pod in pods(manifests))


def _open(policy: Manifest) -> Iterator[tuple[str, str]]:
    """Rules that shut out nobody."""
    for number, rule in enumerate(at(policy, "spec.ingress") or ()):
        if _is_for_all(rule, "from"):
            yield f"spec.ingress.{number}", "anybody may come in: say who, in from"
    for number, rule in enumerate(at(policy, "spec.egress") or ()):
        if _is_for_all(rule, "to") and not rule.get("ports"):
            yield f"spec.egress.{number}", "everything may go out: say where to, or to which ports"


def _is_for_all(rule: dict[str, Any], side: str) -> bool:
    """Whether the other side may be any machine, or any namespace."""
    peers = rule.get(side)
    return not peers or any(
        str(at(peer, "ipBlock.cidr")).endswith("/0")
        or ("namespaceSelector" in peer and not any(peer["namespaceSelector"].values()))
        for peer in peers
    )


def _lets_operator_in(policies: list[Manifest], head: Labels) -> bool:
    """It asks for the state of jobs."""
    rules = _rules(policies, head, "Ingress")
    return rules is None or any(
        _has_port(rule, _DASHBOARD)
        and any(
            "namespaceSelector" in peer
            and _selects(peer["namespaceSelector"], _OPERATOR_NAMESPACE)
            and _selects(peer.get("podSelector", {}), _OPERATOR)
            for peer in rule.get("from", ())
        )
        for rule in rules
    )


def _denies_everything(policy: Manifest) -> bool:
    spec = policy.get("spec", {})
    directions = {"Ingress", "Egress"} <= set(spec.get("policyTypes") or ())
    return directions and not any(map(spec.get, ("podSelector", "ingress", "egress")))


def _labels(place: str, pod: dict[str, Any]) -> Labels:
    written = at(pod, "metadata.labels") or {}
    if place.endswith("headGroupSpec.template"):
        return written | _HEAD
    return written | _WORKER if "workerGroupSpecs" in place else written


def _needs(
    manifest: Manifest, place: str, pod: dict[str, Any], manifests: list[Manifest]
) -> Iterator[_Need]:
    """What a pod connects to."""
    yield _Need("DNS", _DNS, None)
    if submits(pod) or scales(manifest, place):
        yield _Need("the API server", _TLS, None)
    if "submitterPodTemplate" in place:
        yield _Need("the head's dashboard", _DASHBOARD, _HEAD)
    if uses_store(pod):
        yield from _store(manifests)
    if "headGroupSpec" not in place and "workerGroupSpecs" not in place:
        return
    yield from (_Need("Ray", _RANDOM_PORT, other) for other in (_HEAD, _WORKER))
    yield from _store(manifests)
    cluster = at(manifest, place.partition(".headGroupSpec")[0]) if "headGroup" in place else {}
    if at(cluster, "gcsFaultToleranceOptions.redisAddress"):
        yield _Need("Redis", _REDIS, None)


def _store(manifests: list[Manifest]) -> Iterator[_Need]:
    """AWS, or the S3 endpoint of the settings as well."""
    yield _Need("S3 and the Hub", _TLS, None)
    settings = [at(each, "data.AWS_ENDPOINT_URL") for each in manifests]
    for url in filter(None, settings):
        found = urlsplit(url)
        services = (
            at(each, "spec.selector")
            for each in manifests
            if each["kind"] == "Service" and each["metadata"]["name"] == found.hostname
        )
        port = found.port or (_TLS if found.scheme == "https" else 80)
        yield _Need(url, port, next(services, None))


def _is_allowed(policies: list[Manifest], labels: Labels, need: _Need) -> bool:
    out = _rules(policies, labels, "Egress")
    if out is not None and not any(_matches(rule, "to", need.to, need.port) for rule in out):
        return False
    into = None if need.to is None else _rules(policies, need.to, "Ingress")
    return into is None or any(_matches(rule, "from", labels, need.port) for rule in into)


def _rules(
    policies: list[Manifest], labels: Labels, direction: str
) -> list[dict[str, Any]] | None:
    """What pods with these labels may do in a direction; None: everything."""
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"].get("policyTypes", ())
        and _selects(policy["spec"].get("podSelector", {}), labels)
    ]
    if not selecting:
        return None
    return [rule for spec in selecting for rule in spec.get(direction.lower()) or ()]


def _matches(rule: dict[str, Any], side: str, labels: Labels | None, port: int) -> bool:
    peers = rule.get(side)
    return _has_port(rule, port) and (not peers or any(_is(peer, labels) for peer in peers))


def _is(peer: dict[str, Any], labels: Labels | None) -> bool:
    """Whether the other side is such: a pod of this namespace, or something outside of it."""
    if labels is None:
        return "ipBlock" in peer or "namespaceSelector" in peer
    return "podSelector" in peer and _selects(peer["podSelector"], labels)


def _has_port(rule: dict[str, Any], port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(_covers(each, port) for each in ports)


def _covers(allowed: dict[str, Any], port: int) -> bool:
    # Names are asked for by UDP first; everything else here is TCP, the default of a rule.
    protocol = "UDP" if port == _DNS else "TCP"
    first = allowed.get("port", port)
    if allowed.get("protocol", "TCP") != protocol or not isinstance(first, int):
        return False  # what a name stands for, each pod says for itself
    return first <= port <= int(allowed.get("endPort", first))


def _selects(selector: dict[str, Any], labels: Labels) -> bool:
    wanted = (selector.get("matchLabels") or {}).items()
    return all(labels.get(name) == value for name, value in wanted) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: dict[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    return {
        "In": value in values, "NotIn": value not in values,
        "Exists": value is not None, "DoesNotExist": value is None,
    }[expression["operator"]]  # fmt: skip
