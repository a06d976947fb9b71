"""The TensorFlow half of ranking: from a batch of users to ranks, by counting.

The rank of a target is the number of items in its pool that score at least as high. Counting takes
one pass over the scores, and sorting many. Seen items leave the count by subtraction, so that no
mask of users x items exists. They are counted from the same score matrix, because a score computed
twice may differ in its last bit.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

from tfrecs._keras import tf
from tfrecs.data.features.events import inputs_of

_IDS = tf.TensorSpec([None, None], tf.int32)
_BLOCK = 64  # Columns of a block when the best items are looked for.
_COUNTERS: weakref.WeakKeyDictionary[Any, RankCounter] = weakref.WeakKeyDictionary()


def counter_of(model: Any) -> RankCounter:
    """Returns the `RankCounter` of a model, made once: a second evaluation traces nothing."""
    if model not in _COUNTERS:
        _COUNTERS[model] = RankCounter(model)
    return _COUNTERS[model]


class RankCounter:
    """The traced functions that rank targets by a model's scores.

    Their signatures leave every size open, so that each is traced once for a model. They read the
    model's variables at each call, but do not see that a layer was replaced, as Keras's `predict`.
    A weak reference holds the model: ranking does not keep it alive.
    """

    def __init__(self, model: Any) -> None:
        features = {"user_id": tf.TensorSpec([None], tf.int32)}
        if model.max_history is not None:
            features["history"] = _IDS
        if (events := inputs_of(model)) is not None:
            features |= events.specs()
        self._model: Any = weakref.ref(model)
        self.is_product = bool(model.is_product)
        vectors, size = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)
        self._vectors = _traced(self._item_vectors, [])
        self.in_catalogue = _traced(self._in_catalogue, [features, vectors, _IDS, _IDS, size])
        self.in_candidates = _traced(self._in_candidates, [features, _IDS, _IDS])

    def item_vectors(self) -> tf.Tensor:
        """Returns the vectors of all items now; empty where the score is not a product."""
        return self._vectors() if self.is_product else tf.zeros([0, 0])

    def _item_vectors(self) -> tf.Tensor:
        return tf.cast(self._model().item_vectors(), tf.float32)

    def _in_catalogue(
        self,
        features: dict[str, tf.Tensor],
        vectors: tf.Tensor,
        targets: tf.Tensor,
        seen: tf.Tensor,
        k: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Ranks targets among all items but the seen ones.

        Args:
            features: Features of B users.
            vectors: All item vectors, empty where the score is not a product.
            targets: int32 `[B, T]`, padded with 0 on the right, rows with more targets first.
            seen: int32 `[B, S]`, distinct items, none of them a target, 0 is padding.
            k: Length of the recommended lists; 0 for none.

        Returns:
            int32 ranks `[B, T]`, meaningless where there is no target; int32 `[B, k]` recommended
            items; and the number of scores that are not finite.
        """
        if self.is_product:
            queries = tf.cast(self._model().query_vectors(features), tf.float32)
            scores = tf.matmul(queries, vectors, transpose_b=True)
        else:
            scores = tf.cast(self._model().score(features), tf.float32)
        seen_scores = _score_of(scores, seen)
        ranks = _count_each(
            targets,
            _score_of(scores, targets),
            lambda own, rows: _at_least(scores[:rows], own) - _at_least(seen_scores[:rows], own),
        )
        top_items = tf.cond(
            k > 0,
            lambda: _top_items(scores, seen, k),
            lambda: tf.zeros([tf.shape(targets)[0], 0], tf.int32),
        )
        return ranks, top_items, _count_not_finite(scores)

    def _in_candidates(
        self, features: dict[str, tf.Tensor], targets: tf.Tensor, candidates: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ranks targets among themselves and `candidates`, distinct other items `[B, C]`.

        Takes and returns what `_in_catalogue` does, without seen and recommended items.
        """
        items = tf.concat([targets, candidates], axis=1)
        # A model need not score padding: a real item of the row, or item 1, stands there instead.
        scored = tf.where(items > 0, items, tf.maximum(tf.reduce_max(items, 1, keepdims=True), 1))
        scores = tf.cast(self._model().score(features, scored), tf.float32)
        pool = tf.where(items > 0, scores, -float("inf"))
        ranks = _count_each(
            targets,
            scores[:, : tf.shape(targets)[1]],
            lambda own, rows: _at_least(pool[:rows], own),
        )
        return ranks, _count_not_finite(tf.where(items > 0, scores, 0.0))


def _traced(method: Any, signature: list[Any]) -> Any:
    # TensorFlow warns of a function that is traced often. It takes the methods of all models for
    # one function, but each partial for another.
    return tf.function(functools.partial(method), input_signature=signature)


def _at_least(scores: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Counts the scores of each row that are at least its `own` `[B, 1]`."""
    return tf.reduce_sum(tf.cast(scores >= own, tf.int32), axis=1)


def _count_each(targets: tf.Tensor, own: tf.Tensor, count: Any) -> tf.Tensor:
    """Counts for one column of targets after another, over only the rows with a target there."""

    def column(t: tf.Tensor) -> tf.Tensor:
        rows = tf.math.count_nonzero(targets[:, t], dtype=tf.int32)
        counts = count(own[:rows, t, None], rows)
        return tf.pad(counts, [[0, tf.shape(targets)[0] - rows]])

    columns = tf.range(tf.shape(targets)[1])
    return tf.transpose(tf.map_fn(column, columns, fn_output_signature=tf.int32))


def _score_of(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Returns the scores of each row's items `[B, S]`; minus infinity for padding."""
    found = tf.gather(scores, tf.maximum(items - 1, 0), batch_dims=1)
    return tf.where(items > 0, found, -float("inf"))


def _top_items(scores: tf.Tensor, seen: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """Returns ids of each row's k best unseen items, 0 where fewer are left; ties by lower id.

    The k best items lie in the k blocks of columns with the highest maxima, and a maximum is much
    cheaper to find than the k best.
    """
    rows, columns = tf.unstack(tf.shape(scores))
    blocks = -(-columns // _BLOCK)
    scores = tf.pad(scores, [[0, 0], [0, blocks * _BLOCK - columns]], constant_values=-float("inf"))
    places = tf.where(seen > 0)
    hidden = tf.cast(tf.gather_nd(seen, places), tf.int64) - 1
    scores = tf.tensor_scatter_nd_update(
        scores,
        tf.stack([places[:, 0], hidden], axis=1),
        tf.fill([tf.shape(places)[0]], -float("inf")),
    )
    scores = tf.reshape(scores, [rows, blocks, _BLOCK])
    best = tf.math.top_k(tf.reduce_max(scores, axis=2), tf.minimum(k, blocks)).indices
    best = tf.sort(best, axis=1)  # In the order of the items: of equal ones the lower stays first.
    scores = tf.reshape(tf.gather(scores, best, batch_dims=1), [rows, -1])
    length = tf.minimum(k, columns)
    found, places = tf.math.top_k(scores, length)
    items = tf.gather(best, places // _BLOCK, batch_dims=1) * _BLOCK + places % _BLOCK + 1
    items = tf.where(found > -float("inf"), items, 0)
    return tf.pad(items, [[0, 0], [0, k - length]])


def _count_not_finite(scores: tf.Tensor) -> tf.Tensor:
    """Counts the scores that are NaN or infinite, int64."""
    # The sum is finite unless a score is not (or the sum overflows): the one cheap pass.
    return tf.cond(
        tf.math.is_finite(tf.reduce_sum(scores)),
        lambda: tf.constant(0, tf.int64),
        lambda: tf.math.count_nonzero(~tf.math.is_finite(scores)),
    )
