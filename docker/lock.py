"""Writes constraints.txt: what pip resolves tfrecs to, next to the TensorFlow that the server has.

Run it in the root of the repository, with the Python of train.Dockerfile on x86-64 Linux:

    python3.11 docker/lock.py
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HEADER = """\
# What train.Dockerfile installs. Written by `python3.11 docker/lock.py`; not meant to be edited.
# The CPU build of TensorFlow has the same code without CUDA, and is half the size.
"""


def server_version() -> str:
    """The minor version of TensorFlow that serving.Dockerfile serves with, such as "2.20"."""
    text = (HERE / "serving.Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG TF_SERVING_VERSION=(\d+\.\d+)\.\d+$", text, re.M)
    if found is None:
        raise SystemExit("docker/serving.Dockerfile names no TF_SERVING_VERSION such as 2.20.0.")
    return found[1]


def resolved(minor: str) -> dict[str, str]:
    """The version of each package that pip would install, without installing any.

    Args:
        minor: TensorFlow's version.
    """
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    wanted = [f"tensorflow=={minor}.*", f"tf-keras=={minor}.*", str(HERE.parent)]
    done = subprocess.run(
        [*pip, "--only-binary", ":all:", "--report", "-", *wanted],
        stdout=subprocess.PIPE,
        check=True,
    )
    packages = [entry["metadata"] for entry in json.loads(done.stdout)["install"]]
    return {re.sub(r"[-_.]+", "-", p["name"]).lower(): p["version"] for p in packages}


def lines(versions: dict[str, str]) -> list[str]:
    """The lines of constraints.txt.

    Args:
        versions: The version of each package, tfrecs itself among them.
    """
    pins = []
    for name, version in sorted(versions.items()):
        if name == "tensorflow":
            pins.append(f'tensorflow-cpu=={version} ; platform_machine == "x86_64"')
            pins.append(f'tensorflow=={version} ; platform_machine != "x86_64"')
        elif name != "tfrecs":
            pins.append(f"{name}=={version}")
    return pins


if __name__ == "__main__":
    text = HEADER + "\n".join(lines(resolved(server_version()))) + "\n"
    (HERE / "constraints.txt").write_text(text, encoding="utf-8")
