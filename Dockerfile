# One image for heads, workers and submitters, on CPUs or GPUs:
#
#     docker build --build-arg VERSION=$(git rev-parse HEAD) -t registry.example/tinysql:1.0.0 .
#     docker build --build-arg DEVICE=cu130 ...
#
# Nothing is compiled, here or at run time: Adam is PyTorch's own, collectives are gloo's and NCCL's,
# so that DeepSpeed needs none of its extensions and the image no compiler.

# Python 3.11 with venv, at the same place in all stages, is all that is needed of it.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

# What changes with constraints.txt: gigabytes, and hardly ever.
FROM ${BASE_IMAGE} AS dependencies
# Which PyTorch: cpu, or cu130, whose wheels bring CUDA along.
ARG DEVICE=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/${DEVICE}
# Optional dependencies of pyproject.toml; qlora is for GPUs.
ARG EXTRAS=kubernetes
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# The local version of that index, such as 2.13.0+cpu, is newer than PyPI's.
RUN python3 -c "import os, tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [project['optional-dependencies'][name] for name in os.environ['EXTRAS'].split()]; \
print(*project['dependencies'], *sum(extras, []), sep='\n')" > requirements.txt \
 && python3 -m venv /opt/tinysql \
 && /opt/tinysql/bin/pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" \
    -c constraints.txt -r requirements.txt

# What changes with every commit: a megabyte.
FROM dependencies AS code
COPY README.md LICENSE ./
COPY cluster cluster
COPY jobs jobs
COPY tinysql tinysql
RUN /opt/tinysql/bin/pip install --no-cache-dir --no-deps --target /opt/code .

FROM ${BASE_IMAGE}
RUN groupadd --gid 1000 tinysql \
 && useradd --uid 1000 --gid 1000 --create-home tinysql
COPY --from=dependencies /opt/tinysql /opt/tinysql
COPY --from=code /opt/code /opt/code
# Written to at run time: /tmp (Ray's session), /dev/shm, and the home directory (copies of artifacts
# and models). Everything else may be read-only.
ENV PATH=/opt/code/bin:/opt/tinysql/bin:$PATH PYTHONPATH=/opt/code PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 HOME=/home/tinysql RAY_USAGE_STATS_ENABLED=0
WORKDIR /home/tinysql
USER 1000:1000
# Of a container that is a node of Ray; Kubernetes has probes of its own.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["ray", "status"]
CMD ["tinysql", "--help"]
ARG VERSION=
ENV TINYSQL_COMMIT=${VERSION}
LABEL org.opencontainers.image.title="TinySQL on Ray" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${VERSION}"
