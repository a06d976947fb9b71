"""The same models under leave-last-out and under a split by time: does their order change?"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

import tfrecs
from benchmarks.harness import Command, fit_best
from benchmarks.report import fill, publish, table
from tfrecs._keras import keras
from tfrecs.data import Interactions, Split, global_time, leave_last_out
from tfrecs.evaluation import Comparison, Difference, Report

SEQUENCES = {"dim": 64, "max_length": 50, "similarity": "cosine", "temperature": 0.1}
MODELS: dict[str, Callable[[Split, int], tfrecs.models.Model]] = {
    "MF": lambda split, seed: tfrecs.models.MatrixFactorization.from_split(
        split, dim=64, regularization=0.1, loss=tfrecs.losses.FullSoftmax(), seed=seed
    ),
    "GRU4Rec": lambda split, seed: tfrecs.models.GRU4Rec(split.items, seed=seed, **SEQUENCES),
    "SASRec": lambda split, seed: tfrecs.models.SASRec(split.items, seed=seed, **SEQUENCES),
}
BATCH_SIZES = {"MF": 1024, "GRU4Rec": 32, "SASRec": 32}
LEARNING_RATES = {"MF": 5e-3, "GRU4Rec": 2e-3, "SASRec": 1e-3}
BASELINES = ("popularity", "popularity_7_days")
METRIC = "NDCG@10"
LAST, BY_TIME = "leave-last-out", "by time"
# The reports of each seed, by model; each report holds the baselines.
Reports = dict[str, list[Report]]


def load(name: str) -> Interactions:
    """Reads ml-latest-small from the folder of the data, others by their name."""
    if name != "ml-latest-small":
        return tfrecs.data.load(name)
    return tfrecs.data.load(f"{name}/ratings.csv.gz", user="userId", item="movieId")


def trained(name: str, split: Split, seed: int, options: argparse.Namespace) -> Report:
    """Returns the test of a model's best epoch on validation."""
    keras.utils.set_random_seed(seed)
    model = MODELS[name](split, seed)
    model.compile(tfrecs.optimizers.Adam(LEARNING_RATES[name]))
    batches = model.examples(split.train).batch(BATCH_SIZES[name], seed=seed)
    epoch, seconds = fit_best(model, batches, split, options.epochs, options.patience)
    report = tfrecs.evaluate(model, split.test)
    said = f"{METRIC} {report.metrics[METRIC]:.4f}, best epoch {epoch}, {seconds:.0f} s"
    print(f"{split.test.name}, {split.protocol}: {name}, seed {seed}: {said}", flush=True)
    return report


def means(reports: Reports) -> dict[str, dict[str, float]]:
    """Returns the metrics of baselines and models, the mean of the seeds, the best first."""
    some = next(iter(reports.values()))[0]
    found = {name: dict(some.baselines[name]) for name in BASELINES if name in some.baselines}
    for name, runs in reports.items():
        names = runs[0].metrics
        found[name] = {m: statistics.mean(run.metrics[m] for run in runs) for m in names}
    return dict(sorted(found.items(), key=lambda entry: -entry[1][METRIC]))


def swapped(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, str]]:
    """Returns the pairs (a, b) where a is better than b in the first and worse in the second."""
    pairs = itertools.permutations(first, 2)
    return [(a, b) for a, b in pairs if first[a] > first[b] and second[a] < second[b]]


def difference(first: Sequence[Report], second: Sequence[Report]) -> Difference:
    """Compares two models user by user; a user is the mean of the seeds."""
    each = [
        {METRIC: np.mean([run.per_user[METRIC] for run in runs], axis=0)}
        for runs in (first, second)
    ]
    return Comparison.of(("", ""), *each, users=first[0].user_ids)[METRIC]


def compared(found: Mapping[str, Reports]) -> tuple[str, str]:
    """Returns the table of a data set under both protocols, and what changes between them."""
    places = {protocol: means(reports) for protocol, reports in found.items()}
    orders = {protocol: list(each) for protocol, each in places.items()}
    rows = []
    for name in orders[LAST]:
        row = {"model": name}
        for protocol, each in places.items():
            for metric in ("HR@10", METRIC):
                row[f"{protocol}: {metric}"] = f"{each[name][metric]:.4f}"
            row[f"{protocol}: place"] = str(1 + orders[protocol].index(name))
        rows.append(row)
    lines = [f"Order by {METRIC}, {name}: {' > '.join(order)}." for name, order in orders.items()]
    values = [{name: each[name][METRIC] for name in each} for each in places.values()]
    pairs = swapped(*values)
    if not pairs:
        return table(rows, right=True), "\n".join([*lines, "The order does not change."])
    lines.append(f"**The order changes**: {len(pairs)} pairs swap.")
    for pair in pairs:
        if not set(pair) <= set(MODELS):
            continue  # A baseline has no values by user.
        told = []
        for protocol, reports in found.items():
            change = difference(*(reports[name] for name in pair))
            told.append(f"{change.difference:+.4f} (p = {change.p_value:.3f}) {protocol}")
        lines.append(f"{pair[0]} less {pair[1]}: {', '.join(told)}.")
    return table(rows, right=True), "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("protocols", __doc__)
    add = parser.add_argument
    add("--data", nargs="+", default=["ml-100k", "ml-latest-small"], help="(%(default)s)")
    choices = ("last", "successive")
    add(
        "--targets",
        choices=choices,
        default="successive",
        help="of the split by time (%(default)s)",
    )
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), help="(%(default)s)")
    add("--seeds", type=int, nargs="+", default=[0], help="(%(default)s)")
    add("--epochs", type=int, default=12, help="most epochs (%(default)s)")
    add("--patience", type=int, default=3, help="epochs without a better one (%(default)s)")
    options = parser.read(arguments, "targets", "seeds", "epochs", "patience")
    parts = []
    for data in options.data:
        if data == "ml-latest-small":
            parser.folder(None, f"{data}/ratings.csv.gz")
        log = load(data)
        splits = {LAST: leave_last_out(log), BY_TIME: global_time(log, targets=options.targets)}
        found = {
            protocol: {
                name: [trained(name, split, seed, options) for seed in options.seeds]
                for name in options.models
            }
            for protocol, split in splits.items()
        }
        future = splits[LAST].test.times.trained_on_future
        tested = ", ".join(
            f"{split.test.num_users:,} users and {len(split.test):,} targets {protocol}"
            for protocol, split in splits.items()
        )
        intro = f"Tested: {tested}. Leave-last-out trains on the future: {future:.0%}."
        parts += [f"### {Path(data).name}", intro, *compared(found)]
    text = fill("protocols", command=options.command, parts="\n\n".join(parts))
    publish("protocols", text, options.output)


if __name__ == "__main__":
    main()
