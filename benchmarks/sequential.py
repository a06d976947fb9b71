"""SASRec of tfrecs beside RePlay, RecTools, RecBole and plain Keras: speed, memory, quality.

`python -m benchmarks.sequential` makes the peers' virtual environment where there is none, trains
all on the same data in turns, and writes its section of RESULTS.md; about 25 minutes on 2 cores.
The folder of the data is named by `TFRECS_DATA`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers_environment, ranking, sequential_report
from benchmarks.results import environment, write_section
from benchmarks.sequential_plan import plan
from benchmarks.turns import ROOT, Limits, Process, Record, alternate, as_json

QUICK = Limits(seconds=20, turn=5, timed_turns=2, patience=3)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sequential",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=2, help="most minutes of training a trainer (%(default)s)")
    add("--turn", type=float, default=10, help="seconds of a turn (%(default)s)")
    add("--quick", action="store_true", help="20 seconds a trainer, in turns of 5; writes nothing")
    add(
        "--only", metavar="NAMES", help="beginnings of names, such as tfrecs,replay; writes nothing"
    )
    add("--ndcg", type=float, default=0.03, help="the NDCG@10 whose time is told (%(default)s)")
    add("--threads", type=int, default=2, help="processors that each trainer gets (%(default)s)")
    add("--data", type=Path, help="folder of the data (the environment's TFRECS_DATA)")
    add("--peers-venv", type=Path, help="the peers' virtual environment (in tfrecs's cache folder)")
    add("--peers-python", help="the Python to make it with (found on the PATH)")
    add("--output", type=Path, help="file to write the section to, whatever was run (RESULTS.md)")
    add("--json", type=Path, help="file to write every turn and epoch to")
    options = parser.parse_args(arguments)
    if options.data is None and "TFRECS_DATA" in os.environ:
        options.data = Path(os.environ["TFRECS_DATA"])
    if options.data is None or not options.data.is_dir():
        parser.error(f"the data is not there ({options.data}): set TFRECS_DATA or give --data")
    try:
        options.groups = plan(options.data, options.threads, options.only)
    except ValueError as error:
        parser.error(str(error))
    full = Limits(seconds=60 * options.minutes, turn=options.turn)
    options.limits = QUICK if options.quick else full
    return options


def command(options: argparse.Namespace) -> str:
    """The command as others would give it: what it measures, without this machine's paths."""
    text = "python -m benchmarks.sequential"
    defaults = parse_arguments(["--data", str(options.data)])
    for name in ("minutes", "turn", "quick", "only", "ndcg", "threads"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            number = f"{value:g}" if isinstance(value, float) else value
            text += f" --{name}" if value is True else f" --{name} {number}"
    return text


def pin(threads: int) -> None:
    """Gives this process, and all that it starts, so many processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure_peak(best: dict[str, float]) -> None:
    """Measures matrix products in a process of their own; keeps the best rate of each shape."""
    run = [sys.executable, "-m", "benchmarks.utilisation"]
    output = subprocess.run(run, cwd=ROOT, env=_cpu_only(), capture_output=True, check=True).stdout
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


def _cpu_only() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    groups, limits = options.groups, options.limits
    records = [record for group in groups.values() for record in group]
    peers_python = ""
    if any(".peers." in record.module for record in records):
        folder = options.peers_venv or _cache_folder()
        peers_python = peers_environment.ensure(folder, options.peers_python)
    pin(options.threads)
    machine, load = environment(), OtherLoad()
    logs = Path(tempfile.mkdtemp(prefix="benchmarks-sequential-"))
    limit = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}

    def start(record: Record) -> Process:
        peer = ".peers." in record.module
        variables = {"CUDA_VISIBLE_DEVICES": "-1", **(limit if peer else {})}
        python = peers_python if peer else sys.executable
        return Process(record, python, logs / f"{record.name}.log", variables)

    begun, peaks = time.time(), {}
    for group in filter(None, groups.values()):
        measure_peak(peaks)
        alternate(group, start, limits, lambda text: print(f"{time.time() - begun:6.0f} s  {text}"))
    measure_peak(peaks)
    items = {
        data: ranking.leave_last_out(ranking.read_rows(data)).num_items
        for data in {record.settings.data for record in records}
    }
    text = sequential_report.section(
        groups,
        command=command(options),
        ndcg=options.ndcg,
        limits=limits,
        threads=options.threads,
        num_items=items,
        peaks=peaks,
        environment=machine,
        others=load.share(),
    )
    print(f"\n{text}\n")
    if options.json:
        options.json.write_text(json.dumps([*map(as_json, records), {"peaks": peaks}], indent=1))
    if options.output or not (options.quick or options.only):
        write_section("sequential", text, *filter(None, [options.output]))
    if any(record.failure for record in records):
        sys.exit(1)


def _cache_folder() -> Path:
    from tfrecs.data import cache_folder

    return Path(cache_folder()) / "benchmark-peers"


if __name__ == "__main__":
    main()
