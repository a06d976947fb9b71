"""Negatives with the same value of a feature as the positive."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.data import FeatureTable, Split
from tfrecs.layers.integers import Integers
from tfrecs.negatives.complement import random_below, second_seed
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.sample import Negatives, per_item

# With known items left out, so many items are drawn for each negative.
_TRIES = 4


@registered
class SameValue(Negatives):
    """Draws negatives uniformly from the other items of the positive's category.

    Such negatives are hard if the feature matters to users. A positive without a value, or whose
    value no other item has, gets negatives from the whole catalogue.

    With `known`, four items are drawn for each negative and the first that the user does not know
    is taken; where a user knows all four, the negative is masked. `log_probability` belongs to one
    draw, before this choice.

    Args:
        num_negatives: Negatives to draw for each positive, k.
        values: `[n]` integers, the value of each item 1..n, 0 for none; or the number n, where the
            weights will be loaded (configs store only n). `from_features` and
            `from_split` take them from a column.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are left out; None to leave out nothing.
        column: The column of the items' features that has the values, where it is one.

    Raises:
        ValueError: If `values` are no vector, or `from_features` is asked for another column.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> negatives = tfrecs.negatives.SameValue(3, values=[5, 7, 7, 5], seed=1)
        >>> sample = negatives(tf.constant([1, 2]), num_items=4)
        >>> sample.ids.numpy().tolist()
        [[4, 4, 4], [3, 3, 3]]
    """

    data_arguments = ("values",)
    num_negatives: int

    def __init__(
        self,
        num_negatives: int,
        values: Any = None,
        seed: int | None = None,
        known: KnownItems | None = None,
        column: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, False, seed, known, **kwargs)
        given = np.zeros(values, np.int64) if isinstance(values, int) else np.asarray(values)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer) or not len(given):
            raise ValueError(
                "values must say the value of each item 1..n, 0 for none: a vector of integers, "
                f"not {given.dtype} {list(given.shape)}. SameValue.from_features numbers those of "
                "a column."
            )
        self.num_items = len(given)
        self.remember(values=self.num_items)
        order = np.argsort(given, kind="stable")
        ordered = given[order]
        start = np.searchsorted(ordered, given)
        count = np.searchsorted(ordered, given, "right") - start
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self._order = Integers(self, "order", order + 1)
        # Where an item's value begins in that order, at which place among its items the item is
        # (row 0: an id out of range), and how many others there are.
        group = np.stack([start, place - start, np.where(given == 0, 0, count - 1)], 1)
        self._group = Integers(self, "group", np.concatenate([[[0, 0, 0]], group]))

    @classmethod
    def from_features(
        cls, num_negatives: int, features: FeatureTable, column: str, **kwargs: Any
    ) -> SameValue:
        """Returns a sampler by a column of the items' features.

        Args:
            num_negatives: Negatives to draw for each positive.
            features: Features of the items, such as `split.item_features`.
            column: Name of the column. Of several values of an item all must be the same; numbers
                must be equal.
            **kwargs: Other arguments of the sampler.
        """
        if column not in features.columns:
            raise ValueError(
                f"SameValue: the items have no column {column!r}, only {list(features.columns)}."
            )
        table = features.columns[column].reshape(len(features) + 2, -1)
        # Rows 0 and n + 1 hold missing values.
        table = np.nan_to_num(table, nan=np.inf) if table.dtype.kind == "f" else table
        _, values = np.unique(table, axis=0, return_inverse=True)
        values = values.reshape(-1) + 1
        values = np.where(values == values[0], 0, values)[1:-1]
        return cls(num_negatives, values, column=column, **kwargs)

    @classmethod
    def from_split(
        cls, split: Split, num_negatives: int, column: str | None = None, **kwargs: Any
    ) -> SameValue:
        """Returns a sampler by a column of the features that a split has of its items.

        Args:
            split: What the model is trained on.
            num_negatives: Negatives to draw for each positive.
            column: As in `from_features`.
            **kwargs: Other arguments of the sampler.
        """
        if column is None or split.item_features is None:
            raise ValueError(
                "SameValue of a split needs a column, and features of the items that have it; "
                f"column is {column!r} and the items have "
                + ("no features." if split.item_features is None else "features.")
            )
        return cls.from_features(num_negatives, split.item_features, column, **kwargs)

    def check(self, num_items: int, user_ids: tf.Tensor | None) -> None:
        """Raises a ValueError for a call with another number of items, or without users."""
        if num_items != self.num_items:
            raise ValueError(
                f"{self.name} has the values of {self.num_items} items and the model has "
                f"{num_items}."
            )
        Negatives.check(self, num_items, user_ids)

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        tries = 1 if self.known is None else _TRIES
        shape = [tf.size(positives), self.num_negatives * tries]
        start, own, others = tf.unstack(self._groups(positives)[:, tf.newaxis], axis=-1)
        place = random_below(tf.maximum(others, 1), shape, seed)
        place += tf.cast(place >= own, tf.int32)
        same = tf.gather(self._order.tensor(), tf.minimum(start + place, self.num_items - 1))
        anywhere = random_below(tf.constant(num_items), shape, second_seed(seed)) + 1
        ids = tf.where(others > 0, same, anywhere)
        if self.known is None:
            return ids, None
        unknown = ~self.known.contains(user_ids, ids)
        split = [tf.size(positives), self.num_negatives, tries]
        ids, unknown = tf.reshape(ids, split), tf.reshape(unknown, split)
        first = tf.argmax(unknown, axis=2, output_type=tf.int32)
        return tf.gather(ids, first, batch_dims=2), tf.reduce_any(unknown, axis=2)

    def _groups(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the rows of `_group`, `[*ids.shape, 3]`."""
        rows = tf.where((ids > 0) & (ids <= self.num_items), ids, 0)
        return tf.gather(self._group.tensor(), rows)

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`.

        An item of another value gets log(1e-30) instead of log(0). The positive counts as one of
        the others.
        """
        start, _, others = tf.unstack(self._groups(positives), axis=-1)
        same = self._groups(ids)[..., 0] == per_item(start, ids)
        others = tf.cast(per_item(others, ids), tf.float32)
        of_value = tf.where(same, 1 / tf.maximum(others, 1.0), 1e-30)
        return tf.math.log(tf.where(others > 0, of_value, 1 / num_items))
