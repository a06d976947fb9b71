"""DCN-V2 of tfrecs beside TFRS's tutorial, RecBole and DeepCTR: training speed, and input.

`python -m benchmarks.ranking` makes the peers' virtual environments where there are none, trains
all on the same rows in turns, and writes its section of RESULTS.md; about 20 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers_environment, ranking_report
from benchmarks.machine import CPU_ONLY, OtherLoad, measure_peak, peers_folder, pin
from benchmarks.ranking_data import make_table
from benchmarks.ranking_plan import DEEPCTR, RECBOLE, WORKER, plan
from benchmarks.results import environment, write_section
from benchmarks.turns import Limits, Process, Record, alternate, as_json

IDS = {"1m": 1_000_000, "10m": 10_000_000}
QUICK = Limits(seconds=10, turn=2, timed_turns=2)
QUICK_IDS = {"1m": 10_000, "10m": 100_000}
QUICK_ROWS = 2**15


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ranking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=2, help="most minutes of training a trainer (%(default)s)")
    add("--turn", type=float, default=10, help="seconds of a turn (%(default)s)")
    add(
        "--quick",
        action="store_true",
        help="10 seconds a trainer, a hundredth of the ids, an eighth of the rows; writes nothing",
    )
    add(
        "--only",
        metavar="NAMES",
        help="beginnings of names, such as tfrecs,deepctr; writes nothing",
    )
    add("--threads", type=int, default=2, help="processors that each trainer gets (%(default)s)")
    add("--peers-venv", type=Path, help="RecBole's virtual environment (in tfrecs's cache folder)")
    add("--deepctr-venv", type=Path, help="DeepCTR's (in tfrecs's cache folder)")
    add("--peers-python", help="the Python to make them with (found on the PATH)")
    add("--output", type=Path, help="file to write the section to, whatever was run (RESULTS.md)")
    add("--json", type=Path, help="file to write every turn to")
    options = parser.parse_args(arguments)
    options.limits = (
        QUICK if options.quick else Limits(seconds=60 * options.minutes, turn=options.turn)
    )
    try:
        options.groups = groups(options, Path())
    except ValueError as error:
        parser.error(str(error))
    return options


def groups(options: argparse.Namespace, folder: Path) -> dict[str, list[Record]]:
    """The records to fill; Parquet files are in `folder`."""
    files = {
        strings: str((folder / f"{kind}.parquet").resolve())
        for strings, kind in ((False, "integers"), (True, "strings"))
    }
    ids = QUICK_IDS if options.quick else IDS
    common = {"rows": QUICK_ROWS} if options.quick else {}
    return plan(ids, options.threads, options.only, files, **common)


def command(options: argparse.Namespace) -> str:
    """The command as others would give it: what it measures, without this machine's paths."""
    text = "python -m benchmarks.ranking"
    defaults = parse_arguments([])
    for name in ("minutes", "turn", "quick", "only", "threads"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            number = f"{value:g}" if isinstance(value, float) else value
            text += f" --{name}" if value is True else f" --{name} {number}"
    return text


def write_files(records: list[Record]) -> None:
    """Writes the Parquet files that workers read."""
    from benchmarks.ranking_worker import write_parquet

    wanted = {r.settings.parquet: r.settings for r in records if r.settings.parquet}
    for path, settings in wanted.items():
        table = make_table(settings.rows, settings.ids, settings.seed)
        write_parquet(path, table, settings.strings)


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    modules = {r.module for group in options.groups.values() for r in group}
    pythons = {WORKER: sys.executable}
    for module, folder, name, files in (
        (RECBOLE, options.peers_venv, "benchmark-peers", peers_environment.PEERS),
        (DEEPCTR, options.deepctr_venv, "benchmark-deepctr", peers_environment.DEEPCTR),
    ):
        if module in modules:
            pythons[module] = peers_environment.ensure(
                folder or peers_folder(name), options.peers_python, files
            )
    pin(options.threads)
    machine, load = environment(), OtherLoad()
    limit = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    begun, peaks = time.time(), {}
    with tempfile.TemporaryDirectory(prefix="benchmarks-ranking-") as data:
        logs = Path(tempfile.mkdtemp(prefix="benchmarks-ranking-logs-"))
        plan_of_run = groups(options, Path(data))
        records = [record for group in plan_of_run.values() for record in group]
        write_files(records)

        def start(record: Record) -> Process:
            # DeepCTR, like TFRS, is for Keras 2.
            variables = {**CPU_ONLY, "TF_USE_LEGACY_KERAS": "1"}
            variables |= limit if record.module == RECBOLE else {}
            return Process(record, pythons[record.module], logs / f"{record.name}.log", variables)

        for group in filter(None, plan_of_run.values()):
            measure_peak(peaks)
            alternate(
                group,
                start,
                options.limits,
                lambda text: print(f"{time.time() - begun:6.0f} s  {text}", flush=True),
            )
        measure_peak(peaks)
    text = ranking_report.section(
        plan_of_run,
        command=command(options),
        limits=options.limits,
        threads=options.threads,
        peaks=peaks,
        environment=machine,
        others=load.share(),
    )
    print(f"\n{text}\n")
    if options.json:
        options.json.write_text(json.dumps([*map(as_json, records), {"peaks": peaks}], indent=1))
    if options.output or not (options.quick or options.only):
        write_section("ranking", text, *filter(None, [options.output]))
    if any(record.failure for record in records):
        sys.exit(1)


if __name__ == "__main__":
    main()
