"""Negatives taken from the positives of the batch."""

from __future__ import annotations

import functools
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import registered
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.sample import Negatives, Sample, ScoresOf


@registered
class InBatch(Negatives):
    """Takes the positives of the batch, of all replicas, as negatives that all positives share.

    Without `num_negatives` every positive of the batch is a negative of all others, and the loss
    `SampledSoftmax(negatives=InBatch(frequency=...))` is the in-batch softmax with logQ correction
    (Yi et al., RecSys 2019). `Mixed([InBatch(...), Uniform(1024)])` adds uniform negatives (Yang et
    al., WWW 2020), and `Hardest(50, InBatch(...))` keeps the hardest ones. With `num_negatives`, k
    rows of the batch are drawn, each with equal probability.

    Both draw items in proportion to their popularity in the log. `frequency` says how likely an
    item is, and losses correct for it. Losses mask a negative that equals a row's own positive. An
    item in the row's `Scores.positive_ids`, such as the user's history, is masked too.

    Args:
        num_negatives: Rows of the batch to draw, k; None for each row once.
        frequency: Says how likely a row of a batch is to hold an item: `ItemFrequency`,
            `StreamingFrequency` (which learns at each call, except with `training=False`) or a
            layer like them. None counts all items as equally likely, so nothing is corrected.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are masked for this user.

    Raises:
        TypeError: If `num_negatives` is no integer, or `frequency` no layer of frequencies.
        ValueError: If `num_negatives` is less than 1, or a call lacks what `known` needs.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> frequency = tfrecs.negatives.ItemFrequency([3, 1, 0, 0])
        >>> negatives = tfrecs.negatives.InBatch(frequency=frequency)
        >>> sample = negatives(tf.constant([2, 1, 2]), num_items=4)
        >>> sample.ids.numpy().tolist(), tf.exp(sample.log_probability).numpy().round(2).tolist()
        ([2, 1, 2], [0.25, 0.75, 0.25])
    """

    def __init__(
        self,
        num_negatives: int | None = None,
        frequency: keras.layers.Layer | None = None,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, True, seed, known, **kwargs)
        self.frequency = check_frequency(frequency)

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
        training: bool | None = None,
    ) -> Sample:
        """Takes negatives from the batch; see `Negatives.call`.

        Args:
            positives: As in `Negatives.call`.
            num_items: As in `Negatives.call`.
            user_ids: As in `Negatives.call`.
            scores: `losses.Scores`, whose `positive_ids` are masked; or None.
            training: Whether `frequency` learns from the batch; None for yes.
        """
        # `scores` may be a plain function, which has neither.
        positive_ids, valid = (getattr(scores, name, None) for name in ("positive_ids", "valid"))
        if self.frequency is not None and training is not False:
            self.frequency.update(positives, *([] if valid is None else [valid]))
        sample = Negatives.call(self, positives, num_items, user_ids, scores)
        masks = [] if sample.allowed is None else [sample.allowed]
        if positive_ids is not None:
            masks.append(~contained(sample.ids, positive_ids))
        allowed = functools.reduce(tf.logical_and, masks) if masks else None
        if valid is None and self.num_negatives is None:
            return sample._replace(allowed=allowed, num_own=tf.constant(1.0))
        rows = tf.ones_like(positives) if valid is None else tf.cast(valid, tf.int32)
        everybodys = all_gather(rows)
        if self.num_negatives is not None:
            num_rows = tf.maximum(tf.cast(tf.reduce_sum(everybodys), tf.float32), 1.0)
            return sample._replace(allowed=allowed, num_own=self.num_negatives / num_rows)
        # The positions that only fill the batch up come last, and are masked.
        order = tf.argsort(-everybodys, stable=True)
        real = tf.tile(tf.gather(everybodys, order)[tf.newaxis] > 0, [tf.size(positives), 1])
        return Sample(
            tf.gather(sample.ids, order),
            tf.gather(sample.log_probability, order),
            sample.positive_log_probability,
            real if allowed is None else real & tf.gather(allowed, order, axis=1),
            tf.reduce_sum(everybodys),
            tf.constant(1.0),
        )

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        ids = all_gather(positives)
        if self.num_negatives is not None:
            rows = tf.random.stateless_uniform(
                [self.num_negatives], seed, 0, tf.maximum(tf.size(ids), 1), dtype=tf.int32
            )
            # A batch without targets has no row; any item is drawn, for no target.
            ids = tf.gather(tf.pad(ids, [[0, 1]], constant_values=1), rows)
        return ids, self.unknown(user_ids, ids)

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns what `frequency` says of `ids`; see `Negatives`."""
        if self.frequency is not None:
            return self.frequency(ids)
        return tf.fill(tf.shape(ids), -tf.math.log(float(num_items)))


def check_frequency(frequency: Any) -> Any:
    """Returns `frequency`, or raises a TypeError if it is neither None nor a layer of frequencies.

    Args:
        frequency: What a sampler is given.
    """
    if frequency is not None and not hasattr(frequency, "update"):
        raise TypeError(
            "frequency must be ItemFrequency, StreamingFrequency or a layer like them, not "
            f"{frequency!r}."
        )
    return frequency


def contained(ids: tf.Tensor, sets: tf.Tensor) -> tf.Tensor:
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
