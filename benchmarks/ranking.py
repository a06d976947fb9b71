"""DCN-V2 of tfrecs beside TFRS's tutorial, RecBole and DeepCTR: training speed, and input.

`python -m benchmarks.ranking` makes the peers' virtual environments where there are none, trains
all on the same rows in turns, and writes its section of RESULTS.md; about 20 minutes on 2 cores.
The rows have Criteo's shape: 26 categories, 13 numbers, a label that follows from them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude, select
from benchmarks.report import NONE, count, peak_words, rate, share, table
from benchmarks.sequential import fastest
from benchmarks.worker import TENSORFLOW, MeteredBatches, Worker, WorkerSettings

TRAIN, INPUT = "benchmarks.ranking:train", "benchmarks.ranking:read"
TUTORIAL, DEEPCTR = "benchmarks.peers.tfrs:train", "benchmarks.peers.deepctr:train"
RECBOLE = "benchmarks.peers.recbole:train_dcn"
QUICK = Limits(seconds=10, turn=2, timed_turns=2)
IDS = {"1m": 1_000_000, "10m": 10_000_000}
QUICK_IDS = {"1m": 10_000, "10m": 100_000}
QUICK_ROWS = 2**15
# What must be reached: useful FLOP/s over the peak; samples/s over the tutorial, by group, and over
# RecBole and DeepCTR.
UTILISATION, OVER_TUTORIAL, OVER_PEERS = 0.65, {"1m": 1.3, "10m": 2.5}, 2.0

# Values of the 26 categorical columns of Criteo's display advertising challenge (Kaggle, 2014).
CRITEO = (
    *(1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194),
    *(27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572),
)
CATEGORY_NAMES = tuple(f"C{place + 1}" for place in range(len(CRITEO)))
NUMBER_NAMES = tuple(f"I{place + 1}" for place in range(13))


@dataclass(frozen=True)
class Settings(WorkerSettings):
    """A DCN-V2, its rows, and how it is trained."""

    ids: int  # Sum of the vocabularies' sizes.
    rows: int = 2**18
    optimizer: str = "LazyAdam"  # Of tfrecs.
    numbers: int = len(NUMBER_NAMES)  # How many numeric columns RecBole gets.
    parquet: str | None = None  # A Parquet file to read; None for rows in memory.
    strings: bool = False  # Whether that file's categories are strings.
    dim: int = 16
    cross_layers: int = 3  # Of full rank.
    deep_units: tuple[int, ...] = (256, 256)
    batch_size: int = 4096
    learning_rate: float = 1e-3
    epoch_steps: int = 8  # After which Keras's loop is looked at.
    threads: int = 2  # Of RecBole.
    seed: int = 0

    @property
    def width(self) -> int:
        """Width of a row whose numbers enter as one each."""
        return self.dim * len(CATEGORY_NAMES) + len(NUMBER_NAMES)

    @property
    def epoch(self) -> int:
        """Rows between two looks at Keras's loop."""
        return self.epoch_steps * self.batch_size

    @property
    def fit(self) -> dict[str, Any]:
        """The arguments of Keras's loop."""
        return {"steps_per_epoch": self.epoch_steps, "verbose": 0}

    def table(self) -> Table:
        """Makes the rows."""
        return make_table(self.rows, self.ids, self.seed)

    def shuffled(self) -> dict[str, np.ndarray]:
        """Makes the rows, shuffled once."""
        order = np.random.default_rng(self.seed).permutation(self.rows)
        return {name: values[order] for name, values in self.table().columns().items()}


def vocabulary_sizes(total: int) -> np.ndarray:
    """Returns sizes in Criteo's proportions, none below 3, that sum to `total`.

    Raises:
        ValueError: `total` is too small for that.
    """
    sizes = np.maximum(np.array(CRITEO, np.int64) * total // sum(CRITEO), 3)
    sizes[sizes.argmax()] += total - sizes.sum()
    if sizes.min() < 3:
        raise ValueError(f"{total} ids are too few for {len(sizes)} columns of at least 3")
    return sizes


@dataclass(frozen=True)
class Table:
    """Rows."""

    categories: np.ndarray  # int32 `[rows, 26]`, ids from 1; Zipf's law with exponent 1.
    # float32 `[rows, 13]`, standard normal, as after a logarithm and standardisation.
    numbers: np.ndarray
    labels: np.ndarray  # float32 `[rows]`, about a quarter of them 1.

    def columns(self) -> dict[str, np.ndarray]:
        """Returns all columns by name, each contiguous, `label` last."""
        result = dict(zip(CATEGORY_NAMES, np.ascontiguousarray(self.categories.T), strict=True))
        result |= zip(NUMBER_NAMES, np.ascontiguousarray(self.numbers.T), strict=True)
        return {**result, "label": self.labels}


def make_table(rows: int, total: int, seed: int = 0) -> Table:
    """Makes rows whose vocabularies' sizes sum to `total`.

    The log-odds of a label are a sum of an effect of each category, which follows from its id, of
    the numbers, and of a product of two categories' effects. The effects are the same for any seed.
    """
    rng = np.random.default_rng(seed)
    sizes = vocabulary_sizes(total)
    # The inverse of the distribution function log(1 + id) / log(1 + size).
    uniform = rng.random((rows, len(sizes)))
    ids = np.floor(np.exp(uniform * np.log1p(sizes))).astype(np.int32)
    ids = np.minimum(ids, sizes.astype(np.int32))
    numbers = rng.standard_normal((rows, len(NUMBER_NAMES)), np.float32)
    rules = np.random.default_rng(2014)
    effects = rules.normal(scale=0.3, size=(len(sizes), 1009))
    found = effects[np.arange(len(sizes)), ids % 1009]
    logits = found.sum(1) + numbers @ rules.normal(scale=0.2, size=len(NUMBER_NAMES))
    logits += 10 * found[:, 0] * found[:, 1]
    logits += -1.3 - np.median(logits)
    labels = rng.random(rows) < 1 / (1 + np.exp(-logits))
    return Table(ids, numbers, labels.astype(np.float32))


def raw_ids(ids: np.ndarray, strings: bool) -> np.ndarray:
    """Returns categories as a log has them: numbers, or, as Criteo, eight hexadecimal digits."""
    if not strings:
        return ids.astype(np.int64)
    # An odd multiplier modulo 2^32 renumbers one to one.
    hashes = ids.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    return np.array([f"{value:08x}" for value in hashes.tolist()], object)


def write_parquet(path: str | Path, table: Table, strings: bool, group: int = 2**16) -> None:
    """Writes a table as a Parquet file whose row groups have so many rows."""
    import pyarrow as pa
    import pyarrow.parquet

    columns = table.columns()
    columns |= {name: raw_ids(columns[name], strings) for name in CATEGORY_NAMES}
    pa.parquet.write_table(pa.table(columns), path, row_group_size=group)


def plan(
    totals: dict[str, int],
    threads: int,
    only: str | None = None,
    files: dict[bool, str] | None = None,
    **common: Any,
) -> dict[str, list[Record]]:
    """Returns the records to fill, by group: one for each total, and "input" on the first of them.

    Args:
        totals: Sums of the vocabularies' sizes, by the name of the group.
        threads: Threads of RecBole.
        only: As `select` takes it.
        files: The Parquet files, by whether categories are strings; they need not exist yet.
        **common: Settings of all.
    """
    integers, strings = (files or {}).get(False, ""), (files or {}).get(True, "")

    def one(name: str, label: str, trainer: str, ids: int, **more: Any) -> Record:
        return Record(name, label, trainer, Settings(ids=ids, threads=threads, **common, **more))

    lazy, alone, groups = "tfrecs, LazyAdam", "input alone", {}
    for group, ids in totals.items():
        groups[group] = [
            one(f"tfrecs-lazy-{group}", lazy, TRAIN, ids),
            one(f"tfrecs-adam-{group}", "tfrecs, Adam", TRAIN, ids, optimizer="Adam"),
            one(f"tutorial-{group}", "TFRS's DCN tutorial, Keras Adam", TUTORIAL, ids),
            one(f"deepctr-{group}", "DeepCTR", DEEPCTR, ids),
            one(f"recbole-{group}", "RecBole", RECBOLE, ids),
            one(
                f"recbole-narrow-{group}", "RecBole, one of the 13 numbers", RECBOLE, ids, numbers=1
            ),
        ]
    ids = next(iter(totals.values()))
    as_strings = {"parquet": strings, "strings": True}
    groups["input"] = [
        one("input-memory", f"rows in memory, {alone}", INPUT, ids),
        one("input-parquet", f"Parquet, integers, {alone}", INPUT, ids, parquet=integers),
        one("input-parquet-strings", f"Parquet, strings, {alone}", INPUT, ids, **as_strings),
        one(
            *("tfrecs-parquet", f"{lazy}, trained from Parquet, integers", TRAIN, ids),
            parquet=integers,
        ),
    ]
    return select(groups, only)


def make_schema(ids: int, strings: bool = False) -> Any:
    """Returns the columns as tfrecs knows them: numbers enter as one each, squashed."""
    from tfrecs.data import Categorical, Label, Numeric, Schema, Vocabulary

    columns = {
        name: Categorical(Vocabulary(raw_ids(np.arange(1, size + 1), strings)))
        for name, size in zip(CATEGORY_NAMES, vocabulary_sizes(ids).tolist(), strict=True)
    }
    numbers = {name: Numeric("squashing") for name in NUMBER_NAMES}
    return Schema({**columns, **numbers, "label": Label()})


def rows_of(settings: Settings, schema: Any) -> Any:
    """Returns rows from the Parquet file, or in memory."""
    from tfrecs.data import ParquetRows, Rows

    if settings.parquet:
        return ParquetRows(settings.parquet, schema)
    return Rows(settings.table().columns(), "label")


def make_tfrecs(settings: Settings, schema: Any) -> Any:
    """Returns tfrecs's model, to be adapted."""
    import tfrecs

    model = tfrecs.models.DeepCross(
        schema,
        dim=settings.dim,
        cross_layers=settings.cross_layers,
        deep_units=settings.deep_units,
        dropout=0.0,
        seed=settings.seed,
    )
    model.compile(getattr(tfrecs.optimizers, settings.optimizer)(settings.learning_rate))
    return model


def train(settings: Settings, worker: Worker) -> None:
    """Trains tfrecs by `model.fit`, TensorFlow choosing its threads."""
    schema = make_schema(settings.ids, settings.strings)
    rows = rows_of(settings, schema)
    batches = rows.batch(settings.batch_size, seed=settings.seed)
    model = make_tfrecs(settings, schema)
    model.adapt(rows.sample(2**16) if settings.parquet else rows)
    worker.ready(["tfrecs", *TENSORFLOW], settings.epoch, width=settings.width)
    worker.fit(model, batches.repeat(), settings.epoch, **settings.fit)


def read(settings: Settings, worker: Worker) -> None:
    """Reads batches and does nothing with them."""
    rows = rows_of(settings, make_schema(settings.ids, settings.strings))
    batches = rows.batch(settings.batch_size, seed=settings.seed)
    metered = MeteredBatches(batches, worker, lambda batch: len(batch["label"]))
    worker.ready(["tfrecs", *TENSORFLOW], len(rows))
    worker.run(lambda: [None for _ in range(10**6) for _ in metered])


def flops_per_row(width: int, cross_layers: int, deep_units: Sequence[int]) -> int:
    """Returns the useful floating point operations of a training step of DCN-V2, parallel, per row.

        6 (L w^2 + w h_1 + h_1 h_2 + .. + w + h_last)

    Counted are the products of the L full-rank crosses of a row of width w, of the deep layers of
    h_1, h_2, .. units, and the output.
    """
    widths = [width, *deep_units]
    deep = sum(before * after for before, after in itertools.pairwise(widths))
    return 6 * (cross_layers * width**2 + deep + width + widths[-1])


def flops(record: Record) -> float:
    """Returns the useful operations a sample; NaN where nothing is trained."""
    if "width" not in record.ready:
        return math.nan
    settings = record.settings
    return flops_per_row(record.ready["width"], settings.cross_layers, settings.deep_units)


def utilisation(record: Record, peak: float) -> float:
    """Returns useful operations a second over the peak."""
    return flops(record) * record.rate / 1e9 / peak


def training_table(records: Sequence[Record], peak: float) -> str:
    """Returns speed, work and memory of trainers on the same data."""
    header = [
        *("trainer", "samples/s (slowest–fastest turn)", "ms a batch", "width of a row"),
        *("MFLOP a sample", "useful GFLOP/s", "utilisation", "peak memory, MB"),
    ]
    rows = []
    for record in records:
        work = flops(record)
        milliseconds = count(1000 * record.settings.batch_size / record.rate)
        width = str(record.ready.get("width", NONE))
        used = [NONE if math.isnan(work) else f"{work / 1e6:.2f}", count(work * record.rate / 1e9)]
        used.append(share(utilisation(record, peak)))
        memory = count(record.done["peak_memory"]) if record.done else NONE
        rows.append([record.label, rate(record), milliseconds, width, *used, memory])
    return table(header, rows, right=True)


def aims(groups: dict[str, list[Record]], peak: float) -> list[tuple[str, float, float]]:
    """Returns what is measured, what it is, and what it must be; only what has run."""

    def named(group: str) -> dict[str, Record]:
        return {r.name.removesuffix(f"-{group}"): r for r in groups.get(group, []) if r.rates}

    result = []
    for group, over_tutorial in OVER_TUTORIAL.items():
        ran = named(group)
        ours = ran.get("tfrecs-lazy")
        if ours is None:
            continue
        ids = f"{ours.settings.ids:,} ids"
        if group == "1m":
            text = f"{ids}: useful FLOP/s of {ours.label}, over the peak"
            result.append((text, utilisation(ours, peak), UTILISATION))
        recbole = fastest([ran[name] for name in ("recbole", "recbole-narrow") if name in ran])
        for theirs, aim in (
            (ran.get("tutorial"), over_tutorial),
            (recbole, OVER_PEERS),
            (ran.get("deepctr"), OVER_PEERS),
        ):
            if theirs is not None:
                text = f"{ids}: samples/s of {ours.label}, over {theirs.label}"
                result.append((text, ours.rate / theirs.rate, aim))
    ran, trained = named("input"), named("1m").get("tfrecs-lazy")
    for name in ("input-parquet", "input-parquet-strings"):
        if name in ran and trained is not None:
            text = f"rows/s of {ran[name].label}, over samples/s of {trained.label}"
            result.append((text, ran[name].rate / trained.rate, 1.0))
    return result


def section(options: argparse.Namespace, outcome: Outcome) -> list[str]:
    """Returns the section."""
    groups, peak = outcome.groups, max(outcome.peaks.values())
    settings = outcome.records[0].settings
    parts = [
        "## DCN-V2 beside its peers",
        f"`{options.command}`: every trainer in a process of its own, on {options.threads} "
        f"threads, one at a time in turns of {options.limits.turn:g} s. 26 categorical columns, "
        f"their vocabularies in Criteo's proportions, and 13 numeric ones; {settings.rows:,} rows "
        f"made from a seed, ids by Zipf's law. d{settings.dim}, {settings.cross_layers} full-rank "
        "crosses beside a 256x2 network, no dropout, batch "
        f"{settings.batch_size}, Adam at .001. samples/s: rows over seconds inside the training "
        "loop, median of the turns after the first. What differs between the trainers: "
        "benchmarks/README.md.",
    ]
    for group in OVER_TUTORIAL:
        if groups.get(group):
            parts.append(f"### Vocabularies of {groups[group][0].settings.ids:,} ids together")
            parts.append(training_table(groups[group], peak))
    if groups.get("input"):
        rows = [[record.label, rate(record)] for record in groups["input"]]
        parts.append(f"### Input, {groups['input'][0].settings.ids:,} ids")
        parts.append(table(["what", "rows/s (slowest–fastest turn)"], rows, right=True))
    if reached := [[text, f"{value:.2f}", f"{aim:g}"] for text, value, aim in aims(groups, peak)]:
        parts += ["### Aims", table(["what", "is", "at least"], reached, right=True)]
    parts.append(
        "Useful FLOP a sample: 6 (3 w² + w 256 + 256² + w + 256), w the width of a row; "
        "embeddings, products element by element, loss and optimizer count as nothing. "
        + peak_words(outcome.peaks)
    )
    return [*parts, *outcome.ending()]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = Command("ranking", __doc__)
    less = "10 seconds a trainer, a hundredth of the ids, an eighth of the rows"
    parser.add_turns(minutes=2, quick=less)
    parser.add_argument("--deepctr-venv", type=Path, help="DeepCTR's, as --peers-venv")
    options = parser.read(arguments, "minutes", "turn", "quick", "only", "threads")
    full = Limits(seconds=60 * options.minutes, turn=options.turn)
    options.limits = QUICK if options.quick else full
    options.groups = parser.checked(groups_of, options, Path())
    return options


def groups_of(options: argparse.Namespace, folder: Path) -> dict[str, list[Record]]:
    """Returns the records to fill; Parquet files are in `folder`."""
    files = {
        strings: str((folder / f"{kind}.parquet").resolve())
        for strings, kind in ((False, "integers"), (True, "strings"))
    }
    if options.quick:
        return plan(QUICK_IDS, options.threads, options.only, files, rows=QUICK_ROWS)
    return plan(IDS, options.threads, options.only, files)


def main() -> None:
    """Runs the benchmark."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="benchmarks-ranking-") as folder:
        groups = groups_of(options, Path(folder))
        given = [record.settings for record in itertools.chain(*groups.values())]
        for settings in {each.parquet: each for each in given if each.parquet}.values():
            write_parquet(settings.parquet, settings.table(), settings.strings)
        outcome = compare(options, groups, options.limits, peaks=True)
    conclude("ranking", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
