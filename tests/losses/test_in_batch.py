"""In-batch softmax: logQ, mixed and hard negatives, masks, in numpy."""

import numpy as np
import pytest

from tests.losses.test_losses import Fixed
from tfrecs._keras import tf
from tfrecs.losses import InBatchSoftmax
from tfrecs.negatives import ItemFrequency, StreamingFrequency, Uniform

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(4, 5)).astype(np.float32)
TABLE = RNG.normal(size=(9, 5)).astype(np.float32)
IDS = np.array([3, 1, 9, 3], np.int32)
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
COUNTS = np.array([5, 1, 8, 1, 1, 2, 1, 1, 4])


def vectors(ids):
    return TABLE[np.asarray(ids) - 1]


def item_vectors(ids):
    return tf.gather(tf.constant(TABLE), ids - 1)


def expected(logits, kept=None, positive=None):
    """Each row's -log softmax at its positive over the columns that are kept."""
    rows, logits = len(logits), np.asarray(logits, np.float64)
    positive = np.arange(rows) if positive is None else positive
    out = []
    for i in range(rows):
        columns = [
            j for j in range(logits.shape[1]) if j == positive[i] or kept is None or kept[i, j]
        ]
        out.append(np.log(np.exp(logits[i, columns]).sum()) - logits[i, positive[i]])
    return np.array(out)


def losses(loss, *arguments, **more):
    return loss.losses_of(loss.logits(*arguments, **more)).numpy()


def test_plain():
    logits = QUERIES @ vectors(IDS).T / 0.3
    np.testing.assert_allclose(
        losses(InBatchSoftmax(0.3), QUERIES, vectors(IDS)), expected(logits), rtol=1e-5
    )
    value = InBatchSoftmax(0.3)(QUERIES, vectors(IDS), WEIGHTS)
    mean = (expected(logits) * WEIGHTS).sum() / WEIGHTS.sum()
    assert float(value) == pytest.approx(mean, rel=1e-5)


def test_a_weightless_batch_has_no_loss():
    assert float(InBatchSoftmax()(QUERIES, vectors(IDS), np.zeros(4))) == 0


def test_a_frequency_corrects_the_scores():
    loss = InBatchSoftmax(0.5, frequency=ItemFrequency(COUNTS))
    logits = QUERIES @ vectors(IDS).T / 0.5 - np.log(COUNTS[IDS - 1] / COUNTS.sum())
    got = losses(loss, QUERIES, vectors(IDS), candidate_ids=tf.constant(IDS))
    np.testing.assert_allclose(got, expected(logits), rtol=1e-5)


def test_given_probabilities_have_no_floor():
    log_p = np.log([1e-7, 1e-6, 1e-3, 1e-12]).astype(np.float32)
    got = losses(InBatchSoftmax(), QUERIES, vectors(IDS), log_probability=tf.constant(log_p))
    logits = QUERIES @ vectors(IDS).T - log_p
    np.testing.assert_allclose(got, expected(logits), rtol=1e-5, atol=1e-6)


def test_given_probabilities_replace_the_frequency():
    frequency = StreamingFrequency(10)
    log_p = np.log([0.1, 0.2, 0.3, 0.4]).astype(np.float32)
    loss = InBatchSoftmax(frequency=frequency)
    got = losses(loss, QUERIES, vectors(IDS), log_probability=tf.constant(log_p))
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T - log_p), rtol=1e-5)


def test_mixed_negatives_are_corrected_by_the_mixtures_probability():
    """Yang et al. (2020): q = (B p_batch + U p_uniform) / (B + U)."""
    drawn = [2, 3, 3, 7, 8, 1]
    loss = InBatchSoftmax(frequency=ItemFrequency(COUNTS), negatives=Fixed(drawn))
    got = losses(
        loss,
        QUERIES,
        vectors(IDS),
        candidate_ids=tf.constant(IDS),
        item_vectors=item_vectors,
        num_items=9,
    )
    ids = np.concatenate([IDS, drawn])
    q = (4 * COUNTS[ids - 1] / COUNTS.sum() + 6 * np.full(10, 1 / 9)) / 10
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(ids).T - np.log(q)), rtol=1e-5)


def test_extra_rows_and_drawn_negatives_together():
    extra, drawn = [6, 9], [2, 3, 5]
    others = np.arange(1, 10)
    loss = InBatchSoftmax(
        frequency=ItemFrequency(COUNTS),
        extra_frequency=ItemFrequency(others),
        negatives=Fixed(drawn),
    )
    rows = np.concatenate([IDS, extra])
    got = losses(
        loss,
        QUERIES,
        vectors(rows),
        candidate_ids=tf.constant(rows, tf.int64),
        item_vectors=item_vectors,
        num_items=9,
    )
    ids = np.concatenate([rows, drawn])
    q = 4 * COUNTS[ids - 1] / COUNTS.sum() + 2 * others[ids - 1] / others.sum() + 3 / 9
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(ids).T - np.log(q / 9)), rtol=1e-5)


def test_the_correction_undoes_the_popularity_of_the_negatives():
    """Gradients over many draws from p are those of the softmax over all negatives, each once."""
    own, others = 4, np.array([1, 2, 3, 5, 6, 7, 8, 9])
    softmax = np.exp(QUERIES[0] @ vectors(others).T)
    want = softmax / softmax.sum() @ vectors(others) - vectors(own)
    draws = np.random.default_rng(1).choice(9, size=50_000, p=COUNTS / COUNTS.sum()) + 1
    ids = tf.constant([own, *draws], tf.int32)
    query = tf.constant(QUERIES[:1])

    def gradient(**arguments):
        loss = InBatchSoftmax(remove_accidental_hits=True, **arguments)
        with tf.GradientTape() as tape:
            tape.watch(query)
            value = loss(query, item_vectors(ids), candidate_ids=ids)
        return tape.gradient(value, query).numpy()[0]

    frequency = ItemFrequency(COUNTS)
    corrected = gradient(frequency=frequency, extra_frequency=frequency)
    np.testing.assert_allclose(corrected, want, atol=0.03)
    assert np.abs(gradient() - want).max() > 0.2


def test_accidental_hits_are_left_out():
    kept = IDS[None, :] != IDS[:, None]
    loss = InBatchSoftmax(remove_accidental_hits=True)
    got = losses(loss, QUERIES, vectors(IDS), candidate_ids=tf.constant(IDS))
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T, kept), rtol=1e-5)


def test_an_item_that_stands_twice_among_the_negatives_is_left_out_twice():
    drawn = [3, 3, 9]
    ids = np.concatenate([IDS, drawn])
    loss = InBatchSoftmax(remove_accidental_hits=True, negatives=Fixed(drawn))
    got = losses(
        loss,
        QUERIES,
        vectors(IDS),
        candidate_ids=tf.constant(IDS),
        item_vectors=item_vectors,
        num_items=9,
    )
    kept = ids[None, :] != IDS[:, None]
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(ids).T, kept), rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_other_positives_of_the_user_are_left_out(dtype):
    positives = np.array([[3, 9, 0], [0, 0, 0], [1, 2, 9], [9, 3, 1]])
    kept = np.array([[j not in set(row) - {0} for j in IDS] for row in positives])
    got = losses(
        InBatchSoftmax(),
        QUERIES,
        vectors(IDS),
        candidate_ids=tf.constant(IDS),
        positive_ids=tf.constant(positives, dtype),
    )
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T, kept), rtol=1e-5)


def test_padding_of_positives_hides_no_candidate():
    ids, positives = tf.constant([0, 1, 2, 0]), tf.zeros([4, 2], tf.int32)
    for p in (positives, positives[:, :0]):
        got = losses(InBatchSoftmax(), QUERIES, vectors(IDS), candidate_ids=ids, positive_ids=p)
        np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T), rtol=1e-5)


def test_score_mask():
    mask = RNG.random((4, 4)) < 0.5
    got = losses(InBatchSoftmax(), QUERIES, vectors(IDS), score_mask=tf.constant(mask))
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T, mask), rtol=1e-5)


def test_a_query_with_no_negative_left_has_no_loss():
    got = losses(InBatchSoftmax(), QUERIES, vectors(IDS), score_mask=tf.zeros([4, 4], tf.bool))
    np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize("k", [1, 2, 3, 50])
def test_hard_negatives(k):
    logits = QUERIES @ vectors(IDS).T
    rows = []
    for i, row in enumerate(logits):
        hard = np.sort(np.delete(row, i))[::-1][:k]
        rows.append(np.log(np.exp(row[i]) + np.exp(hard).sum()) - row[i])
    got = losses(InBatchSoftmax(num_hard_negatives=k), QUERIES, vectors(IDS))
    np.testing.assert_allclose(got, rows, rtol=1e-5)


def test_no_hard_negatives_means_all():
    got = losses(InBatchSoftmax(num_hard_negatives=0), QUERIES, vectors(IDS))
    np.testing.assert_allclose(got, expected(QUERIES @ vectors(IDS).T), rtol=1e-5)


def test_several_heads_score_by_the_best():
    queries = RNG.normal(size=(4, 3, 5)).astype(np.float32)
    logits = np.max(queries @ vectors(IDS).T, axis=1)
    np.testing.assert_allclose(
        losses(InBatchSoftmax(), queries, vectors(IDS)), expected(logits), rtol=1e-5
    )


def test_a_learned_temperature_learns():
    loss = InBatchSoftmax(0.5, learn_temperature=True)
    assert len(loss.trainable_weights) == 1
    plain = InBatchSoftmax(0.5)(QUERIES, vectors(IDS))
    with tf.GradientTape() as tape:
        value = loss(QUERIES, vectors(IDS))
    assert float(value) == pytest.approx(float(plain), rel=1e-6)
    gradient = float(tape.gradient(value, loss.log_temperature))
    up, down = (
        float(InBatchSoftmax(0.5 * np.exp(d))(QUERIES, vectors(IDS))) for d in (1e-2, -1e-2)
    )
    assert gradient == pytest.approx((up - down) / 2e-2, rel=1e-2)


def test_a_streaming_frequency_learns_in_training_only_and_from_positives_only():
    frequency = StreamingFrequency(10)
    loss = InBatchSoftmax(
        frequency=frequency, extra_frequency=ItemFrequency(COUNTS), negatives=Uniform(3, seed=1)
    )
    rows = np.concatenate([IDS, [5, 6]])
    arguments = {
        "candidate_ids": tf.constant(rows, tf.int32),
        "item_vectors": item_vectors,
        "num_items": 9,
    }
    loss(QUERIES, vectors(rows), training=False, **arguments)
    assert int(frequency._rows_seen) == 0
    loss(QUERIES, vectors(rows), **arguments)
    assert int(frequency._rows_seen) == 4
    np.testing.assert_allclose(
        np.exp(frequency(tf.constant([1, 3, 9, 5]))), [0.25, 0.5, 0.25, 0.25], rtol=1e-6
    )


ARGUMENTS = {"candidate_ids": tf.constant(IDS), "item_vectors": item_vectors, "num_items": 9}


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda: InBatchSoftmax(0), {}, "temperature"),
        (lambda: InBatchSoftmax(remove_accidental_hits=True), {}, "remove_accidental_hits"),
        (lambda: InBatchSoftmax(frequency=ItemFrequency(COUNTS)), {}, "frequency"),
        (InBatchSoftmax, {"positive_ids": tf.zeros([4, 1], tf.int32)}, "positive_ids"),
        (
            lambda: InBatchSoftmax(negatives=Uniform(2)),
            {"candidate_ids": tf.constant(IDS)},
            "item_vectors",
        ),
        (
            lambda: InBatchSoftmax(negatives=Uniform(2)),
            ARGUMENTS | {"log_probability": tf.zeros(4)},
            "give a frequency",
        ),
        (lambda: InBatchSoftmax(negatives=Uniform(2, shared=False)), ARGUMENTS, "shared=True"),
    ],
)
def test_errors_name_the_remedy(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make()(QUERIES, vectors(IDS), **arguments)


def test_extra_rows_of_unknown_frequency():
    loss = InBatchSoftmax(frequency=ItemFrequency(COUNTS))
    rows = np.concatenate([IDS, [5]]).astype(np.int32)
    with pytest.raises(ValueError, match="extra_frequency"):
        loss(QUERIES, vectors(rows), candidate_ids=tf.constant(rows))
    anything = [tf.TensorSpec([None, 5]), tf.TensorSpec([None, 5]), tf.TensorSpec([None], tf.int32)]
    function = tf.function(lambda q, c, i: loss(q, c, candidate_ids=i), input_signature=anything)
    with pytest.raises(tf.errors.InvalidArgumentError, match="extra_frequency"):
        function(QUERIES, vectors(rows), rows)
