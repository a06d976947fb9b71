"""Texts as vectors: pooled words, and vectors computed beforehand, such as sentence vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.layers.compiled import surely_positive

POOLINGS = ("mean", "sif")


@registered
class TextEmbedding(Configured, keras.layers.Layer):
    """The vector of a text: the mean of its words' vectors, plain or by smooth inverse frequency.

        v = 1/|s| sum_{w in s} a_w v_w,   a_w = 1,   or   smoothing / (smoothing + p(w))

    The second, "sif", follows Arora et al. (ICLR 2017) without the removal of the common component:
    frequent words count less. It learns the probabilities p(w) by `adapt`, and raises when called
    before. Words are the ids of `tfrecs.data.Tokenizer`; padding (0) and unknown words (n + 1) are
    left out, and a text without a known word is zeros.

    The table starts at random, or from pretrained vectors (`load_vectors`), which `trainable=False`
    keeps fixed.

    Args:
        num_words: Number of words, n.
        dim: Size of a word's vector, d.
        pooling: "mean" or "sif".
        smoothing: The constant of "sif".
        initializer: Keras initializer of the table; default N(0, .02).
        seed: Seed of the default initializer.

    Raises:
        ValueError: If `num_words` or `dim` is below 1, `pooling` unknown or `smoothing` not above
            0.

    Example:
        >>> import numpy as np, tensorflow as tf, tfrecs
        >>> tokenizer = tfrecs.data.Tokenizer(["toy", "story"])
        >>> layer = tfrecs.layers.TextEmbedding(len(tokenizer), dim=2)
        >>> layer.load_vectors(np.array([[1.0, 0.0], [3.0, 2.0]]))
        >>> ids = tokenizer.encode(["A toy story", "Toys"], max_tokens=3)
        >>> layer(tf.constant(ids)).numpy().tolist()
        [[2.0, 1.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        num_words: int,
        dim: int,
        pooling: str = "mean",
        smoothing: float = 1e-3,
        initializer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_words", num_words, least=1)
        check_integer("dim", dim, least=1)
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be mean or sif, not {pooling!r}.")
        if not smoothing > 0:
            raise ValueError(f"smoothing must be above 0, not {smoothing}.")
        self.num_words = int(num_words)
        self.dim = int(dim)
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02, seed=seed)
        self.initializer = keras.initializers.get(initializer)
        self.table = self.add_weight(
            name="table", shape=(self.num_words, self.dim), initializer=self.initializer
        )
        if pooling == "sif":
            given = {"initializer": "zeros", "trainable": False, "experimental_autocast": False}
            # All above 0 once learned.
            self.word_weights = self.add_weight("word_weights", (self.num_words,), **given)

    def adapt(self, ids: Any) -> None:
        """Learns from encoded texts how probable each word is.

        Args:
            ids: Ids of words, of any shape, such as `Tokenizer.encode` gives.

        Raises:
            ValueError: If the pooling is "mean", which has nothing to learn, or no id is a word's.
        """
        if self.pooling != "sif":
            raise ValueError('pooling="mean" has nothing to learn: leave adapt out.')
        ids = np.asarray(ids).ravel()
        known = ids[(ids > 0) & (ids <= self.num_words)]
        if not len(known):
            raise ValueError(f"adapt needs ids of words, 1 to {self.num_words}; there is none.")
        probability = np.bincount(known - 1, minlength=self.num_words) / len(known)
        self.word_weights.assign(self.smoothing / (self.smoothing + probability))

    def load_vectors(self, vectors: Any) -> None:
        """Sets the table to pretrained vectors.

        Args:
            vectors: `[num_words, dim]`, such as `tfrecs.data.word_vectors` gives. Rows of NaN, of
                words without a vector, keep their initial values, or become zeros in a table that
                is not trained.

        Raises:
            ValueError: If the shape is another one.
        """
        vectors = np.asarray(vectors, np.float32)
        if vectors.shape != (self.num_words, self.dim):
            wanted, shape = [self.num_words, self.dim], list(vectors.shape)
            raise ValueError(f"{self.name} needs vectors {wanted}, not {shape}.")
        before = self.table.numpy() if self.trainable else np.zeros_like(vectors)
        self.table.assign(np.where(np.isnan(vectors).any(axis=1, keepdims=True), before, vectors))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[..., dim]` of texts, `[..., max_tokens]` ids of words."""
        known = (inputs > 0) & (inputs <= self.num_words)
        rows = tf.where(known, inputs - 1, 0)
        weights = tf.cast(known, tf.float32)
        length = tf.reduce_sum(weights, axis=-1, keepdims=True)
        if self.pooling == "sif":
            message = f"{self.name} was not adapted: call its adapt(ids) before it is used."
            with surely_positive(self.word_weights[0], message):
                weights *= tf.gather(self.word_weights, rows)
        weights = tf.cast(weights / tf.maximum(length, 1.0), self.compute_dtype)
        vectors = tf.cast(tf.gather(self.table, rows), self.compute_dtype)
        return tf.einsum("...t,...td->...d", weights, vectors)


@registered
class PretrainedEmbedding(Configured, keras.layers.Layer):
    """Vectors of items computed once, looked up by id, and a learned projection of them.

        z_i = W v_i + b

    The vectors v_i come from the items' texts (`tfrecs.data.sentence_vectors`) or images, for
    example. They are fixed unless `fine_tune`. As in `ItemEmbedding`, item id `i` (1..n) is row
    `i - 1`; padding (0) and unknown ids (n + 1) give zeros.

    A config holds the table's shape alone: a layer made from a config raises when it is called
    before its weights are loaded.

    Args:
        vectors: `[n, size]`, the vectors; or just this shape, `(n, size)`, for a layer whose
            weights will be loaded.
        dim: Size of the projected vector.
        use_bias: Whether there is a bias b.
        fine_tune: Whether the vectors are trained too.
        regularizer: Keras regularizer of W.
        seed: Seed of W.

    Raises:
        ValueError: If `vectors` are no finite matrix, or `dim` is below 1.

    Example:
        >>> import numpy as np, tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.PretrainedEmbedding(np.eye(3), dim=2)
        >>> layer(tf.constant([[0, 1, 3, 4]])).shape
        TensorShape([1, 4, 2])
    """

    def __init__(
        self,
        vectors: np.ndarray | Sequence[int],
        dim: int,
        use_bias: bool = True,
        fine_tune: bool = False,
        regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = np.asarray(vectors)
        only_shape = given.shape == (2,) and given.dtype.kind in "iu"
        shape = tuple(given.tolist()) if only_shape else given.shape
        is_matrix = len(shape) == 2 and min(shape) >= 1
        if not is_matrix or not np.isfinite(given).all():
            what = "NaN or infinity" if is_matrix else shape
            raise ValueError(
                f"vectors must be finite numbers [num_items, size], or such a shape, not {what}."
            )
        check_integer("dim", dim, least=1)
        self.num_items, self.size = shape
        self.remember(vectors=[self.num_items, self.size])
        self.dim = int(dim)
        self.regularizer = keras.regularizers.get(regularizer)
        self.table = self.add_weight(
            name="table", shape=shape, initializer="zeros", trainable=fine_tune
        )
        self._loaded = self.add_weight(
            name="loaded", shape=(), dtype=tf.int64, initializer="zeros", trainable=False
        )
        if not only_shape:
            self.table.assign(given)
            self._loaded.assign(1)

    def build(self, input_shape: Any) -> None:
        """Creates the projection."""
        glorot = keras.initializers.GlorotUniform(self.seed)
        given = {"kernel_regularizer": self.regularizer, "use_bias": self.use_bias}
        given |= {"dtype": self.dtype_policy, "name": "projection"}
        self._projection = keras.layers.Dense(self.dim, kernel_initializer=glorot, **given)
        self._projection.build((None, self.size))
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[..., dim]` of the ids `[...]` in the layer's compute dtype."""
        known = (inputs > 0) & (inputs <= self.num_items)
        message = f"{self.name} was made from a shape: load its weights before it is used."
        with surely_positive(self._loaded, message):
            rows = tf.where(known, inputs - 1, 0)
        vectors = self._projection(tf.cast(tf.gather(self.table, rows), self.compute_dtype))
        return vectors * tf.cast(known, vectors.dtype)[..., tf.newaxis]
