"""From the encoded columns of a schema to one vector a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, part_seeds, registered
from tfrecs.data import (
    Categorical,
    FeatureTable,
    History,
    Numeric,
    Schema,
    Text,
    Timestamp,
    Vector,
    Vocabulary,
    word_vectors,
)
from tfrecs.data.features.wide_columns import CALENDAR
from tfrecs.layers.history import HistoryPooling
from tfrecs.layers.numeric_columns import adapt_numbers, layer_name, numeric_layer, numeric_width
from tfrecs.layers.stacked_embedding import StackedEmbedding
from tfrecs.layers.text import TextEmbedding


@registered
class FeatureEncoder(Configured, keras.layers.Layer):
    """Makes one vector a row of the columns of a schema.

    Side by side, in this order:

    - categories and calendar features, embedded by one `StackedEmbedding`: one table, one gather;
    - texts, each its words' vectors pooled by a `TextEmbedding`;
    - vectors computed beforehand, each projected by a learned linear layer;
    - histories, each the vectors of its items pooled by a `HistoryPooling`. Where a categorical
      column has the same values (its vocabulary is the history's, or begins with it), an item has
      the vector of its category; histories of one vocabulary share vectors in any case;
    - numbers, through the layer that their column names.

    What columns need of the data is learned by `adapt`. A `Label` is left alone.

    Args:
        schema: The columns.
        dim: Size of the vector of each column; numbers that are not embedded take less.
        num_bins: Bins of "piecewise" and "discretization" columns.
        multiple_of: Zeros are added up to a width that this divides. Matrix products take up to a
            tenth longer where rows do not begin at whole cache lines.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If the schema has no column to encode.

    Example:
        >>> import pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, 58.0], "job": ["cook", "cook"]})
        >>> schema = tfrecs.data.Schema.from_frame(frame)
        >>> encoder = tfrecs.layers.FeatureEncoder(schema, dim=4)
        >>> columns = schema.encode(frame)
        >>> encoder.adapt(columns)
        >>> encoder(columns).shape, encoder.width
        (TensorShape([2, 8]), 8)
    """

    def __init__(
        self,
        schema: Schema,
        dim: int = 16,
        num_bins: int = 48,
        multiple_of: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Numbers enter in float32: a float16 cannot tell one year from the next.
        self._autocast = False
        self._part_seed = part_seeds(seed, 1)

        sizes: dict[str, int] = {}
        numbers: dict[str, list[str]] = {}
        for name, column in schema.items():
            if isinstance(column, Categorical):
                sizes[name] = len(column.vocabulary)
            elif isinstance(column, Timestamp):
                sizes.update({f"{name}/{part}": CALENDAR[part] for part in column.parts})
            elif isinstance(column, Numeric):
                numbers.setdefault(layer_name(column), []).append(name)
        self.categories = self._embedding(sizes, 0, "categories")
        self._make_texts_and_vectors()
        self._make_histories()
        self._names = numbers
        self.numbers = {}
        for place, (layer, names) in enumerate(numbers.items(), start=1):
            given = {"seed": self._part_seed(10 * place), "dtype": self.dtype_policy}
            self.numbers[layer] = numeric_layer(layer, dim, num_bins, **given)
            self.numbers[layer].build(tf.TensorShape([None, len(names)]))
        embedded = len(sizes) + len(self.texts) + len(self._vectors) + len(self.histories)
        self.width = dim * embedded + sum(
            len(names) * numeric_width(layer, dim) for layer, names in numbers.items()
        )
        if not self.width:
            raise ValueError(f"There is no column to encode in {schema}.")
        self._padding = -self.width % multiple_of
        self.width += self._padding

    def _embedding(self, sizes: dict[str, int], index: int, name: str) -> Any:
        if not sizes:
            return None
        seed = self._part_seed(index)
        return StackedEmbedding(sizes, self.dim, seed=seed, dtype=self.dtype_policy, name=name)

    def _make_texts_and_vectors(self) -> None:
        self.texts: dict[str, TextEmbedding] = {}
        self.projections: dict[str, keras.layers.Dense] = {}
        self._vectors: list[str] = []
        for index, (name, column) in enumerate(self.schema.items()):
            policy = self.dtype_policy
            if isinstance(column, Text):
                size, words = column.word_dim, len(column.tokenizer)
                given = {"dtype": policy, "name": f"text_{index}"}
                given["seed"] = self._part_seed(1000 + 10 * index)
                self.texts[name] = TextEmbedding(words, size or self.dim, column.pooling, **given)
            elif isinstance(column, Vector):
                size = column.size
                self._vectors.append(name)
            else:
                continue
            if size is not None:
                glorot = keras.initializers.GlorotUniform(self._part_seed(1001 + 10 * index))
                given = {"dtype": policy, "name": f"projection_{index}"}
                projection = keras.layers.Dense(self.dim, kernel_initializer=glorot, **given)
                projection.build([None, size])
                self.projections[name] = projection

    def _make_histories(self) -> None:
        self.histories: dict[str, HistoryPooling] = {}
        # The feature in `categories` or `items` whose vectors a history's items have.
        self._feature_of: dict[str, str] = {}
        self._num_items: dict[str, int] = {}
        columns = self.schema.items()
        known = {name: c.vocabulary for name, c in columns if isinstance(c, Categorical)}
        own: dict[str, int] = {}
        for index, (name, column) in enumerate(self.schema.items()):
            if not isinstance(column, History):
                continue
            items = column.vocabulary
            shared = [other for other, vocabulary in known.items() if _begins(vocabulary, items)]
            if not shared:
                known[name], own[name] = items, len(items)
            self._feature_of[name] = shared[0] if shared else name
            self._num_items[name] = len(items)
            seed = self._part_seed(1000 + 10 * index)
            pooling = HistoryPooling(
                column.pooling, seed=seed, dtype=self.dtype_policy, name=f"history_{index}"
            )
            # All weights exist from here on: a checkpoint restores into them at once.
            pooling(tf.zeros([1, 1, self.dim]))
            self.histories[name] = pooling
        self.items = self._embedding(own, 1, "items")

    @property
    def adapted_columns(self) -> frozenset[str]:
        """Names of the columns that `adapt` looks at."""
        texts = (name for name, layer in self.texts.items() if layer.pooling == "sif")
        return frozenset(texts).union(*self._names.values())

    def adapt(
        self, columns: Mapping[str, np.ndarray] | FeatureTable, target: np.ndarray | None = None
    ) -> None:
        """Learns bins and constants of numbers, and how frequent words are where "sif" asks.

        Args:
            columns: Encoded columns of training data, by name.
            target: `[rows]`, what is to be predicted, for numbers with `bins="tree"`. Rows where it
                is NaN are left out there.

        Raises:
            ValueError: If a column is missing, a column has nothing to learn from, or there are
                bins of trees and no target.
        """
        if isinstance(columns, FeatureTable):
            columns = columns.columns
        missing = [name for name in self.schema if name in self.adapted_columns - set(columns)]
        if missing:
            raise ValueError(
                f"adapt needs the columns {', '.join(map(repr, missing))}; there are only "
                f"{', '.join(map(repr, columns))}."
            )
        for name, text in self.texts.items():
            if text.pooling == "sif":
                text.adapt(columns[name])
        for layer, names in self._names.items():
            values = np.stack([columns[name] for name in names], axis=-1)
            adapt_numbers(self.numbers[layer], names, values, target)

    def load_word_vectors(
        self, name: str, vectors: np.ndarray | str | Path | Mapping[str, np.ndarray]
    ) -> None:
        """Starts the words of a text from pretrained vectors.

        They are trained on from there, unless `encoder.texts[name].trainable` is set to False.

        Args:
            name: The text's column.
            vectors: What `tfrecs.data.word_vectors` takes: a file of word2vec, GloVe or fastText,
                or a mapping from words; or `[words, word_dim]`, a row a word of the tokenizer.

        Raises:
            ValueError: If the column is no text, or the vectors have another size than its words.

        Example:
            >>> import pandas as pd, tfrecs
            >>> tokenizer = tfrecs.data.Tokenizer(["toy", "story"])
            >>> title = tfrecs.data.Text(tokenizer, max_tokens=4, word_dim=2)
            >>> encoder = tfrecs.layers.FeatureEncoder(tfrecs.data.Schema({"title": title}), dim=8)
            >>> encoder.load_word_vectors("title", {"toy": [0.5, 1.0], "story": [0.25, 2.0]})
            >>> encoder.texts["title"].table.numpy().tolist(), encoder.width
            ([[0.5, 1.0], [0.25, 2.0]], 8)
        """
        column = self.schema.get(name)
        if not isinstance(column, Text):
            raise ValueError(
                f"{name!r} is no text; texts are {', '.join(map(repr, self.texts)) or 'none'}."
            )
        if not isinstance(vectors, np.ndarray):
            vectors = word_vectors(vectors, column.tokenizer)
        layer = self.texts[name]
        if vectors.ndim != 2 or vectors.shape != (layer.num_words, layer.dim):
            raise ValueError(
                f"The words of {name!r} need vectors {[layer.num_words, layer.dim]}, not "
                f"{list(vectors.shape)}. Their size is the column's Text(word_dim=...)."
            )
        layer.load_vectors(vectors)

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the vectors `[batch, width]` of a batch of encoded columns.

        Args:
            inputs: The columns by name; others among them are not looked at.
        """
        parts = []
        if self.categories is not None:
            parts.append(self.categories(self._ids(inputs)))
        for name, words in self.texts.items():
            text = words(inputs[name])
            parts.append(self.projections[name](text) if name in self.projections else text)
        parts += [self.projections[name](inputs[name]) for name in self._vectors]
        parts += [self._pooled(name, inputs[name]) for name in self.histories]
        for layer, names in self._names.items():
            values = tf.stack([tf.cast(inputs[name], tf.float32) for name in names], axis=-1)
            encoded = self.numbers[layer](values)
            parts.append(tf.reshape(encoded, [-1, len(names) * numeric_width(layer, self.dim)]))
        if self._padding:
            parts.append(tf.zeros([tf.shape(parts[0])[0], self._padding], parts[0].dtype))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)

    def _ids(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids = {}
        for name, column in self.schema.items():
            if isinstance(column, Categorical):
                ids[name] = inputs[name]
            elif isinstance(column, Timestamp):
                for index, part in enumerate(column.parts):
                    ids[f"{name}/{part}"] = inputs[name][:, index]
        return ids

    def _pooled(self, name: str, ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors `[batch, dim]` of histories `[batch, length]`."""
        feature = self._feature_of[name]
        own = self.items is not None and feature in self.items.names
        known = (ids > 0) & (ids <= self._num_items[name])
        vectors = (self.items if own else self.categories).vectors(feature, ids)
        return self.histories[name](vectors, mask=known)


def _begins(vocabulary: Vocabulary, items: Vocabulary) -> bool:
    """Returns whether a vocabulary begins with the items of another."""
    ids = vocabulary.ids[: len(items)]
    return ids.dtype == items.ids.dtype and np.array_equal(ids, items.ids)
