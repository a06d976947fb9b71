"""Which items each user knows, for negatives that leave them out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.data import Histories, Split, TrainSet
from tfrecs.negatives.pair_set import PairSet


@registered
class KnownItems(Configured, keras.layers.Layer):
    """The items that each user has interacted with: sorted, in one flat array, and as a hash set.

    Memory grows with the interactions, not with users times items. Every sampler takes it
    (`known=`) to leave a user's items out of the negatives. A user without a row (id 0, or newer
    than the data) knows nothing.

    Made by `from_split`, `from_train` or `from_interactions`. The constructor takes the sizes
    alone, for a config whose weights are loaded afterwards; `tfrecs.train` fills it from the
    training data of the run.

    Args:
        num_users: Number of users, with ids 1..num_users.
        num_items: Number of items, with ids 1..num_items.
        num_known: Number of different (user, item) pairs.

    Raises:
        ValueError: If an id is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> known = tfrecs.negatives.KnownItems.from_interactions([1, 1, 2], [7, 3, 5], 2, 9)
        >>> known.contains(tf.constant([1, 2]), tf.constant([3, 5])).numpy().tolist()
        [[True, False], [False, True]]
    """

    of_the_split = ("num_users", "num_items", "num_known")

    def __init__(
        self, num_users: int = 0, num_items: int = 0, num_known: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_users = num_users
        self._items = self._weight("items", num_known)
        self._offsets = self._weight("offsets", num_users + 2)
        self._pairs = PairSet(num_users + 1, num_items, num_known, name="pairs")

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
        rows = Histories.from_pairs(users, items, num_users + 1)
        layer = cls(num_users, num_items, len(rows.values), **kwargs)
        layer._items.assign(rows.values)
        layer._offsets.assign(rows.offsets.astype(np.int32))
        layer._pairs.fill(rows.rows, rows.values.astype(np.int64))
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

    @classmethod
    def from_split(cls, split: Split, **kwargs: Any) -> KnownItems:
        """Returns what all users of a split know: the items of its training part.

        Args:
            split: What the model is trained on.
            **kwargs: As every Keras layer.
        """
        return cls.from_train(split.train, len(split.users), **kwargs)

    def grow_from(self, smaller: KnownItems) -> None:
        """Does nothing: what users know is what the new split says, not the old one."""
        del smaller

    def histories(self) -> Histories:
        """Returns the items, sorted, a row a user; users without a row have row 0."""
        offsets = self._offsets.numpy()
        # Nothing, as long as the weights of a config are not loaded.
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
        return self._pairs(self.rows(user_ids), tf.cast(ids, tf.int32))
