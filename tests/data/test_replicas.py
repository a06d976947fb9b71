"""Each replica's share of a batch."""

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data.batches.replicas import num_to_share, shares


def taken(strategy, dataset, steps):
    """What each replica gets, step by step."""
    batches = iter(shares(dataset, strategy))
    return [
        tf.nest.map_structure(
            lambda x: [part.numpy() for part in strategy.experimental_local_results(x)],
            next(batches),
        )
        for _ in range(steps)
    ]


@pytest.mark.parametrize("size", [4, 5, 1])
def test_parts_of_a_batch_put_together_are_the_batch(size, two_devices):
    rows = np.arange(11, dtype=np.int32)
    dataset = tf.data.Dataset.from_tensor_slices({"x": rows, "y": 2.0 * rows}).batch(size)
    steps = len(dataset)
    for number, batch in enumerate(taken(two_devices, dataset, 2 * steps)):
        want = rows[(number % steps) * size :][:size]
        np.testing.assert_array_equal(np.concatenate(batch["x"]), want)
        np.testing.assert_array_equal(np.concatenate(batch["y"]), 2 * want)
        # As equal as can be.
        assert [len(part) for part in batch["x"]] == [len(want) // 2, len(want) - len(want) // 2]


def test_tuples_and_static_shapes(two_devices):
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    dataset = tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(4, drop_remainder=True)
    ((first, second),) = taken(two_devices, dataset, 1)
    assert [part.shape for part in first] == [(2, 2), (2, 2)]
    np.testing.assert_array_equal(np.concatenate(second), x[:4, 0])
    specs = tf.nest.flatten(shares(dataset, two_devices).element_spec, expand_composites=True)
    assert all(spec.shape[0] == 2 for spec in specs)


@pytest.mark.slow
def test_each_repetition_is_another_epoch(two_devices):
    histories = tfrecs.data.Histories.from_lists(
        [[1 + (u + t) % 9 for t in range(6)] for u in range(8)]
    )
    train = tfrecs.data.TrainSet(histories, np.arange(1, 9), num_items=9)

    def batches():
        return train.sequences(4).batch(3, seed=1)

    alone = [
        batch["target"].numpy() for dataset in [batches()] for _ in range(3) for batch in dataset
    ]
    with two_devices.scope():
        inside = batches()
    for dataset in (batches(), inside):
        parts = taken(two_devices, dataset, len(alone))
        for part, want in zip(parts, alone, strict=True):
            np.testing.assert_array_equal(np.concatenate(part["target"]), want)


def test_what_has_no_known_end_or_no_rows_is_keras_to_share():
    numbers = tf.data.Dataset.range(6)
    assert num_to_share(numbers.batch(4)) == 2
    ragged = tf.data.Dataset.from_tensors(tf.ragged.constant([[1], [2, 3]]))
    unknown = numbers.filter(lambda x: x > 2).batch(2)
    for other in (numbers, numbers.batch(2).repeat(), unknown, ragged, np.arange(3)):
        assert num_to_share(other) is None
