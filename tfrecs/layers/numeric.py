"""Encodings of numeric features: piecewise linear, squashed, discretised and periodic.

All take `[..., num_features]` floats and learn from data by `adapt`; a layer that was not adapted
raises when it is called. They compute in float32 under every precision policy (a float16 cannot
tell one year from the next) and return the compute dtype. Each says how it encodes missing (NaN)
and infinite values; outputs are always finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.layers.compiled import surely_positive


class NumericEncoding(Configured, keras.layers.Layer):
    """Base: the checks of inputs, and `adapt`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._autocast = False

    def add_weight(self, *args: Any, **kwargs: Any) -> tf.Variable:
        """Adds a weight that is read in float32 under every precision policy."""
        return super().add_weight(*args, **kwargs, experimental_autocast=False)

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        if input_shape[-1] is None:
            raise ValueError(f"{self.name} needs inputs whose last dimension is known.")
        self.num_features = int(input_shape[-1])
        self._adapted = self.add_weight(
            name="adapted", shape=(), dtype=tf.int64, initializer="zeros", trainable=False
        )
        super().build(input_shape)

    def adapt(self, data: Any, target: Any = None) -> None:
        """Learns from data what the encoding needs.

        Args:
            data: `[rows, num_features]` numbers: an array or a DataFrame. Missing and infinite
                values are left out, column by column.
            target: `[rows]` labels or numbers, for layers that look at them.

        Raises:
            ValueError: If `data` has another shape, or a column has no finite value.
        """
        values = np.asarray(data, np.float64)
        if values.ndim != 2 or not len(values):
            raise ValueError(
                f"adapt needs data [rows, num_features] with at least one row, not {values.shape}."
            )
        if not self.built:
            self.build(tf.TensorShape([None, values.shape[1]]))
        columns = values.shape[1]
        if columns != self.num_features:
            raise ValueError(f"{self.name} has {self.num_features} features, the data {columns}.")
        empty = np.flatnonzero(~np.isfinite(values).any(axis=0))
        if len(empty):
            raise ValueError(f"No finite value in columns {empty.tolist()} of the data.")
        self._learn(values, None if target is None else np.asarray(target))
        self._adapted.assign(len(values))

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        raise NotImplementedError

    def _checked(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs as float32, after a check that the layer was adapted."""
        message = f"{self.name} was not adapted: call its adapt(data) before it is used."
        with surely_positive(self._adapted, message):
            return tf.cast(inputs, tf.float32)

    def _per_feature(self, name: str, initializer: Any, trainable: bool = False) -> tf.Variable:
        given = {"dtype": tf.float32, "initializer": initializer, "trainable": trainable}
        return self.add_weight(name=name, shape=(self.num_features,), **given)


def _without_infinite(values: np.ndarray) -> list[np.ndarray]:
    """Returns the finite values of each column."""
    return [column[np.isfinite(column)] for column in values.T]


@registered
class Squashing(NumericEncoding):
    """Squashes each number into (0, 1) by a sigmoid whose scale and shift are learned.

        y_j = sigmoid(s_j (x_j - m_j) / d_j + t_j)

    with mean m and standard deviation d of the data, and s = 1, t = 0 before training. Heavy tails
    cost it nothing. A missing value counts as the mean; an infinite one gives 0 or 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.Squashing()
        >>> layer.adapt([[1.0], [3.0]])
        >>> layer(tf.constant([[2.0], [float("inf")], [float("nan")]])).numpy().tolist()
        [[0.5], [1.0], [0.5]]
    """

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        self.mean = self._per_feature("mean", "zeros")
        self.deviation = self._per_feature("deviation", "ones")
        self.scale = self._per_feature("scale", "ones", trainable=True)
        self.shift = self._per_feature("shift", "zeros", trainable=True)

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        learn_standard(self, values)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the squashed numbers, `[..., num_features]`."""
        x = standardised(self, self._checked(inputs))
        # Wide enough for a sigmoid of 0 or 1, and finite: infinity would make NaN of a scale of 0.
        x = tf.clip_by_value(x, -1e6, 1e6)
        return tf.cast(tf.sigmoid(self.scale * x + self.shift), self.compute_dtype)


@registered
class Discretization(NumericEncoding):
    """Embeds each number by the bin that it falls into; bins are quantiles of the data.

    A value on an edge belongs to the bin above it. Values outside of the data's range, and infinite
    ones, belong to the first or last bin; a missing value has its own vector.

    Args:
        dim: Size of a vector.
        num_bins: Most bins of a feature. Equal quantiles are one edge.
        seed: Seed of the initial vectors, N(0, 0.05).

    Raises:
        ValueError: If `dim` or `num_bins` is below 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.Discretization(dim=4, num_bins=2)
        >>> layer.adapt([[0.0], [1.0], [3.0]])
        >>> layer.bins_of(tf.constant([[0.5], [1.0], [99.0], [float("nan")]])).numpy().tolist()
        [[0], [1], [1], [2]]
    """

    def __init__(
        self, dim: int, num_bins: int = 32, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_integer("dim", dim, least=1)
        check_integer("num_bins", num_bins, least=1)

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        # Inner edges; a feature with fewer of them fills up with infinities, which nothing reaches.
        self.edges = self.add_weight(
            name="edges",
            shape=(self.num_features, self.num_bins - 1),
            dtype=tf.float32,
            initializer="zeros",
            trainable=False,
        )
        self.table = self.add_weight(
            name="table",
            shape=(self.num_features * (self.num_bins + 1), self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.05, seed=self.seed),
        )

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        edges = np.full((self.num_features, self.num_bins - 1), np.inf, np.float32)
        for feature, column in enumerate(_without_infinite(values)):
            inner = np.linspace(0, 1, self.num_bins + 1)[1:-1]
            found = np.unique(np.quantile(column, inner).astype(np.float32))
            found = found[found > np.float32(column.min())]  # Nothing would be below it.
            edges[feature, : len(found)] = found
        self.edges.assign(edges)

    def bins_of(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns int32 bins `[..., num_features]`: 0 .. num_bins - 1, num_bins where missing."""
        x = self._checked(inputs)
        above = (x[..., tf.newaxis] >= self.edges) & tf.math.is_finite(self.edges)
        bins = tf.reduce_sum(tf.cast(above, tf.int32), axis=-1)
        return tf.where(tf.math.is_nan(x), self.num_bins, bins)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[..., num_features, dim]`."""
        offsets = tf.range(self.num_features) * (self.num_bins + 1)
        vectors = tf.gather(self.table, self.bins_of(inputs) + offsets)
        return tf.cast(vectors, self.compute_dtype)


@registered
class PeriodicEncoding(NumericEncoding):
    """Encodes each number by cosines and sines of learned frequencies.

        e_j = [cos(2 pi c_j z_j), sin(2 pi c_j z_j)],   z_j = (x_j - m_j) / d_j

    with frequencies c_j drawn from N(0, sigma), cut at 3 sigma, and trained (Gorishniy et al.,
    NeurIPS 2022, section 3.3); mean m and standard deviation d are the data's. A missing or
    infinite value encodes as zeros, which no finite one does.

    Args:
        num_frequencies: Frequencies of a feature.
        sigma: Scale of the initial frequencies; the one argument that is worth tuning.
        seed: Seed of the initial frequencies.

    Raises:
        ValueError: If `num_frequencies` is below 1 or `sigma` not positive.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.PeriodicEncoding(num_frequencies=3)
        >>> layer.adapt([[1.0, 2.0], [3.0, 5.0]])
        >>> layer(tf.constant([[2.0, 3.5]])).shape
        TensorShape([1, 2, 6])
    """

    def __init__(
        self, num_frequencies: int = 32, sigma: float = 0.1, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_frequencies", num_frequencies, least=1)
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, not {sigma}.")

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        self.mean = self._per_feature("mean", "zeros")
        self.deviation = self._per_feature("deviation", "ones")
        self.frequencies = self.add_weight(
            name="frequencies",
            shape=(self.num_features, self.num_frequencies),
            dtype=tf.float32,
            initializer=_NormalWithin3(self.sigma, self.seed),
        )

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        learn_standard(self, values)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the encoding `[..., num_features, 2 * num_frequencies]`, cosines first."""
        x = self._checked(inputs)
        usable = tf.math.is_finite(x)
        z = standardised(self, tf.where(usable, x, self.mean))
        angle = 2 * math.pi * self.frequencies * z[..., tf.newaxis]
        encoded = tf.concat([tf.cos(angle), tf.sin(angle)], axis=-1)
        encoded *= tf.cast(usable, tf.float32)[..., tf.newaxis]
        return tf.cast(encoded, self.compute_dtype)


class _NormalWithin3(keras.initializers.Initializer):
    """N(0, sigma), drawn again beyond 3 sigma; Keras's truncated normal cuts at 2 sigma."""

    def __init__(self, sigma: float, seed: int | None) -> None:
        self.sigma = sigma
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        drawn = np.random.default_rng(self.seed).normal(size=[100, *shape])
        inside = np.abs(drawn) <= 3
        first = np.take_along_axis(drawn, inside.argmax(axis=0)[np.newaxis], axis=0)[0]
        return tf.constant(self.sigma * np.clip(first, -3, 3), dtype or tf.float32)


def learn_standard(layer: Any, values: np.ndarray) -> None:
    """Sets mean and standard deviation of a layer; 1 where a column does not vary."""
    columns = _without_infinite(values)
    layer.mean.assign([column.mean() for column in columns])
    layer.deviation.assign([column.std() or 1.0 for column in columns])


def standardised(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """Returns `(x - mean) / deviation`; 0 where missing."""
    z = (x - layer.mean) / layer.deviation
    return tf.where(tf.math.is_nan(z), 0.0, z)
