"""Fifty steps of every model on the devices in force; also a worker process of the tests.

`python -m tests.distribution.training FOLDER` trains under TF_CONFIG and writes the weights.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.distribution.public_models import EXAMPLES
from tfrecs._keras import keras, tf
from tfrecs.evaluation.workers import is_chief
from tfrecs.training import make_strategy

STEPS = 50


def trained(name: str, strategy: tf.distribute.Strategy, optimizer: Any) -> list[np.ndarray]:
    """The losses of epochs and the weights of a model after fifty steps or more, in that order."""
    example = EXAMPLES[name]
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


def sgd() -> keras.optimizers.Optimizer:
    """What most tests train by: see test_replicas.py."""
    return keras.optimizers.SGD(0.1)


def main(folder: str, *names: str) -> None:
    """A worker: trains all models, and the chief writes what they have become."""
    strategy = make_strategy("multi-worker")
    for name in names or EXAMPLES:
        values = trained(name, strategy, sgd)
        if is_chief(strategy):
            np.savez(Path(folder, f"{name}.npz"), *values)


if __name__ == "__main__":
    main(*sys.argv[1:])
