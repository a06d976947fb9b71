"""DCN-V2 of tfrecs beside TFRS's tutorial, RecBole and DeepCTR: training speed, and input.

The rows have Criteo's shape: 26 categories, 13 numbers, a label that follows from them.
"""

import argparse
import atexit
import functools
import itertools
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude, select
from benchmarks.report import NONE, count, fill, peak_words, rate, share, table
from benchmarks.sequential import fastest
from benchmarks.worker import TENSORFLOW, MeteredBatches, Worker, WorkerSettings

TRAIN, INPUT = "benchmarks.ranking:train", "benchmarks.ranking:read"
TUTORIAL, DEEPCTR = "benchmarks.peers.tfrs:train", "benchmarks.peers.deepctr:train"
RECBOLE = "benchmarks.peers.recbole:train_dcn"
IDS = {"1m": 1_000_000, "10m": 10_000_000}
QUICK_IDS = {"1m": 10_000, "10m": 100_000}
ROWS, QUICK_ROWS = 2**18, 2**15
# What must be reached: useful FLOP/s over the peak; samples/s over the tutorial, by group, and over
# RecBole and DeepCTR.
UTILISATION, OVER_TUTORIAL, PEERS = 0.65, {"1m": 1.3, "10m": 2.5}, 2.0

# Values of the 26 categorical columns of Criteo's display advertising challenge (Kaggle, 2014).
CRITEO = (
    *(1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194),
    *(27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572),
)
CATEGORY_NAMES = tuple(f"C{place + 1}" for place in range(len(CRITEO)))
NUMBER_NAMES = tuple(f"I{place + 1}" for place in range(13))


@dataclass(frozen=True)
class Settings(WorkerSettings):
    ids: int  # Sum of the vocabularies' sizes.
    rows: int = ROWS
    optimizer: str = "LazyAdam"  # Of tfrecs.
    numbers: int = len(NUMBER_NAMES)  # How many numeric columns RecBole gets.
    parquet: bool = False  # Whether rows are read from a Parquet file, not from memory.
    strings: bool = False  # Whether its categories are strings.
    dim: int = 16
    cross_layers: int = 3  # Of full rank.
    deep_units: tuple[int, ...] = (256, 256)
    batch_size: int = 4096
    learning_rate: float = 1e-3
    epoch_steps: int = 8  # After which Keras's loop is looked at.
    threads: int = 2  # Of RecBole.
    seed: int = 0

    def table(self) -> dict[str, np.ndarray]:
        return make_table(self.rows, self.ids, self.seed)

    def shuffled(self) -> dict[str, np.ndarray]:
        order = np.random.default_rng(self.seed).permutation(self.rows)
        return {name: values[order] for name, values in self.table().items()}

    def fit(self, worker: Worker, packages: Sequence[str], model: Any, batches: Any) -> None:
        """Trains by Keras's loop; every number is one column."""
        targets = self.epoch_steps * self.batch_size
        width = self.dim * len(CATEGORY_NAMES) + len(NUMBER_NAMES)
        worker.ready(packages, targets, width=width)
        worker.fit(model, batches, targets, steps_per_epoch=self.epoch_steps, verbose=0)


def vocabulary_sizes(total: int) -> np.ndarray:
    """Returns sizes in Criteo's proportions, none below 3, that sum to `total`."""
    sizes = np.maximum(np.array(CRITEO, np.int64) * total // sum(CRITEO), 3)
    sizes[sizes.argmax()] += total - sizes.sum()
    if sizes.min() < 3:
        raise ValueError(f"{total} ids are too few for {len(sizes)} columns of at least 3")
    return sizes


def make_table(rows: int, total: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns columns of random rows by name; the vocabularies' sizes sum to `total`.

    Categories are int32 ids from 1 by Zipf's law, numbers are standard normal. About a quarter of
    the labels are 1. Their log-odds sum the numbers, an effect of each category, and the product
    of two such effects. Effects do not depend on the seed.
    """
    rng = np.random.default_rng(seed)
    sizes = vocabulary_sizes(total)
    # The inverse of the distribution function log(1 + id) / log(1 + size).
    ids = np.exp(rng.random((rows, len(sizes))) * np.log1p(sizes)).astype(np.int32)
    ids = np.minimum(ids, sizes.astype(np.int32))
    numbers = rng.standard_normal((rows, len(NUMBER_NAMES)), np.float32)
    rules = np.random.default_rng(2014)
    effects = rules.normal(scale=0.3, size=(len(sizes), 1009))
    found = effects[np.arange(len(sizes)), ids % 1009]
    logits = found.sum(1) + numbers @ rules.normal(scale=0.2, size=len(NUMBER_NAMES))
    logits += 10 * found[:, 0] * found[:, 1]
    logits += -1.3 - np.median(logits)
    labels = rng.random(rows) < 1 / (1 + np.exp(-logits))
    columns = [*np.ascontiguousarray(ids.T), *np.ascontiguousarray(numbers.T)]
    columns.append(labels.astype(np.float32))
    return dict(zip((*CATEGORY_NAMES, *NUMBER_NAMES, "label"), columns, strict=True))


def raw_ids(ids: np.ndarray, strings: bool) -> np.ndarray:
    """Returns categories as a log has them: numbers, or Criteo's eight hexadecimal digits."""
    if not strings:
        return ids.astype(np.int64)
    # An odd multiplier modulo 2^32 renumbers one to one.
    hashes = ids.astype(np.uint32) * np.uint32(2654435761)
    return np.array([f"{value:08x}" for value in hashes.tolist()], object)


def write_parquet(path: str, table: dict, strings: bool, group: int = 2**16) -> None:
    """Writes a table as a Parquet file whose row groups have so many rows."""
    import pyarrow as pa
    import pyarrow.parquet

    categories = {name: raw_ids(table[name], strings) for name in CATEGORY_NAMES}
    pa.parquet.write_table(pa.table(table | categories), path, row_group_size=group)


def plan(
    totals: dict[str, int], threads: int, only: str | None = None, **common: Any
) -> dict[str, list[Record]]:
    """Returns the records to fill: a group for each total of ids, and "input" on the first."""

    def one(name: str, label: str, trainer: str, **more: Any) -> Record:
        return Record(name, label, trainer, Settings(threads=threads, **common, **more))

    lazy, narrow = "tfrecs, LazyAdam", "RecBole, one of the 13 numbers"
    groups = {
        group: [
            one(f"tfrecs-lazy-{group}", lazy, TRAIN, ids=ids),
            one(f"tfrecs-adam-{group}", "tfrecs, Adam", TRAIN, ids=ids, optimizer="Adam"),
            one(f"tutorial-{group}", "TFRS's DCN tutorial, Keras Adam", TUTORIAL, ids=ids),
            one(f"deepctr-{group}", "DeepCTR", DEEPCTR, ids=ids),
            one(f"recbole-{group}", "RecBole", RECBOLE, ids=ids),
            one(f"recbole-narrow-{group}", narrow, RECBOLE, ids=ids, numbers=1),
        ]
        for group, ids in totals.items()
    }
    first = {"ids": next(iter(totals.values()))}
    file, strings = {**first, "parquet": True}, "Parquet, strings, input alone"
    groups["input"] = [
        one("input-memory", "rows in memory, input alone", INPUT, **first),
        one("input-parquet", "Parquet, integers, input alone", INPUT, **file),
        one("input-parquet-strings", strings, INPUT, **file, strings=True),
        one("tfrecs-parquet", f"{lazy}, trained from Parquet, integers", TRAIN, **file),
    ]
    return select(groups, only)


def make_schema(ids: int, strings: bool = False) -> Any:
    from tfrecs.data import Categorical, Label, Numeric, Schema, Vocabulary

    columns = {
        name: Categorical(Vocabulary(raw_ids(np.arange(1, size + 1), strings)))
        for name, size in zip(CATEGORY_NAMES, vocabulary_sizes(ids).tolist(), strict=True)
    }
    numbers = {name: Numeric("squashing") for name in NUMBER_NAMES}
    return Schema({**columns, **numbers, "label": Label()})


def read_rows(settings: Settings, schema: Any) -> Any:
    """Returns rows in memory, or from a Parquet file that it writes first."""
    from tfrecs.data import ParquetRows, Rows

    if not settings.parquet:
        return Rows(settings.table(), "label")
    folder = tempfile.mkdtemp(prefix="benchmarks-ranking-")
    atexit.register(shutil.rmtree, folder)
    write_parquet(f"{folder}/rows.parquet", settings.table(), settings.strings)
    return ParquetRows(f"{folder}/rows.parquet", schema)


def make_tfrecs(settings: Settings, schema: Any) -> Any:
    import tfrecs

    given = settings.take("dim", "cross_layers", "deep_units", "seed")
    model = tfrecs.models.DeepCross(schema, **given, dropout=0.0)
    model.compile(getattr(tfrecs.optimizers, settings.optimizer)(settings.learning_rate))
    return model


def train(settings: Settings, worker: Worker) -> None:
    schema = make_schema(settings.ids, settings.strings)
    rows = read_rows(settings, schema)
    batches = rows.batch(settings.batch_size, seed=settings.seed)
    model = make_tfrecs(settings, schema)
    model.adapt(rows.sample(2**16) if settings.parquet else rows)
    settings.fit(worker, ["tfrecs", *TENSORFLOW], model, batches.repeat())


def read(settings: Settings, worker: Worker) -> None:
    rows = read_rows(settings, make_schema(settings.ids, settings.strings))
    batches = rows.batch(settings.batch_size, seed=settings.seed)
    metered = MeteredBatches(batches, worker, lambda batch: len(batch["label"]))
    worker.ready(["tfrecs", *TENSORFLOW], len(rows))
    worker.run(lambda: [None for _ in range(10**6) for _ in metered])


def flops_per_row(width: int, cross_layers: int, deep_units: Sequence[int]) -> int:
    """Returns the useful operations of a training step of DCN-V2 per row of width w.

    6 (L w^2 + w h_1 + h_1 h_2 + .. + w + h_last)    L crosses; deep layers of h_1, h_2, .. units
    """
    widths = [width, *deep_units]
    deep = sum(before * after for before, after in itertools.pairwise(widths))
    return 6 * (cross_layers * width**2 + deep + width + widths[-1])


def speed(record: Record) -> float:
    """Returns a trainer's useful GFLOP/s; NaN where nothing is trained."""
    settings, width = record.settings, record.ready.get("width", math.nan)
    return flops_per_row(width, settings.cross_layers, settings.deep_units) * record.rate / 1e9


def training(record: Record, peak: float) -> dict[str, Any]:
    work = 1e3 * speed(record) / record.rate
    return {
        "trainer": record.label,
        "samples/s (slowest–fastest turn)": rate(record),
        "ms a batch": count(1000 * record.settings.batch_size / record.rate),
        "width of a row": record.ready.get("width", NONE),
        "MFLOP a sample": NONE if math.isnan(work) else f"{work:.2f}",
        "useful GFLOP/s": count(speed(record)),
        "utilisation": share(speed(record) / peak),
        "peak memory, MB": count(record.done.get("peak_memory", math.nan)),
    }


def aims(groups: dict[str, list[Record]], peak: float) -> list[tuple[str, float, float]]:
    """Returns what is measured, its value, and its aim, of trainers that have run."""
    result = []
    ran = {r.name: r for group in groups.values() for r in group if r.rates}
    for group, over_tutorial in OVER_TUTORIAL.items():
        if (ours := ran.get(f"tfrecs-lazy-{group}")) is None:
            continue
        ids, label = f"{ours.settings.ids:,} ids", ours.label
        if group == "1m":
            text = f"{ids}: useful FLOP/s of {label}, over the peak"
            result.append((text, speed(ours) / peak, UTILISATION))
        recbole = fastest([r for name, r in ran.items() if re.match(f"recbole.*-{group}$", name)])
        tutorial, deepctr = ran.get(f"tutorial-{group}"), ran.get(f"deepctr-{group}")
        for theirs, aim in ((tutorial, over_tutorial), (recbole, PEERS), (deepctr, PEERS)):
            if theirs is not None:
                text = f"{ids}: samples/s of {label}, over {theirs.label}"
                result.append((text, ours.rate / theirs.rate, aim))
    for name in ("input-parquet", "input-parquet-strings"):
        if name in ran and (trained := ran.get("tfrecs-lazy-1m")):
            text = f"rows/s of {ran[name].label}, over samples/s of {trained.label}"
            result.append((text, ran[name].rate / trained.rate, 1.0))
    return result


def section(options: argparse.Namespace, outcome: Outcome) -> str:
    groups, peak = outcome.groups, max(outcome.peaks.values())
    parts = []
    for records in filter(None, map(groups.get, OVER_TUTORIAL)):
        parts.append(f"### Vocabularies of {records[0].settings.ids:,} ids together")
        parts.append(table([training(record, peak) for record in records], right=True))
    read_rates = [
        {"what": record.label, "rows/s (slowest–fastest turn)": rate(record)}
        for record in groups["input"]
    ]
    aimed = [
        {"what": text, "is": f"{value:.2f}", "at least": f"{aim:g}"}
        for text, value, aim in aims(groups, peak)
    ]
    given = {"input": table(read_rates, right=True), "aims": table(aimed, right=True)}
    ids = groups["input"][0].settings.ids if groups["input"] else 0
    given |= {"training": "\n\n".join(parts), "ids": ids, "peaks": peak_words(outcome.peaks)}
    settings = outcome.records[0].settings
    return fill("ranking", options=options, settings=settings, **given, ending=outcome.ending)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Command("ranking", __doc__)
    parser.add_turns(minutes=2, quick=Limits(seconds=10, turn=2, timed_turns=2))
    parser.add_argument("--deepctr-venv", type=Path, help="DeepCTR's, as --peers-venv")
    options = parser.read(arguments)
    ids, rows = (QUICK_IDS, QUICK_ROWS) if options.quick else (IDS, ROWS)
    make = functools.partial(plan, rows=rows)
    options.groups = parser.checked(make, ids, options.threads, options.only)
    return options


def main() -> None:
    options = parse_arguments()
    outcome = compare(options, options.groups, peaks=True)
    conclude("ranking", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
