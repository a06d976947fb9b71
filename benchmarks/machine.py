"""The machine of a benchmark: its processors, its peak, other load, and the peers' environments."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# GPUs are hidden from every trainer.
CPU_ONLY = {"CUDA_VISIBLE_DEVICES": "-1"}
# Rows, inner size and columns; two are those of a full softmax over 12,101 items.
_SHAPES = "1024x64x12101 1024x256x12101 1024x12101x256 2048x2048x2048 4096x4096x4096"
# The virtual environment of each peer; the others run in tfrecs's own.
ENVIRONMENTS = {
    **dict.fromkeys(("recbole", "rectools", "replay"), "peers"),
    **dict.fromkeys(("implicit", "lightfm"), "factorization"),
    "deepctr": "deepctr",
    "faiss": "serving",
}
# The Pythons that all pinned releases have wheels for.
PYTHONS = ("3.11", "3.10")


def pin(threads: int) -> None:
    """Gives this process, and all that it starts, so many processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def call(function: str, *arguments: Any, **variables: str) -> Any:
    """Calls a function "module:name" in another process, with more environment variables."""
    command = [sys.executable, "-m", "benchmarks", function, json.dumps(arguments)]
    given = {"cwd": ROOT, "env": {**os.environ, **variables}, "stdout": subprocess.PIPE}
    output = subprocess.run(command, **given, check=True).stdout
    return json.loads(output.splitlines()[-1])


def measure_peak(best: dict[str, float]) -> None:
    """Measures matrix products in a process of their own; keeps the best rate of each shape."""
    for shape, rate in call("benchmarks.machine:matmul_rates", **CPU_ONLY).items():
        best[shape] = max(rate, best.get(shape, 0))


def matmul_rates(seconds: float = 1.0) -> dict[str, float]:
    """Returns the best rate of a float32 matrix product of each shape, in GFLOP/s."""
    import tensorflow as tf

    rates = {}
    for shape in _SHAPES.split():
        rows, inner, columns = map(int, shape.split("x"))
        left, right = tf.random.normal([rows, inner]), tf.random.normal([inner, columns])
        product = tf.function(tf.matmul, autograph=False)
        product(left, right)
        took, stop = [], time.perf_counter() + seconds
        while len(took) < 5 or time.perf_counter() < stop:
            start = time.perf_counter()
            product(left, right)
            took.append(time.perf_counter() - start)
        rates[shape] = 2 * rows * inner * columns / min(took) / 1e9
    return rates


class OtherLoad:
    """Share of all processors' time that processes other than this one and its children took."""

    def __init__(self) -> None:
        self._start = self._now()

    def _now(self) -> tuple[float, float, float]:
        stat = Path("/proc/stat")
        if not stat.exists():  # Not Linux.
            return math.nan, math.nan, math.nan
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in stat.read_text().split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks), sum(os.times()[:4])

    def share(self) -> float:
        """Returns the share so far, NaN if unknown; children count once they have ended."""
        ends = zip(self._now(), self._start, strict=True)
        busy, total, own = (after - before for after, before in ends)
        return max(busy - own, 0) / total if total else 0.0


def environment_of(trainer: str) -> str | None:
    """Returns the name of a trainer's environment, None for tfrecs's own."""
    return ENVIRONMENTS.get(trainer.partition(":")[0].removeprefix("benchmarks.peers."))


def variables_of(environment: str | None, threads: int) -> dict[str, str]:
    """Returns what a trainer's process gets: peers get as many threads, TensorFlow chooses."""
    if environment == "deepctr":  # DeepCTR needs Keras 2, as TFRS does.
        return {**CPU_ONLY, "TF_USE_LEGACY_KERAS": "1"}
    # implicit starts its own threads, which those of the linear algebra would slow down.
    blas = {"OPENBLAS_NUM_THREADS": "1"} if environment == "factorization" else {}
    limited = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return CPU_ONLY | blas | (limited if environment else {})


def requirements(environment: str) -> list[Path]:
    """Returns the files to install, the one to install with --no-deps, if any, last."""
    names = (f"{environment}-requirements{kind}.txt" for kind in ("", "-no-deps"))
    return [file for name in names if (file := Path(__file__).with_name(name)).exists()]


def requirements_hash(files: list[Path]) -> str:
    """Returns the sha256 of requirements; comments and empty lines do not count."""
    texts = [file.read_text(encoding="utf-8").splitlines() for file in files]
    lines = [line.partition("#")[0].strip() for text in texts for line in text]
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_current(folder: Path, wanted: str) -> bool:
    """Returns whether the environment was completed from requirements of that hash."""
    marker = folder / "requirements.sha256"
    return marker.exists() and marker.read_text(encoding="utf-8").strip() == wanted


def find_python() -> str:
    """Returns a Python that the peers have wheels for; raises a RuntimeError if there is none."""
    found = next(filter(None, (shutil.which(f"python{version}") for version in PYTHONS)), None)
    if found is None:
        needed = f"The peers need Python {' or '.join(PYTHONS)}, and none is on the PATH"
        raise RuntimeError(f"{needed}: install one, or name it with --peers-python.")
    return found


def ensure(environment: str, folder: Path | None = None, python: Path | None = None) -> str:
    """Returns the interpreter of a peers' environment, which `python` makes in `folder` if needed.

    The folder is in tfrecs's cache by default.
    """
    if folder is None:
        from tfrecs.data import cache_folder

        folder = Path(cache_folder()) / f"benchmark-{environment}"
    files = requirements(environment)
    wanted, interpreter = requirements_hash(files), str(python_of(folder))
    if is_current(folder, wanted):
        return interpreter
    print(f"Installing the peers into {folder}: they are large, this takes minutes.")
    if not Path(interpreter).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python or find_python(), "-m", "venv", str(folder)], check=True)
    install = [interpreter, "-m", "pip", "install", "--quiet"]
    for file in files:
        arguments = ["--no-deps"] if file.name.endswith("-no-deps.txt") else []
        if subprocess.run([*install, *arguments, "-r", str(file)], check=False).returncode:
            raise RuntimeError(f"pip could not install {file}; its message is above.")
    (folder / "requirements.sha256").write_text(wanted, encoding="utf-8")
    return interpreter
