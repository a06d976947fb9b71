"""The log-partition of a softmax over all items, without the matrix of all scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfrecs._gpu import has_gpu
from tfrecs._keras import tf

# exp overflows float32 at 88.7; below this bound no maximum needs to be subtracted.
_SAFE_LOGIT = 80.0
# Scores of a chunk. 16 MB of them stay near a CPU's caches. A GPU needs much work for each launch;
# there three arrays of a chunk take 1.5 GB.
_CHUNK, _CHUNK_OF_GPU = 2**22, 2**27
# Every chunk reads and writes the gradient of all items. With fewer queries than this that takes
# longer than the products: at a million items and 4 queries, nine times as long.
_LEAST_QUERIES = 64


def weighted_logsumexp(
    queries: tf.Tensor,
    items: tf.Tensor,
    weights: tf.Tensor,
    chunk_size: int | None = None,
) -> tf.Tensor:
    r"""Returns `sum_i weights[i] * log(sum_j exp(<queries[i], items[j]>))`.

    The part of full softmax cross-entropy that touches every item. TensorFlow's own way keeps the
    scores, their exponentials and the gradient of the scores, each `[num_queries, num_items]`.
    Here queries are taken in chunks of at most `chunk_size` scores, and as the weight of each row
    in the result is known beforehand, both gradients come out of the same pass:

        E = exp(Q W'),  s = E 1,  c = weights / s
        dQ = c * (E W),  dW = E' (c * Q)

    so that three matrix products and one exponential are all the work, and no softmax is stored.
    The row maximum is subtracted only where the Cauchy-Schwarz bound on the scores does not rule
    out overflow already; both branches give the same value.

    Args:
        queries: `[num_queries, dim]` float32.
        items: `[num_items, dim]` float32.
        weights: `[num_queries]` float32; not differentiated.
        chunk_size: Most scores to hold at once; default 2^22 or those of 64 queries, whichever is
            more, and 2^27 where there is a GPU.

    Returns:
        A scalar, differentiable with respect to `queries` and `items` (once).

    Example:
        >>> import tensorflow as tf
        >>> from tfrecs.losses import weighted_logsumexp
        >>> value = weighted_logsumexp(tf.zeros([2, 3]), tf.ones([4, 3]), tf.constant([0.5, 0.5]))
        >>> round(float(value), 4)  # log(4)
        1.3863
    """
    weights = tf.stop_gradient(weights)
    least_queries = 1
    if chunk_size is None:
        chunk_size = _CHUNK_OF_GPU if has_gpu() else _CHUNK
        least_queries = 1 if has_gpu() else _LEAST_QUERIES

    @tf.custom_gradient
    def compute(queries: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        safe = _largest_norm(queries) * _largest_norm(items) < _SAFE_LOGIT
        rows, num_items = queries.shape[0], items.shape[0]
        num_chunks: Any
        if rows is not None and num_items is not None:
            # So is every shape below static where these are.
            num_chunks = min(-(-rows * num_items // chunk_size), -(-rows // least_queries))
            num_chunks = max(num_chunks, 1)
        else:
            rows = tf.shape(queries)[0]
            # Their product does not always fit into 32 bits.
            num_scores = tf.cast(rows, tf.int64) * tf.shape(items, tf.int64)[0]
            num_chunks = tf.cast(-(-num_scores // chunk_size), tf.int32)
            num_chunks = tf.maximum(tf.minimum(num_chunks, -(-rows // least_queries)), 1)
        length = -(-rows // num_chunks)
        padding = num_chunks * length - rows

        def split(x: tf.Tensor) -> tf.Tensor:
            x = tf.pad(x, [[0, padding]] + [[0, 0]] * (x.shape.rank - 1))
            return tf.reshape(x, [num_chunks, length, *x.shape[1:]])

        query_chunks, weight_chunks = split(queries), split(weights)

        def step(
            index: tf.Tensor, total: tf.Tensor, d_queries: tf.TensorArray, d_items: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.Tensor]:
            query, weight = query_chunks[index], weight_chunks[index]
            scores = tf.matmul(query, items, transpose_b=True)
            shift, exponentials = tf.cond(
                safe, lambda: (tf.zeros([length, 1]), tf.exp(scores)), lambda: _shifted_exp(scores)
            )
            sums = tf.reduce_sum(exponentials, axis=1)
            total += tf.reduce_sum(weight * (tf.math.log(sums) + shift[:, 0]))
            scale = (weight / sums)[:, tf.newaxis]
            d_queries = d_queries.write(index, scale * tf.matmul(exponentials, items))
            d_items += tf.matmul(exponentials, scale * query, transpose_a=True)
            return index + 1, total, d_queries, d_items

        _, total, d_queries, d_items = tf.while_loop(
            lambda index, *_: index < num_chunks,
            step,
            (
                tf.constant(0),
                tf.constant(0.0),
                tf.TensorArray(
                    tf.float32,
                    num_chunks,
                    element_shape=[length if isinstance(length, int) else None, queries.shape[1]],
                ),
                tf.zeros_like(items),
            ),
            parallel_iterations=1,
        )
        d_queries = tf.reshape(d_queries.stack(), [num_chunks * length, -1])[:rows]

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return upstream * d_queries, upstream * d_items

        return total, gradient

    return compute(queries, items)


def _shifted_exp(scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    largest = tf.reduce_max(scores, axis=1, keepdims=True)
    return largest, tf.exp(scores - largest)


def _largest_norm(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_max(tf.reduce_sum(tf.square(x), axis=-1)))
