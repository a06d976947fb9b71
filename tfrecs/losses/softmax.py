"""Softmax cross-entropy over all items, and over sampled ones."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, registered
from tfrecs.losses.base import Loss
from tfrecs.losses.logsumexp import weighted_logsumexp
from tfrecs.losses.scores import Scores
from tfrecs.negatives import ItemFrequency, KnownItems, Sample, Uniform


@registered
class FullSoftmax(Loss):
    """Cross-entropy of the softmax over the whole catalogue.

        loss = log(sum_j exp(s_j)) - (1 - e) s_target - e mean_j(s_j),  e = label_smoothing

    With `popularity`, the share pi_j that item j has of the log, s_j + log(pi_j) takes the place of
    s_j: the trained score estimates the probability ratio log(p_j / pi_j), not log(p_j), up to a
    number for each query, and popular items are not recommended for their popularity (Pellegrini
    et al., "Don't recommend the obvious: estimate probability ratios", RecSys 2022; Menon et al.,
    "Long-tail learning via logit adjustment", ICLR 2021).

    Never holds more than `chunk_size` scores (see `weighted_logsumexp`): memory does not grow with
    batch times catalogue, and the cost is three matrix products.

    Args:
        label_smoothing: Share e of the target's probability spread over all items.
        chunk_size: Most scores held at once; by default 16 MB of them or those of 64 targets, or
            512 MB where there is a GPU.
        popularity: Gives log(pi) of ids, such as `negatives.ItemFrequency`, for scores that
            estimate probability ratios; None for ones that estimate probabilities.

    Raises:
        ValueError: If `label_smoothing` is not in [0, 1).
        TypeError: If a model's scores are no products of vectors.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([4, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 4, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.FullSoftmax()(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(4): every item is as likely
        1.3863
    """

    needs_products = True

    def __init__(
        self,
        label_smoothing: float = 0.0,
        chunk_size: int | None = None,
        popularity: ItemFrequency | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing!r}.")
        if chunk_size is not None:
            check_integer("chunk_size", chunk_size, least=1)
        self.label_smoothing = label_smoothing
        self.chunk_size = chunk_size
        self.popularity = popularity

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        dot_products = scores.products(type(self).__name__)
        queries, items = dot_products.queries, dot_products.item_vectors()
        target_scores = scores.of(targets)
        if self.popularity is not None:
            # One more coordinate of the vectors.
            share = self.popularity(tf.range(1, scores.num_items + 1))
            queries = tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1)
            items = tf.concat([items, share[:, tf.newaxis]], axis=1)
            target_scores += tf.gather(share, targets - 1)
        loss = weighted_logsumexp(queries, items, weights, self.chunk_size)
        loss -= (1 - self.label_smoothing) * tf.reduce_sum(weights * target_scores)
        if self.label_smoothing:
            mean_scores = tf.linalg.matvec(queries, tf.reduce_mean(items, axis=0))
            loss -= self.label_smoothing * tf.reduce_sum(weights * mean_scores)
        return loss


class SampledLoss(Loss):
    """Base of the losses that compare a target with sampled negatives.

    A given sampler sets the number of negatives and whether a batch shares them. Without one,
    these arguments do.

    Args:
        num_negatives: Negatives to draw, k; None for the sampler's, or the loss's own default.
        shared: Whether the targets of a batch share them; None as for `num_negatives`.
        negatives: Draws them; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Raises:
        ValueError: If a sampler is given and another argument says something else.
    """

    # What the default sampler draws.
    default_num_negatives, default_shared = 256, True

    def __init__(
        self,
        num_negatives: int | None = None,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = negatives is not None
        if hasattr(negatives, "update") or isinstance(negatives, KnownItems):
            raise TypeError(
                f"{type(self).__name__}: negatives is a sampler such as Uniform(256), not "
                f"{type(negatives).__name__}, which a sampler may be given."
            )
        if negatives is None:
            if num_negatives is None:
                num_negatives = self.default_num_negatives
            shared = self.default_shared if shared is None else shared
            negatives = Uniform(num_negatives, shared, seed, name="negatives")
        for name, value in (("num_negatives", num_negatives), ("shared", shared)):
            own = getattr(negatives, name, None)
            if value is not None and own is None and hasattr(negatives, name):
                raise ValueError(
                    f"{type(self).__name__}: {name} is {value}, and the {type(negatives).__name__} "
                    f"given as negatives takes the whole batch: give {name} to InBatch."
                )
            if None not in (value, own) and value != own:
                raise ValueError(
                    f"{type(self).__name__}: {name} is {value}, and the {type(negatives).__name__} "
                    f"given as negatives has {own}. Set it there only."
                )
        if given and seed is not None:
            raise ValueError(
                f"{type(self).__name__}: seed is of no use beside negatives. Give it to the "
                f"{type(negatives).__name__}."
            )
        self.num_negatives = getattr(negatives, "num_negatives", num_negatives)
        self.shared = getattr(negatives, "shared", shared)
        self.seed = seed
        self.negatives = negatives
        if not given:
            self.remember(num_negatives=self.num_negatives, shared=self.shared)

    def negative_scores(
        self, targets: tf.Tensor, scores: Scores
    ) -> tuple[tf.Tensor, tf.Tensor, Sample]:
        """Draws negatives and scores them.

        Returns:
            Their scores `[num_queries, k]`; which of them the target may be compared with, because
            they are not the target itself and allowed by the sample, bool of the same shape; and
            the sample.
        """
        sample = self.negatives(targets, scores.num_items, user_ids=scores.user_ids, scores=scores)
        valid = sample.ids != targets[:, tf.newaxis]
        if sample.allowed is not None:
            valid &= sample.allowed
        return scores.sampled(sample.ids), valid, sample


@registered
class SampledSoftmax(SampledLoss):
    """Cross-entropy of the softmax over the target and k sampled negatives.

        loss = log(exp(c_target) + sum_j exp(c_j)) - c_target,  c_i = s_i - log q_i

    where q is the probability of a draw (the logQ correction of Bengio and Senecal, 2008, applied
    to the target's score too, as in Jean et al., 2015). Under uniform negatives it changes nothing.
    A negative that equals the target is masked.

    That treats the target as one of the draws, which it is not. `logq="corrected"` draws only the
    other items' part of the softmax (Khrylchenko et al., "Correcting the LogQ correction", RecSys
    2025):

        loss = log(exp(s_target) + Z) - s_target,  Z = sum_j exp(s_j) / (k q_j)

    Z is an unbiased estimate of the sum over all other items, so the loss estimates that of
    `FullSoftmax`. Its gradient is the paper's: that of (1 - p) (log Z - s_target) with p, the
    target's probability exp(s_target) / (exp(s_target) + Z), held fixed. The paper divides by
    n q_j / (1 - q_target), where n of the k draws are not the target: as n is k (1 - q_target) on
    average, that is the same but for the noise of n.

    What the trained score estimates, up to a number for each query: log(p_i), where p_i is the
    probability that i is the query's next item; with `logq=False` the ratio log(p_i / q_i) to the
    negatives' probabilities; and with `popularity`, the share pi_i that item i has of the log and
    whose logarithm is added to c_i, the probability ratio log(p_i / pi_i) under any negatives
    (Pellegrini et al., "Don't recommend the obvious: estimate probability ratios", RecSys 2022).

    Args:
        num_negatives: Negatives to draw, k; default 256, or as `negatives` says.
        shared: Whether the targets of a batch share them (one matrix product instead of a gather of
            k vectors for each target); default True, or as `negatives` says.
        logq: How scores are corrected for the negatives' probabilities: True for target and
            negatives alike, "corrected" for negatives alone, False for not at all.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.
        popularity: Gives log(pi) of ids, such as `negatives.ItemFrequency`; None to estimate
            probabilities.

    Raises:
        ValueError: If `logq` is something else.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.SampledSoftmax(7, seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(1 + 7)
        2.0794
    """

    def __init__(
        self,
        num_negatives: int | None = None,
        shared: bool | None = None,
        logq: bool | str = True,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        popularity: ItemFrequency | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        if logq not in (True, False, "corrected"):
            raise ValueError(f'logq must be True, False or "corrected", not {logq!r}.')
        self.logq = logq
        self.popularity = popularity

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, sample = self.negative_scores(targets, scores)
        positive = scores.of(targets)
        if self.logq == "corrected":
            negative -= sample.log_probability + tf.math.log(sample.num_others)
        elif self.logq:
            negative -= sample.log_probability
            positive -= sample.positive_log_probability
        if self.popularity is not None:
            negative += self.popularity(sample.ids)
            positive += self.popularity(targets)
        negative = tf.where(valid, negative, negative.dtype.min)
        logits = tf.concat([positive[:, tf.newaxis], negative], axis=1)
        return tf.reduce_sum(weights * (tf.reduce_logsumexp(logits, axis=1) - positive))
