"""Embeddings of all categorical features of a row: one table, one gather."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf, tfrs
from tfrecs.configured import Configured, registered
from tfrecs.layers.hashing import buckets_of, salt_of

COMBINERS = ("mean", "sum")
Ids = Any  # [batch, num_features], or a dictionary of [batch] and [batch, length]


@registered
class StackedEmbedding(Configured, keras.layers.Layer):
    """The vectors of all categorical features of a row, side by side, from one table by one gather.

    Feature f has the ids 1..n_f and two more vectors, which are trained like the others: id 0 is a
    missing value, and n_f + 1, like every id outside, is out of vocabulary. A *hashed* feature
    takes any integers instead: 0 is missing, all others fall into the buckets 1..n_f by the mixing
    of splitmix64 (Steele et al., OOPSLA 2014), with a salt that follows from the feature's name.
    Buckets are the same on every platform and in every version.

    A feature with several values is a *bag*, `[batch, length]` ids padded with 0:

        y = sum_l w_l e(id_l)  / sum_l w_l if `combiner` is "mean",   over the l with id_l != 0

    with weights w of 1 unless given. A bag of padding alone gives the vector of a missing value.

    Vectors of different sizes share the table too: it is as wide as the sizes' greatest common
    divisor, and a vector takes several rows in a row. Sizes whose divisor is small cost speed.

    The table's gradient is sparse: `tfrecs.optimizers.LazyAdam` touches only the rows of a batch.

    Args:
        sizes: Number of ids n_f (or buckets) of each feature: by name, or in order.
        dim: Size of a vector, or of each feature's.
        hashed: Names (or places in `sizes`) of the features to hash.
        combiner: "mean" or "sum", for bags.
        initializer: Keras initializer of the whole table, `[num_rows, width]`; default
            U(-.05, .05). Most ids of a large vocabulary are seen a few times only, and keep much
            of their first vector: it must be small beside what is learned.
        regularizer: Keras regularizer of the table. It reads all of it at every step, and makes
            the gradient dense.
        seed: Seed of the default initializer.
        tpu: None, or the optimizer of TFRS's `TPUEmbedding`, which then holds the table: "SGD",
            "Adagrad", "Adam" or "FTRL", or a dictionary of its `name` and arguments. Under a
            `TPUStrategy` that optimizer trains the table. Elsewhere it is a plain lookup, the
            model's own optimizer trains the table, and results and checkpoints are the same as
            without. Ids are hashed, and bags combined, outside of it.

    Raises:
        ValueError: If an argument is out of its range, or inputs do not fit the features.
        TypeError: If ids are not integers.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.StackedEmbedding({"user": 9, "genres": 3}, dim=[4, 2])
        >>> layer({"user": tf.constant([3, 0]), "genres": tf.constant([[1, 3], [2, 0]])}).shape
        TensorShape([2, 6])
        >>> layer(tf.constant([[3, 1], [0, 2]])).shape
        TensorShape([2, 6])
        >>> layer.num_rows, layer.width, layer.rows_of("genres")
        (27, 2, slice(22, 27, None))
    """

    def __init__(
        self,
        sizes: Mapping[str, int] | Sequence[int],
        dim: int | Sequence[int],
        hashed: Collection[str | int] = (),
        combiner: str = "mean",
        initializer: Any = None,
        regularizer: Any = None,
        seed: int | None = None,
        tpu: str | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Vectors are gathered and combined in float32, and cast at the end.
        self._autocast = False
        if not isinstance(sizes, Mapping):
            sizes = {str(place): size for place, size in enumerate(sizes)}
        self.names = tuple(sizes)
        self.sizes = tuple(int(size) for size in sizes.values())
        dims = np.ravel(dim).tolist()
        self.dims = tuple(dims * len(sizes) if np.ndim(dim) == 0 else dims)
        if not sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes must have a feature, and each at least one id, not {sizes}.")
        if len(self.dims) != len(sizes) or min(self.dims) < 1:
            raise ValueError(
                f"dim must be one number or one for each of {len(sizes)} features, all at least 1, "
                f"not {dim}."
            )
        if combiner not in COMBINERS:
            raise ValueError(f"combiner must be mean or sum, not {combiner!r}.")
        self.hashed = tuple(self.names[place] for place in sorted({*map(self._place, hashed)}))
        self.tpu = tpu if tpu is None or isinstance(tpu, str) else dict(tpu)
        if initializer is None:
            initializer = keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)

        self.width = math.gcd(*self.dims)
        # A vector of feature f is this many rows of the table.
        self._parts = np.array(self.dims) // self.width
        counts = (np.array(self.sizes, np.int64) + 2) * self._parts
        self.offsets = tuple((counts.cumsum() - counts).tolist())
        self.num_rows = int(counts.sum())
        if self.num_rows > np.iinfo(np.int32).max:
            raise ValueError(
                f"The table would have {self.num_rows} rows, more than int32 can number: hash the "
                "largest features into fewer buckets, or use two layers."
            )
        self._salts = np.array([salt_of(name) for name in self.names], np.uint64)
        self._make_table()

    def _make_table(self) -> None:
        self._tpu_embedding = None
        if self.tpu is None:
            self.table = self.add_weight(
                name="table",
                shape=(self.num_rows, self.width),
                initializer=self.initializer,
                regularizer=self.regularizer,
                experimental_autocast=False,
            )
            return
        if self.regularizer is not None:
            raise ValueError("TFRS's TPUEmbedding has no regularizer: leave out it or tpu.")
        optimizer = _tpu_optimizer(self.tpu)
        on_tpu = isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
        embedding = tf.tpu.experimental.embedding
        given = {"initializer": self.initializer, "name": "table"}
        table = embedding.TableConfig(self.num_rows, self.width, **given)
        # Elsewhere it would only make the optimizer's slots, which nothing uses.
        self._tpu_embedding = tfrs.layers.embedding.TPUEmbedding(
            embedding.FeatureConfig(table), optimizer if on_tpu else None
        )
        self.table = None  # It is on the TPU.
        if not on_tpu:
            self._tpu_embedding.build(tf.TensorShape([None, None]))
            (self.table,) = self._tpu_embedding.embedding_tables.values()

    def _place(self, feature: str | int) -> int:
        if isinstance(feature, str) and feature in self.names:
            return self.names.index(feature)
        if isinstance(feature, int) and 0 <= feature < len(self.names):
            return feature
        raise ValueError(f"There is no feature {feature!r}, only {', '.join(self.names)}.")

    def rows_of(self, feature: str | int) -> slice:
        """Returns which rows of `table` are a feature's: ids 0, 1..n_f, n_f + 1 in this order.

        `table[rows_of(f)]`, reshaped to `[n_f + 2, dim]`, are its vectors: what a layer for a
        vocabulary that has grown starts from.

        Args:
            feature: Its name, or its place in `sizes`.

        Raises:
            ValueError: If there is no such feature.
        """
        place = self._place(feature)
        ends = (*self.offsets[1:], self.num_rows)
        return slice(self.offsets[place], ends[place])

    def grow_from(self, smaller: StackedEmbedding) -> None:
        """Takes the vectors of a layer with fewer ids; a new id gets the vector of unknown ones."""
        blocks = []
        for name, size, dim in zip(self.names, smaller.sizes, self.dims, strict=True):
            block = tf.reshape(smaller.table[smaller.rows_of(name)], [size + 2, dim])
            new = self.sizes[self._place(name)] - size
            block = tf.concat([block, tf.repeat(block[-1:], new, axis=0)], axis=0)
            blocks.append(tf.reshape(block, [-1, self.width]))
        self.table.assign(tf.concat(blocks, axis=0))

    def call(self, inputs: Ids, weights: Mapping[str, Any] | None = None) -> tf.Tensor:
        """Returns the vectors of the features in their order, side by side.

        Args:
            inputs: `[batch, num_features]` integer ids; or a dictionary of each feature's
                `[batch]` ids, or `[batch, length]` for a bag. Other names in it are left alone.
            weights: `[batch, length]` weights of bags, by name.

        Returns:
            `[batch, sum of dims]` in the layer's compute dtype.
        """
        ids, lengths = self._columns(inputs)
        weights = dict(weights or {})
        for name in weights:
            if not lengths[self._place(name)]:
                raise ValueError(f"Feature {name!r} has weights and is no bag [batch, length].")
        rows = self._rows(ids, [max(length, 1) for length in lengths])
        lookup = self._tpu_embedding
        vectors = tf.gather(self.table, rows) if lookup is None else lookup(rows)
        if any(lengths):
            vectors = self._combine(vectors, ids, lengths, weights)
        else:
            vectors = tf.reshape(vectors, [-1, sum(self.dims)])
        return tf.cast(vectors, self.compute_dtype)

    def vectors(self, feature: str | int, ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of ids of one feature, each by itself, as to pool them otherwise.

        Args:
            feature: Its name, or its place in `sizes`.
            ids: `[...]` integer ids.

        Returns:
            `[..., dim]` in the layer's compute dtype.

        Raises:
            ValueError: If there is no such feature, or the table is on a TPU, which gathers once a
                step.
        """
        place = self._place(feature)
        if self.table is None:
            raise ValueError(f"{self.name} is on a TPU, which gathers once a step: leave out tpu.")
        ids = _checked(ids, self.names[place])
        alone = [int(other == place) for other in range(len(self.names))]
        vectors = tf.gather(self.table, self._rows(tf.reshape(ids, [-1, 1]), alone))
        dim = self.dims[place]
        vectors = tf.reshape(vectors, tf.concat([tf.shape(ids), [dim]], axis=0))
        vectors.set_shape([*ids.shape, dim])
        return tf.cast(vectors, self.compute_dtype)

    def _columns(self, inputs: Ids) -> tuple[tf.Tensor, list[int]]:
        """Returns ids side by side, `[batch, columns]`, and each feature's length, 0 for no bag."""
        if not isinstance(inputs, Mapping):
            ids = _checked(inputs, "ids")
            if ids.shape.rank != 2 or ids.shape[1] != len(self.names):
                raise ValueError(
                    f"Ids must be [batch, {len(self.names)}], a column for each feature, not "
                    f"{ids.shape}: pass a dictionary for bags."
                )
            return ids, [0] * len(self.names)
        missing = ", ".join(name for name in self.names if name not in inputs)
        if missing:
            raise ValueError(f"The inputs lack {missing}; they have {', '.join(inputs)}.")
        columns, lengths = [], []
        for name in self.names:
            ids = inputs[name]
            if len(ids.shape) not in (1, 2) or (len(ids.shape) == 2 and not ids.shape[1]):
                raise ValueError(
                    f"Feature {name!r} must be [batch], or a bag [batch, length] of a length that "
                    f"is known, not {ids.shape}: pad bags with 0."
                )
            lengths.append(ids.shape[1] if len(ids.shape) == 2 else 0)
            ids = _checked(ids, name)
            columns.append(ids if lengths[-1] else ids[:, tf.newaxis])
        if any(ids.dtype == tf.int64 for ids in columns):
            columns = [tf.cast(ids, tf.int64) for ids in columns]
        return tf.concat(columns, axis=1), lengths

    def _rows(self, ids: tf.Tensor, counts: Sequence[int]) -> tf.Tensor:
        """Returns the int32 rows of the table that make up the vectors of `ids`."""
        places = np.repeat(np.arange(len(self.names)), counts)
        sizes = np.array(self.sizes)[places]
        hashed = np.isin(self.names, self.hashed)[places]
        # An id beyond int32 must not become another one by a cast.
        known = (ids >= 0) & (ids <= tf.constant(sizes, ids.dtype))
        rows = tf.where(known, tf.cast(ids, tf.int32), tf.constant(sizes + 1, tf.int32))
        if hashed.any():
            buckets = buckets_of(ids, self._salts[places], sizes)
            rows = buckets if hashed.all() else tf.where(hashed, buckets, rows)
        parts = self._parts[places]
        first = rows * parts.astype(np.int32) + np.array(self.offsets, np.int32)[places]
        if parts.max() == 1:
            return first
        within = np.concatenate([np.arange(count, dtype=np.int32) for count in parts])
        return tf.gather(first, np.repeat(np.arange(len(parts)), parts), axis=1) + within

    def _combine(
        self, vectors: tf.Tensor, ids: tf.Tensor, lengths: list[int], weights: dict[str, Any]
    ) -> tf.Tensor:
        """Returns the vectors `[batch, sum of dims]` of features, where some are bags."""
        # Neighbours without a bag stay together. Splits, and not slices, whose gradients would
        # each be as large as all the vectors.
        places = range(len(lengths))
        runs = groupby(places, key=lambda place: place if lengths[place] else -1)
        blocks = [list(run) for _, run in runs]
        counts = np.maximum(lengths, 1)
        ids = tf.split(ids, [counts[block].sum() for block in blocks], axis=1)
        rows = counts * self._parts
        vectors = tf.split(vectors, [rows[block].sum() for block in blocks], axis=1)
        out = []
        for block, block_ids, block_vectors in zip(blocks, ids, vectors, strict=True):
            place = block[0]
            dim = sum(self.dims[other] for other in block)
            if not lengths[place]:
                out.append(tf.reshape(block_vectors, [-1, dim]))
                continue
            given = weights.get(self.names[place])
            shares = self._shares(block_ids, given, self.names[place])
            values = tf.reshape(block_vectors, [-1, lengths[place], dim])
            out.append(tf.einsum("bl,bld->bd", shares, values))
        return tf.concat(out, axis=1)

    def _shares(self, ids: tf.Tensor, weights: Any, name: str) -> tf.Tensor:
        """Returns the share of each value of a bag, `[batch, length]`."""
        known = ids != 0
        shares = tf.cast(known, tf.float32)
        if weights is not None:
            weights = tf.cast(weights, tf.float32)
            if not weights.shape.is_compatible_with(ids.shape):
                raise ValueError(
                    f"Weights of {name!r} must have the shape of its ids, {ids.shape}, not "
                    f"{weights.shape}."
                )
            shares = tf.where(known, weights, 0.0)
        if self.combiner == "mean":
            shares = tf.math.divide_no_nan(shares, tf.reduce_sum(shares, axis=1, keepdims=True))
        # Padding is id 0, so that in a bag of padding the first vector is a missing value's.
        empty = ~tf.reduce_any(known, axis=1, keepdims=True)
        return tf.where(empty, tf.one_hot([0], ids.shape[1]), shares)


def _checked(ids: Any, name: str) -> tf.Tensor:
    ids = tf.convert_to_tensor(ids)
    if not ids.dtype.is_integer:
        raise TypeError(f"{name} must be integers, not {ids.dtype.name}: encode them first.")
    return ids if ids.dtype in (tf.int32, tf.int64) else tf.cast(ids, tf.int64)


def _tpu_optimizer(tpu: str | dict[str, Any]) -> Any:
    """Returns the optimizer that TFRS's `TPUEmbedding` takes."""
    arguments = {"name": tpu} if isinstance(tpu, str) else dict(tpu)
    name = arguments.pop("name", None)
    if name not in ("SGD", "Adagrad", "Adam", "FTRL"):
        raise ValueError(f"tpu must name SGD, Adagrad, Adam or FTRL, not {name!r}.")
    return getattr(tf.tpu.experimental.embedding, name)(**arguments)
