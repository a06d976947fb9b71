"""The k best of many items for each query, exactly, as `tf.math.top_k` gives them.

Scores are made block by block, so that all of them are never held at once. A block is searched by
groups of consecutive items: first the highest score of each group, then the groups whose highest
can be among the k best so far, because an item of the k best is in one of the k groups with the
highest such scores. That also holds among equal scores, where the lower row comes first, because
`tf.math.top_k` takes the first of equal groups.

Everything is plain TensorFlow, which any server has.
"""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.serving.index.item_table import Float32Rows, Rows

# Items of a group, and about how many scores a block has (32 MB).
_GROUP = 32
_BLOCK_SCORES = 1 << 23
# How many numbers of vectors a block makes that are not stored as they are (16 MB).
_BLOCK_NUMBERS = 1 << 22
# Up to so many items are one block, which is searched without groups.
_SMALL = 1 << 14

Best = tuple[Any, Any]


def best_products(
    queries: tf.Tensor, vectors: Any, k: int, excluded: tf.Tensor, largest_norm: Any
) -> Best:
    """Returns the rows of the k largest inner products with each query.

    Args:
        queries: `[batch, dim]` float32.
        vectors: `[n, dim]` float32, a tensor or a variable; or stored `Rows`.
        k: How many to return, at most n.
        excluded: `[batch, e]` int32, rows never to be returned; other numbers count for nothing.
        largest_norm: The largest Euclidean norm of `vectors`.

    Returns:
        Products `[batch, k]`, best first, equal ones in the order of their rows, and the rows,
        int32. Products that are not finite are left out. Where fewer than k are left, the rest is
        the least float32 with the row -1.
    """
    stored = vectors if isinstance(vectors, Rows) else Float32Rows(tf.convert_to_tensor(vectors))
    num_rows, batch = stored.num_rows, tf.shape(queries)[0]
    if num_rows <= _SMALL:
        return best_scores(tf.transpose(stored.products(queries, 0, num_rows)), k, excluded)
    block = tf.maximum(_BLOCK_SCORES // tf.maximum(batch, 1), _SMALL)
    if not stored.is_float32:
        block = tf.minimum(block, max(_BLOCK_NUMBERS // stored.dim, _GROUP))
    block = block // _GROUP * _GROUP
    # The product of the norms bounds every product and its partial sums (Cauchy and Schwarz).
    finite = tf.reduce_all(tf.math.is_finite(tf.norm(queries, axis=1) * largest_norm))

    def add_block(start: tf.Tensor, best: tf.Tensor, rows: tf.Tensor) -> tuple[Any, Any, Any]:
        stop = tf.minimum(start + block, num_rows)
        # With a row an item, products and maxima take a third less time on CPUs.
        scores = stored.products(queries, start, stop)
        scores = tf.cond(finite, lambda: scores, lambda: _only_finite(scores))
        return stop, *_merged((best, rows), scores, excluded, start)

    _, best, rows = tf.while_loop(
        lambda start, best, rows: start < num_rows,
        add_block,
        (tf.constant(0), *_nothing(batch, k)),
    )
    return best, rows


def best_scores(scores: tf.Tensor, k: int, excluded: tf.Tensor) -> Best:
    """Returns the k best of `scores` `[batch, n]` float32; otherwise as `best_products`."""
    scores = _only_finite(scores)
    if scores.shape[1] is None or scores.shape[1] > _SMALL:
        so_far = _nothing(tf.shape(scores)[0], k)
        return _merged(so_far, tf.transpose(scores), excluded, tf.constant(0))
    here = (excluded >= 0) & (excluded < scores.shape[1])
    best, rows = tf.math.top_k(_lowered(scores, tf.where(here, excluded, 0), here), k)
    return best, tf.where(best > best.dtype.min, rows, -1)


def _nothing(batch: tf.Tensor, k: int) -> Best:
    return tf.fill([batch, k], tf.float32.min), tf.fill([batch, k], -1)


def _only_finite(scores: tf.Tensor) -> tf.Tensor:
    # Top-k returns nonsense around NaN, and JSON cannot express infinity.
    return tf.where(tf.math.is_finite(scores), scores, scores.dtype.min)


def _merged(so_far: Best, scores: tf.Tensor, excluded: tf.Tensor, start: tf.Tensor) -> Best:
    """The k best of the best so far and of a block's scores `[rows, batch]`, rows from `start`."""
    best, rows = so_far
    batch, k = tf.shape(scores)[1], best.shape[1]
    # With one more, which is no row: TensorFlow must search for at least one.
    excluded = tf.pad(excluded, [[0, 0], [0, 1]], constant_values=-1)
    scores = tf.pad(
        scores, [[0, -tf.shape(scores)[0] % _GROUP], [0, 0]], constant_values=scores.dtype.min
    )
    num_groups = tf.shape(scores)[0] // _GROUP
    groups = tf.reshape(scores, [num_groups, _GROUP, batch])
    highest = tf.transpose(tf.reduce_max(groups, axis=1))
    # Each excluded item may be the highest of one group.
    better = tf.reduce_sum(tf.cast(highest > best[:, -1:], tf.int32), axis=1)
    most = tf.minimum(k + tf.shape(excluded)[1], tf.shape(highest)[1])
    count = tf.clip_by_value(tf.reduce_max(better), 0, most)
    # Sorted by row, because the last top-k takes the first of equal scores.
    chosen = tf.sort(tf.math.top_k(highest, count).indices, axis=1)
    of_found = chosen[..., tf.newaxis] * _GROUP + tf.range(_GROUP)
    of_found = tf.reshape(of_found, [batch, count * _GROUP])
    query = tf.range(batch)[:, tf.newaxis]
    found = tf.gather(tf.reshape(scores, [-1]), of_found * batch + query)
    all_rows = tf.concat([rows, start + of_found], axis=1)
    all_scores = tf.concat([best, found], axis=1)
    # Finds the places of excluded rows among the found ones. A last number above all others makes
    # sure that every search ends at a place that exists.
    group = (excluded - start) // _GROUP
    padded = tf.pad(chosen, [[0, 0], [0, 1]], constant_values=chosen.dtype.max)
    place = tf.searchsorted(padded, group)
    hit = tf.gather(padded, place, batch_dims=1) == group
    place = k + place * _GROUP + (excluded - start) % _GROUP
    all_scores = _lowered(all_scores, tf.where(hit, place, 0), hit)
    best, place = tf.math.top_k(all_scores, k)
    return best, tf.gather(all_rows, place, batch_dims=1)


def _lowered(scores: tf.Tensor, columns: tf.Tensor, here: tf.Tensor) -> tf.Tensor:
    """`scores` with the least float32 at `columns` `[batch, e]`, where `here` is true."""
    query = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, tf.newaxis], tf.shape(columns))
    # A minimum with the largest number changes nothing.
    at_most = tf.where(here, scores.dtype.min, scores.dtype.max)
    return tf.tensor_scatter_nd_min(scores, tf.stack([query, columns], axis=-1), at_most)


class BlockTopK(tfrs.layers.factorized_top_k.TopK):  # type: ignore[misc]
    """The k candidates of the largest inner products, as TFRS's `BruteForce`, in less time.

    Answers equal `tf.math.top_k` of all products, in its order, but products are made and searched
    block by block: no `[batch, n]` matrix is held. The layer is used as TFRS's are, in
    `tfrs.metrics.FactorizedTopK` too, and consists of plain TensorFlow operations, so that any
    server runs a SavedModel of it.

    Unlike `BruteForce`, it leaves out candidates whose product is not finite, and never returns
    excluded ones. Where fewer than k are left, the rest has the least float32 as its score and -1,
    or "", as its identifier.

    Args:
        query_model: Makes query vectors of the layer's input; None if the input is vectors.
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
            identifiers: `[n]`, all different, which answers hold; by default the rows.

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
            queries: `[batch, dim]` vectors, or the query model's input.
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
        """Returns the answer of `call` without some candidates of each query.

        Args:
            queries: As in `call`.
            exclusions: `[batch, e]` identifiers; unknown and repeated ones are allowed. The
                function must be traced with a known e.
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
        """Returns True."""
        return True


def _none(dtype: tf.DType) -> tf.Tensor:
    return tf.constant("" if dtype == tf.string else -1, dtype)
