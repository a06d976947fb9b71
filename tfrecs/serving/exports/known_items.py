"""The items that each user has, in a served graph."""

from __future__ import annotations

import numpy as np

from tfrecs._keras import tf
from tfrecs.data import Histories
from tfrecs.models import Model


class KnownItemsTable(tf.Module):  # type: ignore[misc]
    """A ragged table of users' known items: two flat variables, a row a user.

    Args:
        rows: Row u holds the item ids that user id u has; row 0 is empty.
    """

    def __init__(self, rows: Histories) -> None:
        super().__init__(name="known_items")
        self.num_users, self.num_items = len(rows) - 1, len(rows.values)
        self.longest = int(rows.lengths.max(initial=0))
        # One item more, so that there is always one to gather.
        values = np.append(rows.values, 0).astype(np.int64)
        self._items = tf.Variable(values, trainable=False, name="known_items")
        self._offsets = tf.Variable(rows.offsets, trainable=False, name="known_offsets")

    def __call__(self, user_ids: tf.Tensor) -> tf.Tensor:
        """Returns the items of each user, int32 `[batch, longest of them]`, 0 for padding.

        Args:
            user_ids: `[batch]`; a number that is no user's has no items.
        """
        known = (user_ids > 0) & (user_ids <= self.num_users)
        rows = tf.where(known, user_ids, 0)
        starts = tf.gather(self._offsets, rows)
        lengths = tf.gather(self._offsets, rows + 1) - starts
        place = tf.range(tf.reduce_max(lengths))
        inside = place < lengths[:, tf.newaxis]
        items = tf.gather(self._items, tf.where(inside, starts[:, tf.newaxis] + place, 0))
        return tf.cast(tf.where(inside, items, 0), tf.int32)


def check_known_items(
    model: Model, known_items: Histories | None, recommend_known: bool
) -> Histories | None:
    """Returns the known items that an export of the model holds; None for none.

    Args:
        model: The model.
        known_items: What `export` was given.
        recommend_known: Whether known items may be recommended.

    Raises:
        ValueError: If they are missing, not needed, or of other users and items than the model's.
    """
    name = type(model).__name__
    if not model.needs_known_items:
        if known_items is not None:
            raise ValueError(
                f"known_items are of no use to an export of {name}: requests say what a user has."
            )
        return None
    if recommend_known:
        if known_items is not None:
            raise ValueError(
                "known_items are left out of the answers, and recommend_known=True keeps them in: "
                "give one of the two."
            )
        return None
    if known_items is None:
        raise ValueError(
            f"{name} reads no history, so that its export must hold what each user has, to leave "
            "it out of the answers: give known_items=split.known_items(). Or let known items be "
            "recommended, by recommend_known=True."
        )
    users = model.users
    assert users is not None
    if len(known_items) != len(users) + 1 or len(known_items[0]):
        raise ValueError(
            f"known_items has {len(known_items)} rows for {len(users)} users: there must be an "
            "empty row 0, then one for each user id, as split.known_items() gives them."
        )
    items = known_items.values
    outside = (items < 1) | (items > model.num_items)
    if outside.any():
        raise ValueError(
            f"known_items holds {items[outside][0]}: item ids go from 1 to {model.num_items}."
        )
    return known_items.distinct()
