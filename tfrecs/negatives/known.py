"""Which items each user knows, for negatives that leave them out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.data import Histories, Split, TrainSet
from tfrecs.layers.integers import Integers


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

    data_arguments = ("num_users", "num_items", "num_known")

    def __init__(
        self, num_users: int = 0, num_items: int = 0, num_known: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_users = num_users
        self._items = Integers(self, "items", np.zeros(num_known))
        self._offsets = Integers(self, "offsets", np.zeros(num_users + 2))
        self._pairs = PairSet(num_users + 1, num_items, num_known, name="pairs")

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
        layer._offsets.assign(rows.offsets)
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
        offsets = self._offsets.tensor()
        return tf.gather(offsets, rows + 1) - tf.gather(offsets, rows)

    def contains(self, user_ids: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """Returns which items each user knows.

        Args:
            user_ids: `[b]`.
            ids: Item ids, `[k]` for all users or `[b, k]`.

        Returns:
            `[b, k]` bool.
        """
        return self._pairs(self.rows(user_ids), tf.cast(ids, tf.int32))


# Slots a pair: with fewer than two, pairs cannot all be placed. Rounded up to a power of two.
_SLOTS_A_PAIR = 2.2
# Slots that are always empty, for rows without a pair.
_EMPTY = 2
# A placement that takes more rounds runs in a circle, and the row gets another number.
_MOST_ROUNDS = 200
_MOST_TRIES = 100


class PairSet(keras.layers.Layer):
    """Tells which pairs are in a set, by cuckoo hashing (Pagh and Rodler, 2004).

    Each row owns two to five adjacent slots a pair, so questions about one row stay in the cache. A
    pair sits in one of two slots: a question takes two look-ups, however many items a row has. The
    slots of item i in a row are the highest bits of
    `item_number[i] * row_number` modulo 2^32, for two random numbers of each item and a random odd
    one of each row (multiplicative hashing: Dietzfelbinger et al., 1997).

    Args:
        num_rows: Number of rows, 0..num_rows - 1.
        num_items: Number of items, 1..num_items.
        num_pairs: Number of pairs in the set.
    """

    def __init__(self, num_rows: int, num_items: int, num_pairs: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_rows = num_rows
        self.num_items = num_items
        self.num_slots = _EMPTY + int(2 * _SLOTS_A_PAIR * num_pairs)
        self._item_numbers = [
            Integers(self, f"items_{i}", np.zeros(num_items + 1)) for i in range(2)
        ]
        # A row's number, how far its products are shifted, and its first slot.
        self._rows = Integers(self, "rows", np.zeros([num_rows, 3]))
        self._slots = Integers(self, "slots", np.full(self.num_slots, -1))

    def fill(self, rows: np.ndarray, items: np.ndarray) -> None:
        """Sets the pairs, all different.

        Args:
            rows: int64 `[num_pairs]`.
            items: int64 `[num_pairs]`.
        """
        rng = np.random.default_rng(0)
        item_numbers = rng.integers(0, 2**32, (2, self.num_items + 1), np.uint32)
        row_numbers = rng.integers(0, 2**32, self.num_rows, np.uint32) | 1
        counts = np.bincount(rows, minlength=self.num_rows)
        bits = np.ceil(np.log2(np.maximum(_SLOTS_A_PAIR * counts, _EMPTY))).astype(np.int64)
        sizes = np.where(counts > 0, 1 << bits, 0)
        first = np.where(counts > 0, _EMPTY + np.cumsum(sizes) - sizes, 0)
        shifts = (32 - bits).astype(np.uint32)

        places = np.empty((2, len(rows)), np.int64)
        owner = np.full(self.num_slots, -1)
        side = np.zeros(len(rows), np.int64)
        moving = np.arange(len(rows))
        for _ in range(_MOST_TRIES):
            row = rows[moving]
            places[:, moving] = first[row] + (
                item_numbers[:, items[moving]] * row_numbers[row] >> shifts[row]
            )
            moving = _place(moving, places, owner, side)
            if not moving.size:
                break
            # Rows that cannot be placed get another number, and all their pairs start over.
            again = np.zeros(self.num_rows, bool)
            again[rows[moving]] = True
            row_numbers[again] = rng.integers(0, 2**32, again.sum(), np.uint32) | 1
            moving = np.flatnonzero(again[rows])
            owner[(owner >= 0) & again[rows[owner]]] = -1
            side[moving] = 0
        else:
            raise RuntimeError(f"{len(moving)} pairs could not be placed.")

        slots = np.full(self.num_slots, -1)
        slots[owner >= 0] = items[owner[owner >= 0]]
        self._slots.assign(slots)
        columns = (row_numbers.view(np.int32), shifts.astype(np.int32), first.astype(np.int32))
        self._rows.assign(np.stack(columns, 1))
        for weight, numbers in zip(self._item_numbers, item_numbers, strict=True):
            weight.assign(numbers.view(np.int32))

    def call(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns which pairs are in the set.

        Args:
            rows: `[b]`.
            items: int32 `[k]`, asked of every row, or `[b, k]`; 0 is in no pair.

        Returns:
            `[b, k]` bool.
        """
        packed = tf.gather(self._rows.tensor(), rows)[:, tf.newaxis]
        number, shift, first = tf.unstack(packed, axis=-1)
        slots = self._slots.tensor()
        found = []
        for numbers in self._item_numbers:
            product = tf.bitcast(tf.gather(numbers.tensor(), items) * number, tf.uint32)
            high = tf.bitwise.right_shift(product, tf.bitcast(shift, tf.uint32))
            found.append(tf.gather(slots, first + tf.bitcast(high, tf.int32)) == items)
        return found[0] | found[1]


def _place(
    moving: np.ndarray, places: np.ndarray, owner: np.ndarray, side: np.ndarray
) -> np.ndarray:
    """Gives each pair one of its two places.

    All pairs without a place move at once. Each evicts the pair that it finds in its place, and an
    evicted pair moves to its other place.

    Args:
        moving: The pairs that have none.
        places: int64 `[2, num_pairs]`.
        owner: The pair in each slot, -1 for none. It is changed.
        side: Which of its places each pair has. It is changed.

    Returns:
        The pairs that are still without a place.
    """
    for _ in range(_MOST_ROUNDS):
        if not moving.size:
            break
        to = places[side[moving], moving]
        evicted = np.unique(owner[to])
        owner[to] = moving  # Of several for one place the last one stays.
        moving = np.concatenate([moving[owner[to] != moving], evicted[evicted >= 0]])
        side[moving] ^= 1
    return moving
