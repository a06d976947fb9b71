"""The machine that benchmarks run on: its processors, its peak, and who else uses it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.turns import ROOT

# GPUs are hidden from every trainer.
CPU_ONLY = {"CUDA_VISIBLE_DEVICES": "-1"}


def pin(threads: int) -> None:
    """Gives this process, and all that it starts, so many processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure_peak(best: dict[str, float]) -> None:
    """Measures matrix products in a process of their own; keeps the best rate of each shape."""
    run = [sys.executable, "-m", "benchmarks.utilisation"]
    variables = {**os.environ, **CPU_ONLY}
    output = subprocess.run(run, cwd=ROOT, env=variables, capture_output=True, check=True).stdout
    for shape, rate in json.loads(output.splitlines()[-1]).items():
        best[shape] = max(rate, best.get(shape, 0))


class OtherLoad:
    """Share of all processors' time that processes other than this one and its children took."""

    def __init__(self) -> None:
        self._start = self._now()

    def _now(self) -> tuple[float, float, float] | None:
        try:
            fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
        except OSError:  # Not Linux.
            return None
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in fields]
        usage = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        own = sum(part.ru_utime + part.ru_stime for part in usage)
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks), own

    def share(self) -> float:
        """The share since this was made; children count once they have ended. NaN if unknown."""
        end = self._now()
        if self._start is None or end is None:
            return float("nan")
        busy, total, own = (after - before for after, before in zip(end, self._start, strict=True))
        return max(busy - own, 0) / total if total else 0.0


def peers_folder(name: str) -> Path:
    """Where an environment of peers is made if no place is named: in tfrecs's cache folder."""
    from tfrecs.data import cache_folder

    return Path(cache_folder()) / name
