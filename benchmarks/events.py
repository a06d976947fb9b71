"""What features of events, times and the time of the request bring to SASRec and GRU4Rec."""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tfrecs
from benchmarks.harness import Command, fit_best
from benchmarks.report import fill, publish, table
from tfrecs._keras import keras
from tfrecs.data import Interactions, Split, global_time, leave_last_out, sessions
from tfrecs.evaluation import Comparison, Difference, Report

SMALL = {"dim": 64, "similarity": "cosine", "temperature": 0.1}
FILES = {
    "ml-1m": ("ml-1m/ratings.parquet", "ml-1m/movies.dat.gz", "ml-1m/users.dat.gz"),
    "rsc15-64": ("rsc15-64/train.tsv.gz", "rsc15-64/test.tsv.gz"),
    "ml-latest-small": ("ml-latest-small/ratings.csv.gz",),
}
# By data set: a model's name, and what it reads beside items. The first of a name is compared.
TIMES = {"time_intervals": True}
REQUEST = {**TIMES, "request_time": True}
VARIANTS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "ml-1m": {
        "SASRec": ("SASRec", {}),
        "SASRec, genres of items": ("SASRec", {"feature_dim": 16}),
        "SASRec, ratings": ("SASRec", {"event_features": ["rating"]}),
        "SASRec, users": ("SASRec", {"user_dim": 16}),
        "SASRec, all three": (
            "SASRec",
            {"feature_dim": 16, "event_features": ["rating"], "user_dim": 16},
        ),
        "GRU4Rec": ("GRU4Rec", {}),
        "GRU4Rec, ratings": ("GRU4Rec", {"event_features": ["rating"]}),
    },
    "rsc15-64": {
        "SASRec": ("SASRec", {}),
        "SASRec, categories": ("SASRec", {"event_features": ["category"]}),
        "SASRec, times of day": ("SASRec", {"event_features": ["timestamp"]}),
        "SASRec, intervals": ("SASRec", TIMES),
        "SASRec, categories and intervals": ("SASRec", {"event_features": ["category"], **TIMES}),
        "GRU4Rec": ("GRU4Rec", {}),
        "GRU4Rec, categories": ("GRU4Rec", {"event_features": ["category"]}),
    },
    "ml-latest-small": {
        "SASRec": ("SASRec", {}),
        "SASRec, intervals": ("SASRec", TIMES),
        "SASRec, request time": ("SASRec", REQUEST),
        "SASRec, HSTU's block": ("SASRec", {"block": "hstu", "position": "relative"}),
        "SASRec, HSTU's block, request time": (
            "SASRec",
            {"block": "hstu", "position": "relative", **REQUEST},
        ),
    },
}
LENGTHS = {"ml-1m": 200, "rsc15-64": 20, "ml-latest-small": 50}
# The length of the lists, as papers have it.
KS = {"ml-1m": 10, "rsc15-64": 20, "ml-latest-small": 10}
BATCH_SIZES = {"ml-1m": 32, "rsc15-64": 128, "ml-latest-small": 32}


def ml_1m(folder: Path) -> Split:
    """Reads all of MovieLens-1M, with genres and users: leave-last-out."""
    ratings, movies, users = (folder / name for name in FILES["ml-1m"])
    given = {"sep": "::", "engine": "python", "header": None, "compression": "gzip"}
    items = pd.read_csv(movies, encoding="latin-1", names=["item_id", "title", "genres"], **given)
    items["genres"] = items["genres"].str.split("|")
    names = ["user_id", "gender", "age", "occupation", "zip"]
    people = pd.read_csv(users, names=names, **given)
    frame = pd.read_parquet(ratings).sort_values(["user_id", "order"], kind="stable")
    log = Interactions(
        frame.drop(columns="order").astype({"rating": "int64"}),
        item_features=items.drop(columns="title"),
        user_features=people.drop(columns="zip").astype({"age": str, "occupation": str}),
        name="ml-1m",
    )
    return leave_last_out(log)


def rsc15(folder: Path) -> Split:
    """Reads the newest 1/64 of RecSys Challenge 2015: its own test sessions."""
    columns = {"user": "SessionId", "item": "ItemId", "timestamp": "Time"}
    logs = []
    for name in FILES["rsc15-64"]:
        frame = pd.read_csv(folder / name, sep="\t", dtype={"CatId": str})
        frame = frame.rename(columns={"CatId": "category"})
        logs.append(Interactions(frame, duplicates="keep", name="rsc15-64", **columns))
    return sessions(logs[0], test=logs[1])


def latest_small(folder: Path) -> Split:
    """Reads MovieLens with times, split by time: every later rating in turn."""
    path = folder / FILES["ml-latest-small"][0]
    return global_time(
        tfrecs.data.load(str(path), user="userId", item="movieId"), targets="successive"
    )


READERS: dict[str, Callable[[Path], Split]] = {
    "ml-1m": ml_1m,
    "rsc15-64": rsc15,
    "ml-latest-small": latest_small,
}


def trained(data: str, name: str, split: Split, seed: int, options: argparse.Namespace) -> Report:
    """Returns the test of a variant's best epoch on validation."""
    model, reads = VARIANTS[data][name]
    keras.utils.set_random_seed(seed)
    made = getattr(tfrecs.models, model).from_split(
        split, **{**SMALL, "max_length": LENGTHS[data], "seed": seed, **reads}
    )
    made.compile(tfrecs.optimizers.Adam(2e-3 if model == "GRU4Rec" else 1e-3))
    batches = made.examples(split.train).batch(BATCH_SIZES[data], seed=seed)
    epoch, seconds = fit_best(made, batches, split, options.epochs, options.patience)
    report = tfrecs.evaluate(made, split.test, ks=(KS[data],))
    metric = f"NDCG@{KS[data]}"
    said = f"{metric} {report.metrics[metric]:.4f}, best epoch {epoch}, {seconds:.0f} s"
    print(f"{data}: {name}, seed {seed}: {said}", flush=True)
    return report


def gained(metric: str, reports: Sequence[Report], plain: Sequence[Report]) -> Difference:
    """Compares two models user by user; a user is the mean of the seeds."""
    each = [
        {metric: np.mean([run.per_user[metric] for run in runs], axis=0)}
        for runs in (reports, plain)
    ]
    return Comparison.of(("", ""), *each, users=plain[0].user_ids)[metric]


def rows_of(data: str, found: Mapping[str, Sequence[Report]]) -> list[dict[str, str]]:
    """Returns the rows of a data set's table: each variant beside its plain model."""
    k = KS[data]
    metrics = [f"{name}@{k}" for name in ("HR", "NDCG", "MRR")]
    some = next(iter(found.values()))[0]
    rows = [
        {"model": "popularity"} | {m: f"{some.baselines['popularity'][m]:.4f}" for m in metrics}
    ]
    for name, reports in found.items():
        row = {"model": name}
        for metric in metrics:
            row[metric] = f"{statistics.mean(report.metrics[metric] for report in reports):.4f}"
        plain = found.get(VARIANTS[data][name][0])
        if plain is not None and plain is not reports:
            change = gained(metrics[1], reports, plain)
            row[f"{metrics[1]} gained"] = f"{change.difference:+.4f}"
            row["95% interval"] = f"{change.low:+.4f} to {change.high:+.4f}"
        rows.append(row)
    header = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name, "") for name in header} for row in rows]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("events", __doc__, data=True)
    add = parser.add_argument
    add("--sets", nargs="+", choices=READERS, default=list(READERS), help="(%(default)s)")
    add("--only", nargs="+", help="names of variants; default all")
    add("--seeds", type=int, nargs="+", default=[0], help="(%(default)s)")
    add("--epochs", type=int, default=12, help="most epochs (%(default)s)")
    add("--patience", type=int, default=3, help="epochs without a better one (%(default)s)")
    options = parser.read(arguments, "seeds", "epochs", "patience")
    folder = parser.folder(options.data, *(f for name in options.sets for f in FILES[name]))
    parts = []
    for data in options.sets:
        split = READERS[data](folder)
        names = [n for n in VARIANTS[data] if options.only is None or n in options.only]
        found = {
            name: [trained(data, name, split, seed, options) for seed in options.seeds]
            for name in names
        }
        test = split.test
        intro = f"{split.protocol}: {test.num_users:,} users, {len(test):,} rows."
        parts += [f"### {data}", intro, table(rows_of(data, found), right=True)]
    text = fill("events", command=options.command, parts="\n\n".join(parts))
    publish("events", text, options.output)


if __name__ == "__main__":
    main()
