"""Shapes at which `tf.matmul` gave garbage or crashed (TensorFlow 2.21 with oneDNN): none here.

It fails where the left operand has an axis of 1 among those of its batch, and the right operand is
broadcast over them all, as in [2, 1, 16, 5] @ [5, 4].
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.layers import Cross, CrossNetwork, MMoE

X = np.random.default_rng(0).normal(size=(2, 1, 16, 5)).astype(np.float32)


def test_cross():
    layer = Cross(kernel_initializer="glorot_uniform")
    got = layer(X).numpy()
    kernel, bias = (w.numpy().astype(np.float64) for w in layer.weights[:2])
    np.testing.assert_allclose(got, X * (X @ kernel + bias) + X, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [lambda: CrossNetwork(2, 3), lambda: MMoE(2, 3, [4])])
def test_more_axes_change_nothing(layer):
    layer = layer()
    flat = layer(X.reshape(32, 5)).numpy()
    got = layer(X).numpy()
    np.testing.assert_allclose(got.reshape(flat.shape), flat, rtol=1e-4, atol=1e-5)


def test_dense_of_keras():
    dense = keras.layers.Dense(4)
    got = dense(X).numpy()
    np.testing.assert_allclose(got, X @ dense.kernel.numpy(), rtol=1e-4, atol=1e-5)


def test_scores_of_a_batch_with_heads():
    queries = np.random.default_rng(1).normal(size=(2, 1, 5)).astype(np.float32)
    candidates = np.random.default_rng(2).normal(size=(3, 5)).astype(np.float32)
    loss = tfrecs.tasks.Retrieval()(tf.constant(queries), tf.constant(candidates))
    logits = np.einsum("qne,ce->qnc", queries, candidates).max(axis=1)
    want = np.mean(np.log(np.exp(logits).sum(1)) - logits[[0, 1], [0, 1]])
    assert float(loss) == pytest.approx(want, rel=1e-4)


def test_operands_of_matmul_have_batches_of_one_shape():
    """Whoever writes one more `tf.matmul` looks at its operands, and counts it here."""
    counted = {}
    root = Path(tfrecs.__file__).parent
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "matmul"
        ]
        if calls:
            counted[path.relative_to(root).as_posix()] = len(calls)
    assert counted == {
        "data/features/pretrained.py": 2,
        "evaluation/counting.py": 1,
        "layers/cross.py": 1,
        "layers/cross_mixture.py": 1,
        "layers/mmoe.py": 1,
        "layers/attention.py": 2,
        "layers/gated.py": 1,
        "losses/bucketed.py": 4,
        "losses/logsumexp.py": 3,
        "losses/scores.py": 1,
        "losses/whole_data.py": 2,
        "models/base.py": 1,
        "models/heads.py": 1,
        "models/neural_mf.py": 1,
        "serving/index/item_table.py": 4,
        "tasks/retrieval.py": 1,
    }
