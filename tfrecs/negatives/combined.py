"""Negatives of other samplers: several mixed, or the hardest of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.sample import Sample, ScoresOf


@registered
class Mixed(Configured, keras.layers.Layer):
    """Draws some negatives from each of several samplers.

    A draw from the mixture gives item j with probability

        q_j = sum_m (k_m / k) q_mj,   k = sum_m k_m

    where sampler m draws k_m negatives: the balance heuristic (Veach and Guibas, SIGGRAPH 1995).
    `Mixed([InBatch(frequency=...), Uniform(1024)])` is mixed negative sampling (Yang et al., WWW
    2020).

    Args:
        samplers: Samplers of the base `Negatives`; each draws its own `num_negatives`, all of them
            either shared by the batch's positives or not.

    Raises:
        ValueError: If there is no sampler, or some share their negatives and some do not.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> from tfrecs.negatives import Mixed, Popularity, Uniform
        >>> mixed = Mixed([Uniform(3, seed=1), Popularity(1, [6, 2], alpha=1.0, seed=2)])
        >>> sample = mixed(tf.constant([1, 2]), num_items=2)
        >>> sample.ids.shape
        TensorShape([4])
        >>> tf.exp(sample.positive_log_probability).numpy().round(4).tolist()
        [0.5625, 0.4375]
    """

    def __init__(self, samplers: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.samplers = list(samplers)
        if not self.samplers:
            raise ValueError("Mixed needs at least one sampler.")
        strange = [
            s for s in self.samplers if not hasattr(s, "num_negatives") or isinstance(s, type)
        ]
        if strange:
            raise TypeError(
                f"Mixed: samplers must be objects such as Uniform(64), not {strange[0]!r}."
            )
        if len({sampler.shared for sampler in self.samplers}) > 1:
            raise ValueError(
                "Mixed: some samplers share their negatives and some do not "
                f"({[(type(s).__name__, s.shared) for s in self.samplers]}); give all of them "
                "shared=True or shared=False."
            )
        counts = [sampler.num_negatives for sampler in self.samplers]
        self.num_negatives = None if None in counts else sum(counts)
        self.shared = self.samplers[0].shared

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
        training: bool | None = None,
    ) -> Sample:
        """Draws negatives; see `InBatch.call`."""
        del training  # Keras passes it on to the samplers.
        samples = [sampler(positives, num_items, user_ids, scores) for sampler in self.samplers]
        ids = tf.concat([sample.ids for sample in samples], axis=-1)
        allowed = None
        if any(sample.allowed is not None for sample in samples):
            rows = tf.size(positives)
            allowed = tf.concat(
                [
                    tf.fill([rows, tf.shape(s.ids)[-1]], True) if s.allowed is None else s.allowed
                    for s in samples
                ],
                axis=1,
            )
        counts = tf.stack([sample.num_draws for sample in samples])
        own = [sample.num_own for sample in samples if sample.num_own is not None]
        return Sample(
            ids,
            self._mixture(ids, positives, num_items, user_ids, counts),
            self._mixture(positives, positives, num_items, user_ids, counts),
            allowed,
            tf.reduce_sum(counts),
            tf.add_n(own) if own else None,
        )

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`."""
        counts = [
            tf.size(all_gather(positives)) if s.num_negatives is None else s.num_negatives
            for s in self.samplers
        ]
        counts = tf.cast(tf.stack(counts), tf.float32)
        return self._mixture(ids, positives, num_items, user_ids, counts)

    def _mixture(
        self,
        ids: tf.Tensor,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None,
        counts: tf.Tensor,
    ) -> tf.Tensor:
        shares = tf.unstack(counts / tf.reduce_sum(counts))
        parts = [
            sampler.log_probability(ids, positives, num_items, user_ids) + tf.math.log(share)
            for sampler, share in zip(self.samplers, shares, strict=True)
        ]
        return tf.reduce_logsumexp(tf.stack(parts), axis=0)


@registered
class Hardest(Configured, keras.layers.Layer):
    """Keeps the candidates with the highest scores (dynamic negative sampling, Zhang et al., 2013).

    `candidates` draws m items for each positive, or m that all share. The first `num_easy` of them
    are kept whatever their score. Of the others those with the highest current scores are kept.
    So easy negatives remain, and items that the model overrates are soon found. More candidates
    give harder negatives.

    `log_probability` describes the draw of the candidates only: the choice by score has no closed
    form, so losses do not correct for it.

    Args:
        num_negatives: Negatives to keep for each positive, k; all candidates where the batch has
            fewer, see `InBatch`.
        candidates: Draws the candidates: a sampler such as `Uniform(64)` or `InBatch()`.
        num_easy: How many of the k are kept whatever their score.

    Raises:
        ValueError: If `num_easy` is not in 0..k-1, there are no more candidates than k, or a call
            has no scores.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> candidates = tfrecs.negatives.Uniform(50, seed=1)
        >>> hardest = tfrecs.negatives.Hardest(2, candidates)
        >>> def scores(ids):  # of two queries: one likes large ids and one small ones
        ...     return tf.constant([[1.0], [-1.0]]) * tf.cast(ids, tf.float32)
        >>> sample = hardest(tf.constant([3, 6]), num_items=9, scores=scores)
        >>> tf.sort(sample.ids).numpy().tolist()
        [[9, 9], [1, 1]]
    """

    shared = False

    def __init__(
        self, num_negatives: int, candidates: Any, num_easy: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.candidates = candidates
        self.num_negatives = num_negatives
        self.num_easy = num_easy
        check_integer("num_negatives", num_negatives, least=1)
        check_integer("num_easy", num_easy, least=0)
        if num_easy >= num_negatives:
            raise ValueError(
                f"num_easy must be in 0..{num_negatives - 1}, for {num_negatives} negatives, not "
                f"{num_easy}."
            )
        if num_negatives >= (candidates.num_negatives or num_negatives + 1):
            raise ValueError(
                f"Hardest keeps {num_negatives} negatives and needs more candidates than that, not "
                f"{candidates.num_negatives}."
            )

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
        training: bool | None = None,
    ) -> Sample:
        """Draws negatives; see `InBatch.call`."""
        del training  # Keras passes it on to the candidates' sampler.
        if scores is None:
            raise ValueError(
                f"{self.name} chooses by score: call it with scores=..., as the losses over "
                "sampled items do."
            )
        sample = self.candidates(positives, num_items, user_ids, scores)
        # Only what is kept is trained.
        score = tf.stop_gradient(scores(sample.ids))
        allowed = sample.ids != positives[:, tf.newaxis]
        if sample.allowed is not None:
            allowed &= sample.allowed
        score = tf.where(allowed, score, score.dtype.min)
        num_easy, num_kept = self.num_easy, self.num_negatives
        if self.candidates.num_negatives is None:  # The batch may be small.
            num_easy = tf.minimum(num_easy, tf.shape(score)[1])
            num_kept = tf.minimum(num_kept, tf.shape(score)[1])
        hard = tf.nn.top_k(score[:, num_easy:], num_kept - num_easy).indices
        easy = tf.tile(tf.range(num_easy)[tf.newaxis], [tf.shape(hard)[0], 1])
        kept = tf.concat([easy, hard + num_easy], axis=1)

        def of_each(x: tf.Tensor) -> tf.Tensor:
            return tf.gather(x, kept) if x.shape.rank == 1 else tf.gather(x, kept, batch_dims=1)

        return Sample(
            of_each(sample.ids),
            of_each(sample.log_probability),
            sample.positive_log_probability,
            of_each(allowed),
            tf.minimum(float(self.num_negatives), sample.num_draws),
        )

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids` among the candidates."""
        return self.candidates.log_probability(ids, positives, num_items, user_ids)
