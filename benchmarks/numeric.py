"""Plain standardised numbers against piecewise linear embeddings with target-aware bins."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tfrecs
from benchmarks.harness import Command
from benchmarks.report import fill, mean_sd, publish, table
from tfrecs._keras import keras, tf

FILES = ("california-housing.csv.gz", "adult/adult.data.gz", "adult/adult.test.gz")
_UNITS = (256, 256, 256)
_BATCH = 256
KINDS = ("standardised", "embedded")
# Published by Gorishniy et al., NeurIPS 2022, 15 seeds.
_PUBLISHED = {"California housing": (0.4947, 0.4392), "Adult": (0.8537, 0.8682)}


@dataclasses.dataclass(frozen=True)
class Part:
    numbers: np.ndarray  # `[rows, features]` float32.
    categories: np.ndarray  # `[rows, values]` float32, one-hot; no columns where there are none.
    target: np.ndarray  # `[rows]`: float32 numbers, or int32 labels 0 and 1.

    def take(self, rows: np.ndarray) -> "Part":
        return Part(self.numbers[rows], self.categories[rows], self.target[rows])

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        return {"numbers": self.numbers, "categories": self.categories}


@dataclasses.dataclass(frozen=True)
class Table:
    """A data set in its three parts."""

    train: Part
    validation: Part  # It stops the training and chooses the settings.
    test: Part  # It is looked at once.

    @property
    def regression(self) -> bool:
        return self.train.target.dtype == np.float32


def california(folder: Path) -> Table:
    """Reads California housing with scikit-learn's eight features; the target in 100,000 dollars.

    64% of the rows are trained on, 16% are for validation, 20% for the test, drawn with seed 0.
    """
    frame = pd.read_csv(folder / FILES[0])
    for name in ("total_rooms", "total_bedrooms", "population"):
        frame[f"{name}_each"] = frame[name] / frame["households"]
    names = ["median_income", "housing_median_age", "total_rooms_each", "total_bedrooms_each"]
    names += ["population", "population_each", "latitude", "longitude"]
    numbers = frame[names].to_numpy(np.float32)
    target = (frame["median_house_value"] / 100_000).to_numpy(np.float32)
    every = Part(numbers, np.zeros((len(frame), 0), np.float32), target)
    rows = np.random.default_rng(0).permutation(len(frame))
    test, validation = round(0.2 * len(rows)), round(0.36 * len(rows))
    return Table(*map(every.take, (rows[validation:], rows[test:validation], rows[:test])))


def adult(folder: Path) -> Table:
    """Reads Adult, whose test is published; a fifth of the other rows, seed 0, is validation."""
    given = (pd.read_csv(folder / name, skipinitialspace=True) for name in FILES[1:])
    frames = [frame.dropna(how="all") for frame in given]
    frame = pd.concat(frames, ignore_index=True)
    label = frame.pop("Y").str.rstrip(".")
    if set(label) != {"<=50K", ">50K"}:
        labels = sorted(set(label))
        raise ValueError(f"{FILES[1]}: the column Y holds {labels}, not <=50K and >50K.")
    texts = frame.select_dtypes(exclude="number")
    every = Part(
        frame.drop(columns=texts.columns).to_numpy(np.float32),
        pd.get_dummies(texts).to_numpy(np.float32),
        (label == ">50K").to_numpy(np.int32),
    )
    rows = np.random.default_rng(0).permutation(len(frames[0]))
    validation, test = round(0.2 * len(rows)), np.arange(len(frames[0]), len(frame))
    return Table(*map(every.take, (rows[validation:], rows[:validation], test)))


_DATA = {"California housing": california, "Adult": adult}


@dataclasses.dataclass(frozen=True)
class Settings:
    dropout: float = 0.1  # After each layer.
    weight_decay: float = 1e-4  # Of AdamW.
    num_bins: int = 0  # Most bins of a number; 0 for plain numbers.
    leaf: int = 64  # Fewest training rows in a bin.
    dim: int = 24  # Size of a number's vector.

    def __str__(self) -> str:
        words = f"dropout {self.dropout:g}, weight decay {self.weight_decay:g}"
        if self.num_bins:
            words += f", {self.num_bins} bins of {self.leaf} rows or more, vectors of {self.dim}"
        return words


# Chosen on validation, two seeds each, among settings that --tune tries; not all of them were.
SETTINGS = {
    "California housing": (Settings(0.1, 1e-2), Settings(0.1, 1e-4, 256, 8, 24)),
    "Adult": (Settings(0.3, 1e-4), Settings(0.5, 1e-2, 128, 16, 8)),
}


class Network(keras.Model):
    """Numbers, plain or embedded, beside one-hot categories; dense layers; one output."""

    def __init__(self, train: Part, settings: Settings, seed: int) -> None:
        super().__init__()
        self.mean, self.deviation = train.numbers.mean(0), train.numbers.std(0)
        self.embedding = None
        if settings.num_bins:
            tree = {"bins": "tree", "tree_args": {"min_samples_leaf": settings.leaf}}
            self.embedding = tfrecs.layers.PiecewiseLinearEmbedding(
                settings.dim, settings.num_bins, **tree, seed=seed
            )
            self.embedding.adapt(train.numbers, train.target)
        self.hidden = []
        dense, init, seed = keras.layers.Dense, keras.initializers, 100 * seed
        for index, units in enumerate(_UNITS):
            normal = init.HeNormal(seed + index)
            self.hidden.append(dense(units, "relu", kernel_initializer=normal))
            self.hidden.append(tfrecs.layers.Dropout(settings.dropout, seed=seed + 50 + index))
        self.out = dense(1, kernel_initializer=init.GlorotUniform(seed + 99))

    def call(self, inputs: dict[str, tf.Tensor], training: bool | None = None) -> tf.Tensor:
        numbers = inputs["numbers"]
        if self.embedding is None:
            x = (numbers - self.mean) / self.deviation
        else:
            x = self.embedding(numbers)
            x = tf.reshape(x, [-1, x.shape[1] * x.shape[2]])
        x = tf.concat([x, inputs["categories"]], axis=-1)
        for layer in self.hidden:
            x = layer(x, training=training)
        return self.out(x)[:, 0]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: its best epoch's RMSE of a number or accuracy of a label."""

    validation: float
    test: float | None  # None where the test was not looked at.
    epochs: int
    seconds: float


def train(
    table: Table, settings: Settings, seed: int, test=True, patience=16, max_epochs=500
) -> Run:
    """Trains until validation has not improved for `patience` epochs; keeps the best."""
    keras.utils.set_random_seed(seed)
    part, begun = table.train, time.perf_counter()
    model = Network(part, settings, seed)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    # A number is learned standardised.
    centre, scale = (part.target.mean(), part.target.std()) if table.regression else (0.0, 1.0)

    def quality(part: Part) -> float:
        out = model.predict(part.inputs, batch_size=4096, verbose=0).astype(np.float64)
        if table.regression:
            return float(np.sqrt(np.mean((out * scale + centre - part.target) ** 2)))
        return float(np.mean((out > 0) == part.target))

    model.compile(
        optimizer,
        "mse" if table.regression else keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=len(part.target) // _BATCH,
        jit_compile=True,
    )
    data = tf.data.Dataset.from_tensor_slices((part.inputs, (part.target - centre) / scale))
    data = data.cache().shuffle(len(part.target), seed=seed).batch(_BATCH, drop_remainder=True)
    sign = 1 if table.regression else -1
    best, kept, since, epochs = float("inf"), [], 0, 0
    while since < patience and epochs < max_epochs:
        model.fit(data, epochs=1, verbose=0)
        epochs, since = epochs + 1, since + 1
        value = sign * quality(table.validation)
        if value < best:
            best, kept, since = value, model.get_weights(), 0
    model.set_weights(kept)
    seconds = time.perf_counter() - begun
    return Run(sign * best, quality(table.test) if test else None, epochs, seconds)


def tune(table: Table, seeds: int) -> None:
    """Prints validation of all settings that are tried, the best of each kind last."""
    common = list(itertools.product((0.1, 0.3, 0.5), (1e-4, 1e-2)))
    bins = ((48, 64, 24), (128, 16, 8), (128, 16, 24), (256, 8, 24), (512, 4, 24))
    for tried in ([()], bins):
        found = []
        for settings in (Settings(*pair, *more) for pair, more in itertools.product(common, tried)):
            runs = [train(table, settings, seed, test=False) for seed in range(seeds)]
            found.append((statistics.mean(run.validation for run in runs), settings))
            print(f"{found[-1][0]:.4f} {settings}", flush=True)
        choose = min if table.regression else max
        print("best: {:.4f} {!r}".format(*choose(found, key=lambda pair: pair[0])), flush=True)


def section(results: dict[str, tuple[list[Run], list[Run]]]) -> str:
    """Returns the section, from the runs on plain numbers and on embedded ones."""
    rows, verdicts = [], []
    for name, pair in results.items():
        given = zip(SETTINGS[name], pair, _PUBLISHED[name], strict=True)
        for kind, (settings, runs, published) in zip(KINDS, given, strict=True):
            tests = [run.test for run in runs]
            rows.append(
                {
                    "data": name,
                    "numbers": kind,
                    "settings": settings,
                    "epochs": f"{statistics.mean(run.epochs for run in runs):.0f}",
                    "s": f"{statistics.mean(run.seconds for run in runs):.0f}",
                    "validation": f"{statistics.mean(run.validation for run in runs):.4f}",
                    "test of each seed": ", ".join(f"{test:.4f}" for test in tests),
                    "test": mean_sd(tests, "**"),
                    "published": f"{published:.4f}",
                }
            )
        means = [statistics.mean(run.test for run in runs) for runs in pair]
        verdicts.append(f"{name}: {verdict(name, *means)}")
    given = {"seeds": len(pair[0]), "units": "-".join(map(str, _UNITS)), "batch": _BATCH}
    return fill("numeric", **given, table=table(rows), verdicts="; ".join(verdicts))


def verdict(name: str, plain: float, embedded: float) -> str:
    if name == "Adult":
        change, aim = (
            f"accuracy {100 * (embedded - plain):+.2f} points",
            "accuracy at least 1 point more",
        )
        reached = embedded - plain >= 0.01
    else:
        change, aim = f"RMSE {100 * (embedded / plain - 1):+.1f}%", "RMSE at least 10% lower"
        reached = embedded <= 0.9 * plain
    return f"{change} (aim: {aim}; {'reached' if reached else 'not reached'})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Command("numeric", __doc__, data=True)
    add = parser.add_argument
    add("--seeds", type=int, default=5, help="runs of each (%(default)s)")
    add("--only", choices=sorted(_DATA), help="one data set; writes no section")
    add("--tune", action="store_true", help="try settings; writes no section")
    options = parser.parse_args(arguments)
    folder = parser.folder(options.data, *FILES)
    results: dict[str, Any] = {}
    for name in [options.only] if options.only else _DATA:
        print(name, flush=True)
        table = _DATA[name](folder)
        if options.tune:
            tune(table, options.seeds)
            continue
        results[name] = ([], [])
        for runs, settings in zip(results[name], SETTINGS[name], strict=True):
            for seed in range(options.seeds):
                runs.append(train(table, settings, seed))
                print(runs[-1], flush=True)
    if not options.tune and not options.only:
        publish("numeric", section(results), options.output)


if __name__ == "__main__":
    main()
