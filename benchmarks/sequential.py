"""SASRec of tfrecs beside RePlay, RecTools, RecBole and plain Keras: speed, memory, quality."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol, report
from benchmarks.harness import Command, Limits, Outcome, Record, compare, conclude, select
from benchmarks.report import NONE, count, fill, peak_words, quality, rate, share, short, table
from benchmarks.worker import TENSORFLOW, Worker, WorkerSettings

TFRECS, KERAS = "benchmarks.sequential:train", "benchmarks.peers.plain_keras:train"
REPLAY, RECTOOLS = "benchmarks.peers.replay:train", "benchmarks.peers.rectools:train"
RECBOLE = "benchmarks.peers.recbole:train_sasrec"


@dataclass(frozen=True)
class Settings(WorkerSettings):
    data: str  # A file that `protocol.read_rows` reads.
    loss: str = "full"  # Or "sampled".
    optimizer: str = "Adam"  # Or "LazyAdam", of tfrecs.
    bucketed: bool = False  # RePlay's length buckets.
    dim: int = 64  # Width of the model and of its feed-forward layers.
    num_blocks: int = 2
    num_heads: int = 2
    max_length: int = 50
    dropout: float = 0.2
    batch_size: int = 128  # Users a step; samples a step where a trainer has its own.
    learning_rate: float = 1e-3
    num_negatives: int = 256
    threads: int = 2  # Of a peer.
    seed: int = 0
    evaluate: bool = True


def plan(folder: Path, threads: int, only: str | None = None) -> dict[str, list[Record]]:
    def record(common: dict, name: str, label: str, trainer: str, **more: Any) -> Record:
        return Record(name, label, trainer, Settings(threads=threads, **common, **more))

    beauty = {"data": str((folder / "amazon-beauty.txt.gz").resolve())}
    ml_1m = {"data": str((folder / "ml-1m-sequences.txt.gz").resolve())}
    one, long = partial(record, beauty), {**ml_1m, "max_length": 200, "evaluate": False}
    wide = partial(record, {**beauty, "dim": 256, "batch_size": 256, "evaluate": False})
    few = partial(one, loss="sampled")
    full, negatives = "tfrecs, full softmax", "tfrecs, 256 shared negatives"
    replay, lazy = "RePlay, CESampled, 256 shared", f"{negatives}, LazyAdam"
    groups = {
        "beauty": [
            one("tfrecs-full", full, TFRECS),
            few("tfrecs-sampled", negatives, TFRECS),
            few("tfrecs-sampled-lazy", lazy, TFRECS, optimizer="LazyAdam"),
            few("replay-sampled", replay, REPLAY),
            few("replay-sampled-bucketed", f"{replay}, length buckets", REPLAY, bucketed=True),
            one("replay-full", "RePlay, CE", REPLAY),
            few("rectools-sampled", "RecTools, sampled_softmax, 256 a position", RECTOOLS),
            one("rectools-full", "RecTools, softmax", RECTOOLS),
            one("recbole-full", "RecBole, CE", RECBOLE),
        ],
        "ml-1m": [
            record(long, "tfrecs-ml-1m", full, TFRECS),
            record(long, "keras-ml-1m", "plain Keras", KERAS),
        ],
        "utilisation": [
            wide("tfrecs-d256-1-block", f"{full}, d256, 1 block", TFRECS, num_blocks=1),
            wide("tfrecs-d256-3-blocks", f"{full}, d256, 3 blocks", TFRECS, num_blocks=3),
        ],
    }
    return select(groups, only)


def in_batches(states: Callable[[Any], Any], length: int) -> protocol.Encoder:
    """Returns an encoder of whole splits from one of padded int32 tables."""
    from tfrecs._keras import tf

    graph = tf.function(states, input_signature=[tf.TensorSpec([None, length], tf.int32)])

    def encode(rows: protocol.Histories) -> np.ndarray:
        table = protocol.padded(rows, length).astype(np.int32)
        return np.concatenate([graph(table[i : i + 512]) for i in range(0, len(table), 512)])

    return encode


def train(settings: Settings, worker: Worker) -> None:
    """Trains tfrecs by `model.fit`, from the log on, TensorFlow choosing its threads."""
    import tfrecs
    from tfrecs._keras import tf

    split = protocol.read(settings.data)
    parts = tfrecs.data.leave_last_out(tfrecs.data.read(settings.data))
    loss = tfrecs.losses.FullSoftmax()
    if settings.loss == "sampled":
        loss = tfrecs.losses.SampledSoftmax(num_negatives=settings.num_negatives)
    given = settings.take("dim", "num_blocks", "num_heads", "max_length", "dropout", "seed")
    model = tfrecs.models.SASRec(parts.items, **given, loss=loss)
    model.compile(getattr(tfrecs.optimizers, settings.optimizer)(settings.learning_rate))
    sequences = parts.train.sequences(settings.max_length, windows="last")
    expected = split.num_targets(settings.max_length)
    if sequences.num_targets != expected:
        raise RuntimeError(f"tfrecs trains on {sequences.num_targets} targets, not {expected}")
    batches = sequences.batch(settings.batch_size, seed=settings.seed)

    # tfrecs's ids of the split's items.
    ids = parts.items.encode(split.items)
    known = np.concatenate([[0], ids]).astype(np.int32)
    encode = in_batches(
        lambda table: model.query_vectors({"history": tf.gather(known, table)}), settings.max_length
    )
    vectors = model.item_vectors
    worker.set_model(split, encode, lambda: vectors().numpy()[ids - 1], settings.evaluate)
    worker.ready(["tfrecs", *TENSORFLOW], expected, num_items=split.num_items)
    worker.fit(model, batches, expected)


def flops_per_target(num_items: int, dim: int, num_blocks: int, hidden_dim: int = 0) -> int:
    """Returns the useful floating point operations of a training step, per target.

    A product of a row with an m x n matrix takes 2 m n operations, and its two gradients take 4 m n
    more. Useful are the scores of all items and the dense layers of the blocks (four of attention,
    two of the feed-forward network), at positions with a target.
    """
    blocks = num_blocks * 6 * (4 * dim**2 + 2 * dim * (hidden_dim or dim))
    return 6 * num_items * dim + blocks


def comparison(record: Record, ndcg: float) -> dict[str, str]:
    done, ready, best = record.done, record.ready, record.best or {}
    memory = f"{count(done['peak_memory'])} ({count(ready['base_memory'])})" if done else NONE
    return {
        "trainer": record.label,
        "targets/s (slowest–fastest turn)": rate(record),
        "s an epoch": short(record.seconds_per_epoch),
        f"s to validation NDCG@10 {ndcg:g}": report.time_to(record, ndcg),
        "peak memory, MB (before training)": memory,
        "epochs, best of": report.epochs(record, "less than 1"),
        "validation HR@10 / NDCG@10": quality(best.get("validation")),
        "test HR@10 / NDCG@10": quality(best.get("test")),
    }


def fastest(records: Sequence[Record]) -> Record | None:
    timed = [record for record in records if record.rates]
    return max(timed, key=lambda record: record.rate, default=None)


def ratios(groups: dict[str, list[Record]]) -> list[tuple[str, float, float]]:
    """Returns what is compared, how many times faster, and the aim, of pairs that have run."""
    ran = {r.name: r for group in groups.values() for r in group if r.rates}
    peers = [r for r in groups["beauty"] if r.rates and not r.name.startswith("tfrecs")]
    full = fastest([peer for peer in peers if peer.settings.loss == "full"])
    sampled = fastest([peer for peer in peers if peer.settings.loss == "sampled"])
    pairs = [
        ("Beauty", "tfrecs-full", full, 25.0),
        ("Beauty", "tfrecs-full", sampled, 1.0),
        ("Beauty", "tfrecs-sampled", sampled, 3.0),
        ("Beauty", "tfrecs-sampled", ran.get("replay-sampled"), 3.0),
        ("ML-1M", "tfrecs-ml-1m", ran.get("keras-ml-1m"), 2.5),
    ]
    found = {}
    for data, name, theirs, aim in pairs:
        if (ours := ran.get(name)) and theirs:
            found[f"{data}: {ours.label} over {theirs.label}"] = (ours.rate / theirs.rate, aim)
    return [(text, *values) for text, values in found.items()]


def utilisation(record: Record, peak: float) -> dict[str, str]:
    """Returns a trainer's useful operations a second, and their share of the peak."""
    settings = record.settings
    flops = flops_per_target(record.ready["num_items"], settings.dim, settings.num_blocks)
    speed, aim = flops * record.rate / 1e9, {64: ".38", 256: ".60"}.get(settings.dim, NONE)
    return {
        "trainer": record.name,
        "MFLOP a target": f"{flops / 1e6:.2f}",
        "targets/s": count(record.rate),
        "useful GFLOP/s": count(speed),
        "utilisation": share(speed / peak),
        "aim": NONE if record.name == "tfrecs-ml-1m" else aim,
    }


def section(options: argparse.Namespace, outcome: Outcome) -> str:
    groups, seconds = outcome.groups, options.limits.seconds
    ran = [record for record in outcome.records if record.rates]
    slow = [r.label for r in groups["beauty"] if r.rates and r.seconds_per_epoch > seconds]
    ours = [r for r in ran if r.name.startswith("tfrecs") and r.settings.loss == "full"]
    words = f"as one takes more than {seconds:.0f} s: {'; '.join(slow)}. Their seconds an epoch"
    timed = f"Only timed, over a part of an epoch, {words} follow from targets/s." if slow else ""
    tables = {
        "beauty": [comparison(record, options.ndcg) for record in groups["beauty"]],
        "ml_1m": [
            {
                "trainer": r.label,
                "targets/s": count(r.rate),
                "s an epoch": short(r.seconds_per_epoch),
            }
            for r in groups["ml-1m"]
            if r.ready
        ],
        "ratios": [
            {"targets/s of": text, "times": f"{ratio:.2f}", "aim": f"{aim:g}"}
            for text, ratio, aim in ratios(groups)
        ],
        "utilisation": [utilisation(record, max(outcome.peaks.values())) for record in ours],
    }
    given = {name: table(rows, right=True) for name, rows in tables.items()}
    given |= {"timed": timed, "peaks": peak_words(outcome.peaks)}
    return fill("sequential", options=options, **given, ending=outcome.ending)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Command("sequential", __doc__, data=True)
    parser.add_turns(minutes=2, quick=Limits(seconds=20, turn=5, timed_turns=2))
    text = "the NDCG@10 whose time is told (%(default)s)"
    parser.add_argument("--ndcg", type=float, default=0.03, help=text)
    options = parser.read(arguments)
    folder = parser.folder(options.data)
    options.groups = parser.checked(plan, folder, options.threads, options.only)
    return options


def main() -> None:
    options = parse_arguments()
    outcome = compare(options, options.groups, peaks=True)
    conclude("sequential", options, outcome, section(options, outcome))


if __name__ == "__main__":
    main()
