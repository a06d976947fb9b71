"""Embedding of items by product quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import check_integer, registered
from tfrecs.data import TrainSet
from tfrecs.layers.embedding import ItemEmbedding
from tfrecs.layers.integers import Integers
from tfrecs.layers.item_codes import kmeans_codes, svd_codes

# A code takes at most a byte; codes are stored in words of 32 bits, which GPUs can gather.
MOST_CENTROIDS, _WORD = 256, 32


@registered
class QuantizedItemEmbedding(ItemEmbedding):
    """Item vectors that share their parts: product quantisation, learned with the model.

        v_i = [C_1[code_i1], C_2[code_i2], .., C_m[code_im]]

    A vector of d numbers is the concatenation of m sub-vectors of d / m, each one of the `c`
    centroids of its place. Codes are fixed, and the centroids are trained like any weight, by the
    gradients of all items that share them. A code takes b bits, where 2^b is c or the next power of
    two, so a word of 4 bytes has 32 // b codes, and an item ceil(m / (32 // b)) words; a row of a
    plain table takes 4 d bytes. The centroids take 4 c d bytes in all, which is much for a small
    catalogue. There many short sub-vectors of few centroids are better than the reverse.

    Codes are random until `adapt` makes them from a log, as `SequenceModel.from_split` does, or
    `quantize` from vectors, as `SequenceModel.quantized` does.

    Source: Petrov and Macdonald, "RecJPQ: training large-catalogue sequential recommenders", WSDM
    2024; codes by its SVD strategy (`svd_codes`) or by k-means (`kmeans_codes`), see
    `layers.item_codes`.

    Args:
        num_items: Number of items, n.
        dim: Size of a vector, d.
        code_length: Sub-vectors of an item, m; must divide `dim`.
        num_centroids: Centroids of each sub-vector, c, from 2 to 256.
        seed: Seed of the initial centroids and of the random codes.
        **kwargs: Arguments of `ItemEmbedding`; `initializer` and `regularizer` are the centroids'.

    Attributes:
        table: The centroids, `[m * c, d / m]`, those of the first sub-vector first.

    Raises:
        ValueError: If an argument is out of its range, or `code_length` does not divide `dim`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.QuantizedItemEmbedding(1000, 64, code_length=8, seed=1)
        >>> layer(tf.constant([[0, 1, 1000]])).shape, layer.codes().shape
        (TensorShape([1, 3, 64]), (1000, 8))
    """

    def __init__(
        self,
        num_items: int,
        dim: int,
        code_length: int = 8,
        num_centroids: int = MOST_CENTROIDS,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer("code_length", code_length, least=1)
        check_integer("num_centroids", num_centroids, least=2)
        if num_centroids > MOST_CENTROIDS:
            raise ValueError(
                f"num_centroids must be at most {MOST_CENTROIDS}, as a code is one byte, not "
                f"{num_centroids}."
            )
        if dim % code_length:
            raise ValueError(f"code_length ({code_length}) must divide dim ({dim}).")
        super().__init__(num_items, dim, seed=seed, **kwargs)
        self._bits = (self.num_centroids - 1).bit_length()
        self._per_word = _WORD // self._bits
        random = np.random.default_rng(seed)
        codes = random.integers(0, num_centroids, (num_items, code_length), np.uint8)
        self._codes = Integers(self, "codes", self._packed(codes))

    def table_shape(self) -> tuple[int, int]:
        """Returns the shape of the centroids."""
        return self.code_length * self.num_centroids, self.dim // self.code_length

    def codes(self) -> np.ndarray:
        """Returns the codes of items 1..n, `[n, code_length]` uint8."""
        shifted = self._codes.numpy()[:, :, np.newaxis] >> self._shifts()
        codes = (shifted & (2**self._bits - 1)).reshape(self.num_items, -1)
        return codes[:, : self.code_length].astype(np.uint8)

    def adapt(self, train: TrainSet) -> None:
        """Makes the codes of the interactions of a split's training part.

        Args:
            train: Whose items are those of the layer.

        Raises:
            ValueError: If it has another number of items.
        """
        if train.num_items != self.num_items:
            raise ValueError(
                f"{self.name}: the training part has {train.num_items} items and the layer "
                f"{self.num_items}."
            )
        codes = svd_codes(
            train.histories.rows,
            train.histories.values - 1,
            self.num_items,
            self.code_length,
            self.num_centroids,
        )
        self._codes.assign(self._packed(codes))

    def quantize(self, vectors: np.ndarray) -> None:
        """Sets codes and centroids to the product quantisation of vectors, by k-means.

        Args:
            vectors: `[n, dim]`, such as a trained table.
        """
        codes, centroids = kmeans_codes(vectors, self.code_length, self.num_centroids)
        self._codes.assign(self._packed(codes))
        self.table.assign(centroids)

    def rows(self, ids: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of `ids`, which must be in 1..n; None for all, `[n, dim]`."""
        words = self._codes.tensor()
        words = words[: self.num_items] if ids is None else tf.gather(words, ids - 1)
        shifted = tf.bitwise.right_shift(words[..., tf.newaxis], self._shifts())
        codes = tf.bitwise.bitwise_and(shifted, 2**self._bits - 1)
        # Every row has a known number of words, and the last one may have room for more codes.
        shape = tf.concat([tf.shape(words)[:-1], [words.shape[-1] * self._per_word]], axis=0)
        codes = tf.reshape(codes, shape)[..., : self.code_length]
        places = codes + tf.range(self.code_length) * self.num_centroids
        # Within a call Keras reads the weight in half precision. The reshape makes the gradient
        # dense: all centroids are in a batch, most of them many times.
        centroids = tf.reshape(tf.cast(self.table, tf.float32), self.table_shape())
        vectors = tf.gather(centroids, tf.reshape(places, [-1]))
        shape = tf.concat([tf.shape(words)[:-1], [self.dim]], axis=0)
        vectors = tf.reshape(vectors, shape)
        return tf.ensure_shape(vectors, [*words.shape[:-1], self.dim])

    def grow_from(self, smaller: ItemEmbedding) -> None:
        """Takes the centroids and codes of a layer of fewer items.

        The layer's own codes come from another log, in which the factors may be others. A linear
        regression, over the items that both know, of the smaller layer's codes on this one's gives
        the further items their codes.
        """
        assert isinstance(smaller, QuantizedItemEmbedding)
        self.table.assign(smaller.table)
        count = smaller.num_items
        theirs = smaller.codes()
        mine = np.concatenate([self.codes(), np.ones((self.num_items, 1))], axis=1)
        weights, *_ = np.linalg.lstsq(mine[:count], theirs.astype(np.float64), rcond=None)
        found = np.clip(np.rint(mine[count:] @ weights), 0, self.num_centroids - 1)
        self._codes.assign(self._packed(np.concatenate([theirs, found.astype(np.uint8)])))

    def _shifts(self) -> np.ndarray:
        """How far the bits of each code of a word are shifted."""
        return self._bits * np.arange(self._per_word, dtype=np.int32)

    def _packed(self, codes: np.ndarray) -> np.ndarray:
        """Codes `[n, m]` in words, int32 `[n, ceil(m / codes a word)]`."""
        missing = -codes.shape[1] % self._per_word
        padded = np.pad(codes, [(0, 0), (0, missing)]).astype(np.uint32)
        words = padded.reshape(len(codes), -1, self._per_word) << self._shifts().astype(np.uint32)
        return np.bitwise_or.reduce(words, axis=2).view(np.int32)
