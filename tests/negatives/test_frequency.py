"""Frequencies of items: counted, and estimated on the way as in Yi et al. (2019)."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.negatives import ItemFrequency, StreamingFrequency


def probabilities(frequency, ids):
    return np.exp(frequency(tf.constant(ids)).numpy())


def test_counted():
    frequency = ItemFrequency([6, 0, 2])
    np.testing.assert_allclose(probabilities(frequency, [[1, 3]]), [[0.75, 0.25]], rtol=1e-6)
    # Never seen, padding, and newer than the counts: as if seen once.
    np.testing.assert_allclose(probabilities(frequency, [2, 0, 4]), [0.125] * 3, rtol=1e-6)


def test_counted_probabilities_have_no_floor():
    frequency = ItemFrequency([10**9, 1])
    np.testing.assert_allclose(probabilities(frequency, [2]), [1e-9], rtol=1e-5)


@pytest.mark.parametrize("counts", [[], [0, 0], [1, -1], [[1, 2]]])
def test_wrong_counts(counts):
    with pytest.raises(ValueError, match="counts"):
        ItemFrequency(counts)


def algorithm_2(batches, rate, size):
    """Algorithm 2 of the paper for one hash function, id mod size; a first sighting sets B."""
    last, gap = np.zeros(size), np.zeros(size)
    for t, batch in enumerate(batches, start=1):
        for y in batch:
            h = y % size
            alpha = rate if last[h] else 1.0
            gap[h] = (1 - alpha) * gap[h] + alpha * (t - last[h])
            last[h] = t
    return gap


@pytest.mark.parametrize("size", [50, 7], ids=["no collisions", "collisions"])
def test_batches_of_one_are_the_papers_algorithm(size):
    ids = np.random.default_rng(0).geometric(0.1, 120).clip(max=40).astype(np.int32)
    frequency = StreamingFrequency(size, learning_rate=0.1)
    for i in ids:
        frequency.update(tf.constant([i]))
    gap = algorithm_2(ids[:, None], 0.1, size)
    np.testing.assert_allclose(probabilities(frequency, ids), 1 / gap[ids % size], rtol=1e-5)


def test_batches_without_repetition_are_the_papers_algorithm_in_rows():
    rng = np.random.default_rng(1)
    batches = [rng.permutation(20)[:6] + 1 for _ in range(40)]
    frequency = StreamingFrequency(32, learning_rate=0.2)
    for batch in batches:
        frequency.update(tf.constant(batch, tf.int64))
    gap = algorithm_2(batches, 0.2, 32)
    ids = np.arange(1, 21)
    np.testing.assert_allclose(probabilities(frequency, ids), 1 / (6 * gap[ids]), rtol=1e-5)


def test_sightings_in_one_batch_are_equal_gaps():
    frequency = StreamingFrequency(10, learning_rate=0.5)
    frequency.update(tf.constant([1, 2]))  # B = 2 for both
    frequency.update(tf.constant([1, 1]))  # Two gaps of 1: 2 -> 1.5 -> 1.25
    np.testing.assert_allclose(probabilities(frequency, [1, 2]), [1 / 1.25, 1 / 2], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 64])
def test_estimates_come_near_the_truth_whatever_the_batch_size(batch):
    truth = 1 / np.arange(1, 31)
    truth /= truth.sum()
    rng = np.random.default_rng(3)
    frequency = StreamingFrequency(31, learning_rate=0.02)
    update = tf.function(frequency.update)
    rows = rng.choice(30, size=(24_000 // batch // 8, batch), p=truth) + 1
    for row in np.concatenate([rows] * 1 if batch == 1 else [rows] * 8):
        update(tf.constant(row, tf.int32))
    estimate = probabilities(frequency, np.arange(1, 31))
    # The most popular item stands in every batch of 64: an estimate of "one batch in .." is blind.
    assert abs(np.log(estimate[:8] / truth[:8])).max() < 0.4


def test_the_rarest_of_several_hashes_counts():
    one, three = StreamingFrequency(8), StreamingFrequency(8, num_hashes=3)
    rng = np.random.default_rng(4)
    for _ in range(60):
        ids = tf.constant(rng.integers(1, 25, size=16), tf.int32)
        one.update(ids)
        three.update(ids)
    ids = np.arange(1, 25)
    assert (probabilities(three, ids) <= probabilities(one, ids) + 1e-7).all()
    assert probabilities(three, ids).mean() < 0.95 * probabilities(one, ids).mean()


def test_an_item_never_seen():
    frequency = StreamingFrequency(100)
    np.testing.assert_allclose(probabilities(frequency, [5]), [1.0])
    for _ in range(25):
        frequency.update(tf.constant([1, 2, 3, 4]))
    np.testing.assert_allclose(probabilities(frequency, [5]), [0.01], rtol=1e-6)


def test_it_is_in_checkpoints(tmp_path):
    frequency = StreamingFrequency(10)
    frequency.update(tf.constant([1, 2, 2]))
    path = tf.train.Checkpoint(x=frequency).save(str(tmp_path / "x"))
    again = StreamingFrequency(10)
    tf.train.Checkpoint(x=again).restore(path).assert_consumed()
    for each in (frequency, again):
        each.update(tf.constant([2, 3, 3]))
    ids = np.arange(5)
    np.testing.assert_array_equal(probabilities(frequency, ids), probabilities(again, ids))


def test_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        counted, streaming = ItemFrequency([1, 10**6]), StreamingFrequency(10)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    streaming.update(tf.constant([1] * 3000))
    assert counted(tf.constant([1])).dtype == streaming(tf.constant([1])).dtype == tf.float32
    np.testing.assert_allclose(probabilities(counted, [1]), [1 / (10**6 + 1)], rtol=1e-4)


def test_replicas_learn_from_the_whole_batch(two_devices):
    single = StreamingFrequency(12, num_hashes=2)
    with two_devices.scope():
        double = StreamingFrequency(12, num_hashes=2)

    @tf.function
    def update(ids):
        two_devices.run(double.update, (ids,))

    rng = np.random.default_rng(5)
    for size in (8, 7, 8):  # Replicas of 4, and of 4 and 3.
        ids = rng.integers(1, 9, size=size).astype(np.int32)
        single.update(tf.constant(ids))
        split = [ids[:4], ids[4:]]
        update(
            two_devices.experimental_distribute_values_from_function(
                lambda c, s=split: tf.constant(s[c.replica_id_in_sync_group])
            )
        )
    for a, b in zip(double.weights, single.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        copies = [x.numpy() for x in two_devices.experimental_local_results(a)]
        np.testing.assert_array_equal(copies[0], copies[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "num_buckets"), ((5, 0), "num_hashes"), ((5, 1, 0.0), "learning_rate")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        StreamingFrequency(*arguments)


def test_ids_must_be_integers():
    with pytest.raises(TypeError, match="integer ids"):
        StreamingFrequency(5)(tf.constant(["a"]))
