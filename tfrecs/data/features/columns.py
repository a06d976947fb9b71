"""The kinds of columns that a schema knows, and how the values of each become numbers.

`tfrecs.data.features.wide_columns` holds the kinds with many values a row.
"""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.features.text import Tokenizer
from tfrecs.data.log.ids import id_column
from tfrecs.data.log.times import duration_seconds
from tfrecs.data.log.vocabulary import Vocabulary


class Column(abc.ABC):
    """Base of the kinds of columns: what a column means and how it is encoded.

    A column becomes one array with a row for each value. Ids follow the package's convention: 0 is
    missing (or padding, if a row holds several), 1..n are known values and n + 1 is any other.

    Attributes:
        missing: Encoding of a missing value.
    """

    kinds: ClassVar[dict[str, type[Column]]] = {}
    missing: ClassVar[float] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Column.kinds[cls.__name__] = cls

    @abc.abstractmethod
    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the column's array, int32 or float32, with a row for each value."""

    @property
    @abc.abstractmethod
    def spec(self) -> tf.TensorSpec:
        """Type and shape of a batch of the encoded column."""

    def get_config(self) -> dict[str, Any]:
        """Returns `{"kind": .., argument: ..}`, ready for JSON."""
        config: dict[str, Any] = {"kind": type(self).__name__}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            config[field.name] = value.get_config() if hasattr(value, "get_config") else value
        return config

    @staticmethod
    def from_config(config: dict[str, Any]) -> Column:
        """Returns the column that `get_config` described.

        Raises:
            ValueError: If there is no such kind.
        """
        arguments = dict(config)
        kind = Column.kinds.get(arguments.pop("kind", ""))
        if kind is None:
            raise ValueError(
                f"There is no kind of column {config.get('kind')!r}, only "
                f"{', '.join(sorted(Column.kinds))}."
            )
        for name, cls in (("vocabulary", Vocabulary), ("tokenizer", Tokenizer)):
            if arguments.get(name) is not None:
                arguments[name] = cls.from_config(arguments[name])
        if isinstance(arguments.get("parts"), list):
            arguments["parts"] = tuple(arguments["parts"])
        return kind(**arguments)


@dataclasses.dataclass(frozen=True)
class Categorical(Column):
    """One of a set of values, or, with `max_values`, several of them.

    Encoded as int32 `[rows]`, or `[rows, max_values]` with 0 after the last one. Values are strings
    or integers by the rule of raw ids (`tfrecs.data.log.ids`); truth values are "False" and "True".

    Args:
        vocabulary: The known values.
        max_values: Most values of a row, which keeps its first ones; 0 for single values.

    Example:
        >>> import pandas as pd, tfrecs
        >>> genres = Categorical(tfrecs.data.Vocabulary(["comedy", "drama"]), max_values=2)
        >>> genres.encode(pd.Series([["drama"], [], ["comedy", "drama", "war"]])).tolist()
        [[2, 0], [0, 0], [1, 2]]
    """

    vocabulary: Vocabulary
    max_values: int = 0

    @classmethod
    def from_values(
        cls, values: Any, min_count: int = 1, max_values: int | None = None
    ) -> Categorical:
        """Returns the column whose vocabulary holds the given values.

        Args:
            values: The column, of single values or of lists of them.
            min_count: Rarer values are unknown ones.
            max_values: As in the constructor; None takes the longest row of lists.
        """
        series = pd.Series(values)
        lists = holds_lists(series)
        flat = _plain(series.explode() if lists else series)
        column, missing = id_column(flat)
        counts = pd.Series(column[~missing]).value_counts()
        known = counts.index[counts >= min_count]
        if max_values is None:
            max_values = max(len(listed(row)) for row in series) if lists else 0
        return cls(Vocabulary.from_values(pd.Series(known.to_numpy())), max_values)

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the ids, `[rows]` or `[rows, max_values]` int32."""
        if not self.max_values:
            return self._ids(values)
        rows = [listed(row)[: self.max_values] for row in values]
        ids = np.zeros((len(rows), self.max_values), np.int32)
        lengths = np.array([len(row) for row in rows], np.int64)
        kept = list(itertools.chain.from_iterable(rows))
        if kept:
            inside = np.arange(self.max_values) < lengths[:, np.newaxis]
            ids[inside] = self._ids(pd.Series(kept, dtype=object))
        return ids

    def _ids(self, values: pd.Series) -> np.ndarray:
        values = _plain(values)
        ids = self.vocabulary.encode(values)
        ids[id_column(values)[1]] = 0
        return ids

    @property
    def spec(self) -> tf.TensorSpec:
        """int32, `[None]` or `[None, max_values]`."""
        return tf.TensorSpec([None, self.max_values] if self.max_values else [None], tf.int32)


@dataclasses.dataclass(frozen=True)
class Numeric(Column):
    """A number, encoded as float32 `[rows]`, NaN where it is missing or cannot be read.

    Durations and times of day count in seconds.

    Args:
        encoding: Layer of models that reads it: "piecewise" (`layers.PiecewiseLinearEmbedding`),
            "squashing" (`Squashing`), "discretization" (`Discretization`), "periodic"
            (`PeriodicEncoding`), or "standard" (`Standardization`).
        bins: Bins of "piecewise": "quantile", or "tree" for the thresholds of a decision tree that
            predicts the label from the number. A tree needs a label for each row: features of users
            or items have one in `DeepCross`, and none in a two-tower model.

    Raises:
        ValueError: If `encoding` or `bins` is unknown, or "tree" belongs to another encoding.
    """

    encoding: str = "piecewise"
    bins: str = "quantile"
    missing: ClassVar[float] = float("nan")

    def __post_init__(self) -> None:
        known = ("piecewise", "squashing", "discretization", "periodic", "standard")
        if self.encoding not in known:
            raise ValueError(f"encoding must be one of {', '.join(known)}, not {self.encoding!r}.")
        if self.bins not in ("quantile", "tree"):
            raise ValueError(f"bins must be quantile or tree, not {self.bins!r}.")
        if self.bins == "tree" and self.encoding != "piecewise":
            raise ValueError(
                f"bins='tree' are those of encoding='piecewise', and {self.encoding!r} has none."
            )

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the numbers, `[rows]` float32."""
        return _numbers(values)

    @property
    def spec(self) -> tf.TensorSpec:
        """float32 `[None]`."""
        return tf.TensorSpec([None], tf.float32)


@dataclasses.dataclass(frozen=True)
class Label(Column):
    """The value to predict: float32 `[rows]`.

    Args:
        positive_from: Values of at least this are 1 and smaller ones 0; None keeps the numbers.
        optional: Whether rows may lack this label, if a model has several. A missing label (None,
            NaN) is encoded as NaN, and counts neither in training nor in evaluation.

    Example:
        >>> import pandas as pd
        >>> Label(positive_from=4, optional=True).encode(pd.Series([5, None, 3])).tolist()
        [1.0, nan, 0.0]
    """

    positive_from: float | None = None
    optional: bool = False
    missing: ClassVar[float] = float("nan")

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the labels.

        Raises:
            ValueError: If a label is no finite number, or missing and not optional.
        """
        numbers = _numbers(values)
        missing = values.isna().to_numpy(bool)
        bad = ~np.isfinite(numbers) & ~(missing & self.optional)
        if bad.any():
            row = int(bad.argmax())
            remedy = (
                "Leave out rows without a label, or, of several labels, make it optional: "
                "Label(optional=True)."
                if missing[row]
                else "A label is a number."
            )
            raise ValueError(
                f"The label {values.name!r} of row {row} is no finite number: "
                f"{values.iloc[row]!r}. {remedy}"
            )
        if self.positive_from is None:
            return numbers
        positive = (numbers >= self.positive_from).astype(np.float32)
        return np.where(missing, np.float32(np.nan), positive)

    @property
    def spec(self) -> tf.TensorSpec:
        """float32 `[None]`."""
        return tf.TensorSpec([None], tf.float32)


def holds_lists(values: pd.Series) -> bool:
    """Returns whether a column's rows are lists of values."""
    if values.dtype != object:
        return False
    present = values.dropna()
    return bool(len(present)) and isinstance(present.iloc[0], list | tuple | set | np.ndarray)


def _plain(values: pd.Series) -> pd.Series:
    """Returns truth values as strings, and other values unchanged."""
    return values.astype(object).map(str) if values.dtype == bool else values


def _numbers(values: pd.Series) -> np.ndarray:
    """Returns numbers, durations and times of day as float32; NaN for everything else."""
    if values.dtype.kind == "m":
        return duration_seconds(values).astype(np.float32)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    unread = np.isnan(numbers) & values.notna().to_numpy(bool)
    if unread.any():
        numbers = numbers.copy()
        numbers[unread] = duration_seconds(values[unread])
    return numbers.astype(np.float32)


def is_missing(value: Any) -> bool:
    """Returns whether a value, which may be a list, is None or NaN."""
    return value is None or (bool(np.isscalar(value)) and bool(pd.isna(value)))


def listed(row: Any) -> list[Any]:
    """Returns a row of lists as a list, a missing row as an empty one."""
    if isinstance(row, Iterable) and not isinstance(row, str):
        return list(row)
    return [] if is_missing(row) else [row]
