"""Every public layer, loss and model with a small example, for `test_conformance.py`.

Something public that is missing here fails the suite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import tfrecs
from tfrecs._keras import keras, tf

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(4, 5, 8)).astype(np.float32)
HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9], [0, 3, 1, 8, 6]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8], [0, 1, 8, 6, 7]], np.int32)
MASK = np.asarray(tfrecs.layers.causal_mask(tf.constant(HISTORY > 0)))
TARGETS = np.array([3, 1, 9, 3], np.int32)
QUERIES = RNG.normal(size=(4, 8)).astype(np.float32)
ITEMS = RNG.normal(size=(9, 8)).astype(np.float32)

# Public names that are no layers: bases, plain values, and functions with tests of their own.
NO_CASE = {
    "layers": {"causal_mask", "unit_vectors"},
    "negatives": {"Sample"},
    "losses": {"Loss", "SampledLoss", "DotProductScores", "global_sum", "weighted_logsumexp"},
    "models": {"Model"},
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One object of a public class, and one way to use it.

    Args:
        make: Builds it; every time with the same initial weights and random draws.
        inputs: Arrays it is used with, a batch along the first axis of each.
        call: Uses it: takes the object and the inputs, gives tensors.
        fixed: Which inputs have no batch axis.
        float32: Whether results are float32 under every precision policy.
        adapted: Whether `make` calls `adapt`: what that learns is in the weights, not the config.
        growth: Largest scale of inputs whose results are still float32 numbers.
    """

    make: Callable[[], Any]
    inputs: tuple[np.ndarray, ...]
    call: Callable[..., Any] = lambda instance, *inputs: instance(*inputs)
    fixed: tuple[int, ...] = ()
    float32: bool = False
    adapted: bool = False
    growth: float = 1e18

    def tensors(self) -> list[tf.Tensor]:
        """The inputs as tensors."""
        return [tf.constant(x) for x in self.inputs]


def _loss_case(make: Callable[[], Any]) -> Case:
    def call(loss, targets, queries, items):
        scores = tfrecs.losses.DotProductScores(
            queries, len(ITEMS), lambda ids: tf.gather(items, ids - 1), lambda: items
        )
        return loss(targets, scores)

    return Case(make, (TARGETS, QUERIES, ITEMS), call, fixed=(2,), float32=True)


def _adapted(layer):
    layer.adapt(VECTORS.reshape(-1, 8))
    return layer


def _numeric_case(make: Callable[[], Any]) -> Case:
    return Case(lambda: _adapted(make()), (VECTORS,), adapted=True)


def _score(model, history):
    return model.score({"history": history})


def _loss(model, history, target):
    return model.compute_loss({"user_id": history[:, 0], "history": history, "target": target})


def _sasrec(**arguments):
    arguments = {"items": 9, "dim": 8, "max_length": 5, "num_heads": 2, "seed": 1, **arguments}
    return tfrecs.models.SASRec(**arguments)


layers, losses = tfrecs.layers, tfrecs.losses
GlorotUniform = keras.initializers.GlorotUniform
CASES: dict[str, Case] = {
    "layers.Dropout": Case(
        lambda: layers.Dropout(0.4, seed=1),
        (VECTORS,),
        lambda layer, x: layer(x, training=True),
        growth=1e10,
    ),
    "layers.Cross": Case(
        lambda: layers.Cross(
            3, 0.5, preactivation="tanh", kernel_initializer=GlorotUniform(seed=1)
        ),
        (VECTORS, VECTORS[::-1].copy()),
    ),
    "layers.CrossMixture": Case(
        lambda: layers.CrossMixture(3, 4, kernel_initializer=GlorotUniform(seed=1)),
        (VECTORS, VECTORS[::-1].copy()),
    ),
    "layers.CrossNetwork": Case(
        lambda: layers.CrossNetwork(2, deep_units=[6], dropout=0.1, seed=1),
        (VECTORS,),
        growth=1e10,
    ),
    "layers.CrossNetwork, experts": Case(
        lambda: layers.CrossNetwork(2, 4, 2, deep_units=[6], structure="stacked", seed=1),
        (VECTORS,),
        growth=1e10,
    ),
    "layers.PiecewiseLinearEncoding": _numeric_case(lambda: layers.PiecewiseLinearEncoding(4)),
    "layers.PiecewiseLinearEmbedding": _numeric_case(
        lambda: layers.PiecewiseLinearEmbedding(4, 4, seed=1)
    ),
    "layers.Squashing": _numeric_case(lambda: layers.Squashing()),
    "layers.Discretization": _numeric_case(lambda: layers.Discretization(4, 4, seed=1)),
    "layers.PeriodicEncoding": _numeric_case(lambda: layers.PeriodicEncoding(4, seed=1)),
    "layers.StepCounter": Case(
        lambda: layers.StepCounter(seed=3), (VECTORS,), lambda layer, x: layer.next_seed()
    ),
    "layers.ItemEmbedding": Case(lambda: layers.ItemEmbedding(9, 8, seed=1), (HISTORY,)),
    "layers.LayerNormalization": Case(layers.LayerNormalization, (VECTORS,)),
    "layers.SelfAttention": Case(
        lambda: layers.SelfAttention(2, 0.1, seed=1),
        (VECTORS, VECTORS[::-1].copy(), MASK),
    ),
    "layers.SASRecBlock": Case(lambda: layers.SASRecBlock(2, 12, 0.1, seed=1), (VECTORS, MASK)),
    "layers.SASRecBlock, pre": Case(
        lambda: layers.SASRecBlock(norm="pre", seed=1), (VECTORS, MASK)
    ),
    "negatives.Uniform": Case(
        lambda: tfrecs.negatives.Uniform(6, seed=1),
        (TARGETS,),
        lambda negatives, targets: negatives(targets, num_items=9),
    ),
    "losses.FullSoftmax": _loss_case(lambda: losses.FullSoftmax(0.1)),
    "losses.SampledSoftmax": _loss_case(lambda: losses.SampledSoftmax(6, seed=1)),
    "losses.BinaryCrossEntropy": _loss_case(lambda: losses.BinaryCrossEntropy(2, seed=1)),
    "losses.GBCE": _loss_case(lambda: losses.GBCE(3, seed=1)),
    "models.SASRec": Case(_sasrec, (HISTORY,), _score, float32=True),
    "models.SASRec, cosine and untied": Case(
        lambda: _sasrec(similarity="cosine", tied=False), (HISTORY,), _score, float32=True
    ),
    "models.SASRec, loss": Case(_sasrec, (HISTORY, TARGET), _loss, float32=True),
}
