"""Every optimizer on two replicas is the same on one device that has the whole batch.

The gradients are whole numbers, whose sums are exact in any order: Adam at its own epsilon has no
rounding to divide by itself.
"""

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.optimizers import SGD, Adam, LazyAdam

# Adam at a small epsilon does not know a gradient's size: some have an epsilon that matters.
OPTIMIZERS = {
    "SGD": lambda: SGD(0.25),
    "SGD, momentum": lambda: SGD(0.25, momentum=0.5, nesterov=True),
    "SGD, clipped and decayed": lambda: SGD(0.25, clipnorm=4.0, weight_decay=0.1),
    "Adam": lambda: Adam(0.1),
    "Adam, amsgrad": lambda: Adam(0.1, epsilon=1.0, amsgrad=True),
    "Adam, clipped and decayed": lambda: Adam(
        0.1, epsilon=1.0, global_clipnorm=20.0, weight_decay=0.1
    ),
    "LazyAdam": lambda: LazyAdam(0.1),
    "LazyAdam, clipped": lambda: LazyAdam(0.1, epsilon=1.0, clipnorm=20.0),
}
# Five rows of a table for each step, and how many of them are the first replica's. Some are
# repeated by one replica, known to both or to one alone, left out of a step, or of all (7).
BATCHES = [
    ([0, 1, 1, 1, 2], 3),
    ([4, 5, 5, 0, 6], 4),
    ([3, 3, 1, 6, 2], 5),
    ([6, 1, 3, 3, 4], 0),
    ([2, 5, 2, 0, 2], 1),
]


def test_every_optimizer_is_here():
    assert {name.split(",")[0] for name in OPTIMIZERS} == set(tfrecs.optimizers.__all__)


def trained(strategy, optimizer):
    """A table and a weight after steps in which each replica has its share of the rows."""
    with strategy.scope():
        table, weight = tf.Variable(tf.ones([8, 3])), tf.Variable(tf.ones([3]))
        made = optimizer()
        made.build([table, weight])

    @tf.function
    def step(rows, coefficients, cut):
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            share = slice(index * cut, cut + index * (len(rows) - cut))
            with tf.GradientTape() as tape:
                scores = tf.gather(table, rows[share]) + weight
                loss = tf.reduce_sum(coefficients[share] * scores)
            gradients = tape.gradient(loss, [table, weight])
            assert isinstance(gradients[0], tf.IndexedSlices)
            made.apply_gradients(zip(gradients, [table, weight], strict=True))

        strategy.run(replica)

    rng = np.random.default_rng(0)
    for rows, cut in BATCHES:
        coefficients = rng.integers(1, 9, (5, 3)) * rng.choice([-1.0, 1.0], (5, 3))
        alone = strategy.num_replicas_in_sync == 1
        step(
            tf.constant(rows),
            tf.constant(coefficients, tf.float32),
            tf.constant(len(rows) if alone else cut),
        )
    return table.numpy(), weight.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_replicas_equal_one_device(name, two_devices):
    one = trained(tf.distribute.OneDeviceStrategy("cpu:0"), OPTIMIZERS[name])
    two = trained(two_devices, OPTIMIZERS[name])
    for ours, theirs in zip(two, one, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    assert (one[0][:7] != 1).all()
