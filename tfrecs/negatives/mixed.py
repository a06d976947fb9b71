"""Negatives from several samplers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.negatives.sample import Sample, ScoresOf


@registered
class Mixed(Configured, keras.layers.Layer):
    """Draws some negatives from each of several samplers.

    A draw from the mixture gives item j with probability

        q_j = sum_m (k_m / k) q_mj,   k = sum_m k_m

    where sampler m draws k_m negatives: the balance heuristic (Veach and Guibas, SIGGRAPH 1995),
    and mixed negative sampling (Yang et al., WWW 2020).

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
        if len({sampler.shared for sampler in self.samplers}) > 1:
            raise ValueError(
                "Mixed: some samplers share their negatives and some do not "
                f"({[(type(s).__name__, s.shared) for s in self.samplers]}); give all of them "
                "shared=True or shared=False."
            )
        self.num_negatives = sum(sampler.num_negatives for sampler in self.samplers)
        self.shared = self.samplers[0].shared

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
    ) -> Sample:
        """Draws negatives; see `Negatives.call`."""
        samples = [sampler(positives, num_items, user_ids, scores) for sampler in self.samplers]
        ids = tf.concat([sample.ids for sample in samples], axis=-1)
        allowed = None
        if any(sample.allowed is not None for sample in samples):
            rows = tf.size(positives)
            allowed = tf.concat(
                [
                    tf.fill([rows, sampler.num_negatives], True) if s.allowed is None else s.allowed
                    for sampler, s in zip(self.samplers, samples, strict=True)
                ],
                axis=1,
            )
        return Sample(
            ids,
            self.log_probability(ids, positives, num_items, user_ids),
            self.log_probability(positives, positives, num_items, user_ids),
            allowed,
        )

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`."""
        parts = [
            sampler.log_probability(ids, positives, num_items, user_ids)
            + np.log(sampler.num_negatives / self.num_negatives).astype(np.float32)
            for sampler in self.samplers
        ]
        return tf.reduce_logsumexp(tf.stack(parts), axis=0)
