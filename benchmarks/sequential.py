"""SASRec of tfrecs beside RePlay, RecTools, RecBole and plain Keras: speed, memory, quality.

`python -m benchmarks.sequential` makes the peers' virtual environment where there is none, trains
all on the same data in turns, and writes its section of RESULTS.md; about 25 minutes on 2 cores.
The folder of the data is named by `TFRECS_DATA`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers_environment, protocol, sequential_report
from benchmarks.machine import CPU_ONLY, OtherLoad, measure_peak, peers_folder, pin
from benchmarks.results import environment, write_section
from benchmarks.sequential_plan import plan
from benchmarks.turns import Limits, Process, Record, alternate, as_json

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


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    groups, limits = options.groups, options.limits
    records = [record for group in groups.values() for record in group]
    peers_python = ""
    if any(".peers." in record.module for record in records):
        folder = options.peers_venv or peers_folder("benchmark-peers")
        peers_python = peers_environment.ensure(folder, options.peers_python)
    pin(options.threads)
    machine, load = environment(), OtherLoad()
    logs = Path(tempfile.mkdtemp(prefix="benchmarks-sequential-"))
    limit = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}

    def start(record: Record) -> Process:
        peer = ".peers." in record.module
        variables = {**CPU_ONLY, **(limit if peer else {})}
        python = peers_python if peer else sys.executable
        return Process(record, python, logs / f"{record.name}.log", variables)

    begun, peaks = time.time(), {}
    for group in filter(None, groups.values()):
        measure_peak(peaks)
        alternate(group, start, limits, lambda text: print(f"{time.time() - begun:6.0f} s  {text}"))
    measure_peak(peaks)
    items = {
        data: protocol.leave_last_out(protocol.read_rows(data)).num_items
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


if __name__ == "__main__":
    main()
