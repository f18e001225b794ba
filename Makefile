# Everything a newcomer needs: `make run` and `make test`. Both build .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test test-slow test-long test-failure check k8s-check image-check bench clean

run: $(VENV)/.ready  ## the quickstart recipe, then its report as report.html
	$(BIN)/tinysql run quickstart --store runs --no-json
	$(BIN)/tinysql report quickstart --store runs --out report.html --no-json

test: check  ## linter, type checker and all tests but the slow ones
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not long and not failure and not image and not benchmark"

test-slow: $(VENV)/.ready-dev  ## whole pipelines as real processes: killed, resumed, on S3, on a cluster
	$(BIN)/python -m pytest -m "slow and not failure"

test-long: $(VENV)/.ready-dev  ## several trainings a test: sweeps, curricula, adapter studies
	$(BIN)/python -m pytest -m long

test-failure: $(VENV)/.ready-dev  ## the failure laboratory; see docs/operations.md
	$(BIN)/python -m pytest -m failure

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

k8s-check: $(VENV)/.ready-dev  ## manifests, as an API server and KubeRay would see them; see docs/operations.md
	$(BIN)/python -m k8s.gate k8s/base k8s/verbs/* k8s/overlays/*

image-check: $(VENV)/.ready-dev  ## the image, built without a daemon and run as in a pod; as root, with buildah and debootstrap
	$(BIN)/python -m pytest -m image tests/image

bench: $(VENV)/.ready-dev  ## the measurements behind the numbers in the documentation
	$(BIN)/python -m pytest tests/benchmarks -m benchmark -s

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) -e ".[dev]"
	touch $@

clean:  ## removes the environment; artifacts in runs/ stay
	rm -rf $(VENV)
