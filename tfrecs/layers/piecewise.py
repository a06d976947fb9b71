"""Piecewise linear encoding of numbers, and the embedding made of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.layers.numeric import NumericEncoding


@registered
class PiecewiseLinearEncoding(NumericEncoding):
    """Piecewise linear encoding (PLE) of numbers, by bins that are learned from data.

    (Gorishniy et al., "On embeddings for numerical features in tabular deep learning", NeurIPS
    2022, section 3.2. Not progressive layered extraction, the multi-task model of the same
    letters.)

        e_t = (x - b_{t-1}) / (b_t - b_{t-1}),  cut to [0, 1]

    for the bins [b_{t-1}, b_t) of the feature: 1 for the bins below x, a fraction in its own, 0
    above. The first bin is not cut below nor the last above, so that values outside of the data's
    range still differ; a feature with one bin is scaled linearly. Equal to `rtdl_num_embeddings`,
    but for columns of zeros where a feature has fewer bins than `num_bins`.

    Bins are the data's quantiles, or with `bins="tree"` the thresholds of a decision tree that
    predicts the target from the feature alone, which is usually better. A feature with one distinct
    value has no bins: it encodes as zeros. A missing value encodes as zeros, like one at the lowest
    edge; `missing_indicator` tells them apart. An infinite one counts as the lowest or highest
    edge.

    Args:
        num_bins: Most bins of a feature. Equal quantiles are one edge.
        bins: "quantile" or "tree" (needs scikit-learn).
        tree_args: Arguments of scikit-learn's decision tree, such as `min_samples_leaf`.
        missing_indicator: Whether to add a column a feature, 1 where it is missing.

    Raises:
        ValueError: If `num_bins` is below 1 or `bins` unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.PiecewiseLinearEncoding(num_bins=2)
        >>> layer.adapt([[0.0], [1.0], [3.0]])
        >>> layer(tf.constant([[0.5], [2.0], [float("nan")]])).numpy().tolist()
        [[0.5, 0.0], [1.0, 0.5], [0.0, 0.0]]
    """

    def __init__(
        self,
        num_bins: int = 48,
        bins: str = "quantile",
        tree_args: dict[str, Any] | None = None,
        missing_indicator: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_bins", num_bins, least=1)
        if bins not in ("quantile", "tree"):
            raise ValueError(f"bins must be quantile or tree, not {bins!r}.")

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        # Features with fewer edges repeat their last one: bins of width 0, which encode as 0.
        self.edges = self.add_weight(
            name="edges",
            shape=(self.num_features, self.num_bins + 1),
            dtype=tf.float32,
            initializer="zeros",
            trainable=False,
        )

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        if (self.bins == "tree") != (target is not None):
            raise ValueError(
                "bins='tree' needs the target of the data: adapt(data, target)."
                if target is None
                else "bins='quantile' do not look at a target: choose bins='tree', or leave it out."
            )
        edges = np.empty((self.num_features, self.num_bins + 1), np.float32)
        for feature, column in enumerate(values.T):
            finite = np.isfinite(column)
            found = (
                np.quantile(column[finite], np.linspace(0, 1, self.num_bins + 1))
                if target is None
                else self._tree_edges(column[finite], target[finite])
            )
            found = np.unique(found.astype(np.float32))
            edges[feature, : len(found)] = found
            edges[feature, len(found) :] = found[-1]
        self.edges.assign(edges)

    def _tree_edges(self, column: np.ndarray, target: np.ndarray) -> np.ndarray:
        try:
            from sklearn import tree
        except ImportError as error:
            raise ImportError("bins='tree' needs scikit-learn: pip install scikit-learn") from error
        regression = np.issubdtype(target.dtype, np.floating)
        kind = tree.DecisionTreeRegressor if regression else tree.DecisionTreeClassifier
        arguments = {"random_state": 0, **(self.tree_args or {})}
        if self.num_bins == 1:
            return np.array([column.min(), column.max()])
        # In float32, as scikit-learn compares: a threshold then falls between the values it splits.
        column = column.astype(np.float32)
        fitted = kind(max_leaf_nodes=self.num_bins, **arguments).fit(column[:, None], target).tree_
        thresholds = fitted.threshold[fitted.children_left != fitted.children_right]
        return np.concatenate([[column.min(), column.max()], thresholds])

    def encode(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the float32 encoding `[..., num_features, num_bins]`, without indicators."""
        x = self._checked(inputs)[..., tf.newaxis]
        missing = tf.math.is_nan(x)
        left, width = self.edges[:, :-1], self.edges[:, 1:] - self.edges[:, :-1]
        used = width > 0
        ends = tf.where(x > 0, self.edges[:, -1:], self.edges[:, :1])
        x = tf.where(tf.math.is_finite(x), x, ends)
        share = (x - left) / tf.where(used, width, 1.0)
        first = tf.range(self.num_bins) == 0
        last = used & ~tf.pad(used[:, 1:], [[0, 0], [0, 1]])
        share = tf.where(first, share, tf.maximum(share, 0.0))
        share = tf.where(last, share, tf.minimum(share, 1.0))
        return tf.where(used & ~missing, share, 0.0)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns `[..., num_features * num_bins]`, or with indicators `num_features` more."""
        encoded = self.encode(inputs)
        shape = tf.shape(encoded)[:-2]
        width = self.num_features * self.num_bins
        encoded = tf.reshape(encoded, tf.concat([shape, [width]], 0))
        if self.missing_indicator:
            missing = tf.cast(tf.math.is_nan(tf.cast(inputs, tf.float32)), tf.float32)
            encoded = tf.concat([encoded, missing], axis=-1)
        encoded.set_shape([*inputs.shape[:-1], encoded.shape[-1]])
        return tf.cast(encoded, self.compute_dtype)


@registered
class PiecewiseLinearEmbedding(PiecewiseLinearEncoding):
    """An embedding of each number: each has its own linear layer on its encoding.

        z_j = act(W_j e_j + c_j)

    (Gorishniy et al., NeurIPS 2022: PLE-L without and PLE-LR with ReLU.) Bins and infinite values
    are as in `PiecewiseLinearEncoding`. A missing value has its own vector, not an indicator.

    Args:
        dim: Size of each number's vector.
        num_bins: Most bins of a feature.
        bins: "quantile" or "tree" (needs scikit-learn).
        activation: Activation `act`; None for the linear embedding.
        tree_args: Arguments of scikit-learn's decision tree, such as `min_samples_leaf`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If `dim` or `num_bins` is below 1 or `bins` unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.PiecewiseLinearEmbedding(dim=4, num_bins=2)
        >>> layer.adapt([[0.0, 5.0], [1.0, 7.0], [3.0, 6.0]])
        >>> layer(tf.constant([[0.5, 6.5]])).shape
        TensorShape([1, 2, 4])
    """

    def __init__(
        self,
        dim: int,
        num_bins: int = 48,
        bins: str = "quantile",
        activation: Any = "relu",
        tree_args: dict[str, Any] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins, bins, tree_args, missing_indicator=False, **kwargs)
        check_integer("dim", dim, least=1)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        limit, part_seed = self.num_bins**-0.5, part_seeds(self.seed, 1)

        def weight(name: str, index: int, *shape: int) -> tf.Variable:
            uniform = keras.initializers.RandomUniform(-limit, limit, seed=part_seed(index))
            shape = (self.num_features, *shape, self.dim)
            return self.add_weight(name=name, shape=shape, initializer=uniform)

        self.kernel = weight("kernel", 0, self.num_bins)
        self.bias = weight("bias", 1)
        self.missing = weight("missing", 2)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[..., num_features, dim]`."""
        encoded = tf.cast(self.encode(inputs), self.compute_dtype)
        weights = (self.kernel, self.bias, self.missing)
        kernel, bias, missing = (tf.cast(weight, encoded.dtype) for weight in weights)
        vectors = tf.einsum("...fb,fbd->...fd", encoded, kernel) + bias
        is_missing = tf.math.is_nan(tf.cast(inputs, tf.float32))[..., tf.newaxis]
        return self.activation(tf.where(is_missing, missing, vectors))
