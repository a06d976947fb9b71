"""The item vectors of a product model as an export stores them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tfrecs._keras import tf

if TYPE_CHECKING:
    from tfrecs.models import Model

ItemPrecision = Literal["float32", "float16", "int8"]
PRECISIONS = get_args(ItemPrecision)
_LARGEST_INT8 = 127


class Rows(tf.Module):  # type: ignore[misc]
    """Vectors of the rows 0..n - 1, stored in a form of their own.

    Attributes:
        num_rows: Number of rows, n.
        dim: Size of a vector.
        is_float32: Whether the stored numbers are the vectors. Otherwise vectors are made for each
            request, so a block should not hold too many.
    """

    is_float32 = False

    def __init__(self, shape: Any) -> None:
        super().__init__(name="rows")
        self.num_rows, self.dim = (int(size) for size in shape)

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the float32 vectors of rows of any shape."""
        raise NotImplementedError

    def products(self, queries: tf.Tensor, start: Any, stop: Any) -> tf.Tensor:
        """Returns the inner products of rows `start` to `stop` - 1 and queries, `[rows, batch]`.

        Args:
            queries: `[batch, dim]` float32.
            start: The first row.
            stop: The row after the last one.
        """
        raise NotImplementedError


class Float32Rows(Rows):
    """Vectors in full precision: a tensor or a variable `[n, dim]`."""

    is_float32 = True

    def __init__(self, vectors: Any) -> None:
        super().__init__(vectors.shape)
        self.vectors = vectors

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the stored rows."""
        return tf.gather(self.vectors, rows)

    def products(self, queries: tf.Tensor, start: Any, stop: Any) -> tf.Tensor:
        """Returns products with a slice, which is not copied."""
        return tf.matmul(self.vectors[start:stop], queries, transpose_b=True)


class Float16Rows(Rows):
    """Vectors in half precision, 2 bytes a number: 11 bits of each, a relative error of 2^-12."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors.shape)
        largest = np.abs(vectors).max(initial=0)
        if largest > np.finfo(np.float16).max:
            raise ValueError(
                f"float16 cannot hold item vectors with numbers up to {largest:g}: take "
                "item_precision 'int8' or 'float32'."
            )
        self._halves = tf.Variable(vectors.astype(np.float16), trainable=False, name="item_halves")

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the rows as float32."""
        return tf.cast(tf.gather(self._halves, rows), tf.float32)

    def products(self, queries: tf.Tensor, start: Any, stop: Any) -> tf.Tensor:
        """Returns products with a slice as float32."""
        vectors = tf.cast(self._halves[start:stop], tf.float32)
        return tf.matmul(vectors, queries, transpose_b=True)


class Int8Rows(Rows):
    """Vectors as whole numbers from -127 to 127 times a float32 scale, one a row.

    The scale is a row's largest number over 127, so that a number is off by at most half of that.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors.shape)
        scales = np.abs(vectors).max(axis=1) / np.float32(_LARGEST_INT8)
        steps = np.rint(vectors / np.where(scales > 0, scales, 1)[:, np.newaxis])
        self._steps = tf.Variable(steps.astype(np.int8), trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the rows as float32."""
        steps = tf.cast(tf.gather(self._steps, rows), tf.float32)
        return steps * tf.gather(self._scales, rows)[..., tf.newaxis]

    def products(self, queries: tf.Tensor, start: Any, stop: Any) -> tf.Tensor:
        """Returns products with a slice of whole numbers, which are scaled afterwards."""
        steps = tf.cast(self._steps[start:stop], tf.float32)
        products = tf.matmul(steps, queries, transpose_b=True)
        return products * self._scales[start:stop, tf.newaxis]


class ModelRows(Rows):
    """Vectors that the model puts together from codes, block by block.

    Sums of looked-up products of centroids give the same scores. On a CPU they are as fast for up
    to 32 queries, and several times slower for 256.
    """

    def __init__(self, vectors_of: Callable[[tf.Tensor], tf.Tensor], shape: Any) -> None:
        super().__init__(shape)
        self._vectors_of = vectors_of

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the model's vectors of items `rows` + 1."""
        return tf.cast(self._vectors_of(rows + 1), tf.float32)

    def products(self, queries: tf.Tensor, start: Any, stop: Any) -> tf.Tensor:
        """Returns products with the model's vectors of a block."""
        return tf.matmul(self.of(tf.range(start, stop)), queries, transpose_b=True)


def stored_rows(vectors: Any, precision: ItemPrecision) -> Rows:
    """Returns vectors `[n, dim]` stored in a precision.

    Raises:
        ValueError: If the precision cannot hold them.
    """
    if precision == "float32":
        # Not the name of a signature: TFLite takes both for one symbol.
        return Float32Rows(tf.Variable(vectors, trainable=False, name="item_table"))
    numbers = np.asarray(vectors, np.float32)
    return Float16Rows(numbers) if precision == "float16" else Int8Rows(numbers)


class ItemTable(tf.Module):  # type: ignore[misc]
    """The item vectors of a product model, computed once; item i is row i - 1.

    Of a model that puts them together from codes it holds the codes.

    Args:
        model: The model.
        precision: How numbers are stored.

    Attributes:
        rows: The stored vectors.
        largest_norm: The largest Euclidean norm among them.

    Raises:
        ValueError: If the precision cannot hold the vectors.
    """

    def __init__(self, model: Model, precision: ItemPrecision = "float32") -> None:
        super().__init__(name="item_table")
        vectors = tf.cast(model.item_vectors(), tf.float32)
        if model.has_item_codes:
            # The method and not the model: `tf.Module` would save everything that the model holds.
            self.rows: Rows = ModelRows(model.item_vectors, vectors.shape)
        else:
            self.rows = stored_rows(vectors, precision)
            vectors = self.rows.of(tf.range(self.rows.num_rows))
        self.largest_norm = float(np.max(tf.norm(vectors, axis=1)))

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of int32 item ids 1..n of any shape; zeros for any other number."""
        known = (ids > 0) & (ids <= self.rows.num_rows)
        return tf.where(known[..., tf.newaxis], self.rows.of(tf.where(known, ids - 1, 0)), 0.0)
