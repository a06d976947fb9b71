"""A causal filter along a history, beside attention."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered


@registered
class CausalFilter(Configured, keras.layers.Layer):
    """Filters each coordinate along a history by a learned impulse response.

        y_t = sum over k < size of w_k x_{t-k}

    Attention smooths a history; a filter can also keep what changes fast in it. BSARec (Shin et
    al., AAAI 2024) and WEARec (2025) filter the frequencies of the whole history, which sees the
    future at all positions but the last; this filter sees the past alone. It begins with zeros.

    Args:
        size: Number of items that are read.

    Raises:
        ValueError: If `size` is less than 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tfrecs.layers.CausalFilter(16)(tf.ones([2, 5, 8])).shape
        TensorShape([2, 5, 8])
    """

    def __init__(self, size: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer("size", size, least=1)

    def build(self, input_shape: Any) -> None:
        """Creates the response for inputs `[batch, length, dim]`."""
        self.response = self.add_weight(
            name="response", shape=(self.size, input_shape[-1]), initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the filtered `inputs`, `[batch, length, dim]`, zeros at padding."""
        # One row more: without any, TensorFlow's convolution gives back the padded inputs.
        x = tf.pad(inputs, [[0, 1], [self.size - 1, 0], [0, 0]])[:, :, tf.newaxis]
        response = tf.reverse(tf.cast(self.response, x.dtype), [0])
        kernel = response[:, tf.newaxis, :, tf.newaxis]
        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")[:-1, :, 0]
