"""Convolutions over the items of a history, as Caser has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, part_seeds, registered


@registered
class HistoryConvolution(Configured, keras.layers.Layer):
    """Horizontal and vertical convolutions over the last items before each position.

    Tang and Wang ("Personalized top-N sequential recommendation via convolutional sequence
    embedding", WSDM 2018, section 3.2) take the vectors of the last `window` items for a matrix X
    of `window` rows. A horizontal filter F of height h slides down the rows, and its largest answer
    remains; a vertical filter G weighs the rows:

        max over i of ReLU(<X[i : i + h], F> + b)      and      sum over i of G[i] X[i] + c

    Before the first item the rows are zero.

    Args:
        window: Rows: how many items are read, the one at the position among them.
        heights: Heights of the horizontal filters; default 1 to `window`.
        horizontal_filters: Horizontal filters of each height; 0 for none.
        vertical_filters: Vertical filters; 0 for none.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If a height does not fit into the window, or there is no filter.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.HistoryConvolution(
        ...     window=3, horizontal_filters=2, vertical_filters=1
        ... )
        >>> layer(tf.ones([4, 10, 8])).shape  # 3 heights of 2 filters, and 1 of 8 numbers
        TensorShape([4, 10, 14])
    """

    def __init__(
        self,
        window: int = 5,
        heights: Sequence[int] | None = None,
        horizontal_filters: int = 16,
        vertical_filters: int = 4,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("window", window, least=1)
        check_integer("horizontal_filters", horizontal_filters, least=0)
        check_integer("vertical_filters", vertical_filters, least=0)
        if not horizontal_filters and not vertical_filters:
            raise ValueError("HistoryConvolution needs horizontal_filters or vertical_filters.")
        heights = list(range(1, window + 1) if heights is None else heights)
        for height in heights:
            check_integer("heights", height, least=1)
            if height > window:
                raise ValueError(f"heights: {height} does not fit into a window of {window} items.")
        self._heights = heights if horizontal_filters else []

    def build(self, input_shape: Any) -> None:
        """Creates the filters for inputs `[batch, length, dim]`."""
        dim = input_shape[-1]
        part_seed = part_seeds(self.seed, 1)

        def weights(name: str, shape: tuple[int, ...], index: int) -> tuple[Any, Any]:
            init = keras.initializers.GlorotUniform(part_seed(index))
            return (
                self.add_weight(name=f"{name}_kernel", shape=shape, initializer=init),
                self.add_weight(name=f"{name}_bias", shape=shape[-1:], initializer="zeros"),
            )

        self._horizontal = [
            weights(f"horizontal_{height}", (height, dim, self.horizontal_filters), height)
            for height in self._heights
        ]
        self._vertical = None
        if self.vertical_filters:
            self._vertical = weights("vertical", (self.window, self.vertical_filters), 0)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, last_only: bool = False) -> tf.Tensor:
        """Returns the answers of all filters at each position.

        Args:
            inputs: `[batch, length, dim]`, zeros at padding.
            last_only: Whether the last position is enough, `[batch, 1, ..]`.

        Returns:
            `[batch, length, len(heights) * horizontal_filters + dim * vertical_filters]`.
        """
        if last_only:
            inputs = inputs[:, -self.window :]
        length = 1 if last_only else tf.shape(inputs)[1]
        # The window before each position, which zeros complete.
        missing = length + self.window - 1 - tf.shape(inputs)[1]
        # And one more row: without any, TensorFlow's convolution gives back the inputs.
        x = tf.pad(inputs, [[0, 1], [missing, 0], [0, 0]])
        outputs = []
        for kernel, bias in self._horizontal:
            answers = tf.nn.relu(
                tf.nn.conv1d(x, tf.cast(kernel, x.dtype), 1, "VALID") + tf.cast(bias, x.dtype)
            )
            rows = self.window - kernel.shape[0] + 1
            outputs.append(tf.nn.max_pool1d(answers, rows, 1, "VALID") if rows > 1 else answers)
        if self._vertical is not None:
            kernel, bias = (tf.cast(weight, x.dtype) for weight in self._vertical)
            rows = tf.stack([x[:, i : i + length] for i in range(self.window)], axis=-1)
            weighted = tf.tensordot(rows, kernel, 1) + bias
            outputs.append(
                tf.reshape(weighted, [-1, length, inputs.shape[-1] * self.vertical_filters])
            )
        return tf.concat(outputs, axis=-1)[:-1]
