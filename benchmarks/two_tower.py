"""Two towers on MovieLens-1M: what features and the logQ correction bring.

`python -m benchmarks.two_tower` trains the same model three times, with everything, without the
features, and without the correction, and writes its section of RESULTS.md with paired tests of the
differences; about 12 minutes on 2 cores. The folder of the data is named by `TFRECS_DATA`.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import tfrecs
from benchmarks.results import RESULTS, environment, write_section
from tfrecs._keras import keras
from tfrecs.data import Split, leave_last_out
from tfrecs.evaluation import Report
from tfrecs.negatives import ItemFrequency
from tfrecs.tasks import Retrieval
from tfrecs.training import BestWeights

SETTINGS = {
    "dim": 64,
    "hidden_units": [128],
    "pooling": "recency",
    "max_length": 20,
    "dropout": 0.1,
    "temperature": 0.07,
}
WITHOUT_FEATURES = {"user_features": None, "item_features": None}


def loss(split: Split, logq: bool) -> Retrieval:
    """In-batch softmax, with counted probabilities or without."""
    frequency = ItemFrequency.from_split(split) if logq else None
    return Retrieval(remove_accidental_hits=True, frequency=frequency)


def trained(
    split: Split, arguments: dict[str, Any], logq: bool, options: argparse.Namespace
) -> tuple[tfrecs.models.TwoTower, float, int]:
    """A model with the weights of its best epoch on validation, its seconds, and that epoch."""
    keras.utils.set_random_seed(options.seed)
    model = tfrecs.models.TwoTower.from_split(
        split, **SETTINGS, **arguments, loss=loss(split, logq), seed=options.seed
    )
    pairs = model.examples(split.train)
    steps = options.epochs * -(-pairs.num_targets // options.batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(options.learning_rate, steps, 0.0)
    model.compile(tfrecs.optimizers.Adam(rate))
    best = BestWeights("val_NDCG@10", patience=2)
    best.set_model(model)
    started = time.perf_counter()
    model.fit(
        pairs.batch(options.batch_size, seed=options.seed),
        epochs=options.epochs,
        validation_data=split.validation,
        callbacks=[best],
        verbose=2,
    )
    return model, time.perf_counter() - started, best.best_epoch


def section(options: argparse.Namespace, rows: list[tuple[str, Report, Report, float, int]]) -> str:
    """The section of RESULTS.md."""
    (_, _, first, _, _), *others = rows
    lines = [
        "## Two towers on MovieLens-1M",
        "",
        f"`python -m benchmarks.two_tower --seed {options.seed}`: leave-last-out, the whole "
        "catalogue ranked, seen items masked. Towers of ids, features (gender, "
        "age, occupation, zip code; title, year, genres) and a history; in-batch softmax with the "
        f"logQ correction counted from the log. {SETTINGS}, batch {options.batch_size}, Adam at "
        f"{options.learning_rate:g} with linear decay, the best of {options.epochs} epochs on "
        "validation. "
        "The test was looked at once a model.",
        "",
        "| model | best epoch | training, s | validation HR@10 / NDCG@10 | test HR@10 / NDCG@10 |",
        "|---|---|---|---|---|",
    ]
    for name, validation, test, seconds, epoch in rows:
        values = [
            f"{report.metrics['HR@10']:.4f} / {report.metrics['NDCG@10']:.4f}"
            for report in (validation, test)
        ]
        lines.append(f"| {name} | {epoch} | {seconds:.0f} | {values[0]} | {values[1]} |")
    popularity = first.baselines["popularity"]
    lines += [
        f"| popularity | | | | {popularity['HR@10']:.4f} / {popularity['NDCG@10']:.4f} |",
        "",
        "| difference in test NDCG@10 | | 95% interval | p (paired randomization) |",
        "|---|---|---|---|",
    ]
    for name, _, test, _, _ in others:
        found = first.compare(test)["NDCG@10"]
        lines.append(
            f"| {rows[0][0]} less {name} | {found.difference:+.4f} | "
            f"[{found.low:+.4f}, {found.high:+.4f}] | {found.p_value:.4f} |"
        )
    return "\n".join([*lines, "", environment()])


def main(arguments: list[str] | None = None) -> None:
    """Trains the three models, and writes the section."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.two_tower",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", help="folder of the data (the environment's TFRECS_DATA)")
    add("--epochs", type=int, default=5, help="most epochs (%(default)s)")
    add("--batch_size", type=int, default=1024, help="pairs a batch (%(default)s)")
    add("--learning_rate", type=float, default=2e-3, help="of Adam at the start (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--only", help="the beginning of one model's name; looks at validation alone")
    add("--output", type=Path, default=RESULTS, help="file to write the section to (RESULTS.md)")
    options = parser.parse_args(arguments)
    folder = options.data or os.environ.get("TFRECS_DATA")
    if folder is None or not Path(folder, "ml-1m").is_dir():
        parser.error(f"the data is not there ({folder}): set TFRECS_DATA or give --data")
    split = leave_last_out(tfrecs.data.load(Path(folder, "ml-1m")))
    models = [
        ("features and logQ", {}, True),
        ("no features", WITHOUT_FEATURES, True),
        ("no logQ", {}, False),
    ]
    rows = []
    for name, changes, logq in models:
        if options.only and not name.startswith(options.only):
            continue
        model, seconds, epoch = trained(split, changes, logq, options)
        reports = [
            tfrecs.evaluate(model, part, ks=(10,), baselines=part is split.test)
            for part in (split.validation, *(() if options.only else (split.test,)))
        ]
        print(name, *(report.metrics for report in reports), f"{seconds:.0f} s", flush=True)
        rows.append((name, *reports, seconds, epoch))
    if options.only:
        return
    text = section(options, rows)
    print(text)
    write_section("two-tower", text, options.output)


if __name__ == "__main__":
    main()
