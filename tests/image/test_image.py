"""The image is really built, and runs as in a pod: no root, read-only but for the declared paths.

buildah needs no daemon, and debootstrap makes the base, so that no registry is needed; both need
root and Debian (apt-get install buildah debootstrap). IMAGE_BUILD_ARGS may have more arguments for
`buildah build`, such as --volume for the settings of a package mirror, and IMAGE_FOLDER a place for
several GB. `make image-check` runs this: 10 minutes on two idle cores.
"""

import json
import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_POD = Path(__file__).with_name("in_pod.sh")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_COMMANDS = {"__init__", "cli"}
USER = 1000
WRITABLE = ("/home/tinysql", "/tmp", "/var/tmp", "/run/lock")
"""What the base leaves to everybody, and the user's home."""

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]


class Image(NamedTuple):
    root: Path  # of its file system
    config: dict[str, Any]  # Env, User, Cmd, Labels, ... as of the Open Container Initiative

    def run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """The command in something like a pod, with the image's own environment."""
        folder = self.config["WorkingDir"]
        inside = ["env", "-i", *self.config["Env"], "sh", "-c", f'cd {folder} && exec "$@"', "sh"]
        return subprocess.run(
            [
                "unshare", "--mount", "--pid", "--fork", "--kill-child",
                "sh", str(IN_POD), str(self.root), *inside, *command,
            ],
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() or not all(map(shutil.which, ["buildah", "debootstrap"])):
        pytest.skip("building needs root, buildah and debootstrap")
    folder = Path(os.environ.get("IMAGE_FOLDER") or tmp_path_factory.mktemp("image"))
    base, store = folder / "base", folder / "store"

    def buildah(*arguments: str) -> str:
        places = ["--root", str(store), "--runroot", str(folder / "run")]
        ran = subprocess.run(
            ["buildah", *places, *arguments],
            stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        return ran.stdout.strip()

    packages = "python3,python3-venv,ca-certificates"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(base)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    empty = buildah("from", "scratch")
    buildah("add", "--quiet", empty, str(base), "/")
    buildah("commit", "--quiet", "--rm", empty, "localhost/base")
    buildah(
        "build", "--isolation", "chroot", "--pull=never", "--format", "docker",
        "--build-arg", "BASE_IMAGE=localhost/base", "--build-arg", f"VERSION={COMMIT}",
        *shlex.split(os.environ.get("IMAGE_BUILD_ARGS", "")), "--tag", "localhost/tinysql", ".",
    )  # fmt: skip
    container = buildah("from", "--pull-never", "localhost/tinysql")
    about = json.loads(buildah("inspect", "--type", "image", "localhost/tinysql"))
    yield Image(Path(buildah("mount", container)), about["Docker"]["config"])
    buildah("rm", container)
    if "IMAGE_FOLDER" not in os.environ:
        shutil.rmtree(folder)


def test_it_says_whose_it_is_and_is_not_root(image: Image) -> None:
    assert image.config["User"] == "1000:1000"
    assert image.config["Labels"]["org.opencontainers.image.revision"] == COMMIT
    assert image.run("id", "-u").stdout == "1000\n"


def test_nothing_in_it_is_its_users_to_change(image: Image) -> None:
    """Also where a root file system is not read-only."""
    found = set()
    for folder, _, files in os.walk(image.root):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            about = path.lstat()
            is_theirs = about.st_uid == USER or about.st_mode & stat.S_IWOTH
            # Links have no mode of their own, and devices are mounted over.
            if is_theirs and (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
                found.add("/" + path.relative_to(image.root).as_posix())
    assert not {place for place in found if not place.startswith(WRITABLE)}


def test_its_health_is_that_of_its_node(image: Image) -> None:
    kind, *check = image.config["Healthcheck"]["Test"]
    health = shlex.join(check)
    node = "ray start --head --port=0 --num-cpus=1 --include-dashboard=false"
    script = f"! {health} && {node} && {health} && ray stop && ! {health}"
    ran = image.run("env", "RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN=" + "5e" * 16, "sh", "-c", script)
    assert kind == "CMD" and ran.returncode == 0, ran.stderr[-3000:]


def test_nothing_in_it_compiles(image: Image) -> None:
    # DeepSpeed depends on ninja, which only calls compilers.
    names = "gcc cc g++ c++ clang nvcc ld as make"
    found = image.run("sh", "-c", f"for name in {names}; do command -v $name; done")
    assert found.stdout == ""


def test_every_job_runs(image: Image) -> None:
    jobs = sorted(
        path.stem
        for path in (ROOT / "jobs").glob("*.py")
        if path.stem not in NOT_COMMANDS and "__main__" in path.read_text(encoding="utf-8")
    )
    assert len(jobs) > 10
    for job in jobs:
        ran = image.run("python", "-m", f"jobs.{job}", "--help")
        assert ran.returncode == 0, f"{job}: {ran.stderr}"


def test_a_pipeline_runs_to_success(image: Image) -> None:
    recipe = (ROOT / "tests" / "fixtures" / "tiny.yaml").read_text(encoding="utf-8")
    script = (
        f"cat > recipe.yaml <<'END'\n{recipe}\nEND\n"
        "tinysql run recipe.yaml --store /tmp/store --json"
    )
    ran = image.run("sh", "-c", script, timeout=1200)
    assert ran.returncode == 0, ran.stderr[-3000:]
    steps = json.loads(ran.stdout)["steps"]
    assert [step["name"] for step in steps if not step["reused"]] == [s["name"] for s in steps]
    assert {"model", "evaluation", "patching", "sae", "report"} <= {s["name"] for s in steps}
