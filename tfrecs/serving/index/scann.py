"""Approximate search of the item vectors by ScaNN, for catalogues that an exact one is slow for."""

from __future__ import annotations

import math
from typing import Any

from tfrecs._keras import require_scann, tf, tfrs
from tfrecs.serving.index.exact import best_scores
from tfrecs.serving.index.item_table import Float32Rows

# Fewer items train no tree; exact search of them takes less than a millisecond.
_FEWEST = 1000


class ScannIndex(tf.Module):  # type: ignore[misc]
    """TFRS's `ScaNN` layer over the item vectors, with exclusions.

    A tree of about sqrt(n) leaves, a tenth of them searched; asymmetric hashing of two dimensions a
    block; and an exact score for four times as many items as are asked for. Excluded items are
    asked for too and left out afterwards, as far as `num_excluded` goes.

    Args:
        vectors: The vectors of items.
        k: How many items are returned.
        num_excluded: For how many excluded items there is room.

    Raises:
        ImportError: If ScaNN is not installed or does not work with this TensorFlow.
        ValueError: If there are too few items.
    """

    def __init__(self, vectors: Float32Rows, k: int, num_excluded: int) -> None:
        super().__init__(name="scann_index")
        require_scann()
        size = vectors.num_rows
        if size < _FEWEST:
            raise ValueError(
                f"index 'scann' needs at least {_FEWEST:,} items to learn from, and there are "
                f"{size:,}: take index 'exact', which is fast for so few."
            )
        wanted = min(k + num_excluded, size)
        leaves = round(math.sqrt(size))
        layer = tfrs.layers.factorized_top_k.ScaNN(
            k=wanted,
            num_leaves=leaves,
            num_leaves_to_search=math.ceil(leaves / 10),
            num_reordering_candidates=min(4 * wanted, size),
        )
        self._wanted = wanted
        layer.index(tf.convert_to_tensor(vectors.vectors))
        # The method and not the layer, which Keras would save although it was never called.
        self._search: Any = layer.call

    def __call__(
        self, queries: tf.Tensor, k: int, excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scores and rows as `best_products` does, of the items that were found."""
        # ScaNN's operations have no static shapes.
        scores, rows = (tf.ensure_shape(x, [None, self._wanted]) for x in self._search(queries))
        hit = tf.reduce_any(rows[:, :, tf.newaxis] == excluded[:, tf.newaxis], axis=2)
        nobody = tf.zeros([tf.shape(rows)[0], 0], tf.int32)
        # ScaNN fills with NaN where it found fewer.
        best, place = best_scores(tf.where(hit, scores.dtype.min, scores), k, nobody)
        found = tf.gather(rows, tf.maximum(place, 0), batch_dims=1)
        return best, tf.where(place < 0, -1, found)
