"""The convolutions of Caser against loops over windows."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.layers import HistoryConvolution


def by_loops(x, layer, heights):
    """The answers at each position, window by window."""
    weights = [weight.numpy() for weight in layer.weights]
    batch, length, dim = x.shape
    padded = np.concatenate([np.zeros((batch, layer.window - 1, dim)), x], axis=1)
    result = []
    for row in padded:
        states = []
        for place in range(length):
            window = row[place : place + layer.window]
            answers = []
            for i, height in enumerate(heights):
                kernel, bias = weights[2 * i], weights[2 * i + 1]
                slides = [
                    np.einsum("hd,hdf->f", window[j : j + height], kernel) + bias
                    for j in range(layer.window - height + 1)
                ]
                answers.append(np.maximum(slides, 0).max(axis=0))
            if layer.vertical_filters:
                kernel, bias = weights[-2:]
                answers.append((window.T @ kernel + bias).reshape(-1))
            states.append(np.concatenate(answers))
        result.append(states)
    return np.array(result)


@pytest.mark.parametrize(
    ("arguments", "heights"),
    [
        ({"window": 3, "horizontal_filters": 2, "vertical_filters": 2}, [1, 2, 3]),
        ({"window": 4, "heights": [2, 4], "horizontal_filters": 3}, [2, 4]),
        ({"window": 1, "horizontal_filters": 2, "vertical_filters": 1}, [1]),
        ({"window": 3, "horizontal_filters": 0, "vertical_filters": 2}, []),
        ({"window": 3, "horizontal_filters": 2, "vertical_filters": 0}, [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("length", [1, 2, 6])
def test_convolutions_slide_over_windows(arguments, heights, length):
    layer = HistoryConvolution(**arguments, seed=1)
    x = np.random.default_rng(0).normal(size=(2, length, 5)).astype(np.float32)
    layer(x)
    for i, weight in enumerate(layer.weights):
        weight.assign_add(tf.random.stateless_normal(weight.shape, [i, 1]))
    expected = by_loops(x, layer, heights)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer(x, last_only=True), expected[:, -1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"window": 3, "heights": [2, 4]}, "heights: 4 does not fit into a window of 3 items"),
        ({"heights": [0]}, "heights must be at least 1"),
        ({"horizontal_filters": 0, "vertical_filters": 0}, "needs horizontal_filters or vertical"),
    ],
)
def test_wrong_arguments_are_named(arguments, error):
    with pytest.raises(ValueError, match=error):
        HistoryConvolution(**arguments)
