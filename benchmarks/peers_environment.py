"""The peers' virtual environments: made once, found again by what it was made from."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

Files = tuple[Path, ...]


def requirements(name: str) -> Files:
    """The files of an environment: what to install and, if any, what to install with --no-deps."""
    folder = Path(__file__).parent
    files = (folder / f"{name}-requirements{kind}.txt" for kind in ("", "-no-deps"))
    return tuple(file for file in files if file.exists())


PEERS, DEEPCTR, FACTORIZATION, SERVING = map(
    requirements, ("peers", "deepctr", "factorization", "serving")
)
# The Pythons that all pinned releases have wheels for.
PYTHONS = ("3.11", "3.10")


def requirements_hash(files: tuple[Path, ...] = PEERS) -> str:
    """Sha256 of the requirements; comments and empty lines do not count."""
    lines = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines += [line.partition("#")[0].strip() for line in text.splitlines()]
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_current(environment: Path, wanted: str) -> bool:
    """Whether the environment was completed from requirements of that hash."""
    marker = environment / "requirements.sha256"
    return marker.exists() and marker.read_text(encoding="utf-8").strip() == wanted


def find_python() -> str:
    """A Python that the peers have wheels for.

    Raises:
        RuntimeError: There is none.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" in PYTHONS:
        return sys.executable
    for version in PYTHONS:
        found = shutil.which(f"python{version}")
        if found:
            return found
    raise RuntimeError(
        f"The peers need Python {' or '.join(PYTHONS)}, and none is on the PATH: install one, or "
        "name it with --peers-python."
    )


def ensure(environment: Path, python: str | None = None, files: Files = PEERS) -> str:
    """Makes the environment, or finds it complete.

    Args:
        environment: Its folder. One that is there already is brought up to date.
        python: The interpreter to make it with; found if None.
        files: Its requirements.

    Returns:
        The environment's own interpreter.

    Raises:
        RuntimeError: pip failed, or no Python fits.
    """
    wanted = requirements_hash(files)
    interpreter = str(python_of(environment))
    if is_current(environment, wanted):
        return interpreter
    print(f"Installing the peers into {environment}: they are large, this takes minutes.")
    if not Path(interpreter).exists():
        environment.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python or find_python(), "-m", "venv", str(environment)], check=True)
    install = [interpreter, "-m", "pip", "install", "--quiet"]
    for file in files:
        arguments = ["--no-deps"] if file.name.endswith("-no-deps.txt") else []
        if subprocess.run([*install, *arguments, "-r", str(file)], check=False).returncode:
            raise RuntimeError(f"pip could not install {file}; its message is above.")
    (environment / "requirements.sha256").write_text(wanted, encoding="utf-8")
    return interpreter
