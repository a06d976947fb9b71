"""Fifty steps of every model on the devices in force; also a worker process of the tests.

`python -m tests.distribution.training FOLDER` trains under TF_CONFIG and writes the weights.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.distribution.public_models import EXAMPLES, Example
from tfrecs._keras import keras, tf
from tfrecs.evaluation.workers import is_chief
from tfrecs.optimizers import Adam, LazyAdam
from tfrecs.training import make_strategy

STEPS = 50
# Adam divides gradients by their own size. Where one is zero but for rounding, that makes steps of
# the rounding (docs/decisions.md), unless epsilon is above it.
OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.1),
    "Adam": lambda: Adam(0.01, epsilon=0.1),
    "LazyAdam": lambda: LazyAdam(0.01, epsilon=0.1),
}
# Of dense gradients LazyAdam is Adam; these have tables of which a batch touches a few rows.
TABLES = {"MatrixFactorization", "TwoTower, negatives of the batch", "DeepCross"}
CASES = [
    (name, optimizer)
    for optimizer in OPTIMIZERS
    for name in EXAMPLES
    if optimizer != "LazyAdam" or name in TABLES
]


def trained(
    example: Example,
    optimizer: Callable[[], keras.optimizers.Optimizer],
    strategy: tf.distribute.Strategy,
) -> list[np.ndarray]:
    """The losses of epochs and the weights of a model after fifty steps or more, in that order."""
    with strategy.scope():
        model = example.make()
        model.compile(optimizer())
    batches = example.batches(model)
    epochs = math.ceil(STEPS / len(batches))
    history = model.fit(batches, epochs=epochs, verbose=0).history
    assert int(model.optimizer.iterations.numpy()) >= STEPS
    metrics = {variable.ref() for metric in model.metrics for variable in metric.variables}
    weights = [weight for weight in model.weights if weight.ref() not in metrics]
    return [np.array(history["loss"]), *(weight.numpy() for weight in weights)]


def main(folder: str) -> None:
    """A worker: trains all models, and the chief writes what they have become."""
    strategy = make_strategy("multi-worker")
    for name, optimizer in CASES:
        values = trained(EXAMPLES[name], OPTIMIZERS[optimizer], strategy)
        if is_chief(strategy):
            np.savez(Path(folder, f"{name}, {optimizer}.npz"), *values)


if __name__ == "__main__":
    main(*sys.argv[1:])
