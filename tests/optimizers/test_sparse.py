"""Sums of repeated rows against numpy, row after row, and with every kind of compilation."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.optimizers.adam import repeat_sums, sum_repeated_rows


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla", "graph in xla"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), ()])
def test_rows_are_summed(compiled, dtype, shape):
    rng = np.random.default_rng(0)
    values = rng.integers(-8, 8, (40, *shape)).astype(dtype)
    rows = rng.integers(0, 9, 40)

    def run(values, rows):
        result = sum_repeated_rows(tf.IndexedSlices(values, rows, tf.constant([9, *shape])))
        return result.indices, result.values

    if compiled == "graph in xla":
        run = tf.function(run)
    if compiled != "eager":
        run = tf.function(run, jit_compile="xla" in compiled)
    indices, summed = run(tf.constant(values), tf.constant(rows))
    expected = np.zeros((9, *shape), dtype)
    np.add.at(expected, rows, values)
    assert sorted(indices.numpy()) == sorted(set(rows))
    np.testing.assert_array_equal(summed, expected[indices.numpy()])


@pytest.mark.parametrize("jit", [False, True])
def test_repeated_rows_each_hold_the_sum(jit):
    rng = np.random.default_rng(0)
    values = rng.integers(-8, 8, (40, 3)).astype(np.float32)
    rows = rng.integers(0, 9, 40)

    @tf.function(jit_compile=jit)
    def run(values, rows):
        result = repeat_sums(tf.IndexedSlices(values, rows, tf.constant([9, 3])))
        return result.indices, result.values

    indices, summed = run(tf.constant(values), tf.constant(rows))
    expected = np.zeros((9, 3), np.float32)
    np.add.at(expected, rows, values)
    np.testing.assert_array_equal(indices, np.sort(rows))
    np.testing.assert_array_equal(summed, expected[np.sort(rows)])
    indices, summed = run(tf.zeros([0, 3]), tf.zeros([0], tf.int64))
    assert summed.shape == [0, 3]


def test_no_rows_and_unknown_shapes():
    @tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int32)])
    def run(values, rows):
        result = sum_repeated_rows(tf.IndexedSlices(values, rows))
        return result.indices, result.values

    indices, values = run(tf.zeros([0, 4]), tf.zeros([0], tf.int32))
    assert indices.shape == [0]
    assert values.shape == [0, 4]
    _, values = run(tf.ones([3, 2]), tf.constant([5, 1, 5]))
    assert values.numpy().tolist() == [[2, 2], [1, 1]]


def test_sums_repeat_bit_for_bit():
    rng = np.random.default_rng(0)
    values, rows = rng.normal(size=(50_000, 16)).astype(np.float32), rng.zipf(1.3, 50_000) % 10_000

    @tf.function
    def run():
        return sum_repeated_rows(tf.IndexedSlices(tf.constant(values), tf.constant(rows))).values

    first = run().numpy()
    for _ in range(5):
        np.testing.assert_array_equal(run(), first)
