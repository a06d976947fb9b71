"""The kinds of columns whose rows hold many values each: texts, histories and vectors."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.features.columns import Column, is_missing, listed
from tfrecs.data.features.text import Tokenizer
from tfrecs.data.log.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Text(Column):
    """A text as the ids of its words: int32 `[rows, max_tokens]`, padded with 0.

    Args:
        tokenizer: Parts a text into words and knows their ids.
        max_tokens: Words of a text that count, the first ones.
        pooling: How models make one vector of the words': "mean", or "sif" for one in which
            frequent words count less (`layers.TextEmbedding`).
        word_dim: Size of the words' vectors, such as that of pretrained ones; a learned projection
            then brings the text to the model's size. None takes words of the model's size.

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

    A model gives the items the vectors of a categorical column of the same values, such as the
    `item_id` of its rows, where there is one; unknown items are left out.

    Args:
        vocabulary: The items.
        max_length: Items that count, the most recent ones.
        pooling: How models make one vector of the items': "mean", "recency" or "attention"
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
    """A vector computed beforehand, of a sentence or an image, say: float32 `[rows, size]`.

    A missing one is zeros. Models learn a projection to their own size; vectors of about length 1,
    such as `tfrecs.data.sentence_vectors` gives, suit its initial weights.

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
            ValueError: If one has another length, or what is no finite number.
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
    """The length of a column's lists where they are vectors: floats, and equally many a row."""
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
