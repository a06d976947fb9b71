"""Numbers as targets see them: plain standardised numbers against piecewise linear embeddings.

`TFRECS_DATA=path/to/data python -m benchmarks.numeric` trains the same multilayer perceptron on
California housing and Adult, 5 seeds each: on standardised numbers, and on
`PiecewiseLinearEmbedding` with target-aware bins; and writes its section of RESULTS.md. `--tune`
tries the settings of each instead, looks at validation alone, and prints what it finds.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tfrecs
from benchmarks.numeric_data import FILES, Part, Table, adult, california
from benchmarks.results import RESULTS, environment, write_section
from tfrecs._keras import keras, tf

_UNITS = (256, 256, 256)
_BATCH = 256
_DATA = {"California housing": california, "Adult": adult}
# Published (Gorishniy et al., NeurIPS 2022, 15 seeds), and what is to be reached.
_PUBLISHED = {"California housing": (0.4947, 0.4392), "Adult": (0.8537, 0.8682)}
_AIMS = {"California housing": "RMSE at least 10% lower", "Adult": "accuracy at least 1 point more"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen on validation; `num_bins` 0 for plain numbers.

    Attributes:
        dropout: After each layer.
        weight_decay: Of AdamW.
        num_bins: Most bins of a number.
        leaf: Fewest training rows in a bin.
        dim: Size of a number's vector.
    """

    dropout: float = 0.1
    weight_decay: float = 1e-4
    num_bins: int = 0
    leaf: int = 64
    dim: int = 24

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
            self.embedding = tfrecs.layers.PiecewiseLinearEmbedding(
                settings.dim,
                settings.num_bins,
                bins="tree",
                tree_args={"min_samples_leaf": settings.leaf},
                seed=seed,
            )
            self.embedding.adapt(train.numbers, train.target)
        self.hidden = []
        for index, units in enumerate(_UNITS):
            initializer = keras.initializers.HeNormal(100 * seed + index)
            self.hidden += [
                keras.layers.Dense(units, "relu", kernel_initializer=initializer),
                tfrecs.layers.Dropout(settings.dropout, seed=100 * seed + 50 + index),
            ]
        self.out = keras.layers.Dense(
            1, kernel_initializer=keras.initializers.GlorotUniform(100 * seed + 99)
        )

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
    """One training: RMSE of a number or accuracy of a label.

    Attributes:
        validation: Of the epoch that was kept.
        test: Of the same; None where the test was not looked at.
        epochs: Epochs trained.
        seconds: That training took.
    """

    validation: float
    test: float | None
    epochs: int
    seconds: float


def train(
    table: Table,
    settings: Settings,
    seed: int,
    test: bool = True,
    patience: int = 16,
    max_epochs: int = 500,
) -> Run:
    """Trains until validation has not improved for `patience` epochs; keeps the best."""
    keras.utils.set_random_seed(seed)
    part, begun = table.train, time.perf_counter()
    model = Network(part, settings, seed)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=settings.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    # A number is learned standardised.
    centre, scale = (part.target.mean(), part.target.std()) if table.regression else (0.0, 1.0)

    def inputs(part: Part) -> dict[str, np.ndarray]:
        return {"numbers": part.numbers, "categories": part.categories}

    def quality(part: Part) -> float:
        out = model.predict(inputs(part), batch_size=4096, verbose=0).astype(np.float64)
        if table.regression:
            return float(np.sqrt(np.mean((out * scale + centre - part.target) ** 2)))
        return float(np.mean((out > 0) == part.target))

    model.compile(
        optimizer,
        "mse" if table.regression else keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=len(part.target) // _BATCH,
        jit_compile=True,
    )
    data = tf.data.Dataset.from_tensor_slices((inputs(part), (part.target - centre) / scale))
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


def grid(embedded: bool) -> list[Settings]:
    """The settings that `--tune` tries."""
    common = list(itertools.product((0.1, 0.3, 0.5), (1e-4, 1e-2)))
    if not embedded:
        return [Settings(*pair) for pair in common]
    bins = ((48, 64, 24), (128, 16, 8), (128, 16, 24), (256, 8, 24), (512, 4, 24))
    return [Settings(*pair, *other) for pair, other in itertools.product(common, bins)]


def tune(table: Table, seeds: int) -> None:
    """Prints validation of all settings, the best of each kind last."""
    for embedded in (False, True):
        found = []
        for settings in grid(embedded):
            runs = [train(table, settings, seed, test=False) for seed in range(seeds)]
            found.append((statistics.mean(run.validation for run in runs), settings))
            print(f"{found[-1][0]:.4f} {settings}", flush=True)
        choose = min if table.regression else max
        print("best: {:.4f} {!r}".format(*choose(found, key=lambda pair: pair[0])), flush=True)


def section(results: dict[str, tuple[list[Run], list[Run]]]) -> str:
    """The section of RESULTS.md, from the runs on plain numbers and on embedded ones."""
    units = "-".join(map(str, _UNITS))
    seeds = len(next(iter(results.values()))[0])
    lines = [
        "## Numeric encodings: plain numbers and piecewise linear embeddings",
        "",
        f"`python -m benchmarks.numeric --seeds {seeds}`: the same perceptron ({units}, ReLU), "
        "AdamW at .001, "
        f"batch {_BATCH}, on standardised numbers and on `PiecewiseLinearEmbedding` with "
        '`bins="tree"` (PLE-t + linear + ReLU). Categories one-hot. California housing: RMSE in '
        "100,000 dollars, 64/16/20% of the rows; Adult: accuracy on its published test. Training "
        "stops after 16 epochs without a better validation, and the best epoch is kept. Settings "
        "are chosen on validation; the test is looked at once a run. Published: Gorishniy et al., "
        "NeurIPS 2022.",
        "",
        "| data | numbers | settings | epochs | s | validation | test of each seed | test | "
        "published |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    verdicts = []
    for name, pair in results.items():
        means = []
        for kind, settings, runs, published in zip(
            ("standardised", "embedded"), SETTINGS[name], pair, _PUBLISHED[name], strict=True
        ):
            tests = [run.test for run in runs]
            means.append(statistics.mean(tests))
            spread = f" ± {statistics.stdev(tests):.4f}" if len(tests) > 1 else ""
            lines.append(
                f"| {name} | {kind} | {settings} | "
                f"{statistics.mean(run.epochs for run in runs):.0f} | "
                f"{statistics.mean(run.seconds for run in runs):.0f} | "
                f"{statistics.mean(run.validation for run in runs):.4f} | "
                f"{', '.join(f'{test:.4f}' for test in tests)} | "
                f"**{means[-1]:.4f}**{spread} | {published:.4f} |"
            )
        verdicts.append(f"{name}: {verdict(name, *means)}")
    return "\n".join([*lines, "", "; ".join(verdicts) + ".", "", environment()])


def verdict(name: str, plain: float, embedded: float) -> str:
    """The change in words, and whether it is the aim."""
    if name == "Adult":
        change = f"accuracy {100 * (embedded - plain):+.2f} points"
        reached = embedded - plain >= 0.01
    else:
        change = f"RMSE {100 * (embedded / plain - 1):+.1f}%"
        reached = embedded <= 0.9 * plain
    return f"{change} (aim: {_AIMS[name]}; {'reached' if reached else 'not reached'})"


def main(arguments: list[str] | None = None) -> int:
    """Trains, and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each (%(default)s)")
    parser.add_argument("--only", choices=sorted(_DATA), help="one data set; writes no section")
    parser.add_argument("--tune", action="store_true", help="try settings; writes no section")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file of the section")
    options = parser.parse_args(arguments)
    folder = Path(os.environ.get("TFRECS_DATA", ""))
    missing = [name for name in FILES if not (folder / name).exists()]
    if "TFRECS_DATA" not in os.environ or missing:
        print(
            f"benchmarks.numeric: set TFRECS_DATA to the folder of {', '.join(missing or FILES)}.",
            file=sys.stderr,
        )
        return 2
    results: dict[str, Any] = {}
    for name, read in _DATA.items():
        if options.only not in (None, name):
            continue
        table = read(folder)
        if options.tune:
            print(name, flush=True)
            tune(table, options.seeds)
            continue
        results[name] = tuple(
            [report(name, train(table, settings, seed)) for seed in range(options.seeds)]
            for settings in SETTINGS[name]
        )
    if options.tune or options.only:
        return 0
    text = section(results)
    print(text)
    write_section("numeric", text, options.output)
    return 0


def report(name: str, run: Run) -> Run:
    """Prints a run, and returns it."""
    print(f"{name}: {run}", flush=True)
    return run


if __name__ == "__main__":
    sys.exit(main())
