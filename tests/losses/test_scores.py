"""Models whose score is no product of vectors."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import (
    BPR,
    WARP,
    BinaryCrossEntropy,
    FullSoftmax,
    Margin,
    SampledSoftmax,
    Scores,
    SquaredError,
    WholeDataSquaredError,
)

SCORES = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
TARGETS = np.array([3, 1, 9, 3], np.int32)


class Table(Scores):
    """Scores that stand in a table."""

    def of(self, ids):
        ids = ids[:, tf.newaxis] if ids.shape.rank == 1 else ids
        return tf.squeeze(tf.gather(tf.constant(SCORES), ids - 1, batch_dims=1))

    def shared(self, ids):
        return tf.gather(tf.constant(SCORES), ids - 1, axis=1)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    "loss", [SampledSoftmax, BinaryCrossEntropy, SquaredError, BPR, Margin, WARP]
)
def test_losses_over_sampled_items_need_no_vectors(loss, shared):
    assert 0 < float(loss(5, shared=shared, seed=1)(TARGETS, Table(9))) < 100


@pytest.mark.parametrize("loss", [FullSoftmax, WholeDataSquaredError])
def test_losses_over_all_items_do(loss):
    with pytest.raises(TypeError, match=r"(?s)needs the vectors of all items.*Table.*SampledSoft"):
        loss()(TARGETS, Table(9))


def test_a_class_that_lacks_something():
    with pytest.raises(NotImplementedError, match="Scores must implement shared"):
        Scores(9).sampled(tf.constant([1]))
    with pytest.raises(NotImplementedError, match="Scores must implement of"):
        Scores(9).sampled(tf.constant([[1]]))
