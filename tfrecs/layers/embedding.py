"""Embedding of item ids by tfrecs's convention: 1..n are items, everything else is no item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered


@registered
class ItemEmbedding(Configured, keras.layers.Layer):
    """A table of `num_items` vectors; item id `i` (1..n) is row `i - 1`.

    Padding (0) and the out-of-vocabulary id (n + 1) have no row: they would never be trained, and
    without them the whole table is the matrix of all items, with no slice to copy before a softmax.
    Both give a vector of zeros.

    Args:
        num_items: Number of items, n.
        dim: Size of a vector, d.
        initializer: Keras initializer of the table; default N(0, .02) as BERT4Rec and the tuned
            SASRec implementations use (Keras's own default, U(-.05, .05), is neither).
        regularizer: Keras regularizer of the table.
        seed: Seed of the default initializer.

    Raises:
        ValueError: If `num_items` or `dim` is less than 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.ItemEmbedding(num_items=3, dim=2, initializer="ones")
        >>> layer(tf.constant([[0, 1, 3, 4]])).numpy()[0].tolist()
        [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        num_items: int,
        dim: int,
        initializer: Any = None,
        regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._stored: Callable[[tf.Tensor], tf.Tensor] | None = None
        check_integer("num_items", num_items, least=1)
        check_integer("dim", dim, least=1)
        self.num_items = int(num_items)
        self.dim = int(dim)
        if initializer is None:
            initializer = keras.initializers.RandomNormal(stddev=0.02, seed=seed)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.table = self.add_weight(
            name="table",
            shape=self.table_shape(),
            initializer=self.initializer,
            regularizer=self.regularizer,
        )

    def table_shape(self) -> tuple[int, int]:
        """Returns the shape of `table`: a row an item."""
        return self.num_items, self.dim

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[..., dim]` of the ids `[...]` in the layer's compute dtype."""
        known = (inputs > 0) & (inputs <= self.num_items)
        vectors = tf.cast(self.rows(tf.where(known, inputs, 1)), self.compute_dtype)
        return vectors * tf.cast(known, vectors.dtype)[..., tf.newaxis]

    def rows(self, ids: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of `ids`, which must be in 1..n; None for all, `[n, dim]`."""
        if self._stored is not None:
            return self._stored(tf.range(self.num_items) if ids is None else ids - 1)
        return tf.convert_to_tensor(self.table) if ids is None else tf.gather(self.table, ids - 1)

    @contextmanager
    def stored_as(self, vectors_of: Callable[[tf.Tensor], tf.Tensor]) -> Iterator[None]:
        """Reads vectors by another function within a `with` block, as an export stores them.

        Args:
            vectors_of: Gives the float32 vectors of rows, ids less 1, of any shape.
        """
        self._stored = vectors_of
        try:
            yield
        finally:
            self._stored = None

    def grow_from(self, smaller: ItemEmbedding) -> None:
        """Takes the vectors of a layer of fewer items; further items keep their initial ones."""
        self.table.assign(tf.concat([smaller.table, self.table[smaller.num_items :]], axis=0))
