"""The kinds of columns with many values a row: times, texts, histories and vectors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.features.columns import Column, is_missing, listed
from tfrecs.data.features.text import Tokenizer
from tfrecs.data.log.times import in_seconds, parse_times
from tfrecs.data.log.vocabulary import Vocabulary

# Parts of a time, and their numbers of values.
CALENDAR = {"hour": 24, "weekday": 7, "day": 31, "month": 12}
_DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Timestamp(Column):
    """A time as calendar features, in UTC: int32 `[rows, len(parts)]` of ids from 1.

    A number's size tells whether it counts seconds, milli-, micro- or nanoseconds since 1970.
    Datetimes and strings of dates are read too (`data.log.times.parse_times`).

    Args:
        parts: Some of "hour" (24), "weekday" (7, Monday first), "day" (of the month, 31) and
            "month" (12).

    Raises:
        ValueError: If a part is unknown, or there is none.

    Example:
        >>> import pandas as pd
        >>> Timestamp().encode(pd.Series(["1970-01-01T13:30:00"])).tolist()
        [[14, 4, 1]]
    """

    parts: tuple[str, ...] = ("hour", "weekday", "month")

    def __post_init__(self) -> None:
        if not self.parts or not set(self.parts) <= set(CALENDAR):
            raise ValueError(f"parts are some of {', '.join(CALENDAR)}, not {self.parts!r}.")

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the ids of each time's parts, 0 where it is missing or unreadable."""
        times, invalid = parse_times(values)
        ids = calendar_ids(in_seconds(times), self.parts)
        ids[invalid] = 0
        return ids

    @property
    def spec(self) -> tf.TensorSpec:
        """int32 `[None, len(parts)]`."""
        return tf.TensorSpec([None, len(self.parts)], tf.int32)


@dataclasses.dataclass(frozen=True)
class Text(Column):
    """A text as the ids of its words: int32 `[rows, max_tokens]`, padded with 0.

    Args:
        tokenizer: Splits a text into words and knows their ids.
        max_tokens: Number of a text's first words that count.
        pooling: Mean of the words' vectors in models: "mean", or "sif" for one in which frequent
            words count less (`layers.TextEmbedding`).
        word_dim: Size of the words' vectors, such as pretrained ones; a learned projection then
            brings the text to the model's size. None takes words of the model's size.

    Raises:
        ValueError: If `pooling` is unknown or `word_dim` below 1.
    """

    tokenizer: Tokenizer
    max_tokens: int = 32
    pooling: str = "mean"
    word_dim: int | None = None

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "sif"):
            raise ValueError(f"pooling of a text must be mean or sif, not {self.pooling!r}.")
        if self.word_dim is not None and self.word_dim < 1:
            raise ValueError(f"word_dim must be at least 1, not {self.word_dim}.")

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the ids of the words, 0 after the last one."""
        texts = ["" if is_missing(value) else str(value) for value in values]
        return self.tokenizer.encode(texts, self.max_tokens)

    @property
    def spec(self) -> tf.TensorSpec:
        """int32 `[None, max_tokens]`."""
        return tf.TensorSpec([None, self.max_tokens], tf.int32)


@dataclasses.dataclass(frozen=True)
class History(Column):
    """Lists of raw item ids, oldest first: int32 `[rows, max_length]`, padded on the left with 0.

    The items share the vectors of a categorical column of the same values, such as the `item_id`
    of the rows, if there is one. Models leave unknown items out.

    Args:
        vocabulary: The items.
        max_length: Number of most recent items that count.
        pooling: Pooling of the items' vectors in models: "mean", "recency" or "attention"
            (`layers.HistoryPooling`).

    Raises:
        ValueError: If `pooling` is unknown.

    Example:
        >>> import pandas as pd, tfrecs
        >>> bought = History(tfrecs.data.Vocabulary(["pen", "ink"]), max_length=3)
        >>> bought.encode(pd.Series([["ink", "pen"], None, ["pen", "cup"]])).tolist()
        [[0, 2, 1], [0, 0, 0], [0, 1, 3]]
    """

    vocabulary: Vocabulary
    max_length: int = 50
    pooling: str = "mean"

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "recency", "attention"):
            raise ValueError(
                f"pooling of a history must be mean, recency or attention, not {self.pooling!r}."
            )

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the ids of the items, the most recent in the last column."""
        rows = [listed(row)[-self.max_length :] for row in values]
        ids = np.zeros((len(rows), self.max_length), np.int32)
        lengths = np.array([len(row) for row in rows], np.int64)
        inside = np.arange(self.max_length) >= self.max_length - lengths[:, np.newaxis]
        if inside.any():
            flat = np.array(list(itertools.chain.from_iterable(rows)), object)
            ids[inside] = self.vocabulary.encode(flat)
        return ids

    @property
    def spec(self) -> tf.TensorSpec:
        """int32 `[None, max_length]`."""
        return tf.TensorSpec([None, self.max_length], tf.int32)


@dataclasses.dataclass(frozen=True)
class Vector(Column):
    """A precomputed vector of, say, a sentence or an image: float32 `[rows, size]`.

    A missing vector is zeros. Models learn a projection to their size. Its initial weights suit
    vectors of about length 1, such as `tfrecs.data.sentence_vectors` gives.

    Args:
        size: Numbers of a vector.

    Raises:
        ValueError: If `size` is below 1.

    Example:
        >>> import pandas as pd
        >>> Vector(2).encode(pd.Series([[0.5, 0.75], None])).tolist()
        [[0.5, 0.75], [0.0, 0.0]]
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size of a vector must be at least 1, not {self.size}.")

    def encode(self, values: pd.Series) -> np.ndarray:
        """Returns the vectors.

        Raises:
            ValueError: If a vector has another length, or a value that is no finite number.
        """
        vectors = np.zeros((len(values), self.size), np.float32)
        for place, row in enumerate(values):
            if is_missing(row):
                continue
            problem = f"The vector of row {place} of {values.name!r} "
            try:
                vector = np.asarray(row, np.float32)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{problem}is no list of numbers: {error}.") from None
            if vector.shape != (self.size,):
                raise ValueError(
                    f"{problem}has the shape {list(vector.shape)}, not [{self.size}]. Put None "
                    "where one is missing."
                )
            if not np.isfinite(vector).all():
                raise ValueError(
                    f"{problem}has numbers that are not finite. Put None where one is missing."
                )
            vectors[place] = vector
        return vectors

    @property
    def spec(self) -> tf.TensorSpec:
        """float32 `[None, size]`."""
        return tf.TensorSpec([None, self.size], tf.float32)


def vector_size(values: pd.Series) -> int | None:
    """Returns the length of a column's lists if all have equally many floats, else None."""
    size, floats = None, False
    for row in values:
        if is_missing(row):
            continue
        vector = np.asarray(row)
        if vector.dtype.kind not in "iuf" or vector.ndim != 1 or size not in (None, len(vector)):
            return None
        size = len(vector)
        floats = floats or vector.dtype.kind == "f"
    return size if floats and size else None


def calendar_ids(seconds: Any, parts: Sequence[str]) -> Any:
    """Returns the parts of times, as int32 ids from 1.

    The arithmetic is of whole numbers only, so that numpy arrays and tensors in a served graph give
    the same. Years start in March, which puts the leap day last (Hinnant, "chrono-compatible
    low-level date algorithms").

    Args:
        seconds: `[n]` int64 array or tensor, seconds since 1970-01-01 UTC.
        parts: Keys of `CALENDAR`.

    Returns:
        `[n, len(parts)]` int32 array of ids 1..size; a list of the columns for a tensor.

    Example:
        >>> calendar_ids(np.array([951_782_400]), ["day", "month"]).tolist()  # 29 February 2000
        [[29, 2]]
    """
    days = seconds // _DAY
    day_of_era = (days + 719_468) % 146_097
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153  # From March, which is 0.
    values = {
        "hour": seconds % _DAY // 3_600 + 1,
        "weekday": (days + 3) % 7 + 1,  # 1970 began on a Thursday.
        "day": day_of_year - (153 * month + 2) // 5 + 1,
        "month": (month + 2) % 12 + 1,
    }
    columns = [values[part] for part in parts]
    if isinstance(seconds, np.ndarray):
        return np.stack(columns, axis=-1).astype(np.int32)
    return columns
