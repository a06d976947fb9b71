"""Which items each user knows, for negatives that leave them out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.data import Histories, TrainSet


@keras.utils.register_keras_serializable("tfrecs")
class KnownItems(keras.layers.Layer):
    """The items that each user has interacted with: sorted, in one flat array.

    Memory grows with the interactions, not with users times items. Every sampler takes it
    (`known=`) to leave a user's items out of the negatives. A user without a row (id 0, or newer
    than the data) knows nothing.

    Made by `from_train` or `from_interactions`. The constructor takes the sizes alone, for a config
    whose weights are loaded afterwards.

    Args:
        num_users: Number of users, with ids 1..num_users.
        num_items: Number of items, with ids 1..num_items.
        num_known: Number of different (user, item) pairs.
        max_known: Most items of a user.

    Raises:
        ValueError: If an id is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> known = tfrecs.negatives.KnownItems.from_interactions([1, 1, 2], [7, 3, 5], 2, 9)
        >>> known.contains(tf.constant([1, 2]), tf.constant([3, 5])).numpy().tolist()
        [[True, False], [False, True]]
    """

    def __init__(
        self, num_users: int, num_items: int, num_known: int, max_known: int, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_users = num_users
        self.num_items = num_items
        self.num_known = num_known
        self.max_known = max_known
        # One more, so that there is a place to look at behind the last row.
        self._items = self._weight("items", num_known + 1)
        self._offsets = self._weight("offsets", num_users + 2)

    def _weight(self, name: str, size: int) -> tf.Variable:
        return self.add_weight(
            name=name, shape=(size,), dtype=tf.int32, initializer="zeros", trainable=False
        )

    @classmethod
    def from_interactions(
        cls, user_ids: Any, item_ids: Any, num_users: int, num_items: int, **kwargs: Any
    ) -> KnownItems:
        """Returns the known items of a log; repeated pairs count once.

        Args:
            user_ids: `[N]` user ids in 1..num_users.
            item_ids: `[N]` item ids in 1..num_items.
            num_users: Number of users.
            num_items: Number of items.
            **kwargs: As every Keras layer.
        """
        users, items = np.asarray(user_ids, np.int64), np.asarray(item_ids, np.int64)
        for name, ids, largest in (("user", users, num_users), ("item", items, num_items)):
            if ids.shape != users.shape or (ids < 1).any() or (ids > largest).any():
                raise ValueError(
                    f"KnownItems: {name} ids must be [N] in 1..{largest}, as in the vocabulary; "
                    f"got shape {ids.shape}"
                    + (f" and ids {ids.min()} to {ids.max()}." if ids.size else ".")
                )
        pairs = np.unique(users * (num_items + 1) + items)
        users, items = pairs // (num_items + 1), pairs % (num_items + 1)
        offsets = np.searchsorted(users, np.arange(num_users + 2))
        longest = int(np.diff(offsets).max(initial=0))
        layer = cls(num_users, num_items, len(items), longest, **kwargs)
        layer._items.assign(np.append(items, 0).astype(np.int32))
        layer._offsets.assign(offsets.astype(np.int32))
        return layer

    @classmethod
    def from_train(cls, train: TrainSet, num_users: int | None = None, **kwargs: Any) -> KnownItems:
        """Returns the known items of the training part of a split.

        Args:
            train: What the model is trained on.
            num_users: Number of users; default the largest id in `train`.
            **kwargs: As every Keras layer.
        """
        users = np.repeat(train.user_ids, train.histories.lengths)
        if num_users is None:
            num_users = int(train.user_ids.max(initial=0))
        return cls.from_interactions(
            users, train.histories.values, num_users, train.num_items, **kwargs
        )

    def histories(self) -> Histories:
        """Returns the items, sorted, a row a user; row 0 is that of users without one."""
        offsets = self._offsets.numpy()
        return Histories(self._items.numpy()[: offsets[-1]], offsets)

    def rows(self, user_ids: tf.Tensor) -> tf.Tensor:
        """Returns the row of each user, its id, or 0 where it has none."""
        known = (user_ids > 0) & (user_ids <= self.num_users)
        return tf.where(known, tf.cast(user_ids, tf.int32), 0)

    def counts(self, user_ids: tf.Tensor) -> tf.Tensor:
        """Returns how many items each of the users knows, int32 of the shape of `user_ids`."""
        rows = self.rows(user_ids)
        return tf.gather(self._offsets, rows + 1) - tf.gather(self._offsets, rows)

    def contains(self, user_ids: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Returns which items each user knows.

        Args:
            user_ids: `[b]`.
            ids: Item ids, `[k]` for all users or `[b, k]`.

        Returns:
            `[b, k]` bool.
        """
        rows = self.rows(user_ids)[:, tf.newaxis]
        wanted = tf.cast(ids, tf.int32) + tf.zeros_like(rows)
        start = tf.gather(self._offsets, rows) + tf.zeros_like(wanted)
        stop = tf.gather(self._offsets, rows + 1) + tf.zeros_like(wanted)
        place = lower_bound(self._items, start, stop, wanted, self.max_known)
        return (place < stop) & (tf.gather(self._items, place) == wanted)

    def get_config(self) -> dict[str, Any]:
        """Returns the sizes; the items are weights."""
        return {
            **super().get_config(),
            "num_users": self.num_users,
            "num_items": self.num_items,
            "num_known": self.num_known,
            "max_known": self.max_known,
        }


def lower_bound(
    values: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, wanted: tf.Tensor, longest: int
) -> tf.Tensor:
    """Returns the first place in `start..stop` whose value is not below `wanted`, by bisection.

    Compiled by XLA, `tf.searchsorted` would compare everything with everything.

    Args:
        values: `[N]`, rising between each `start` and `stop`, with stop < N.
        start: int32 places.
        stop: int32, of the same shape.
        wanted: Of the same shape.
        longest: Largest `stop - start`.
    """
    for _ in range(int(longest).bit_length()):
        middle = (start + stop) // 2
        below = (tf.gather(values, middle) < wanted) & (start < stop)
        start, stop = tf.where(below, middle + 1, start), tf.where(below, stop, middle)
    return start
