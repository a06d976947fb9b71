"""The vectors of all items in a served graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfrecs._keras import tf

if TYPE_CHECKING:
    from tfrecs.models import Model


class ItemTable(tf.Module):  # type: ignore[misc]
    """The item vectors of a product model, computed once.

    Args:
        model: The model.

    Attributes:
        vectors: `[n, dim]` float32, row i - 1 that of item i.
        largest_norm: The largest Euclidean norm among them.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(name="item_table")
        vectors = tf.cast(model.item_vectors(), tf.float32)
        # Not by the name of a signature: TFLite takes both for one.
        self.vectors = tf.Variable(vectors, trainable=False, name="item_table")
        self.largest_norm = float(np.max(tf.norm(vectors, axis=1)))

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of item ids of any shape; zeros for what is no item.

        Args:
            ids: int32, 1..n; others are no items.
        """
        known = (ids > 0) & (ids <= self.vectors.shape[0])
        rows = tf.gather(self.vectors, tf.where(known, ids - 1, 0))
        return tf.where(known[..., tf.newaxis], rows, 0.0)
