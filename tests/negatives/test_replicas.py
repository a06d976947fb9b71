"""Rows of all replicas, and their gradients."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.negatives import all_gather
from tfrecs.negatives.replicas import first_row


def test_without_a_strategy_nothing_happens():
    x = tf.constant([[1.0, 2.0]])
    assert all_gather(x) is x
    assert int(first_row(tf.constant(1))) == 0


@pytest.mark.parametrize("sizes", [(2, 2), (3, 1), (2, 0)])
def test_rows_and_gradients(two_devices, sizes):
    rows = np.arange(2 * sum(sizes), dtype=np.float32).reshape(-1, 2)
    parts = [rows[: sizes[0]], rows[sizes[0] :]]
    factor = np.random.default_rng(0).normal(size=(2, *rows.shape)).astype(np.float32)

    def step(part):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with tf.GradientTape() as tape:
            tape.watch(part)
            gathered = all_gather(part)
            value = tf.reduce_sum(gathered * tf.gather(tf.constant(factor), replica))
        return gathered, first_row(tf.shape(part)[0]), tape.gradient(value, part)

    @tf.function
    def run(part):
        return two_devices.run(step, (part,))

    values = two_devices.experimental_distribute_values_from_function(
        lambda c: tf.constant(parts[c.replica_id_in_sync_group])
    )
    gathered, first, gradient = (
        [x.numpy() for x in two_devices.experimental_local_results(y)] for y in run(values)
    )
    for each in gathered:
        np.testing.assert_array_equal(each, rows)
    assert list(first) == [0, sizes[0]]
    np.testing.assert_allclose(np.concatenate(gradient), factor.sum(0), rtol=1e-6)
