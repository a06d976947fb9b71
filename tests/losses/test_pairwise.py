"""Losses of pairs against their formulas, and WARP against a loop that tries one by one."""

import math

import numpy as np
import pytest

from tests.losses.test_losses import (
    ALL,
    ITEMS,
    POSITIVE,
    QUERIES,
    TARGETS,
    WEIGHTS,
    Fixed,
    scores,
    weighted_mean,
)
from tfrecs._keras import tf
from tfrecs.losses import BPR, WARP, BPRMax, DotProductScores, Margin
from tfrecs.negatives import KnownItems, Uniform

# 3 is the target of the first and the last query.
SHARED = [3, 5, 5, 2]
OWN = [[3, 5, 1], [4, 2, 2], [8, 7, 6], [3, 3, 3]]


def differences(ids):
    rows = np.broadcast_to(ids, (4, len(ids))) if np.ndim(ids) == 1 else np.array(ids)
    return POSITIVE[:, None] - np.take_along_axis(ALL, rows - 1, 1), rows != TARGETS[:, None]


def mean_of(losses, kept):
    return np.array([x[k].mean() if k.any() else 0 for x, k in zip(losses, kept, strict=True)])


@pytest.mark.parametrize("ids", [SHARED, OWN])
def test_bpr(ids):
    difference, kept = differences(ids)
    expected = mean_of(-np.log(1 / (1 + np.exp(-difference))), kept)
    loss = BPR(negatives=Fixed(ids))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


@pytest.mark.parametrize("ids", [SHARED, OWN])
def test_margin(ids):
    difference, kept = differences(ids)
    expected = mean_of(np.maximum(0, 0.7 - difference), kept)
    loss = Margin(margin=0.7, negatives=Fixed(ids))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


@pytest.mark.parametrize("ids", [SHARED, OWN])
@pytest.mark.parametrize("elu", [0.0, 0.5])
def test_bpr_max(ids, elu):
    rows = np.broadcast_to(ids, (4, len(ids))) if np.ndim(ids) == 1 else np.array(ids)
    expected = []
    for query, target, row in zip(range(4), TARGETS, rows, strict=True):
        negative = np.array([ALL[query, item - 1] for item in row if item != target])
        positive = POSITIVE[query]
        if elu:
            negative = np.where(negative > 0, negative, elu * (np.exp(negative) - 1))
            positive = positive if positive > 0 else elu * (np.exp(positive) - 1)
        if not len(negative):
            expected.append(0.0)
            continue
        share = np.exp(negative) / np.exp(negative).sum()
        above = 1 / (1 + np.exp(negative - positive))
        expected.append(-np.log((share * above).sum()) + 0.9 * (share * negative**2).sum())
    loss = BPRMax(regularization=0.9, elu=elu, negatives=Fixed(ids))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(np.array(expected)), rel=1e-5)


@pytest.mark.parametrize("argument", ["regularization", "elu"])
def test_bpr_max_refuses_negative_factors(argument):
    with pytest.raises(ValueError, match=f"{argument} must not be negative, not -1"):
        BPRMax(**{argument: -1})


def warp(positive, negatives, num_items, margin):
    """LightFM's loop: tries (id, score) one after another; gives the loss and the violator."""
    for trial, (item, score) in enumerate(negatives, 1):
        if score > positive - margin:
            rank = max(1, (num_items - 1) // trial)
            return math.log(rank) * (margin - positive + score), item
    return 0.0, None


@pytest.mark.parametrize("ids", [SHARED, OWN, [[5] * 6, [2] * 6, [7] * 6, [9, 8, 7, 6, 5, 4]]])
@pytest.mark.parametrize("margin", [0.2, 1.0, 3.0])
def test_warp_on_given_draws(ids, margin):
    rows = np.broadcast_to(ids, (4, len(ids))) if np.ndim(ids) == 1 else np.array(ids)
    expected, violators = [], set()
    for query, target, row in zip(range(4), TARGETS, rows, strict=True):
        tried = [(item, ALL[query, item - 1]) for item in row if item != target]
        loss, violator = warp(POSITIVE[query], tried, len(ITEMS), margin)
        expected.append(loss)
        if loss and WEIGHTS[query]:
            violators |= {violator, target}
    items = tf.Variable(ITEMS)
    with tf.GradientTape() as tape:
        given = DotProductScores(
            tf.constant(QUERIES), 9, lambda i: tf.gather(items, i - 1), lambda: items
        )
        loss = WARP(len(rows[0]), margin, negatives=Fixed(ids))(TARGETS, given, WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(np.array(expected)), rel=1e-5, abs=1e-7)
    gradient = tf.convert_to_tensor(tape.gradient(loss, items)).numpy()
    assert set(np.flatnonzero(np.abs(gradient).sum(1)) + 1) == violators


def test_warp_on_average():
    """The mean over many draws is that of a loop with draws of its own."""
    rng = np.random.default_rng(3)
    score = np.sort(rng.normal(size=50)).astype(np.float32)
    target, trials, repeats = 40, 8, 20_000
    want = []
    for _ in range(repeats):
        drawn = rng.integers(1, 51, trials)
        # As LightFM counts a positive as a trial, draw without it.
        drawn = [item for item in drawn if item != target]
        want.append(warp(score[target - 1], [(i, score[i - 1]) for i in drawn], 50, 0.3)[0])
    given = DotProductScores(
        tf.ones([repeats, 1]),
        50,
        lambda ids: tf.gather(tf.constant(score[:, None]), ids - 1),
        lambda: tf.constant(score[:, None]),
    )
    got = float(WARP(trials, 0.3, seed=1)(tf.fill([repeats], target), given))
    noise = np.std(want) / math.sqrt(repeats)
    assert abs(got - np.mean(want)) < 4 * math.sqrt(2) * noise
    assert np.mean(want) > 20 * noise


def test_masked_negatives_are_no_negatives():
    """Known items of shared negatives: masked in the sample, so of no account in the loss."""
    known = KnownItems.from_interactions([1, 1, 2], [5, 2, 7], num_users=4, num_items=9)
    given = DotProductScores(
        tf.constant(QUERIES),
        9,
        lambda ids: tf.gather(tf.constant(ITEMS), ids - 1),
        lambda: tf.constant(ITEMS),
        user_ids=tf.constant([1, 2, 3, 4]),
    )
    ids = Uniform(30, seed=5)(TARGETS, 9).ids.numpy()
    rows = [
        [i for i in ids if i != target and i not in {1: (5, 2), 2: (7,)}.get(user, ())]
        for user, target in zip([1, 2, 3, 4], TARGETS, strict=True)
    ]
    difference = [POSITIVE[q] - ALL[q, np.array(row) - 1] for q, row in enumerate(rows)]
    loss = BPR(negatives=Uniform(30, seed=5, known=known))(TARGETS, given)
    want = np.mean([np.log1p(np.exp(-d)).mean() for d in difference])
    assert float(loss) == pytest.approx(want, rel=1e-5)
    tried = [[(i, ALL[q, i - 1]) for i in row] for q, row in enumerate(rows)]
    want = np.mean([warp(POSITIVE[q], t, 9, 1.0)[0] for q, t in enumerate(tried)])
    loss = WARP(30, negatives=Uniform(30, seed=5, known=known))(TARGETS, given)
    assert float(loss) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("loss", [BPR(), Margin(), WARP()])
def test_nothing_to_compare_with_is_no_loss(loss):
    loss.negatives = Fixed([[t] for t in TARGETS])
    assert float(loss(TARGETS, scores())) == 0


@pytest.mark.parametrize("loss", [Margin, WARP])
def test_wrong_margin(loss):
    with pytest.raises(ValueError, match="margin must be positive"):
        loss(margin=0.0)
