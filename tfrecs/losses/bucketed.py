"""Softmax cross-entropy within buckets of queries and the items that they score highly."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.configured import check_integer, registered
from tfrecs.layers import StepCounter
from tfrecs.layers.dropout import random_bits
from tfrecs.losses.base import Loss
from tfrecs.losses.scores import Scores
from tfrecs.negatives.replicas import all_gather, first_row

# Products of centres and items that are held at once, and the fewest centres of them: each pass
# reads the whole table.
_CHUNK, _LEAST_CENTRES = 2**22, 16


@registered
class BucketedSoftmax(Loss):
    """Scalable cross-entropy, SCE (Mezentsev et al., RecSys 2024): hard negatives by buckets.

    Each of b random centres c makes a bucket of the b_x queries and the b_y items with the largest
    products with c. As both are close to c, these items are hard negatives of these queries:

        loss_i = max over i's buckets of log(exp(s_target) + sum_j exp(s_j)) - s_target

    where j runs over the bucket's items but the target, and the mean is over the queries that are
    in a bucket. Memory is b b_x b_y scores, and one pass over the item table finds the items; their
    gradient is sparse, so `optimizers.LazyAdam` touches few rows. Choosing the largest per-bucket
    loss of a query is the authors' code's.

    Centres are random sums of the batch's queries (the paper's "mix"), so that they lie where the
    queries do; or random directions. Both have random signs in place of the paper's normal numbers
    (Achlioptas, "Database-friendly random projections", 2003). All replicas of a strategy share the
    buckets of the whole batch.

    Args:
        num_buckets: Centres, b.
        queries_per_bucket: b_x; all queries where the batch has fewer.
        items_per_bucket: b_y; all items where the catalogue has fewer.
        mix: Whether centres are sums of queries.
        seed: Seed of the centres; None to draw one.

    Raises:
        ValueError: If a number is less than 1.
        TypeError: If a model's scores are no products of vectors.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.BucketedSoftmax(2, 3, items_per_bucket=7, seed=1)
        >>> round(float(loss(tf.constant([11, 12, 14]), scores)), 4)  # log(1 + 7)
        2.0794
    """

    needs_products = True

    def __init__(
        self,
        num_buckets: int = 64,
        queries_per_bucket: int = 64,
        items_per_bucket: int = 256,
        mix: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_buckets", num_buckets, least=1)
        check_integer("queries_per_bucket", queries_per_bucket, least=1)
        check_integer("items_per_bucket", items_per_bucket, least=1)
        self.num_buckets = num_buckets
        self.queries_per_bucket = queries_per_bucket
        self.items_per_bucket = items_per_bucket
        self.mix = mix
        self.seed = seed
        self.counter = StepCounter(seed, name="counter")

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        products = scores.products(type(self).__name__)
        # A reshape gives back the static size that gathering loses. It also makes the gradients of
        # the look-ups below dense, as gathering from replicas needs them.
        queries = tf.reshape(all_gather(products.queries), [-1, products.queries.shape[1]])
        positives = tf.reshape(all_gather(scores.of(targets)), [-1])
        everybodys, all_weights = all_gather(targets), all_gather(weights)
        table = tf.ensure_shape(products.item_vectors(), [scores.num_items, None])
        members, ids = self.buckets(queries, all_weights > 0, table)

        vectors = products.vectors(tf.reshape(ids, [-1]))
        vectors = tf.reshape(vectors, [*ids.shape, queries.shape[1]])
        others = tf.matmul(tf.gather(queries, members), vectors, transpose_b=True)
        hit = tf.gather(everybodys, members)[:, :, tf.newaxis] == ids[:, tf.newaxis]
        others = tf.where(hit, others.dtype.min, others)
        positive = tf.gather(positives, members)
        logits = tf.concat([positive[..., tf.newaxis], others], axis=2)
        losses = tf.reduce_logsumexp(logits, axis=2) - positive

        rows = tf.shape(queries)[0]
        flat = tf.reshape(members, [-1])
        hardest = tf.math.unsorted_segment_max(tf.reshape(losses, [-1]), flat, rows)
        chosen = tf.math.unsorted_segment_sum(tf.ones_like(flat), flat, rows) > 0
        kept = tf.where(chosen, all_weights, 0.0)
        # The mean is over the queries that are in a bucket.
        kept *= tf.math.divide_no_nan(tf.reduce_sum(all_weights), tf.reduce_sum(kept))
        contributions = kept * tf.where(chosen, hardest, 0.0)
        own = tf.range(tf.size(targets)) + first_row(tf.size(targets))
        return tf.reduce_sum(tf.gather(contributions, own))

    def buckets(
        self, queries: tf.Tensor, valid: tf.Tensor, table: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the members of each bucket.

        Args:
            queries: `[num_queries, dim]`.
            valid: `[num_queries]` bool, False for queries without a target, which come last.
            table: `[num_items, dim]`.

        Returns:
            Places of queries, `[b, b_x]`, and ids of items, `[b, b_y]`, both int32.
        """
        # What chooses is not trained.
        queries, table = tf.stop_gradient(queries), tf.stop_gradient(table)
        dim = queries.shape[1]
        rows = queries.shape[0] or tf.shape(queries)[0]
        bits = random_bits([rows if self.mix else dim, self.num_buckets], self.counter.next_seed())
        signs = (
            2.0 * tf.cast(tf.bitwise.bitwise_and(bits, tf.constant(1, tf.uint32)), tf.float32) - 1
        )
        centres = tf.transpose(signs)
        if self.mix:
            # Signs go by the place among the queries with a target, however many fill the batch up.
            places = tf.maximum(tf.cumsum(tf.cast(valid, tf.int32)) - 1, 0)
            signs = tf.gather(signs, places) * tf.cast(valid, tf.float32)[:, tf.newaxis]
            centres = tf.matmul(signs, queries, transpose_a=True)
        near = tf.matmul(centres, queries, transpose_b=True)
        near = tf.where(valid, near, near.dtype.min)
        fewer = min if isinstance(rows, int) else tf.minimum
        members = tf.math.top_k(near, fewer(self.queries_per_bucket, rows)).indices
        return members, top_items(centres, table, self.items_per_bucket)


def top_items(centres: tf.Tensor, table: tf.Tensor, k: int) -> tf.Tensor:
    """Returns the ids of the k items with the largest products with each centre, `[b, k]` int32.

    Args:
        centres: `[b, dim]`, b known when the graph is made.
        table: `[num_items, dim]`, num_items known too.
        k: Items of a centre; all where there are fewer.
    """
    k = min(k, table.shape[0])
    length = max(_CHUNK // table.shape[0], _LEAST_CENTRES)
    chunks = -(-centres.shape[0] // length)
    length = -(-centres.shape[0] // chunks)
    padded = tf.pad(centres, [[0, chunks * length - centres.shape[0]], [0, 0]])
    found = tf.map_fn(
        lambda part: tf.math.top_k(tf.matmul(part, table, transpose_b=True), k).indices,
        tf.reshape(padded, [chunks, length, centres.shape[1]]),
        fn_output_signature=tf.TensorSpec([length, k], tf.int32),
        parallel_iterations=1,
    )
    return tf.reshape(found, [chunks * length, k])[: centres.shape[0]] + 1
