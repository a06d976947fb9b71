"""The exact search of exports beside TFRS's and faiss's, and a request through an export.

`python -m benchmarks.serving` makes a virtual environment for faiss where there is none, searches
the 100 best of 1,000,000 vectors of 64 numbers by each in turns, asks an export of SASRec by
TensorFlow's C API from two callers, and writes its section of RESULTS.md; about 5 minutes on 2
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers_environment
from benchmarks.machine import CPU_ONLY, OtherLoad, peers_folder, pin
from benchmarks.results import environment, write_section
from benchmarks.search_worker import SearchSettings
from benchmarks.sequential_report import MOST_OTHERS, table
from benchmarks.turns import ROOT, Limits, Process, Record, alternate

FAISS = "benchmarks.peers.faiss"
# Name, label and module of each; what it must be beaten by at the largest batch.
SEARCHES = (
    ("tfrecs", "tfrecs `BlockTopK`", "benchmarks.serving_worker", "block_top_k", None),
    ("brute_force", "TFRS `BruteForce`", "benchmarks.serving_worker", "brute_force", 1.8),
    ("faiss", "faiss `IndexFlatIP`", FAISS, "", 3.0),
)
# Items, width and history of the export, as Amazon Beauty has them.
_ITEMS, _DIM, _HISTORY, _K = 12_101, 64, 50, 100


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--items", type=int, default=1_000_000, help="vectors (%(default)s)")
    add("--dim", type=int, default=64, help="numbers of a vector (%(default)s)")
    add("--batches", type=int, nargs="+", default=[64, 1], help="queries at once (64 1)")
    add("--turn", type=float, default=5, help="seconds of a turn (%(default)s)")
    add("--turns", type=int, default=7, help="turns of each, the first not counted (%(default)s)")
    add("--seconds", type=float, default=20, help="of requests through the export (%(default)s)")
    add("--threads", type=int, default=2, help="processors, and callers (%(default)s)")
    add("--peers-venv", type=Path, help="faiss's virtual environment (in tfrecs's cache folder)")
    add("--peers-python", help="the Python to make it with (found on the PATH)")
    add("--output", type=Path, help="file to write the section to (RESULTS.md)")
    return parser.parse_args(arguments)


def search(
    options: argparse.Namespace, folder: Path, batch_size: int, faiss_python: str
) -> list[Record]:
    """Times all searches of one batch size."""
    rng = np.random.default_rng(0)
    files = {name: folder / f"{name}.npy" for name in ("vectors", "queries")}
    for name, rows in (("vectors", options.items), ("queries", max(options.batches))):
        if not files[name].exists():
            np.save(files[name], rng.standard_normal((rows, options.dim), np.float32))
    records = []
    for name, label, module, layer, _ in SEARCHES:
        settings = SearchSettings(*map(str, files.values()), layer, batch_size, _K, options.threads)
        records.append(Record(name, label, module, settings))

    def start(record: Record) -> Process:
        python = faiss_python if record.module == FAISS else sys.executable
        limit = {"OMP_NUM_THREADS": str(options.threads)} if record.module == FAISS else {}
        log = folder / f"{record.name}-{batch_size}.log"
        return Process(record, python, log, {**CPU_ONLY, **limit})

    limits = Limits(3600, options.turn, timed_turns=options.turns)
    alternate(records, start, limits, lambda text: print(f"batch {batch_size}, {text}", flush=True))
    return records


def export_sasrec(folder: Path) -> str:
    """Exports an untrained SASRec, in a process whose TensorFlow ends with it."""
    code = (
        "import tfrecs\n"
        f"model = tfrecs.models.SASRec(tfrecs.data.Vocabulary(range({_ITEMS})), dim={_DIM}, "
        f"num_blocks=2, num_heads=2, max_length={_HISTORY}, seed=0)\n"
        f"print(tfrecs.serving.export(model, {str(folder / 'sasrec')!r}, k={_K}))\n"
    )
    return _output([sys.executable, "-c", code]).splitlines()[-1]


def _output(command: Sequence[str]) -> str:
    variables = {**os.environ, **CPU_ONLY, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def request_latencies(export: str, callers: int, seconds: float) -> np.ndarray:
    """Milliseconds of requests of one user through the C API."""
    module = [sys.executable, "-m", "benchmarks.serving_request"]
    return np.array(json.loads(_output([*module, export, str(callers), str(seconds)])))


def agreement(record: Record, of: Record) -> float:
    """The share of the queries' items that both found."""
    pairs = zip(record.ready["found"], of.ready["found"], strict=True)
    return float(np.mean([len({*a} & {*b}) / len(a) for a, b in pairs]))


def search_rows(records: Sequence[Record]) -> list[list[str]]:
    """The table's rows of one batch size."""
    ours = records[0]
    rows = []
    for record, (*_, aim) in zip(records, SEARCHES, strict=True):
        size = record.settings.batch_size
        if record.failure:
            rows.append([str(size), record.label, *["–"] * 4])
            continue
        milliseconds = [1000 * size / rate for rate in record.rates]
        ratio = ours.rate / record.rate
        bar = f" (aim {aim:g})" if aim and size == 64 else ""
        rows.append(
            [
                str(size),
                record.label,
                f"**{1000 * size / record.rate:.1f}**",
                f"{min(milliseconds):.1f} to {max(milliseconds):.1f}",
                f"{ratio:.2f} x{bar}",
                f"{100 * agreement(record, ours):.2f}%",
            ]
        )
    return rows


def section(
    options: argparse.Namespace,
    searches: Sequence[Sequence[Record]],
    milliseconds: np.ndarray,
    machine: str,
    others: float,
) -> str:
    """The section of RESULTS.md."""
    header = ["batch", "search", "ms", "of the turns, ms", "time of tfrecs's", "same items"]
    share = f"Other processes took {100 * others:.0f}% of the processors' time meanwhile"
    share += ": too much to compare milliseconds." if others > MOST_OTHERS else "."
    versions: dict[str, str] = {}
    for records in searches:
        for record in records:
            versions.update(record.ready.get("versions", {}))
    low, middle, high = np.percentile(milliseconds, [50, 95, 99])
    parts = [
        "## Exact search, and a request through an export",
        f"`{command(options)}`: the {_K} best inner products of {options.items:,} vectors of "
        f"{options.dim} standard normal numbers. Every search in a process of its own, on "
        f"{options.threads} threads, in turns of {options.turn:g} s; the median of "
        f"{options.turns - 1} turns after the first. TFRS's layer and tfrecs's are called through "
        "`tf.function`. The last column tells the share of found items that tfrecs found too: "
        "where scores are equal but for rounding, libraries may differ.",
        table(header, [row for records in searches for row in search_rows(records)]),
        f"An export of SASRec (dim {_DIM}, 2 blocks, {_ITEMS:,} items, history of {_HISTORY}, "
        f"{_K} best) through TensorFlow's C API, one user a request, {options.threads} callers at "
        f"once, {len(milliseconds):,} requests: median {low:.2f} ms, 95% within {middle:.2f} ms, "
        f"99% within **{high:.2f} ms** (aim 5 ms).",
        f"{machine} faiss-cpu {versions.get('faiss-cpu', '–')}. {share}",
    ]
    return "\n\n".join(parts)


def command(options: argparse.Namespace) -> str:
    """The command as others would give it: what it measures, without this machine's paths."""
    text = "python -m benchmarks.serving"
    defaults: Any = parse_arguments([])
    for name in ("items", "dim", "batches", "turn", "turns", "seconds", "threads"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            words = " ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
            text += f" --{name} {words}"
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parse_arguments(arguments)
    faiss_python = peers_environment.ensure(
        options.peers_venv or peers_folder("benchmark-serving"),
        options.peers_python,
        peers_environment.SERVING,
    )
    pin(options.threads)
    machine, load = environment(), OtherLoad()
    with tempfile.TemporaryDirectory(prefix="benchmarks-serving-") as name:
        folder = Path(name)
        searches = [search(options, folder, size, faiss_python) for size in options.batches]
        exported = export_sasrec(folder)
        milliseconds = request_latencies(exported, options.threads, options.seconds)
    text = section(options, searches, milliseconds, machine, load.share())
    print(f"\n{text}\n")
    write_section("serving", text, *filter(None, [options.output]))
    if any(record.failure for records in searches for record in records):
        sys.exit(1)


if __name__ == "__main__":
    main()
