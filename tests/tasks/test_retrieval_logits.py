"""The retrieval task's softmax over the batch: corrections, masks and hard negatives, in numpy."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import DotProductScores, SampledSoftmax
from tfrecs.negatives import InBatch, ItemFrequency, StreamingFrequency, Uniform
from tfrecs.tasks import Retrieval

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(4, 5)).astype(np.float32)
TABLE = RNG.normal(size=(9, 5)).astype(np.float32)
IDS = np.array([3, 1, 9, 3], np.int32)
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
COUNTS = np.array([5, 1, 8, 1, 1, 2, 1, 1, 4])
CANDIDATES = TABLE[IDS - 1]


def expected(logits, kept=None):
    """Each row's -log softmax at its own column over the columns that are kept."""
    out = []
    for i, row in enumerate(np.asarray(logits, np.float64)):
        columns = [j for j in range(len(row)) if j == i or kept is None or kept[i, j]]
        out.append(np.log(np.exp(row[columns]).sum()) - row[i])
    return np.array(out)


def losses(task, queries=QUERIES, candidates=CANDIDATES, **call):
    """Each query's loss: that of a batch where no other query has a weight."""
    weights = np.eye(len(queries), dtype=np.float32)
    return np.array([float(task(queries, candidates, w, training=False, **call)) for w in weights])


def test_plain():
    logits = QUERIES @ CANDIDATES.T / 0.3
    np.testing.assert_allclose(losses(Retrieval(temperature=0.3)), expected(logits), rtol=1e-5)
    value = Retrieval(temperature=0.3)(QUERIES, CANDIDATES, WEIGHTS)
    mean = (expected(logits) * WEIGHTS).sum() / WEIGHTS.sum()
    assert float(value) == pytest.approx(mean, rel=1e-5)


def test_a_weightless_batch_has_no_loss():
    assert float(Retrieval()(QUERIES, CANDIDATES, np.zeros(4))) == 0


def test_a_frequency_corrects_the_scores():
    task = Retrieval(temperature=0.5, frequency=ItemFrequency(COUNTS))
    logits = QUERIES @ CANDIDATES.T / 0.5 - np.log(COUNTS[IDS - 1] / COUNTS.sum())
    got = losses(task, candidate_ids=tf.constant(IDS))
    np.testing.assert_allclose(got, expected(logits), rtol=1e-5)


def test_given_probabilities_have_no_floor():
    log_p = np.log([1e-7, 1e-6, 1e-3, 1e-12]).astype(np.float32)
    got = losses(Retrieval(), candidate_log_probability=tf.constant(log_p))
    np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T - log_p), rtol=1e-5, atol=1e-6)


def test_given_probabilities_replace_the_frequency():
    log_p = np.log([0.1, 0.2, 0.3, 0.4]).astype(np.float32)
    task = Retrieval(frequency=StreamingFrequency(10))
    got = losses(task, candidate_log_probability=tf.constant(log_p))
    np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T - log_p), rtol=1e-5)


def test_mixed_negatives_as_further_rows():
    """Yang et al. (2020): the caller says how likely each row of the mixture is."""
    ids = np.concatenate([IDS, [2, 3, 3, 7, 8, 1]])
    q = (4 * COUNTS[ids - 1] / COUNTS.sum() + 6 / 9) / 10
    got = losses(
        Retrieval(),
        candidates=TABLE[ids - 1],
        candidate_sampling_probability=q.astype(np.float32),
    )
    np.testing.assert_allclose(got, expected(QUERIES @ TABLE[ids - 1].T - np.log(q)), rtol=1e-5)


def test_accidental_hits_are_left_out():
    rows = np.concatenate([IDS, [3, 3, 9]])
    task = Retrieval(remove_accidental_hits=True)
    for ids in (IDS, rows):  # Also those that stand twice among the negatives.
        got = losses(task, candidates=TABLE[ids - 1], candidate_ids=tf.constant(ids))
        kept = ids[None, :] != IDS[:, None]
        np.testing.assert_allclose(got, expected(QUERIES @ TABLE[ids - 1].T, kept), rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_other_positives_of_the_user_are_left_out(dtype):
    positives = np.array([[3, 9, 0], [0, 0, 0], [1, 2, 9], [9, 3, 1]])
    kept = np.array([[j not in set(row) - {0} for j in IDS] for row in positives])
    got = losses(
        Retrieval(), candidate_ids=tf.constant(IDS), positive_ids=tf.constant(positives, dtype)
    )
    np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T, kept), rtol=1e-5)


def test_padding_of_positives_hides_no_candidate():
    ids, positives = tf.constant([0, 1, 2, 0]), tf.zeros([4, 2], tf.int32)
    for p in (positives, positives[:, :0]):
        got = losses(Retrieval(), candidate_ids=ids, positive_ids=p)
        np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T), rtol=1e-5)


def test_score_mask():
    mask = RNG.random((4, 4)) < 0.5
    got = losses(Retrieval(), score_mask=tf.constant(mask))
    np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T, mask), rtol=1e-5)
    np.testing.assert_array_equal(losses(Retrieval(), score_mask=tf.zeros([4, 4], tf.bool)), 0)


@pytest.mark.parametrize("k", [1, 2, 3, 50])
def test_hard_negatives(k):
    rows = []
    for i, row in enumerate(QUERIES @ CANDIDATES.T):
        hard = np.sort(np.delete(row, i))[::-1][:k]
        rows.append(np.log(np.exp(row[i]) + np.exp(hard).sum()) - row[i])
    np.testing.assert_allclose(losses(Retrieval(num_hard_negatives=k)), rows, rtol=1e-5)


def test_no_hard_negatives_means_all():
    got = losses(Retrieval(num_hard_negatives=0))
    np.testing.assert_allclose(got, expected(QUERIES @ CANDIDATES.T), rtol=1e-5)


def test_several_heads_score_by_the_best():
    queries = RNG.normal(size=(4, 3, 5)).astype(np.float32)
    logits = np.max(queries @ CANDIDATES.T, axis=1)
    np.testing.assert_allclose(losses(Retrieval(), queries), expected(logits), rtol=1e-5)


def test_a_learned_temperature_learns():
    task = Retrieval(temperature=0.5, learn_temperature=True)
    assert len(task.trainable_weights) == 1
    plain = Retrieval(temperature=0.5)(QUERIES, CANDIDATES)
    with tf.GradientTape() as tape:
        value = task(QUERIES, CANDIDATES)
    assert float(value) == pytest.approx(float(plain), rel=1e-6)
    gradient = float(tape.gradient(value, task.log_temperature))
    up, down = (
        float(Retrieval(temperature=0.5 * np.exp(d))(QUERIES, CANDIDATES)) for d in (1e-2, -1e-2)
    )
    assert gradient == pytest.approx((up - down) / 2e-2, rel=1e-2)


def test_a_streaming_frequency_learns_in_training_only():
    frequency = StreamingFrequency(10)
    task = Retrieval(frequency=frequency)
    ids = tf.constant(IDS)
    task(QUERIES, CANDIDATES, candidate_ids=ids, training=False)
    assert int(frequency._rows_seen) == 0
    task(QUERIES, CANDIDATES, candidate_ids=ids)
    assert int(frequency._rows_seen) == 4
    np.testing.assert_allclose(
        np.exp(frequency(tf.constant([1, 3, 9, 5]))), [0.25, 0.5, 0.25, 0.25], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda: Retrieval(temperature=0), {}, "temperature"),
        (lambda: Retrieval(remove_accidental_hits=True), {}, "remove_accidental_hits"),
        (lambda: Retrieval(frequency=ItemFrequency(COUNTS)), {}, "frequency"),
        (Retrieval, {"positive_ids": tf.zeros([4, 1], tf.int32)}, "positive_ids"),
    ],
)
def test_errors_name_the_remedy(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make()(QUERIES, CANDIDATES, **arguments)


@pytest.mark.parametrize("name", ["negatives", "extra_frequency", "known"])
def test_arguments_that_became_a_samplers_are_named(name):
    with pytest.raises(TypeError, match=rf"Retrieval no longer takes {name}: .*Mixed\(\[InBatch"):
        Retrieval(**{name: Uniform(4)})


def test_further_rows_of_unknown_frequency():
    task = Retrieval(frequency=ItemFrequency(COUNTS))
    ids = np.concatenate([IDS, [5]]).astype(np.int32)
    with pytest.raises(ValueError, match="give candidate_sampling_probability"):
        task(QUERIES, TABLE[ids - 1], candidate_ids=tf.constant(ids))
    anything = [tf.TensorSpec([None, 5]), tf.TensorSpec([None, 5]), tf.TensorSpec([None], tf.int32)]
    function = tf.function(lambda q, c, i: task(q, c, candidate_ids=i), input_signature=anything)
    with pytest.raises(tf.errors.InvalidArgumentError, match="give candidate_sampling_probability"):
        function(QUERIES, TABLE[ids - 1], ids)


def test_the_task_is_the_loss_over_the_batch():
    """One softmax: TFRS's call and the loss with `negatives=InBatch` give the same number."""
    frequency = ItemFrequency(COUNTS)
    task = Retrieval(remove_accidental_hits=True, frequency=frequency)
    positives = tf.constant([[1, 2], [0, 3], [0, 0], [9, 1]])
    want = task(
        QUERIES, CANDIDATES, WEIGHTS, candidate_ids=tf.constant(IDS), positive_ids=positives
    )
    table = tf.constant(TABLE)
    scores = DotProductScores(
        tf.constant(QUERIES),
        9,
        lambda ids: tf.gather(table, ids - 1),
        lambda: table,
        positive_ids=positives,
    )
    loss = SampledSoftmax(negatives=InBatch(frequency=frequency))
    got = loss(tf.constant(IDS), scores, WEIGHTS)
    assert float(got) == pytest.approx(float(want), rel=1e-5)
