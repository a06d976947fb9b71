"""The exact search of exports beside TFRS's and faiss's, and a request through an export."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude
from benchmarks.report import NONE, fill, table
from benchmarks.worker import TENSORFLOW, Worker, WorkerSettings

# Name, label and trainer of each; what it must be beaten by at 64 queries.
SEARCHES = (
    ("tfrecs", "tfrecs `BlockTopK`", "benchmarks.serving:search", None),
    ("brute_force", "TFRS `BruteForce`", "benchmarks.peers.tfrs:search", 1.8),
    ("faiss", "faiss `IndexFlatIP`", "benchmarks.peers.faiss:search", 3.0),
)
# Items, width and history of the export, as Amazon Beauty has them.
_ITEMS, _DIM, _HISTORY, _K = 12_101, 64, 50, 100
QUIET = {**machine.CPU_ONLY, "TF_CPP_MIN_LOG_LEVEL": "2"}
_WARM_SECONDS = 1.0  # Before the first request that counts: threads start, memory is found.


@dataclass(frozen=True)
class Settings(WorkerSettings):
    vectors: str  # A numpy file, `[n, dim]`.
    queries: str  # A numpy file, `[batch_size or more, dim]`.
    batch_size: int = 64
    k: int = _K  # Vectors found for each query.
    threads: int = 2  # Of a peer.

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return np.load(self.vectors), np.load(self.queries)[: self.batch_size]


def search_again(settings: Settings, worker: Worker, find: Callable, packages: list[str]) -> None:
    """Calls `find`, which returns the found rows `[batch, k]`, until the worker is stopped."""
    worker.ready(packages, settings.batch_size, found=np.asarray(find()).tolist())

    def forever() -> None:
        worker.begin_epoch()
        while True:
            find()
            worker.step(settings.batch_size)

    worker.run(forever)


def search_layer(layer: Callable[..., Any], settings: Settings, worker: Worker) -> None:
    """Searches by a layer of TensorFlow, called through `tf.function`."""
    from tfrecs._keras import tf

    vectors, queries = settings.load()
    index = layer(k=settings.k).index(tf.constant(vectors))
    find = tf.function(index, input_signature=[tf.TensorSpec([None, vectors.shape[1]])])
    batch = tf.constant(queries)
    search_again(settings, worker, lambda: find(batch)[1].numpy(), ["tfrecs", *TENSORFLOW])


def search(settings: Settings, worker: Worker) -> None:
    from tfrecs.serving import BlockTopK

    search_layer(BlockTopK, settings, worker)


def plan(options: argparse.Namespace, folder: str) -> dict[str, list[Record]]:
    """Draws vectors and queries, and returns the records to fill, a group a batch size."""
    rng, files = np.random.default_rng(0), (f"{folder}/vectors.npy", f"{folder}/queries.npy")
    for file, rows in zip(files, (options.items, max(options.batches)), strict=True):
        np.save(file, rng.standard_normal((rows, options.dim), np.float32))
    return {
        str(size): [
            Record(f"{name}-{size}", label, trainer, Settings(*files, size, _K, options.threads))
            for name, label, trainer, _ in SEARCHES
        ]
        for size in options.batches
    }


def export_sasrec(folder: str) -> str:
    """Exports an untrained SASRec."""
    import tfrecs

    items = tfrecs.data.Vocabulary(range(_ITEMS))
    architecture = {"dim": _DIM, "num_blocks": 2, "num_heads": 2, "max_length": _HISTORY}
    model = tfrecs.models.SASRec(items, **architecture, seed=0)
    return str(tfrecs.serving.export(model, folder, k=_K))


def requests(manifest: dict, count: int) -> list[dict[str, np.ndarray]]:
    """Returns histories of items drawn at random, each as long as the model reads."""
    rng = np.random.default_rng(0)
    width = manifest["signatures"]["serving_default"]["inputs"]["exclude"]["shape"][1]
    nothing = np.full((1, width), manifest["padding_id"], np.int64)
    shape = (1, manifest["max_history"])
    return [
        {"history": rng.integers(manifest["num_items"], size=shape), "exclude": nothing}
        for _ in range(count)
    ]


def latencies(model: Any, asked: list, callers: int, seconds: float) -> list[float]:
    """Returns milliseconds of each request while so many callers ask at once.

    Each caller asks again and again; its first second does not count.
    """
    start = time.perf_counter() + _WARM_SECONDS

    def call(caller: int) -> list[float]:
        measured, turn = [], caller * len(asked) // callers
        while (begun := time.perf_counter()) < start + seconds:
            model.run("serving_default", asked[turn % len(asked)])
            if begun >= start:
                measured.append(1000 * (time.perf_counter() - begun))
            turn += 1
        return measured

    with ThreadPoolExecutor(callers) as pool:
        return [value for each in pool.map(call, range(callers)) for value in each]


def request_latencies(export: str, callers: int, seconds: float) -> list[float]:
    """Asks an export through the C API, without TensorFlow's Python."""
    # The tests' own loader: what answers there is what is timed here.
    from tests.serving.capi import SavedModel

    manifest = Path(export, "assets.extra", "tfrecs_manifest.json").read_text("utf-8")
    asked = requests(json.loads(manifest), 100)
    result = latencies(SavedModel(Path(export)), asked, callers, seconds)
    assert "tensorflow" not in sys.modules
    return result


def search_row(record: Record, ours: Record, aim: float | None) -> dict[str, Any]:
    """Returns the row of a search beside tfrecs's at the same batch size."""
    size, failed = record.settings.batch_size, bool(record.failure)
    times = [1000 * size / rate for rate in record.rates]
    found = [each.ready.get("found", []) for each in (record, ours)]
    same = [len({*a} & {*b}) / len(a) for a, b in zip(*found, strict=not failed)]
    bar = f" (aim {aim:g})" if aim and size == 64 else ""
    return {
        "batch": size,
        "search": record.label,
        "ms": NONE if failed else f"**{1000 * size / record.rate:.1f}**",
        "of the turns, ms": NONE if failed else f"{min(times):.1f} to {max(times):.1f}",
        "time of tfrecs's": NONE if failed else f"{ours.rate / record.rate:.2f} x{bar}",
        "same items": NONE if failed else f"{100 * np.mean(same):.2f}%",
    }


def section(options: argparse.Namespace, outcome: Outcome, times: Sequence[float]) -> str:
    rows = [
        search_row(record, group[0], aim)
        for group in outcome.groups.values()
        for record, (*_, aim) in zip(group, SEARCHES, strict=True)
    ]
    low, middle, high = np.percentile(times, [50, 95, 99])
    given = {"k": _K, "turns": options.turns - 1, "dim": _DIM, "items": _ITEMS, "history": _HISTORY}
    given |= {"requests": len(times), "low": low, "middle": middle, "high": high}
    tables = {"table": table(rows, right=True), "ending": outcome.ending}
    return fill("serving", options=options, **given, **tables)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("serving", __doc__)
    add = parser.add_argument
    add("--items", type=int, default=1_000_000, help="vectors (%(default)s)")
    add("--dim", type=int, default=64, help="numbers of a vector (%(default)s)")
    add("--batches", type=int, nargs="+", default=[64, 1], help="queries at once (64 1)")
    add("--turn", type=float, default=5, help="seconds of a turn (%(default)s)")
    add("--turns", type=int, default=7, help="turns of each, the first not counted (%(default)s)")
    add("--seconds", type=float, default=20, help="of requests through the export (%(default)s)")
    parser.add_peers("serving")
    options = parser.read(arguments)
    options.limits = Limits(3600, options.turn, timed_turns=options.turns)
    with tempfile.TemporaryDirectory(prefix="benchmarks-serving-") as folder:
        groups = plan(options, folder)
        outcome = compare(options, groups)
        export = machine.call("benchmarks.serving:export_sasrec", f"{folder}/sasrec", **QUIET)
        asked = (export, options.threads, options.seconds)
        times = machine.call("benchmarks.serving:request_latencies", *asked, **QUIET)
    conclude("serving", options, outcome, section(options, outcome, times))


if __name__ == "__main__":
    main()
