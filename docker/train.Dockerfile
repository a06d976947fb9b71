# Trains, evaluates and exports: docker build --file docker/train.Dockerfile --tag tfrecs-train .
ARG PYTHON_VERSION=3.11.14
FROM python:${PYTHON_VERSION}-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# What others wrote is most of the image, and changes rarely: a layer of its own.
WORKDIR /opt/tfrecs
COPY docker/constraints.txt ./
RUN pip install --no-deps --only-binary=:all: --requirement constraints.txt

COPY pyproject.toml setup.py README.md LICENSE ./
COPY tfrecs/ tfrecs/
# The help of `train` imports everything: an image in which something is missing is not built.
RUN pip install --no-deps --no-build-isolation . && tfrecs train --help > /dev/null

# All that is written is written here, and temporary files in /tmp; a volume that is mounted here
# for the first time takes on the owner.
ARG UID=10001
ENV TFRECS_CACHE=/data/cache \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
RUN install --directory --owner="${UID}" cache runs exports
USER ${UID}:${UID}

ENTRYPOINT ["tfrecs"]
CMD ["--help"]
