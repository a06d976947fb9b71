"""The softmax over the batch: in-batch, mixed and hard negatives, logQ and masks, in numpy."""

import json

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import BPR, GBCE, BinaryCrossEntropy, DotProductScores, SampledSoftmax
from tfrecs.negatives import (
    Hardest,
    InBatch,
    ItemFrequency,
    KnownItems,
    Mixed,
    Negatives,
    StreamingFrequency,
    Uniform,
)

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(4, 5)).astype(np.float32)
TABLE = RNG.normal(size=(9, 5)).astype(np.float32)
IDS = np.array([3, 1, 9, 3], np.int32)
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
COUNTS = np.array([5, 1, 8, 1, 1, 2, 1, 1, 4])
SHARES = COUNTS / COUNTS.sum()


class Drawn(Negatives):
    """Uniform negatives that a test chose."""

    def __init__(self, ids):
        super().__init__(len(ids), seed=1)
        self.ids = ids

    def draw(self, seed, positives, num_items, user_ids):
        return tf.constant(self.ids), None

    def log_probability(self, ids, positives, num_items, user_ids):
        return tf.fill(tf.shape(ids), -tf.math.log(float(num_items)))


def scores(queries=QUERIES, user_ids=None, positive_ids=None):
    table = tf.constant(TABLE)
    return DotProductScores(
        tf.constant(queries),
        9,
        lambda ids: tf.gather(table, ids - 1),
        lambda: table,
        user_ids,
        positive_ids,
    )


def value(loss, training=None, **arguments):
    return float(loss(tf.constant(IDS), scores(**arguments), WEIGHTS, training=training))


def losses_of(ids, q=None, kept=None):
    """Each row's -log softmax over its own item and those other `ids` that are kept.

    `q` has the probability of each item.
    """
    log_q = np.zeros(9) if q is None else np.log(q)
    found = []
    for i, own in enumerate(IDS):
        negatives = [j for k, j in enumerate(ids) if j != own and (kept is None or kept[i, k])]
        columns = np.array([own, *negatives]) - 1
        logits = TABLE[columns] @ QUERIES[i] - log_q[columns]
        found.append(np.log(np.exp(logits).sum()) - logits[0])
    return np.array(found)


def expected(ids, q=None, kept=None):
    return (losses_of(ids, q, kept) * WEIGHTS).sum() / WEIGHTS.sum()


def test_all_positives_of_the_batch_are_negatives():
    assert value(SampledSoftmax(negatives=InBatch())) == pytest.approx(expected(IDS), rel=1e-5)


def test_a_frequency_corrects_the_scores():
    loss = SampledSoftmax(negatives=InBatch(frequency=ItemFrequency(COUNTS)))
    assert value(loss) == pytest.approx(expected(IDS, SHARES), rel=1e-5)
    loss = SampledSoftmax(logq=False, negatives=InBatch(frequency=ItemFrequency(COUNTS)))
    assert value(loss) == pytest.approx(expected(IDS), rel=1e-5)


def test_without_a_frequency_nothing_is_corrected():
    drawn = [2, 3, 7]
    loss = SampledSoftmax(negatives=Mixed([InBatch(), Drawn(drawn)]))
    assert value(loss) == pytest.approx(expected([*IDS, *drawn]), rel=1e-5)


def test_mixed_negatives_are_corrected_by_the_mixtures_probability():
    """Yang et al. (2020): q = (B p_batch + U p_uniform) / (B + U)."""
    drawn = [2, 3, 3, 7, 8, 1]
    loss = SampledSoftmax(negatives=Mixed([InBatch(frequency=ItemFrequency(COUNTS)), Drawn(drawn)]))
    q = (4 * SHARES + 6 / 9) / 10
    assert value(loss) == pytest.approx(expected([*IDS, *drawn], q), rel=1e-5)


def test_a_mixture_of_three():
    drawn, others = [2, 3, 5], [6, 9]
    rows = InBatch(frequency=ItemFrequency(COUNTS))
    loss = SampledSoftmax(negatives=Mixed([Drawn(others), rows, Drawn(drawn)]))
    q = (4 * SHARES + 5 / 9) / 9
    assert value(loss) == pytest.approx(expected([*others, *IDS, *drawn], q), rel=1e-5)


def test_the_correction_undoes_the_popularity_of_the_negatives():
    """Gradients over many draws from p are those of the softmax over all negatives, each once."""
    own, others = 4, np.array([1, 2, 3, 5, 6, 7, 8, 9])
    softmax = np.exp(TABLE[others - 1] @ QUERIES[0])
    want = softmax / softmax.sum() @ TABLE[others - 1] - TABLE[own - 1]
    draws = np.random.default_rng(1).choice(9, size=3_000, p=SHARES) + 1
    query = tf.constant(QUERIES[:1])
    targets = tf.constant([own, *draws], tf.int32)
    weights = tf.one_hot(0, len(targets))  # The first row's loss alone.

    def gradient(**arguments):
        loss = SampledSoftmax(negatives=InBatch(**arguments))
        with tf.GradientTape() as tape:
            tape.watch(query)
            of_all = scores(tf.tile(query, [len(targets), 1]))
            value = loss(targets, of_all, weights)
        return tape.gradient(value, query).numpy()[0]

    corrected = gradient(frequency=ItemFrequency(COUNTS))
    np.testing.assert_allclose(corrected, want, atol=0.1)
    assert np.abs(gradient() - want).max() > 0.2


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_other_positives_of_the_user_are_no_negatives(dtype):
    positives = np.array([[3, 9, 0], [0, 0, 0], [1, 2, 9], [9, 3, 1]])
    kept = np.array([[j not in set(row) - {0} for j in IDS] for row in positives])
    loss = SampledSoftmax(negatives=InBatch())
    got = value(loss, positive_ids=tf.constant(positives, dtype))
    assert got == pytest.approx(expected(IDS, kept=kept), rel=1e-5)
    # In a mixture they are masked among the rows of the batch alone.
    drawn = [9, 2]
    got = value(
        SampledSoftmax(negatives=Mixed([InBatch(), Drawn(drawn)])),
        positive_ids=tf.constant(positives, dtype),
    )
    kept = np.concatenate([kept, np.ones((4, 2), bool)], axis=1)
    assert got == pytest.approx(expected([*IDS, *drawn], kept=kept), rel=1e-5)


def test_padding_of_positives_hides_no_candidate():
    positives = tf.zeros([4, 2], tf.int32)
    for p in (positives, positives[:, :0]):
        got = value(SampledSoftmax(negatives=InBatch()), positive_ids=p)
        assert got == pytest.approx(expected(IDS), rel=1e-5)


def test_known_items_are_no_negatives():
    known = KnownItems.from_interactions([1, 1, 2], [9, 1, 3], num_users=2, num_items=9)
    users = [1, 2, 2, 1]
    kept = np.array([[(u, j) not in {(1, 9), (1, 1), (2, 3)} for j in IDS] for u in users])
    loss = SampledSoftmax(negatives=InBatch(known=known))
    assert value(loss, user_ids=tf.constant(users)) == pytest.approx(
        expected(IDS, kept=kept), rel=1e-5
    )
    with pytest.raises(ValueError, match="where the users are known"):
        value(loss)


def test_a_query_with_no_negative_left_has_no_loss():
    everything = tf.constant([[1, 3, 9]] * 4)
    assert value(SampledSoftmax(negatives=InBatch()), positive_ids=everything) == 0


@pytest.mark.parametrize("k", [1, 2, 3, 50])
def test_hard_negatives(k):
    """Of the rows with another item, those with the largest scores; all where k is larger."""
    each = []
    for query, own in zip(QUERIES, IDS, strict=True):
        of_others = TABLE[IDS[own != IDS] - 1] @ query
        hard = np.sort(of_others)[::-1][:k]
        each.append(np.log1p(np.exp(hard - TABLE[own - 1] @ query).sum()))
    want = (np.array(each) * WEIGHTS).sum() / WEIGHTS.sum()
    assert value(SampledSoftmax(negatives=Hardest(k, InBatch()))) == pytest.approx(want, rel=1e-5)


def test_other_losses_take_the_batch_too():
    of_rows = QUERIES @ TABLE[IDS - 1].T
    own = of_rows[np.arange(4), np.arange(4)]
    kept = IDS[None] != IDS[:, None]
    softplus = np.log1p(np.exp(of_rows))
    each = np.log1p(np.exp(-own)) + (softplus * kept).sum(1)
    want = (each * WEIGHTS).sum() / WEIGHTS.sum()
    assert value(BinaryCrossEntropy(negatives=InBatch())) == pytest.approx(want, rel=1e-5)
    assert np.isfinite(value(BPR(negatives=InBatch())))
    with pytest.raises(ValueError, match="GBCE's calibration needs the number of negatives"):
        GBCE(negatives=InBatch())


def test_a_streaming_frequency_learns_in_training_only():
    frequency = StreamingFrequency(10)
    in_batch = InBatch(frequency=frequency)
    samplers = [in_batch, Mixed([in_batch, Uniform(3, seed=1)]), Hardest(2, in_batch)]
    for seen, sampler in enumerate(samplers):
        loss = SampledSoftmax(negatives=sampler)
        value(loss, training=False)
        assert int(frequency._rows_seen) == 4 * seen
        value(loss, training=True)
        assert int(frequency._rows_seen) == 4 * (seen + 1)
    np.testing.assert_allclose(
        np.exp(frequency(tf.constant([1, 3, 9, 5]))), [0.25, 0.5, 0.25, 1 / 12], rtol=1e-6
    )


def test_config_round_trip():
    loss = SampledSoftmax(
        negatives=Mixed([InBatch(frequency=StreamingFrequency(20), seed=3), Uniform(4, seed=1)])
    )
    again = SampledSoftmax.from_config(json.loads(json.dumps(loss.get_config())))
    assert again.get_config() == loss.get_config()
    assert again.num_negatives is None
    assert value(again) == pytest.approx(value(loss), rel=1e-6)


def test_numbers_of_draws_are_checked():
    with pytest.raises(ValueError, match="num_negatives is 5, and the InBatch .* the whole batch"):
        BPR(num_negatives=5, negatives=InBatch())
    with pytest.raises(ValueError, match="num_negatives must be at least 1, not 0"):
        InBatch(0)
    for wrong in (1.5, True, "8", [3]):
        with pytest.raises(TypeError, match="num_negatives must be an integer, not"):
            InBatch(wrong)
    for wrong in ("x", 3, Uniform(4)):
        with pytest.raises(TypeError, match="frequency must be ItemFrequency"):
            InBatch(frequency=wrong)
    for wrong in (["uniform"], [Uniform], [None]):
        with pytest.raises(TypeError, match="samplers must be objects such as"):
            Mixed(wrong)
    assert Mixed([InBatch(4), Uniform(3)]).num_negatives == 7
    assert Mixed([InBatch(), Uniform(3)]).num_negatives is None
