"""Two towers on MovieLens-1M: what features and the logQ correction bring."""

import argparse
from collections.abc import Sequence
from typing import Any

import tfrecs
from benchmarks.harness import Command, fit_best
from benchmarks.report import fill, pair, publish, table
from tfrecs._keras import keras
from tfrecs.data import Split, leave_last_out
from tfrecs.evaluation import Report
from tfrecs.losses import SampledSoftmax
from tfrecs.negatives import InBatch, ItemFrequency

SETTINGS = {
    "dim": 64,
    "hidden_units": [128],
    "pooling": "recency",
    "max_length": 20,
    "dropout": 0.1,
    "temperature": 0.07,
}
WITHOUT_FEATURES = {"user_features": None, "item_features": None}


def trained(
    split: Split, arguments: dict[str, Any], logq: bool, options: argparse.Namespace
) -> tuple[tfrecs.models.TwoTower, float, int]:
    """Returns a model with the weights of its best epoch on validation, seconds, and that epoch.

    Its loss is the in-batch softmax, with counted probabilities (`logq`) or without.
    """
    keras.utils.set_random_seed(options.seed)
    frequency = ItemFrequency.from_split(split) if logq else None
    loss = SampledSoftmax(negatives=InBatch(frequency=frequency))
    model = tfrecs.models.TwoTower.from_split(
        split, **SETTINGS, **arguments, loss=loss, seed=options.seed
    )
    pairs = model.examples(split.train)
    steps = options.epochs * -(-pairs.num_targets // options.batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(options.learning_rate, steps, 0.0)
    model.compile(tfrecs.optimizers.Adam(rate))
    batches = pairs.batch(options.batch_size, seed=options.seed)
    epoch, seconds = fit_best(model, batches, split, options.epochs, 2)
    return model, seconds, epoch


def section(
    options: argparse.Namespace, found: list[tuple[str, Report, Report, float, int]]
) -> str:
    """Returns the section, from each model's name, validation, test, seconds and best epoch."""
    (name, _, first, _, _), *others = found
    rows: list[dict[str, Any]] = [
        {
            "model": label,
            "best epoch": epoch,
            "training, s": f"{seconds:.0f}",
            "validation HR@10 / NDCG@10": pair(validation.metrics),
            "test HR@10 / NDCG@10": pair(test.metrics),
        }
        for label, validation, test, seconds, epoch in found
    ]
    popularity = {"test HR@10 / NDCG@10": pair(first.baselines["popularity"])}
    rows.append({"model": "popularity", **popularity})
    differences = []
    for label, _, test, _, _ in others:
        change = first.compare(test)["NDCG@10"]
        difference = {
            "difference in test NDCG@10": f"{name} less {label}",
            "": f"{change.difference:+.4f}",
            "95% interval": f"[{change.low:+.4f}, {change.high:+.4f}]",
            "p (paired randomization)": f"{change.p_value:.4f}",
        }
        differences.append(difference)
    tables = {"table": table(rows), "differences": table(differences)}
    return fill("two-tower", options=options, settings=SETTINGS, **tables)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("two_tower", __doc__, data=True)
    add = parser.add_argument
    add("--epochs", type=int, default=5, help="most epochs (%(default)s)")
    add("--batch_size", type=int, default=1024, help="pairs a batch (%(default)s)")
    add("--learning_rate", type=float, default=2e-3, help="of Adam at the start (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    options = parser.parse_args(arguments)
    split = leave_last_out(tfrecs.data.load(parser.folder(options.data, "ml-1m") / "ml-1m"))
    models = [("features and logQ", {}, True), ("no features", WITHOUT_FEATURES, True)]
    found = []
    for name, changes, logq in [*models, ("no logQ", {}, False)]:
        model, seconds, epoch = trained(split, changes, logq, options)
        validation = tfrecs.evaluate(model, split.validation, ks=(10,), baselines=False)
        test = tfrecs.evaluate(model, split.test, ks=(10,))
        print(name, validation.metrics, test.metrics, f"{seconds:.0f} s", flush=True)
        found.append((name, validation, test, seconds, epoch))
    publish("two-tower", section(options, found), options.output)


if __name__ == "__main__":
    main()
