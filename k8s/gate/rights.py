"""Whether pods that talk to the API server may, and no account may more than it needs.

The account of a head with the autoscaler beside it gets its rights from KubeRay's operator; that of
a pod that submits runs, from a Role of ours.
"""

from collections.abc import Iterator
from typing import Any

from k8s.gate.manifests import Manifest, at, pods, scales, submits, title
from k8s.gate.problem import Problem

_ROLES = ("Role", "ClusterRole")
_NEEDED = ("create", "get")
"""What whoever submits runs does with RayJobs."""


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Rights without bounds, and pods without a token or a right that they need."""
    for manifest in manifests:
        if manifest["kind"] in _ROLES:
            yield from _boundless(manifest)
    for manifest, place, pod in pods(manifests):
        where = f"{place}.spec"
        mounted = at(pod, "spec.automountServiceAccountToken")
        if (submits(pod) or scales(manifest, place)) and mounted is not True:
            message = "expected true: it talks to the API server"
            yield Problem(title(manifest), f"{where}.automountServiceAccountToken", message)
        if submits(pod):
            account = at(pod, "spec.serviceAccountName")
            rules = list(_rules(account, manifest["metadata"].get("namespace"), manifests))
            for verb in _NEEDED:
                if not any(_allows(rule, verb) for rule in rules):
                    message = f"no Role lets {account} {verb} rayjobs"
                    yield Problem(title(manifest), f"{where}.serviceAccountName", message)


def _boundless(role: Manifest) -> Iterator[Problem]:
    for number, rule in enumerate(role.get("rules") or ()):
        for field in ("apiGroups", "resources", "verbs"):
            if "*" in rule.get(field, ()):
                yield Problem(title(role), f"rules.{number}.{field}", "*: name what is needed")


def _rules(
    account: str | None, namespace: str | None, manifests: list[Manifest]
) -> Iterator[dict[str, Any]]:
    """The rules of every Role that is bound to an account."""
    roles = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    who = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    for binding in manifests:
        if binding["kind"] == "RoleBinding" and binding["metadata"].get("namespace") == namespace:
            bound = any(who.items() <= each.items() for each in binding.get("subjects") or ())
            role = roles.get((at(binding, "roleRef.kind"), at(binding, "roleRef.name")))
            if bound and role:
                yield from role.get("rules") or ()


def _allows(rule: dict[str, Any], verb: str) -> bool:
    """For every RayJob: nobody knows the name of the next one."""
    wanted = {"apiGroups": "ray.io", "resources": "rayjobs", "verbs": verb}
    named = all({each, "*"} & set(rule.get(field, ())) for field, each in wanted.items())
    return named and not rule.get("resourceNames")
