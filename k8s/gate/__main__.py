"""Checks kustomizations as an API server and KubeRay's operator would, and against our own rules.

    python -m k8s.gate k8s/overlays/dev k8s/overlays/gpu
    KUBERAY_CRDS=../kuberay/ray-operator/config/crd/bases python -m k8s.gate k8s/overlays/*

Exit code 0: nothing is wrong; 1: something is; 2: a folder cannot be built. Without KUBERAY_CRDS, a
folder with KubeRay's ray.io_*.yaml, Ray's own kinds are not compared with their schemas; those of
Prometheus' operator are where its monitoring.coreos.com_*.yaml lie in that folder, too.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from k8s.gate import (
    agreement,
    core,
    crds,
    kueue,
    network,
    operator,
    pods,
    policy,
    quota,
    rights,
    scheduling,
    secrets,
    watching,
)
from k8s.gate.build import NotBuilt, built
from k8s.gate.manifests import Manifest
from k8s.gate.problem import Problem

CHECKS: dict[str, Callable[[list[Manifest]], Iterator[Problem]]] = {
    each.__name__.rpartition(".")[2]: each.check
    for each in (
        core, operator, kueue, policy, pods, secrets, quota, scheduling, rights, network, watching,
        agreement,
    )
}  # fmt: skip
"""What needs nothing but the manifests, by the name of its module."""


def main() -> int:
    """Print what is wrong with each folder."""
    parser = argparse.ArgumentParser(
        prog="python -m k8s.gate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    definitions = definitions_folder()
    code = 0
    for folder in parser.parse_args().folders:
        try:
            manifests = built(folder)
        except NotBuilt as error:
            print(f"{folder}: cannot be built: {error}", file=sys.stderr)
            return 2
        problems = list(check(manifests, definitions))
        print(f"{folder}: {len(manifests)} manifests, {len(problems) or 'no'} problems")
        for problem in problems:
            print(f"  {problem}")
        code = code or int(bool(problems))
    if definitions is None:
        print("Ray's own kinds were not compared with their schemas: set KUBERAY_CRDS")
    return code


def definitions_folder() -> Path | None:
    """KubeRay's definitions of its kinds, None where nobody says where they are."""
    folder = os.environ.get("KUBERAY_CRDS")
    return Path(folder) if folder else None


def check(manifests: list[Manifest], definitions: Path | None) -> Iterator[Problem]:
    """Everything that is wrong; definitions None: without the schemas of Ray's own kinds."""
    if definitions is not None:
        yield from crds.check(manifests, definitions)
    for each in CHECKS.values():
        yield from each(manifests)


if __name__ == "__main__":
    sys.exit(main())
