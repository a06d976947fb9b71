"""The memory of cross-batch negatives against a plain queue."""

import collections

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import DotProductScores, SampledSoftmax
from tfrecs.negatives import CrossBatch, InBatch, ItemFrequency, KnownItems, StreamingFrequency

COUNTS = np.array([5, 1, 8, 1, 1, 2, 1, 1, 4])
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(9, 5)).astype(np.float32)


def scores_of(queries, valid=None, positive_ids=None):
    table = tf.constant(TABLE)
    rows = lambda ids: tf.gather(table, ids - 1)  # noqa: E731
    return DotProductScores(queries, 9, rows, lambda: table, None, positive_ids, valid)


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_it_holds_the_latest_positives(filled, jit):
    sampler = CrossBatch(7, ItemFrequency(COUNTS))
    queue = collections.deque(maxlen=7)

    @tf.function(jit_compile=jit)
    def draw(positives, valid):
        given = scores_of(tf.zeros([3, 5]), valid) if filled else None
        return sampler(positives, 9, scores=given)

    for _ in range(6):
        batch = RNG.integers(1, 10, 3).astype(np.int32)
        valid = RNG.uniform(size=3) < 0.6 if filled else np.full(3, True)
        queue.extendleft(batch[valid][::-1].tolist())
        sample = draw(tf.constant(batch), tf.constant(valid))
        assert sample.ids.shape == (7,)
        assert sample.ids[: len(queue)].numpy().tolist() == list(queue)
        assert int(sample.num_real) == len(queue)
        want = np.tile(np.arange(7) < len(queue), (3, 1))
        np.testing.assert_array_equal(sample.allowed, want)
        share = (COUNTS / COUNTS.sum())[sample.ids.numpy() - 1]
        np.testing.assert_allclose(np.exp(sample.log_probability), share, rtol=1e-5)
    assert len(queue) == 7


def test_a_batch_larger_than_the_memory():
    sample = CrossBatch(2)(tf.constant([4, 5, 6, 7]), num_items=9)
    assert sample.ids.numpy().tolist() == [4, 5]
    assert float(sample.num_own) == 0.5


def test_evaluation_remembers_nothing():
    sampler = CrossBatch(4, StreamingFrequency(10))
    sampler(tf.constant([4]), 9)
    before = sampler.get_weights()
    sample = sampler(tf.constant([5, 6]), 9, training=False)
    assert sample.ids.numpy().tolist()[:3] == [5, 6, 4]
    for got, want in zip(sampler.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_known_items_and_histories_are_masked():
    known = KnownItems.from_interactions([1, 2], [4, 6], num_users=2, num_items=9)
    sampler = CrossBatch(3, known=known)
    sampler(tf.constant([8]), 9, user_ids=tf.constant([1]))
    given = scores_of(tf.zeros([2, 5]), positive_ids=tf.constant([[0, 8], [0, 0]]))
    sample = sampler(tf.constant([4, 6]), 9, user_ids=tf.constant([1, 2]), scores=given)
    assert sample.ids.numpy().tolist() == [4, 6, 8]
    assert sample.allowed.numpy().tolist() == [[False, True, False], [True, False, True]]


def test_before_there_is_a_memory_it_is_in_batch():
    targets, queries = tf.constant([3, 1, 9]), RNG.normal(size=(3, 5)).astype(np.float32)
    losses = []
    for sampler in (CrossBatch, InBatch):
        number = {"num_negatives": 20} if sampler is CrossBatch else {}
        negatives = sampler(frequency=ItemFrequency(COUNTS), **number)
        loss = SampledSoftmax(negatives=negatives, logq="corrected")
        losses.append(float(loss(targets, scores_of(tf.constant(queries)))))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_checkpoint_holds_the_memory(tmp_path):
    first, again = CrossBatch(6), CrossBatch(6)
    first(tf.constant([4, 5]), 9)
    tf.train.Checkpoint(x=first).save(str(tmp_path / "x"))
    tf.train.Checkpoint(x=again).restore(tf.train.latest_checkpoint(str(tmp_path)))
    samples = [sampler(tf.constant([7]), 9).ids.numpy().tolist() for sampler in (first, again)]
    assert samples[0] == samples[1] == [7, 4, 5, 1, 1, 1]


def test_what_it_refuses():
    with pytest.raises(TypeError, match="frequency must be ItemFrequency"):
        CrossBatch(4, frequency=[1, 2])
    with pytest.raises(ValueError, match="num_negatives"):
        CrossBatch(0)
