"""Kubernetes' own kinds against its published schemas."""

from collections.abc import Iterator

import kubernetes_validate

from k8s.gate.manifests import Manifest, title
from k8s.gate.problem import Problem

VERSION = "1.37"
_OF_OPERATORS = ("ray.io/", "monitoring.coreos.com/")


def check(manifests: list[Manifest]) -> Iterator[Problem]:
    """What does not fit the schema of its kind, unknown fields included."""
    for manifest in manifests:
        if manifest.get("apiVersion", "").startswith(_OF_OPERATORS):
            continue
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield Problem(title(manifest), place, str(error.message))
        except kubernetes_validate.SchemaNotFoundError:
            yield Problem(title(manifest), "", "no schema of that kind is known here")
