"""Weights by homoscedastic uncertainty."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.losses import UncertaintyWeighting


def test_formula():
    weighting = UncertaintyWeighting(["a", "b"])
    weighting.log_variance.assign([0.3, -1.2])
    got = weighting({"b": tf.constant(0.7), "a": tf.constant(5.0)})
    want = 5 * np.exp(-0.3) + 0.15 + 0.7 * np.exp(1.2) - 0.6
    assert float(got) == pytest.approx(want, rel=1e-6)


@pytest.mark.slow
def test_learned_variances_are_those_of_the_residuals():
    """For squared errors: with L = r^2 / 2 the best s_i is the log of the mean of r^2."""
    weighting = UncertaintyWeighting(["small", "large"])
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(400):
        with tf.GradientTape() as tape:
            loss = weighting({"small": tf.constant(0.01 / 2), "large": tf.constant(4.0 / 2)})
        gradients = tape.gradient(loss, weighting.trainable_variables)
        optimizer.apply_gradients(zip(gradients, weighting.trainable_variables, strict=True))
    np.testing.assert_allclose(np.exp(weighting.log_variance), [0.01, 4.0], rtol=0.05)


def test_other_losses():
    weighting = UncertaintyWeighting(["a", "b"])
    with pytest.raises(ValueError, match=r"\['a', 'b'\], not \['a'\]"):
        weighting({"a": tf.constant(1.0)})
    with pytest.raises(ValueError, match="at least one"):
        UncertaintyWeighting([])
