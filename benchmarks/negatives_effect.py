"""What each kind of negatives does to quality and speed, for the same MF and the same SASRec."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import tfrecs
from benchmarks.harness import Command, fit_best
from benchmarks.report import fill, publish, table
from tfrecs import negatives
from tfrecs._keras import keras
from tfrecs.data import Split, leave_last_out
from tfrecs.evaluation import Report
from tfrecs.negatives import InBatch, ItemFrequency, KnownItems, Popularity, Uniform

MODELS: dict[str, Callable[..., tfrecs.models.Model]] = {
    "MF": lambda split, loss, seed: tfrecs.models.MatrixFactorization.from_split(
        split, dim=64, regularization=0.1, loss=loss, seed=seed
    ),
    "SASRec": lambda split, loss, seed: tfrecs.models.SASRec(
        split.items, dim=64, num_blocks=2, num_heads=1, max_length=50, loss=loss, seed=seed
    ),
}
BATCH_SIZES = {"MF": 1024, "SASRec": 32}
LEARNING_RATES = {"MF": 5e-3, "SASRec": 1e-3}
K = 16
FIRST = f"uniform, {K} each"


def kinds(split: Split, seed: int) -> dict[str, Any]:
    """Returns a sampler of each kind; None where the loss is over all items."""
    known, frequency = KnownItems.from_split(split), ItemFrequency.from_split(split)
    given = {"seed": seed, "known": known}
    popularity = partial(Popularity.from_split, split, K, shared=False, seed=seed)
    mined = negatives.Mined(K, len(split.users), len(split.items), num_easy=4, **given)
    genres = negatives.SameValue.from_split(split, K // 2, "genres", seed=seed)
    half_batch = [InBatch(8 * K, frequency, seed), Uniform(8 * K, True, seed + 1)]
    hardest = negatives.Hardest(K, Uniform(4 * K, False, **given), num_easy=4)
    same_genres = negatives.Mixed([genres, Uniform(K // 2, False, seed)])
    return {
        FIRST: Uniform(K, False, seed),
        "the same, known items left out": Uniform(K, False, **given),
        f"uniform, {16 * K} shared": Uniform(16 * K, True, seed),
        f"popularity^0.75, {K} each": popularity(),
        f"popularity, {K} each": popularity(alpha=1.0, smoothing=1.0),
        f"of the batch, {16 * K} shared": InBatch(16 * K, frequency, seed),
        f"mixed: {8 * K} of the batch, {8 * K} uniform": negatives.Mixed(half_batch),
        f"hardest {K - 4} of {4 * K}, 4 easy": hardest,
        f"mined: {K - 4} of the model's best 100, 4 easy": mined,
        f"same genres, {K // 2}, and {K // 2} uniform": same_genres,
        "all items, no sampling": None,
    }


def trained(
    name: str, split: Split, sampler: Any, seed: int, options: argparse.Namespace
) -> tuple[Report, float, int]:
    """Returns the test of the best epoch on validation, median seconds of an epoch, that epoch."""
    keras.utils.set_random_seed(seed)
    losses = tfrecs.losses
    loss = losses.FullSoftmax() if sampler is None else losses.SampledSoftmax(negatives=sampler)
    model = MODELS[name](split, loss, seed)
    model.compile(tfrecs.optimizers.Adam(LEARNING_RATES[name]))
    # Mining, which follows the clock, counts as part of an epoch, and validation does not.
    callbacks: list[Any] = [clock := _Clock()]
    if isinstance(sampler, negatives.Mined):
        callbacks.append(negatives.HardNegativeMining(sampler, split.train))
    batches = model.examples(split.train).batch(BATCH_SIZES[name], seed=seed)
    epoch, _ = fit_best(model, batches, split, options.epochs, options.patience, *callbacks)
    report = tfrecs.evaluate(model, split.test, ks=(10,), baselines=False)
    # The first epoch compiles.
    return report, statistics.median(clock.seconds[1:] or clock.seconds), epoch


class _Clock(keras.callbacks.Callback):
    """Keeps the seconds from each epoch's beginning to its last step."""

    _supports_tf_logs = True
    seconds: list[float]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seconds = [*getattr(self, "seconds", []), 0.0]
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds[-1] = time.perf_counter() - self._begun


def row(kind: str, runs: list[tuple], first: list[tuple]) -> dict[str, str]:
    """Returns a row of means over seeds and of the difference to `first`."""
    reports, seconds, epochs = zip(*runs, strict=True)
    low, mean, high = difference(reports, [report for report, _, _ in first])
    change = "" if kind == FIRST else f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
    metrics = [report.metrics for report in reports]
    return {
        "negatives": kind,
        "s an epoch": f"{statistics.median(seconds):.2f}",
        "best epoch": ", ".join(map(str, epochs)),
        "test HR@10": f"{statistics.mean(each['HR@10'] for each in metrics):.4f}",
        "test NDCG@10": f"{statistics.mean(each['NDCG@10'] for each in metrics):.4f}",
        f"NDCG@10 less that of {FIRST}": change,
    }


def difference(ours: Sequence[Report], theirs: Sequence[Report]) -> tuple[float, float, float]:
    """Returns low, mean and high of the difference in NDCG@10; a user is the mean of its seeds."""
    each = [np.mean([r.per_user["NDCG@10"] for r in reports], axis=0) for reports in (ours, theirs)]
    change = each[0] - each[1]
    spread = 1.96 * change.std(ddof=1) / len(change) ** 0.5
    return change.mean() - spread, change.mean(), change.mean() + spread


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("negatives_effect", __doc__)
    add = parser.add_argument
    add("--data", default="ml-100k", help="a data set with genres (%(default)s)")
    add("--seeds", type=int, nargs="+", default=[0, 1], help="(%(default)s)")
    add("--epochs", type=int, default=40, help="most epochs (%(default)s)")
    add("--patience", type=int, default=6, help="epochs without a better one (%(default)s)")
    options = parser.read(arguments, "data", "seeds", "epochs", "patience")
    split = leave_last_out(tfrecs.data.load(options.data))
    tables = {}
    for name in MODELS:
        found: dict[str, list[tuple[Report, float, int]]] = {}
        for seed in options.seeds:
            for kind, sampler in kinds(split, seed).items():
                report, seconds, epoch = trained(name, split, sampler, seed, options)
                found.setdefault(kind, []).append((report, seconds, epoch))
                quality = f"NDCG@10 {report.metrics['NDCG@10']:.4f}"
                speed = f"{seconds:.2f} s an epoch, best {epoch}"
                print(f"{name}, {kind}, seed {seed}: {quality}, {speed}", flush=True)
        tables[name] = table([row(kind, runs, found[FIRST]) for kind, runs in found.items()])
    given = {"rates": LEARNING_RATES, "batches": BATCH_SIZES, **tables}
    text = fill("negatives-effect", command=options.command, **given)
    publish("negatives-effect", text, options.output)


if __name__ == "__main__":
    main()
