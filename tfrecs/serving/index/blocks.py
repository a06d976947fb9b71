"""An exact index that stands in for TFRS's `BruteForce`."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.serving.index.exact import best_products


class BlockTopK(tfrs.layers.factorized_top_k.TopK):  # type: ignore[misc]
    """The k candidates of the largest inner products, as `BruteForce` of TFRS, in less time.

    Answers equal `tf.math.top_k` of all products, in its order, but the products are made
    and looked at block by block: no `[batch, n]` matrix is held. It is used as TFRS's layers are,
    in `tfrs.metrics.FactorizedTopK` too, and consists of plain TensorFlow operations, so that a
    SavedModel of it needs nothing but a server.

    Unlike `BruteForce`, candidates whose product is no finite number are left out, and excluded
    ones never come back. Where fewer than k are left, the rest has the least float32 as its score
    and -1, or "", as its identifier.

    Args:
        query_model: Makes query vectors of what the layer is called with; None if that is vectors.
        k: How many candidates to return.
        name: Name of the layer.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> index = tfrecs.serving.BlockTopK(k=2)
        >>> index = index.index(tf.constant([[1.0], [3.0], [2.0]]), tf.constant(["a", "b", "c"]))
        >>> scores, ids = index(tf.constant([[10.0]]))
        >>> ids.numpy().tolist()
        [[b'b', b'c']]
        >>> scores, ids = index.query_with_exclusions(tf.constant([[10.0]]), tf.constant([["b"]]))
        >>> ids.numpy().tolist()
        [[b'c', b'a']]
    """

    def __init__(
        self, query_model: keras.Model | None = None, k: int = 10, name: str | None = None
    ) -> None:
        super().__init__(k=k, name=name)
        self.query_model = query_model
        self._candidates: Any = None

    def index(self, candidates: tf.Tensor, identifiers: tf.Tensor | None = None) -> BlockTopK:
        """Stores the candidates, and forgets any before.

        Args:
            candidates: `[n, dim]` vectors.
            identifiers: `[n]`, a different one for each: what is returned; default their rows.

        Raises:
            ValueError: If the shapes do not fit.
        """
        candidates = tf.cast(candidates, tf.float32)
        if identifiers is None:
            identifiers = tf.range(tf.shape(candidates)[0])
        identifiers = tf.convert_to_tensor(identifiers)
        if candidates.shape.rank != 2 or identifiers.shape != candidates.shape[:1]:
            raise ValueError(
                "candidates must be [n, dim] and identifiers [n], not "
                f"{candidates.shape.as_list()} and {identifiers.shape.as_list()}."
            )

        def weight(name: str, value: tf.Tensor) -> tf.Variable:
            return self.add_weight(
                name=name,
                shape=value.shape,
                dtype=value.dtype,
                initializer=lambda shape, dtype: value,
                trainable=False,
            )

        self._identifiers = weight("identifiers", identifiers)
        self._candidates = weight("candidates", candidates)
        norms = tf.norm(candidates, axis=1)
        self._largest_norm = weight("largest_norm", tf.reduce_max(norms))
        self._reset_tf_function_cache()
        return self

    def call(self, queries: Any, k: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scores `[batch, k]`, best first, and the identifiers.

        Args:
            queries: `[batch, dim]` vectors, or what the query model takes.
            k: How many; default as in the constructor.

        Raises:
            ValueError: If there is no index yet, or k is more than the candidates.
        """
        if self._candidates is None:
            raise ValueError("There are no candidates yet: call index first.")
        k = self._k if k is None else k
        count = self._candidates.shape[0]
        if not 1 <= k <= count:
            raise ValueError(f"k must be from 1 to the number of candidates, {count}, not {k}.")
        if self.query_model is not None:
            queries = self.query_model(queries)
        queries = tf.cast(queries, tf.float32)
        nobody = tf.zeros([tf.shape(queries)[0], 0], tf.int32)
        best, rows = best_products(queries, self._candidates, k, nobody, self._largest_norm)
        found = tf.gather(self._identifiers, tf.maximum(rows, 0))
        return best, tf.where(rows < 0, _none(found.dtype), found)

    @tf.function  # type: ignore[misc]
    def query_with_exclusions(
        self, queries: Any, exclusions: tf.Tensor, k: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what `call` does, with some candidates left out for each query.

        Args:
            queries: As in `call`.
            exclusions: `[batch, e]` identifiers; unknown and repeated ones are allowed. Their
                number e must be known when the function is traced.
            k: How many; default as in the constructor.

        Raises:
            ValueError: If e is not known.
        """
        k = self._k if k is None else k
        if exclusions.shape.rank != 2 or exclusions.shape[1] is None:
            raise ValueError(
                f"exclusions must be [batch, e] with a known e, not {exclusions.shape}: pad them "
                "to one width."
            )
        wanted = min(k + exclusions.shape[1], self._candidates.shape[0])
        scores, ids = self(queries, k=wanted)
        hit = tf.reduce_any(ids[:, :, tf.newaxis] == exclusions[:, tf.newaxis], axis=2)
        scores = tf.where(hit, scores.dtype.min, scores)
        best, place = tf.math.top_k(scores, k)
        found = tf.gather(ids, place, batch_dims=1)
        return best, tf.where(best > best.dtype.min, found, _none(found.dtype))

    def is_exact(self) -> bool:
        """True."""
        return True


def _none(dtype: tf.DType) -> tf.Tensor:
    return tf.constant("" if dtype == tf.string else -1, dtype)
