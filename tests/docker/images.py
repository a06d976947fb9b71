"""Dockerfiles without Docker: their instructions, and a folder in which those can be run."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile in order, comments left out, continued lines joined."""
    text = (DOCKER / name).read_text()
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))
    return [
        (part["instruction"], part["value"])
        for part in parser.structure
        if part["instruction"] != "COMMENT"
    ]


def words(instruction: str, value: str) -> list[str]:
    """The words of an instruction in the form that execs: a JSON list."""
    parsed = json.loads(value)
    assert isinstance(parsed, list), f"{instruction} {value} would start a shell"
    return parsed


def ignored_but(name: str) -> list[str]:
    """What the .dockerignore of a Dockerfile lets through, which ignores everything else."""
    lines = [
        line
        for line in (DOCKER / f"{name}.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


# What a folder cannot do, and why.
NOT_RUN = {
    "FROM": "there is no Docker to fetch an image: a new virtual environment stands for Python's",
    "USER": "all is run by whoever runs the tests",
    "CMD": "the services of compose.yaml bring their own",
}


class StandIn:
    """A folder and a virtual environment in place of an image of one stage and its Python.

    Absolute paths of ENV and WORKDIR lie in the folder. The commands of RUN are run as they stand,
    so they may name no absolute path of the image but through those.

    Args:
        folder: An empty folder.
        arguments: `docker build --build-arg`.
    """

    def __init__(self, folder: Path, arguments: dict[str, str]) -> None:
        self.root = folder / "image"
        self.python = folder / "python"
        self.directory = self.root
        self.arguments = arguments
        self.variables: dict[str, str] = {}
        self.entrypoint: list[str] = []
        self.commands: list[str] = []
        self.root.mkdir()
        subprocess.run([sys.executable, "-m", "venv", self.python], check=True)

    def build(self, name: str, context: Path) -> None:
        """Follows a Dockerfile, with the files that its .dockerignore lets through."""
        allowed = ignored_but(name)
        for instruction, value in instructions(name):
            if instruction == "ARG":
                key, _, default = value.partition("=")
                self.variables[key] = self.arguments.get(key, default)
            elif instruction == "ENV":
                for key, text in re.findall(r"(\w+)=(\S+)", value):
                    self.variables[key] = str(self.inside(text)) if text[0] == "/" else text
            elif instruction == "WORKDIR":
                self.directory = self.inside(value)
                self.directory.mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY":
                *sources, target = value.split()
                for source in sources:
                    assert source.rstrip("/") in allowed, f"{source} is ignored"
                    self.copy(context / source, target, whole=source.endswith("/"))
            elif instruction == "RUN":
                elsewhere = [p for p in re.findall(r"(?<!\S)/\S+", value) if p != "/dev/null"]
                assert not elsewhere, f"{elsewhere} would be this machine's, not the image's"
                self.commands.append(value)
                self.run(["sh", "-ec", value])
            elif instruction == "ENTRYPOINT":
                self.entrypoint = words(instruction, value)
            else:
                assert instruction in NOT_RUN, f"the stand-in cannot do {instruction}"

    def inside(self, path: str) -> Path:
        """Where an absolute path of the image lies."""
        return self.root / path.lstrip("/")

    def copy(self, source: Path, target: str, whole: bool) -> None:
        place = self.inside(target) if target.startswith("/") else self.directory / target
        if whole:
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(exist_ok=True)
            shutil.copy(source, place)

    def environment(self) -> dict[str, str]:
        """Nothing of the tests' own environment but how pip reaches its index."""
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "proxy" in k.lower()}
        path = f"{self.python}/bin:/usr/local/bin:/usr/bin:/bin"
        return kept | self.variables | {"PATH": path}

    def run(self, command: list[str]) -> str:
        """Runs a command; returns what it printed."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def command(self, arguments: list[str]) -> str:
        """Runs a container's command, as compose.yaml gives it."""
        return self.run([*self.entrypoint, *arguments])
