"""Batches of single rows: the encoded rows of a table, and the (user, item) pairs of a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.batches.epochs import Features, Static, UserRows, epochs_of_rows
from tfrecs.data.features.schema import Schema


class Rows:
    """Encoded columns of equal length: examples for models that learn from single rows.

    Args:
        columns: `[rows, ...]` arrays by name, as `Schema.encode` gives them.
        label: Name of the column to predict, names of several, or None.

    Attributes:
        columns: The arrays by name.
        label_names: Names of the columns to predict.
        label: The first of them, or None.
        name: Name of the rows in reports.
        train: The training rows of the same split, for the baselines of reports; or None.

    Raises:
        ValueError: If there are no rows, columns differ in length, or a label is no column.

    Example:
        >>> import pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, 58.0, 40.0], "liked": [1, 0, 1]})
        >>> schema = tfrecs.data.Schema.from_frame(frame, label="liked")
        >>> rows = tfrecs.data.Rows.from_frame(frame, schema)
        >>> [batch["age"].shape[0] for batch in rows.batch(2)]
        [2, 1]
    """

    def __init__(
        self, columns: Mapping[str, np.ndarray], label: str | Sequence[str] | None = None
    ) -> None:
        self.columns = dict(columns)
        self.label_names = (label,) if isinstance(label, str) else tuple(label or ())
        self.label = self.label_names[0] if self.label_names else None
        self.name = "rows"
        self.train: Rows | None = None
        lengths = {len(column) for column in self.columns.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "Rows: columns must be all as long, and at least one row, not "
                f"{ ({name: len(column) for name, column in self.columns.items()}) }."
            )
        for name in self.label_names:
            if name not in self.columns:
                raise ValueError(f"Rows: no column {name!r}, only {', '.join(self.columns)}.")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, schema: Schema) -> Rows:
        """Returns the rows of a DataFrame, encoded by a schema."""
        columns = schema.encode(frame)
        return cls(columns, [name for name in schema.labels if name in columns])

    @property
    def labels(self) -> np.ndarray:
        """`[rows]`, the column to predict; of several, the first.

        Raises:
            ValueError: If there is none.
        """
        if self.label is None:
            raise ValueError("Rows: they have no label.")
        return self.columns[self.label]

    @property
    def num_targets(self) -> int:
        """Number of targets of an epoch: one a row."""
        return len(self)

    def take(self, rows: np.ndarray) -> Rows:
        """Returns the rows at some positions, or those that a bool array marks."""
        return Rows({name: x[rows] for name, x in self.columns.items()}, self.label_names)

    def described(self, name: str, train: Rows | None = None) -> Rows:
        """Returns the same rows with a name and training rows for reports."""
        rows = Rows(self.columns, self.label_names)
        rows.name, rows.train = name, train
        return rows

    def batch(
        self,
        batch_size: int,
        *,
        seed: int | None = 0,
        first_epoch: int = 0,
        first_batch: int = 0,
        static: Static = False,
    ) -> tf.data.Dataset:
        """Returns batches `{name: [B, ...]}` of all rows.

        Each iteration is another epoch, in an order that follows from `seed` and the epoch's
        number. The last batch holds the rest.

        Args:
            batch_size: Rows of a batch.
            seed: Seed of the order; None keeps the order of the rows.
            first_epoch: Number of the first iteration's epoch, for a resumed run.
            first_batch: Number of the first batch of that epoch; earlier ones are not made.
            static: Whether all batches have one shape, as XLA and TPUs want it; "few" means the
                same here. Each epoch then leaves out other rows, too few for a batch. Fewer than
                `batch_size` rows in all make one batch.

        Raises:
            ValueError: If `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        # One gather from columns of one type side by side is several times faster than a gather
        # from each column.
        groups: dict[Any, list[str]] = {}
        for name, column in self.columns.items():
            groups.setdefault(column.dtype if column.ndim == 1 else name, []).append(name)
        tables = [
            (names, tf.constant(np.stack([self.columns[name] for name in names], axis=1)))
            for names in groups.values()
        ]

        def gather(place: tf.Tensor) -> Features:
            batch: Features = {}
            for names, table in tables:
                rows = tf.gather(table, place)
                batch |= zip(names, tf.unstack(rows, axis=1), strict=True)
            return {name: batch[name] for name in self.columns}

        return epochs_of_rows(gather, len(self), batch_size, seed, first_epoch, first_batch, static)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        labels = describe_labels(self.label_names)
        return f"Rows({len(self)} rows of {', '.join(self.columns)}{labels})"


class Pairs:
    """Each interaction as a user and an item, for models that know users by their id.

    Args:
        train: The training part of a split.
        max_history: Number of the user's most recent items before the interaction that go with it;
            None for no history.

    Raises:
        ValueError: If there is no interaction, or `max_history` is less than 1.

    Example:
        >>> import tfrecs
        >>> histories = tfrecs.data.Histories.from_lists([[1, 2], [3]])
        >>> train = tfrecs.data.TrainSet(histories, np.array([7, 8]), num_items=3)
        >>> pairs = tfrecs.data.Pairs(train)
        >>> [batch["user_id"].shape[0] for batch in pairs.batch(2)]
        [2, 1]
    """

    def __init__(self, train: UserRows, max_history: int | None = None) -> None:
        if max_history is not None and max_history < 1:
            raise ValueError(f"Pairs: max_history must be at least 1, not {max_history}.")
        histories, disliked = train.histories, train.disliked
        # The place of each pair among all values; None where every value is one.
        self._places = None if disliked is None else np.flatnonzero(~disliked)

        def of_pairs(x: np.ndarray) -> np.ndarray:
            return x if self._places is None else x[self._places]

        self.item_id = of_pairs(histories.values)
        if not len(self.item_id):
            raise ValueError("Pairs: there is no interaction to learn from.")
        self.user_id = of_pairs(np.repeat(train.user_ids, histories.lengths))
        self.max_history = max_history
        self.weights = None if train.weights is None else of_pairs(train.weights)
        self._values = histories.values
        # The place among all values where the history of each pair's user begins.
        self._first = of_pairs(np.repeat(histories.offsets[:-1], histories.lengths))

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
        static: Static = False,
    ) -> tf.data.Dataset:
        """Returns batches `{"user_id": [B], "item_id": [B]}`, int32, of all pairs, shuffled.

        Of dislikes there is no pair; they are part of histories.
        With `max_history` also `"history"` `[B, max_history]`, padded with 0 on the left, and if
        the log has weights `"sample_weight"` `[B]`, float32. Each iteration is another epoch, in an
        order that follows from `seed` and the epoch's number. The last batch holds the rest.

        Args:
            batch_size: Pairs of a batch.
            seed: Seed of the order.
            first_epoch: Number of the first iteration's epoch, for a resumed run.
            first_batch: Number of the first batch of that epoch; earlier ones are not made.
            static: Whether all batches have one shape, as XLA and TPUs want it; see `Rows.batch`.

        Raises:
            ValueError: If `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        users, items = tf.constant(self.user_id), tf.constant(self.item_id)
        weights = None if self.weights is None else tf.constant(self.weights)
        first = tf.constant(self._first if self.max_history else [0], tf.int64)
        values, places = items, None
        if self._places is not None:
            values, places = tf.constant(self._values), tf.constant(self._places, tf.int64)

        def gather(place: tf.Tensor) -> Features:
            batch = {"user_id": tf.gather(users, place), "item_id": tf.gather(items, place)}
            if weights is not None:
                batch["sample_weight"] = tf.gather(weights, place)
            if self.max_history:
                end = place if places is None else tf.gather(places, place)
                before = end[:, tf.newaxis] - tf.range(self.max_history, 0, -1, tf.int64)
                inside = before >= tf.gather(first, place)[:, tf.newaxis]
                known = tf.gather(values, tf.where(inside, before, 0))
                batch["history"] = tf.where(inside, known, 0)
            return batch

        return epochs_of_rows(gather, len(self), batch_size, seed, first_epoch, first_batch, static)


def describe_labels(names: Sequence[str]) -> str:
    """Returns ", label .." as the end of a description, or "" without labels."""
    return f", label{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
