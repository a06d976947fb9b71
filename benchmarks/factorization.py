"""Matrix factorization of tfrecs beside `implicit` and LightFM: quality, and seconds to it.

`python -m benchmarks.factorization` makes the peers' virtual environment where there is none,
trains all on MovieLens-1M in turns, and writes its section of RESULTS.md; about 20 minutes on 2
cores. The folder of the data is named by `TFRECS_DATA`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peers_environment
from benchmarks.factorization_plan import BAR, DATA, TFRECS, plan
from benchmarks.machine import CPU_ONLY, OtherLoad, peers_folder, pin
from benchmarks.results import environment, write_section
from benchmarks.sequential_report import MOST_OTHERS, NONE, quality, short, table, time_to
from benchmarks.turns import Limits, Process, Record, alternate, as_json

QUICK = Limits(seconds=10, turn=5, timed_turns=2)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.factorization",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=4, help="most minutes of training a trainer (%(default)s)")
    add("--turn", type=float, default=10, help="seconds of a turn (%(default)s)")
    add("--patience", type=int, default=8, help="epochs without a better one (%(default)s)")
    add("--quick", action="store_true", help="10 seconds a trainer; writes nothing")
    add("--only", metavar="NAMES", help="beginnings of names, such as tfrecs; writes nothing")
    add("--threads", type=int, default=2, help="processors that each trainer gets (%(default)s)")
    add("--data", type=Path, help="folder of the data (the environment's TFRECS_DATA)")
    add("--peers-venv", type=Path, help="the peers' virtual environment (in tfrecs's cache folder)")
    add("--peers-python", help="the Python to make it with (found on the PATH)")
    add("--output", type=Path, help="file to write the section to, whatever was run (RESULTS.md)")
    add("--json", type=Path, help="file to write every turn and epoch to")
    options = parser.parse_args(arguments)
    if options.data is None and "TFRECS_DATA" in os.environ:
        options.data = Path(os.environ["TFRECS_DATA"])
    if options.data is None or not (options.data / DATA).is_file():
        parser.error(f"{DATA} is not in {options.data}: set TFRECS_DATA or give --data")
    try:
        options.records = plan(options.data, options.threads, options.only)
    except ValueError as error:
        parser.error(str(error))
    full = Limits(60 * options.minutes, options.turn, patience=options.patience)
    options.limits = QUICK if options.quick else full
    return options


def bar(records: Sequence[Record]) -> Record | None:
    """The peer of the best validation NDCG@10 among those that are to be reached."""
    peers = [record for record in records if record.name in BAR and record.best]
    return max(peers, key=lambda record: record.best["validation"]["NDCG@10"], default=None)


def settings_of(record: Record) -> str:
    """What a trainer was told, in words."""
    given = record.settings
    text = f"d{given.dim}"
    if given.loss != "als":
        text += f", rate {given.learning_rate:g}"
    return f"{text}, regularization {given.regularization:g}"


def section(
    options: argparse.Namespace, records: Sequence[Record], machine: str, others: float
) -> str:
    """The section of RESULTS.md."""
    best = bar(records)
    ndcg = best.best["validation"]["NDCG@10"] if best else float("nan")
    header = [
        "trainer",
        "settings",
        "s an epoch",
        f"s to validation NDCG@10 {ndcg:.4f}" if best else "s to the peers' best",
        "epochs, best of",
        "validation HR@10 / NDCG@10",
        "test HR@10 / NDCG@10",
    ]
    rows = []
    for record in records:
        chosen = record.best or {}
        rows.append(
            [
                record.label,
                settings_of(record),
                short(record.seconds / record.epochs[-1]["epoch"]) if record.epochs else NONE,
                time_to(record, ndcg) if best else NONE,
                f"{chosen['epoch']} of {record.epochs[-1]['epoch']}" if chosen else NONE,
                quality(chosen.get("validation")),
                quality(chosen.get("test")),
            ]
        )
    limits = options.limits
    of_whom = f"the best of {best.label}, the better of the two to be reached" if best else NONE
    parts = [
        "## Matrix factorization beside its peers",
        f"`{command(options)}`: MovieLens-1M, leave-last-out, the whole catalogue ranked, seen "
        f"items masked, one evaluator for all. Every trainer in a process of its own, on "
        f"{options.threads} threads, one at a time in turns of {limits.turn:g} s (of whole epochs "
        "where the trainer shows nothing in between). Quality is that of the best epoch on "
        f"validation within {limits.seconds:.0f} s of training, or until {limits.patience} epochs "
        f"brought nothing. Seconds include compiling, not evaluating; the value is {of_whom}.",
        table(header, rows),
    ]
    parts += [f"{record.name} failed: {record.failure}." for record in records if record.failure]
    versions: dict[str, str] = {}
    for record in records:
        versions.update(record.ready.get("versions", {}))
    known = [f"{package} {version}" for package, version in versions.items()]
    trainers = ", ".join(package for package in known if package not in machine)
    share = f"Other processes took {100 * others:.0f}% of the processors' time meanwhile"
    share += ": too much to compare seconds." if others > MOST_OTHERS else "."
    parts.append(f"{machine} Trainers: {trainers}. {share}")
    return "\n\n".join(parts)


def command(options: argparse.Namespace) -> str:
    """The command as others would give it: what it measures, without this machine's paths."""
    text = "python -m benchmarks.factorization"
    defaults = parse_arguments(["--data", str(options.data)])
    for name in ("minutes", "turn", "patience", "quick", "only", "threads"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            number = f"{value:g}" if isinstance(value, float) else value
            text += f" --{name}" if value is True else f" --{name} {number}"
    return text


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    peers_python = ""
    if any(record.module != TFRECS for record in options.records):
        peers_python = peers_environment.ensure(
            options.peers_venv or peers_folder("benchmark-factorization"),
            options.peers_python,
            peers_environment.FACTORIZATION,
        )
    pin(options.threads)
    machine, load = environment(), OtherLoad()
    logs = Path(tempfile.mkdtemp(prefix="benchmarks-factorization-"))
    # implicit has threads of its own: those of the linear algebra would stand in their way.
    limit = {"OMP_NUM_THREADS": str(options.threads), "OPENBLAS_NUM_THREADS": "1"}

    def start(record: Record) -> Process:
        peer = record.module != TFRECS
        python = peers_python if peer else sys.executable
        variables = {**CPU_ONLY, **(limit if peer else {})}
        return Process(record, python, logs / f"{record.name}.log", variables)

    begun = time.time()
    alternate(
        options.records,
        start,
        options.limits,
        lambda text: print(f"{time.time() - begun:6.0f} s  {text}", flush=True),
    )
    text = section(options, options.records, machine, load.share())
    print(f"\n{text}\n")
    if options.json:
        options.json.write_text(json.dumps([*map(as_json, options.records)], indent=1))
    if options.output or not (options.quick or options.only):
        write_section("factorization", text, *filter(None, [options.output]))
    if any(record.failure for record in options.records):
        sys.exit(1)


if __name__ == "__main__":
    main()
