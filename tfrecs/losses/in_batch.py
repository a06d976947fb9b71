"""Softmax over the candidates of the batch: in-batch, mixed and hard negatives, logQ corrected."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.losses.base import global_sum
from tfrecs.negatives import KnownItems
from tfrecs.negatives.replicas import all_gather, first_row

ItemVectors = Callable[[tf.Tensor], tf.Tensor]

# A logit that takes no part. Half the minimum, so that its difference to others is a number too.
_MASKED = tf.float32.min / 2


class BatchLogits(NamedTuple):
    """What a query's softmax is over.

    Attributes:
        logits: `[num_queries, c]` float32.
        positive: `[num_queries]` int32, the column of each query's own candidate.
    """

    logits: tf.Tensor
    positive: tf.Tensor


@registered
class InBatchSoftmax(Configured, keras.layers.Layer):
    """Cross-entropy of the softmax over a query's own candidate and the other queries' candidates.

        loss_i = log(sum_j exp(c_ij)) - c_ii,   c_ij = <q_i, v_j> / temperature - log q_j

    The negatives are the candidates of all queries of the batch, on all replicas of a
    `tf.distribute` strategy; further rows, if the caller has some; and those that `negatives`
    draws. q_j is the probability that one of those B + E + U draws gives candidate j (the logQ
    correction of Bengio and Senecal, 2008; Yi et al., RecSys 2019; for mixed negatives Yang et al.,
    WWW 2020):

        q_j = (B p_j + E e_j + U u_j) / (B + E + U)

    with p from `frequency`, e from `extra_frequency` and u from `negatives`. Without a frequency
    there is no correction, and frequent items are held down: the trained score then estimates the
    probability ratio log(p_i / q_i), not log(p_i); see `SampledSoftmax`. All is computed in
    float32.

    Args:
        temperature: Divides the scores.
        learn_temperature: Whether the temperature is a weight, its logarithm, that `temperature`
            initialises.
        remove_accidental_hits: Whether negatives with the id of the query's own candidate are left
            out.
        num_hard_negatives: Keep only so many negatives of each query, the ones with the largest
            logits; None for all.
        frequency: Says how likely a row of the batch is to hold an item: `ItemFrequency`,
            `StreamingFrequency` (which learns at each call in training) or a layer with the same
            `update(ids)` and `call(ids)`.
        negatives: Draws further negatives that all queries share: `Uniform` or a layer like it.
        extra_frequency: As `frequency`, for the rows that the caller adds.
        known: The items that each user knows, which are no negatives of this user; needs user ids.

    Raises:
        ValueError: If `temperature` is not positive, or a call lacks what an argument needs.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> loss = tfrecs.losses.InBatchSoftmax(temperature=0.5)
        >>> vectors = tf.eye(3)
        >>> round(float(loss(vectors, vectors)), 4)  # log(e^2 + 2) - 2
        0.2395
    """

    def __init__(
        self,
        temperature: float = 1.0,
        learn_temperature: bool = False,
        remove_accidental_hits: bool = False,
        num_hard_negatives: int | None = None,
        frequency: Any = None,
        negatives: Any = None,
        extra_frequency: Any = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature!r}.")
        self.temperature = temperature
        self.learn_temperature = learn_temperature
        self.remove_accidental_hits = remove_accidental_hits
        self.num_hard_negatives = num_hard_negatives
        self.frequency = frequency
        self.negatives = negatives
        self.extra_frequency = extra_frequency
        self.known: KnownItems | None = known
        if learn_temperature:
            self.log_temperature = self.add_weight(
                name="log_temperature",
                shape=(),
                initializer=keras.initializers.Constant(float(tf.math.log(temperature))),
            )

    def call(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
        candidate_ids: tf.Tensor | None = None,
        log_probability: tf.Tensor | None = None,
        positive_ids: tf.Tensor | None = None,
        score_mask: tf.Tensor | None = None,
        item_vectors: ItemVectors | None = None,
        num_items: int | None = None,
        training: bool = True,
        user_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the weighted mean loss of the whole batch; on a replica, its share of that.

        `sample_weight` is `[num_queries]`, default all 1; the other arguments are those of
        `logits`.
        """
        losses = self.losses_of(
            self.logits(
                queries,
                candidates,
                candidate_ids,
                log_probability,
                positive_ids,
                score_mask,
                item_vectors,
                num_items,
                training,
                user_ids,
            )
        )
        if sample_weight is None:
            sample_weight = tf.ones_like(losses)
        sample_weight = tf.cast(sample_weight, tf.float32)
        total = global_sum(tf.reduce_sum(sample_weight))
        return tf.reduce_sum(tf.math.divide_no_nan(sample_weight, total) * losses)

    def losses_of(self, batch: BatchLogits) -> tf.Tensor:
        """Returns the loss of each query, `[num_queries]`."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(batch.positive, batch.logits)

    def logits(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        candidate_ids: tf.Tensor | None = None,
        log_probability: tf.Tensor | None = None,
        positive_ids: tf.Tensor | None = None,
        score_mask: tf.Tensor | None = None,
        item_vectors: ItemVectors | None = None,
        num_items: int | None = None,
        training: bool = True,
        user_ids: tf.Tensor | None = None,
    ) -> BatchLogits:
        """Returns the corrected and masked logits that the softmax is over.

        Args:
            queries: `[num_queries, dim]`, or `[num_queries, heads, dim]` where a query's score is
                the largest of its heads'.
            candidates: `[num_candidates, dim]`: each query's own candidate in the query's row, then
                further rows, if any, as negatives of all.
            candidate_ids: `[num_candidates]`; integers where frequencies or negatives are used.
            log_probability: `[num_candidates]`, log q_j where the caller knows it.
            positive_ids: `[num_queries, p]` integers, padded with 0: other positives of a query,
                which are no negatives of it.
            score_mask: `[num_queries, num_candidates]` bool, False for a candidate that is no
                negative of the query. It does not concern candidates of other replicas.
            item_vectors: Gives the vectors `[k, dim]` of the item ids `[k]` that `negatives` draws.
            num_items: Number of items that `negatives` draws from.
            training: Whether `frequency` learns from the batch.
            user_ids: `[num_queries]`, whose queries they are, for known items.
        """
        self._check(queries, candidates, candidate_ids, log_probability, positive_ids, item_vectors)
        if self.known is not None and user_ids is None:
            raise ValueError(f"{self.name}: user ids must be supplied (user_ids=...) for known.")
        queries, candidates = tf.cast(queries, tf.float32), tf.cast(candidates, tf.float32)
        num_queries, num_own = tf.shape(queries)[0], tf.shape(candidates)[0]
        first = first_row(num_own)
        own_ids: Any = None if candidate_ids is None else candidate_ids[:num_queries]
        candidates = all_gather(candidates)
        ids: Any = None if candidate_ids is None else all_gather(candidate_ids)
        num_batch = tf.shape(candidates)[0]
        sample = None
        if self.negatives is not None:
            assert item_vectors is not None  # checked above
            sample = self.negatives(ids, num_items, user_ids=user_ids)
            if sample.ids.shape.rank != 1:
                raise ValueError(
                    f"{self.name}: its negatives must be shared by the batch's queries "
                    "(shared=True), as their vectors are computed once."
                )
            candidates = tf.concat([candidates, tf.cast(item_vectors(sample.ids), tf.float32)], 0)
            ids = tf.concat([ids, tf.cast(sample.ids, ids.dtype)], 0)
        num_candidates = tf.shape(candidates)[0]

        logits = _similarity(queries, candidates)
        if self.learn_temperature:
            logits *= tf.exp(-self.log_temperature)
        elif self.temperature != 1:
            logits /= self.temperature
        if log_probability is not None:
            logits -= all_gather(tf.cast(log_probability, tf.float32))
        elif self.frequency is not None:
            if training:
                self.frequency.update(own_ids)
            num_positive = global_sum(tf.cast(num_queries, tf.float32))
            num_extra = tf.cast(num_batch, tf.float32) - num_positive
            logits -= self._log_q(ids, num_positive, num_extra, sample)

        positive = first + tf.range(num_queries)
        own = tf.one_hot(positive, num_candidates, True, False, dtype=tf.bool)
        kept = []
        if self.remove_accidental_hits:
            kept.append(ids != own_ids[:, tf.newaxis])
        if positive_ids is not None:
            kept.append(~_contained(ids, positive_ids))
        if self.known is not None:
            kept.append(~self.known.contains(user_ids, ids))
        if sample is not None and sample.allowed is not None:
            kept.append(tf.pad(sample.allowed, [[0, 0], [num_batch, 0]], constant_values=True))
        if score_mask is not None:
            after = num_candidates - first - num_own
            kept.append(tf.pad(score_mask, [[0, 0], [first, after]], constant_values=True))
        if kept:
            logits = tf.where(own | functools.reduce(tf.logical_and, kept), logits, _MASKED)
        return self._hardest(BatchLogits(logits, positive), own)

    def _log_q(
        self, ids: tf.Tensor, num_positive: tf.Tensor, num_extra: tf.Tensor, sample: Any
    ) -> tf.Tensor:
        """Returns the log-probability that one of all draws gives each of `ids`."""
        counts, logs = [num_positive], [self.frequency(ids)]
        if self.extra_frequency is not None:
            counts.append(num_extra)
            logs.append(self.extra_frequency(ids))
        if sample is not None:
            counts.append(tf.cast(tf.size(sample.ids), tf.float32))
            logs.append(tf.concat([sample.positive_log_probability, sample.log_probability], 0))
        if len(logs) == 1:
            return logs[0]
        share = tf.stack(counts) / tf.add_n(counts)
        return tf.reduce_logsumexp(tf.math.log(share)[:, tf.newaxis] + tf.stack(logs), axis=0)

    def _hardest(self, batch: BatchLogits, own: tf.Tensor) -> BatchLogits:
        if self.num_hard_negatives is None or self.num_hard_negatives <= 0:
            return batch
        k = tf.minimum(self.num_hard_negatives, tf.shape(own)[1] - 1)
        negative = tf.nn.top_k(tf.where(own, tf.float32.min, batch.logits), k).values
        positive = tf.gather(batch.logits, batch.positive[:, tf.newaxis], batch_dims=1)
        return BatchLogits(tf.concat([positive, negative], 1), tf.zeros_like(batch.positive))

    def _check(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        candidate_ids: tf.Tensor | None,
        log_probability: tf.Tensor | None,
        positive_ids: tf.Tensor | None,
        item_vectors: Any,
    ) -> None:
        """Raises a ValueError for calls that lack something."""
        needs_ids = {
            "remove_accidental_hits": self.remove_accidental_hits,
            "positive_ids": positive_ids is not None,
            "frequency": self.frequency is not None and log_probability is None,
            "negatives": self.negatives is not None,
            "known": self.known is not None,
        }
        if candidate_ids is None and any(needs_ids.values()):
            raise ValueError(
                f"{self.name}: candidate ids must be supplied (candidate_ids=...) for "
                f"{' and '.join(name for name, needed in needs_ids.items() if needed)}."
            )
        if self.negatives is not None and item_vectors is None:
            raise ValueError(
                f"{self.name}: negatives need item_vectors=..., which gives the vectors of the ids "
                "that were drawn, and num_items=..."
            )
        if self.negatives is not None and log_probability is not None:
            raise ValueError(
                f"{self.name}: with negatives, the probability of every drawn item is needed too: "
                "give a frequency instead of the candidates' probabilities."
            )
        if self.frequency is None or log_probability is not None:
            return
        if self.extra_frequency is not None:
            return
        message = (
            f"{self.name}: there are more candidates than queries, and how likely such a row is to "
            "hold an item is not known: give extra_frequency=..., such as "
            "ItemFrequency([1] * num_items) for rows drawn uniformly."
        )
        rows, columns = queries.shape[0], candidates.shape[0]
        if rows is None or columns is None:
            tf.debugging.assert_equal(tf.shape(queries)[0], tf.shape(candidates)[0], message)
        elif rows != columns:
            raise ValueError(message)


def _similarity(queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    if queries.shape.rank == 2:
        return tf.matmul(queries, candidates, transpose_b=True)
    return tf.reduce_max(tf.einsum("qne,ce->qnc", queries, candidates), axis=1)


def _contained(ids: tf.Tensor, sets: tf.Tensor) -> tf.Tensor:
    """Returns for each row of `sets`, `[rows, p]`, which of `ids`, `[c]`, it holds; 0 is in none.

    Each member of a set marks its place among the sorted `ids`, and each id looks there: comparing
    each with each would take `[rows, c, p]` of memory.
    """
    sets = tf.cast(sets, ids.dtype)
    num_ids, num_rows = tf.size(ids), tf.shape(sets)[0]
    ordered = tf.sort(ids)
    places = tf.reshape(tf.searchsorted(ordered, tf.reshape(sets, [-1])), tf.shape(sets))
    places = tf.minimum(places, num_ids - 1)
    found = (tf.gather(ordered, places) == sets) & (sets != 0)
    cells = tf.reshape(places * num_rows + tf.range(num_rows)[:, tf.newaxis], [-1, 1])
    marks = tf.scatter_nd(cells, tf.cast(tf.reshape(found, [-1]), tf.int32), [num_ids * num_rows])
    marks = tf.reshape(marks > 0, [num_ids, num_rows])
    # Rows are copied whole, which gathering columns would not do.
    return tf.transpose(tf.gather(marks, tf.searchsorted(ordered, ids)))
