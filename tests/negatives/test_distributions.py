"""Every sampler draws by the distribution that it states: chi-squared, on fixed seeds."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tfrecs._keras import tf
from tfrecs.negatives import (
    InBatch,
    ItemFrequency,
    KnownItems,
    Mined,
    Mixed,
    Popularity,
    SameValue,
    StreamingFrequency,
    Uniform,
)

N = 12
COUNTS = np.array([50, 30, 20, 10, 5, 3, 2, 2, 1, 1, 1, 0])
# User 1 knows popular items and neighbours; 2 all but one; 3 nothing; 4 everything.
KNOWN = {1: [1, 2, 3, 7, 12], 2: [i for i in range(1, N + 1) if i != 5], 3: [], 4: range(1, N + 1)}
VALUES = np.array([1, 1, 1, 1, 2, 2, 3, 0, 0, 2, 2, 2])
DRAWS = 60_000


def known():
    users = np.concatenate([np.full(len(items), user) for user, items in KNOWN.items()])
    return KnownItems.from_interactions(users, np.concatenate([*map(list, KNOWN.values())]), 4, N)


def by_popularity(alpha, smoothing):
    weight = (COUNTS + smoothing) ** alpha
    return weight / weight.sum()


def without(user, probability):
    left = np.where(np.isin(np.arange(1, N + 1), list(KNOWN[user])), 0, probability)
    return left / left.sum() if left.any() else probability


def assert_drawn_by(ids, probability):
    """A p-value below 1e-4 is one draw in 10,000, and nothing is drawn that has no probability."""
    counts = np.bincount(np.ravel(ids), minlength=N + 1)[1:]
    # Popularity's probabilities are at least 2^-30: none of them is ever seen.
    assert len(counts) == N
    assert counts[probability < 1e-6].sum() == 0
    seen = probability >= 1e-6
    expected = probability[seen] / probability[seen].sum() * counts.sum()
    assert chisquare(counts[seen], expected).pvalue > 1e-4 or seen.sum() == 1


def assert_states(sample, row, probability):
    """The log-probabilities are those of the ids' distribution."""
    np.testing.assert_allclose(
        np.exp(sample.log_probability[row]), probability[sample.ids[row] - 1], rtol=1e-5
    )


SHARED = {
    "uniform": (lambda: Uniform(DRAWS, seed=1), np.full(N, 1 / N)),
    "popularity": (
        lambda: Popularity(DRAWS, COUNTS, 0.75, 1.0, seed=1),
        by_popularity(0.75, 1.0),
    ),
    "popularity, unsmoothed": (lambda: Popularity(DRAWS, COUNTS, 1.0, seed=1), COUNTS / 125),
    "popularity, flat": (lambda: Popularity(DRAWS, COUNTS, 0.0, 1.0, seed=1), np.full(N, 1 / N)),
    "mixed": (
        lambda: Mixed(
            [Uniform(DRAWS // 4, seed=1), Popularity(DRAWS * 3 // 4, COUNTS, 1.0, seed=2)]
        ),
        0.25 / N + 0.75 * COUNTS / 125,
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_shared(name):
    make, probability = SHARED[name]
    sample = make()(tf.constant([1, 12]), num_items=N)
    assert sample.ids.shape == (DRAWS,)
    if name == "mixed":  # as many from each as said: less noise than independent draws have
        assert_drawn_by(sample.ids[: DRAWS // 4], np.full(N, 1 / N))
        assert_drawn_by(sample.ids[DRAWS // 4 :], COUNTS / 125)
    else:
        assert_drawn_by(sample.ids, probability)
    np.testing.assert_allclose(
        np.exp(sample.log_probability), probability[sample.ids - 1], rtol=1e-5
    )
    np.testing.assert_allclose(
        np.exp(sample.positive_log_probability), probability[[0, 11]], rtol=1e-5, atol=1e-8
    )
    assert sample.allowed is None


OWN = {
    "uniform": (lambda **more: Uniform(DRAWS, shared=False, seed=1, **more), np.full(N, 1 / N)),
    "popularity": (
        lambda **more: Popularity(DRAWS, COUNTS, 0.75, 1.0, shared=False, seed=1, **more),
        by_popularity(0.75, 1.0),
    ),
}


def test_in_batch():
    """By how often the batch has an item, which is how often the log has it."""
    batch = np.repeat(np.arange(1, N + 1), COUNTS).astype(np.int32)
    sample = InBatch(DRAWS, ItemFrequency(COUNTS), seed=1)(tf.constant(batch), num_items=N)
    assert_drawn_by(sample.ids, COUNTS / COUNTS.sum())
    np.testing.assert_allclose(
        np.exp(sample.log_probability), (COUNTS / COUNTS.sum())[sample.ids - 1], rtol=1e-5
    )


def test_in_batch_with_frequencies_learned_on_the_way():
    sampler = InBatch(8, StreamingFrequency(N + 1), seed=1)
    for _ in range(40):
        sample = sampler(tf.constant([2, 2, 2, 7]), num_items=N)
    share = {2: 0.75, 7: 0.25}
    np.testing.assert_allclose(
        np.exp(sample.log_probability), [share[item] for item in sample.ids.numpy()], rtol=1e-4
    )
    np.testing.assert_allclose(
        np.exp(sample.positive_log_probability), [0.75, 0.75, 0.75, 0.25], rtol=1e-4
    )


@pytest.mark.parametrize("name", OWN)
def test_own(name):
    make, probability = OWN[name]
    sample = make()(tf.constant([1, 12]), num_items=N)
    assert sample.ids.shape == (2, DRAWS)
    for row in range(2):
        assert_drawn_by(sample.ids[row], probability)
        assert_states(sample, row, probability)


@pytest.mark.parametrize("name", OWN)
def test_known_items_are_not_drawn(name):
    make, probability = OWN[name]
    users = np.array([1, 2, 3, 4, 9])
    sample = make(known=known())(tf.constant([1, 1, 1, 1, 1]), N, user_ids=tf.constant(users))
    for row, user in enumerate(users):
        left = without(min(user, 4), probability) if user != 9 else probability
        assert_drawn_by(sample.ids[row], left)
        assert_states(sample, row, left)
    assert sample.allowed is None
    # A known positive counts as an unknown item that is as likely.
    lost = sum(probability[list(KNOWN[1])[i] - 1] for i in range(5))
    want = probability[0] / (1 - lost) if name == "popularity" else 1 / 7
    assert np.exp(sample.positive_log_probability[0]) == pytest.approx(want, rel=1e-5)


def test_known_items_among_shared_ones_are_masked():
    sample = Popularity(500, COUNTS, seed=1, known=known())(
        tf.constant([1, 1]), N, user_ids=tf.constant([1, 3])
    )
    assert sample.ids.shape == (500,)
    np.testing.assert_array_equal(sample.allowed[0], ~np.isin(sample.ids, KNOWN[1]))
    assert np.all(sample.allowed[1])


def test_mixed_with_known_items():
    parts = [
        Uniform(DRAWS, False, seed=1, known=known()),
        Popularity(DRAWS, COUNTS, 1.0, shared=False, seed=2),
    ]
    sample = Mixed(parts)(tf.constant([3]), N, user_ids=tf.constant([1]))
    uniform, popular = without(1, np.full(N, 1 / N)), COUNTS / 125
    assert_drawn_by(sample.ids[0, :DRAWS], uniform)
    assert_drawn_by(sample.ids[0, DRAWS:], popular)
    # The first part says of a known item what it says of others.
    q = (1 / 7 + popular) / 2
    unknown = ~np.isin(sample.ids[0], KNOWN[1])
    np.testing.assert_allclose(
        np.exp(sample.log_probability[0])[unknown],
        q[sample.ids[0].numpy() - 1][unknown],
        rtol=1e-5,
    )


def test_same_value():
    positives = np.array([2, 6, 7, 8, 1])  # of four, of five, alone, without one; and again
    sample = SameValue(DRAWS, VALUES, seed=1)(tf.constant(positives), N)
    ids = np.arange(1, N + 1)
    for row, positive in enumerate(positives):
        others = (VALUES[positive - 1] == VALUES) & (ids != positive) & (VALUES > 0)
        probability = others / others.sum() if others.any() else np.full(N, 1 / N)
        assert_drawn_by(sample.ids[row], probability)
        assert_states(sample, row, probability)
    want = [1 / 3, 1 / 4, 1 / N, 1 / N, 1 / 3]
    np.testing.assert_allclose(np.exp(sample.positive_log_probability), want, rtol=1e-5)


def test_same_value_without_known_items():
    log = KnownItems.from_interactions([1, 1, 2, 2, 2], [1, 2, 1, 3, 4], 2, N)
    sample = SameValue(DRAWS, VALUES, seed=1, known=log)(
        tf.constant([2, 2]), N, user_ids=tf.constant([1, 2])
    )
    ids = np.arange(1, N + 1)
    # Item 1 is one of the three others: none of four tries is unknown in 1 of 81 cases.
    allowed = sample.allowed[0].numpy()
    assert_drawn_by(sample.ids[0].numpy()[allowed], np.isin(ids, [3, 4]) / 2)
    assert (~allowed).mean() == pytest.approx(1 / 81, abs=0.003)
    assert not np.any(sample.allowed[1])


def test_mined():
    negatives = Mined(DRAWS, 4, N, num_mined=3, num_easy=DRAWS // 4, seed=1, known=known())
    negatives.assign([1, 3], [[4, 6, 0], [8, 9, 10]])
    users = np.array([1, 3, 2, 7])
    sample = negatives(tf.constant([1, 1, 5, 2]), N, user_ids=tf.constant(users))
    hard = {
        1: np.isin(np.arange(1, N + 1), [4, 6]) / 2,
        3: np.isin(np.arange(1, 13), [8, 9, 10]) / 3,
    }
    for row, user in enumerate(users):
        easy = without(user, np.full(N, 1 / N)) if user in KNOWN else np.full(N, 1 / N)
        mined = hard.get(user, easy)
        assert_drawn_by(sample.ids[row, : DRAWS // 4], easy)
        assert_drawn_by(sample.ids[row, DRAWS // 4 :], mined)
        assert_states(sample, row, 0.25 * easy + 0.75 * mined)
    np.testing.assert_allclose(
        np.exp(sample.positive_log_probability), [0.25 / 7, 0.25 / N, 1.0, 1 / N], rtol=1e-5
    )


def test_probabilities_of_a_large_catalogue_are_exact():
    counts = np.random.default_rng(0).zipf(1.3, 200_000).clip(max=10**6)
    sample = Popularity(100_000, counts, 0.75, seed=1)(tf.range(1, 200_001), 200_000)
    q = np.exp(sample.positive_log_probability.numpy().astype(np.float64))
    assert q.sum() == pytest.approx(1, abs=1e-5)
    want = counts**0.75 / (counts**0.75).sum()
    # Rounded to multiples of 2^-30, from which the rarest differ by less than one.
    np.testing.assert_allclose(q, want, atol=1.5 / 2**30, rtol=1e-4)
    tops = np.argsort(-counts)[:20]
    seen = np.bincount(sample.ids, minlength=200_001)[1:]
    expected = np.append(want[tops], 1 - want[tops].sum()) * 100_000
    assert chisquare(np.append(seen[tops], 100_000 - seen[tops].sum()), expected).pvalue > 1e-4
