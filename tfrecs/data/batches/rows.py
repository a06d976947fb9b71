"""Rows of a table, encoded, as batches: what ranking models learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.batches.epochs import Features, count_batches, epochs, places_of, shuffled
from tfrecs.data.features.schema import Schema


class Rows:
    """Encoded columns, all as long: examples for models that take in a row at a time.

    Args:
        columns: Arrays `[rows, ...]` by name, as `Schema.encode` gives them.
        label: Name of the column to predict, names of several, or None.

    Attributes:
        columns: The arrays by name.
        label_names: Names of the columns to predict.
        label: The first of them, or None.
        name: What the rows are, for reports.
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
        """Returns the rows of a DataFrame, encoded as a schema says."""
        columns = schema.encode(frame)
        return cls(columns, [name for name in schema.labels if name in columns])

    @property
    def labels(self) -> np.ndarray:
        """The column to predict, `[rows]`; of several, the first.

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
        """Returns some of the rows: their positions, or a bool array that marks them."""
        return Rows({name: x[rows] for name, x in self.columns.items()}, self.label_names)

    def described(self, name: str, train: Rows | None = None) -> Rows:
        """Returns the same rows with what a report says of them.

        Args:
            name: What the rows are, such as "test".
            train: The training rows of the same split, for baselines.
        """
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
        static: bool = False,
    ) -> tf.data.Dataset:
        """Returns batches `{name: [B, ...]}` of all rows.

        Each iteration is another epoch, in an order that follows from `seed` and the epoch's
        number. The last batch holds what is left over.

        Args:
            batch_size: Rows of a batch.
            seed: Seed of the order; None keeps the order of the rows.
            first_epoch: Number of the first iteration's epoch, for a resumed run.
            first_batch: Batches of that epoch that are left out, and not made.
            static: Whether all batches have the one shape that XLA and TPUs want: what is left
                over, other rows each epoch, is left out. With fewer rows than `batch_size` all of
                them are the batch.

        Raises:
            ValueError: If `batch_size` is less than 1, or the epoch has no batch `first_batch`.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        # Columns of one value a row and of one type lie side by side: a row of them all is gathered
        # at once, which for many columns is several times faster than each alone.
        groups: dict[Any, list[str]] = {}
        for name, column in self.columns.items():
            groups.setdefault(column.dtype if column.ndim == 1 else name, []).append(name)
        tables = [
            (names, tf.constant(np.stack([self.columns[name] for name in names], axis=1)))
            for names in groups.values()
        ]
        size = tf.constant(len(self), tf.int64)

        def make_batch(epoch: tf.Tensor, number: tf.Tensor) -> Features:
            place = places_of(number, batch_size, len(self), static)
            if seed is not None:
                place = shuffled(place, size, seed, epoch)
            batch: Features = {}
            for names, table in tables:
                rows = tf.gather(table, place)
                batch |= zip(names, tf.unstack(rows, axis=1), strict=True)
            return {name: batch[name] for name in self.columns}

        count = count_batches(batch_size, len(self), static)
        return epochs(count, make_batch, first_epoch, first_batch)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return (
            f"Rows({len(self)} rows of {', '.join(self.columns)}"
            f"{describe_labels(self.label_names)})"
        )


def describe_labels(names: Sequence[str]) -> str:
    """Names of labels as the end of a description; nothing where there are none."""
    return f", label{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
