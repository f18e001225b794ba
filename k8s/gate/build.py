"""The manifests of a kustomization, built by kustomize itself."""

import shutil
import subprocess
from pathlib import Path

import yaml

from k8s.gate.manifests import Manifest

_BUILDERS = (["kubectl", "kustomize"], ["kustomize", "build"])


class NotBuilt(Exception):
    """Kustomize is missing or refuses the folder; the message is one line."""


def builder() -> list[str] | None:
    """The command that builds a folder, or None where there is none."""
    return next((command for command in _BUILDERS if shutil.which(command[0])), None)


def built(folder: Path) -> list[Manifest]:
    """Every manifest of a kustomization.

    Raises NotBuilt.
    """
    command = builder()
    if command is None:
        raise NotBuilt("neither kubectl nor kustomize is installed: one of them must build it")
    ended = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise NotBuilt(lines[-1].removeprefix("error: "))
    return [each for each in yaml.load_all(ended.stdout, yaml.CSafeLoader) if each]
