"""Interactions as (user, item) pairs in batches, shuffled in the graph."""

from __future__ import annotations

import numpy as np

from tfrecs._keras import tf
from tfrecs.data.batches.epochs import (
    Features,
    UserRows,
    count_batches,
    epochs,
    places_of,
    shuffled,
)


class Pairs:
    """Each interaction as a user and an item, for models that know users by their id.

    Args:
        train: the training part of a split.
        max_history: items of the history before the interaction that go with it, the most recent
            ones; None for no history.

    Raises:
        ValueError: where there is no interaction, or `max_history` is less than 1.

    Example:
        >>> import tfrecs
        >>> histories = tfrecs.data.Histories.from_lists([[1, 2], [3]])
        >>> train = tfrecs.data.TrainSet(histories, np.array([7, 8]), num_items=3)
        >>> pairs = tfrecs.data.Pairs(train)
        >>> [batch["user_id"].shape[0] for batch in pairs.batch(2)]
        [2, 1]
    """

    def __init__(self, train: UserRows, max_history: int | None = None) -> None:
        if not len(train.histories.values):
            raise ValueError("Pairs: there is no interaction to learn from.")
        if max_history is not None and max_history < 1:
            raise ValueError(f"Pairs: max_history must be at least 1, not {max_history}.")
        lengths = train.histories.lengths
        self.item_id = train.histories.values
        self.user_id = np.repeat(train.user_ids, lengths)
        self.max_history = max_history
        self.weights = train.weights
        # Where the history of each interaction's user begins among all values.
        self._first = np.repeat(train.histories.offsets[:-1], lengths)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.item_id)

    @property
    def num_targets(self) -> int:
        """Number of targets of an epoch: one a pair."""
        return len(self)

    def batch(
        self,
        batch_size: int,
        *,
        seed: int = 0,
        first_epoch: int = 0,
        first_batch: int = 0,
        static: bool = False,
    ) -> tf.data.Dataset:
        """Batches `{"user_id": [B], "item_id": [B]}`, int32, of all pairs in random order.

        With `max_history` also `"history"` `[B, max_history]`, padded with 0 on the left, and where
        the log has weights `"sample_weight"` `[B]`, float32. Each iteration is another epoch, in an
        order that follows from `seed` and the epoch's number. The last batch holds what is left
        over.

        Args:
            batch_size: pairs of a batch.
            seed: seed of the order.
            first_epoch: number of the first iteration's epoch; what a resumed run continues with.
            first_batch: batches of that epoch that are left out, and not made.
            static: whether all batches have the one shape that XLA and TPUs want: what is left
                over, other pairs each epoch, is left out. With fewer pairs than `batch_size` all of
                them are the batch.

        Returns:
            The data set of one epoch.

        Raises:
            ValueError: if `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        users, items = tf.constant(self.user_id), tf.constant(self.item_id)
        weights = None if self.weights is None else tf.constant(self.weights)
        size = tf.constant(len(self), tf.int64)
        first = tf.constant(self._first if self.max_history else [0], tf.int64)

        def make_batch(epoch: tf.Tensor, number: tf.Tensor) -> Features:
            place = shuffled(places_of(number, batch_size, len(self), static), size, seed, epoch)
            batch = {"user_id": tf.gather(users, place), "item_id": tf.gather(items, place)}
            if weights is not None:
                batch["sample_weight"] = tf.gather(weights, place)
            if self.max_history:
                before = place[:, tf.newaxis] - tf.range(self.max_history, 0, -1, tf.int64)
                inside = before >= tf.gather(first, place)[:, tf.newaxis]
                known = tf.gather(items, tf.where(inside, before, 0))
                batch["history"] = tf.where(inside, known, 0)
            return batch

        count = count_batches(batch_size, len(self), static)
        return epochs(count, make_batch, first_epoch, first_batch)
