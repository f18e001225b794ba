"""Whether secrets stay where they belong: in Secrets, which are made outside of the repository."""

import re
from collections.abc import Iterator

from k8s.gate.manifests import Manifest, title, walk
from k8s.gate.problem import Problem

# The address of a webhook is as good as a password.
_NAME = re.compile(r"TOKEN(?!IZER)|PASSWORD|SECRET|ACCESS_KEY|API_KEY|WEBHOOK")
_AWS_KEY = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """Secrets that are written out."""
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            for name in _filled(manifest, "data", "stringData"):
                yield Problem(title(manifest), name, "a secret does not belong in a repository")
        if manifest["kind"] == "ConfigMap":
            for name in filter(_NAME.search, _filled(manifest, "data", "binaryData")):
                yield Problem(title(manifest), name, "is written out: it belongs in a Secret")
        yield from _anywhere(manifest)


def _filled(manifest: Manifest, *fields: str) -> list[str]:
    """The names of what is not empty there."""
    values = {name: each for field in fields for name, each in manifest.get(field, {}).items()}
    return sorted(name for name, value in values.items() if value)


def _anywhere(manifest: Manifest) -> Iterator[Problem]:
    """Variables of whichever container, and keys that tell by themselves what they are."""
    for place, node in walk(manifest):
        if isinstance(node, str) and _AWS_KEY.search(node):
            yield Problem(title(manifest), place, "an access key of AWS is written out")
        name = node.get("name") if isinstance(node, dict) else None
        if isinstance(name, str) and _NAME.search(name) and node.get("value"):
            message = f"{name} is written out: take it from a Secret"
            yield Problem(title(manifest), place, message)
