"""The bias of attention by intervals of time."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.data.features.events import MISSING_TIME
from tfrecs.layers import HSTUBlock, LiGRBlock, SASRecBlock, TimeIntervalBias, causal_mask


def test_intervals_of_a_power_of_two_share_a_number():
    layer = TimeIntervalBias(num_heads=1, num_buckets=32)
    layer.table.assign(np.arange(33.0)[:, None])
    # 2^i - 1 to 2^(i + 1) - 2 seconds, by integers.
    seconds = [0, 1, 2, 3, 6, 7, 59, 3_600, 2**20 - 2, 2**20 - 1, 2**31, 2**40]
    want = [1 + min((s + 1).bit_length() - 1, 31) for s in seconds]
    now = 1_700_000_000
    keys = tf.constant([[now - s for s in seconds]], tf.int64)
    got = layer(tf.constant([[now]], tf.int64), keys)
    assert got.shape == [1, 1, 1, len(seconds)]
    assert got[0, 0, 0].numpy().tolist() == want
    # The sign of an interval tells nothing.
    assert layer(keys, tf.constant([[now]], tf.int64))[0, 0, :, 0].numpy().tolist() == want


def test_a_missing_time_has_a_number_of_its_own():
    layer = TimeIntervalBias(num_heads=2)
    layer.table.assign(np.stack([np.arange(33.0), -np.arange(33.0)], axis=1))
    times = tf.constant([[MISSING_TIME, 10, 13]], tf.int64)
    got = layer(times, times).numpy()
    assert got[0, 0].tolist() == [[0, 0, 0], [0, 1, 3], [0, 3, 1]]
    np.testing.assert_array_equal(got[0, 1], -got[0, 0])


@pytest.mark.parametrize("block", [SASRecBlock, LiGRBlock, HSTUBlock])
def test_a_block_knows_intervals(block):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=[2, 4, 8]), tf.float32)
    mask = causal_mask(tf.ones([2, 4], tf.bool))
    times = tf.constant([[0, 5, 60, 4_000], [7, 7, 7, 90_000]], tf.int64)
    timed = block(num_heads=2, time_intervals=True, seed=1)
    plain = block(num_heads=2, seed=1)
    # With a table of zeros nothing is known of times.
    np.testing.assert_allclose(timed(x, mask, times=(times, times)), plain(x, mask), atol=1e-6)
    (table,) = (v for v in timed.trainable_variables if v.shape == [33, 2])
    table.assign(rng.normal(size=[33, 2]))
    whole = timed(x, mask, times=(times, times))
    assert np.abs(whole - plain(x, mask)).max() > 1e-3
    last = timed(x, mask, last_only=True, times=(times, times))
    np.testing.assert_allclose(last, whole[:, -1:], atol=1e-5)
    # What has not changed are intervals, not times.
    np.testing.assert_allclose(
        timed(x, mask, times=(times + 10**9, times + 10**9)), whole, atol=1e-6
    )
    with pytest.raises(ValueError, match="time_intervals=True needs times"):
        timed(x, mask)


def test_weights_of_attention_by_hand():
    layer = SASRecBlock(num_heads=1, norm="pre", time_intervals=True, seed=1)
    x = tf.constant(np.random.default_rng(1).normal(size=[1, 3, 4]), tf.float32)
    mask = causal_mask(tf.ones([1, 3], tf.bool))
    asked = tf.constant([[1, 3, 100]], tf.int64)
    times = tf.constant([[0, 1, 3]], tf.int64)
    layer(x, mask, times=(asked, times))
    attention = layer._attention
    table = np.random.default_rng(2).normal(size=[33, 1]).astype(np.float32)
    attention._scores.time_bias.table.assign(table)
    query = (x @ attention._query.kernel + attention._query.bias)[0].numpy()
    both = (x @ attention._key_value.kernel + attention._key_value.bias)[0].numpy()
    key, value = both[:, :4], both[:, 4:]
    scores = query @ key.T / 2
    for i, at in enumerate([1, 3, 100]):
        for j, then in enumerate([0, 1, 3]):
            scores[i, j] += table[1 + int(np.log2(abs(at - then) + 1)), 0]
    scores[np.triu_indices(3, 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    want = weights @ value @ attention._output.kernel.numpy() + attention._output.bias.numpy()
    got = attention(x, x, mask, times=(asked, times))[0]
    np.testing.assert_allclose(got, want, atol=1e-5)
