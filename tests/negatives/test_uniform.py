"""Uniform negatives: range, distribution, probabilities, reproducibility."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.negatives import Uniform


def test_every_item_is_as_likely():
    sample = Uniform(20_000, seed=1)(tf.constant([1]), num_items=10)
    counts = np.bincount(sample.ids.numpy(), minlength=11)
    assert counts[0] == 0
    assert len(counts) == 11
    # Chi-squared with 9 degrees of freedom: 33.7 is exceeded once in 10,000 draws.
    assert ((counts[1:] - 2000) ** 2 / 2000).sum() < 33.7


def test_probabilities():
    sample = Uniform(4, seed=1)(tf.constant([1, 2, 3]), num_items=8)
    np.testing.assert_allclose(np.exp(sample.log_probability), [0.125] * 4, rtol=1e-6)
    np.testing.assert_allclose(np.exp(sample.positive_log_probability), [0.125] * 3, rtol=1e-6)


def test_shapes():
    positives = tf.constant([1, 2, 3])
    assert Uniform(4)(positives, num_items=8).ids.shape == (4,)
    assert Uniform(4, shared=False)(positives, num_items=8).ids.shape == (3, 4)


def test_seed_and_step_decide(tmp_path):
    positives = tf.constant([1])
    first = Uniform(30, seed=1)
    draws = [first(positives, num_items=99).ids.numpy().tolist() for _ in range(2)]
    assert draws[0] != draws[1]
    path = tf.train.Checkpoint(x=first).save(str(tmp_path / "x"))
    third = first(positives, num_items=99).ids.numpy().tolist()
    restored = Uniform(30, seed=1)
    tf.train.Checkpoint(x=restored).restore(path).assert_consumed()
    assert restored(positives, num_items=99).ids.numpy().tolist() == third
    assert Uniform(30, seed=1)(positives, num_items=99).ids.numpy().tolist() == draws[0]


def test_no_negatives():
    with pytest.raises(ValueError, match="at least 1"):
        Uniform(0)
