"""Sparse gradients whose repeated rows are summed."""

from __future__ import annotations

from tfrecs._keras import tf
from tfrecs.layers.compiled import compiled_by_xla


def sum_repeated_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns a sparse gradient in which each row stands once, its repetitions summed."""
    rows, place = tf.unique(gradient.indices)
    values = gradient.values
    shape = tf.shape(values)
    count = tf.size(rows)
    if not _can_multiply(values):
        summed = tf.math.unsorted_segment_sum(values, place, count)
        return tf.IndexedSlices(summed, rows, gradient.dense_shape)
    # On CPUs the product with the sparse matrix that has a 1 at [place[i], i] sums rows several
    # times faster than the segment sum, which sets up a loop for each of them.
    number = tf.cast(shape[0], tf.int64)
    ones = tf.stack([tf.cast(place, tf.int64), tf.range(number)], axis=1)
    summed = tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=ones,
        a_values=tf.ones([number], values.dtype),
        a_shape=tf.stack([tf.cast(count, tf.int64), number]),
        b=tf.reshape(values, [shape[0], tf.reduce_prod(shape[1:])]),
    )
    summed = tf.reshape(summed, tf.concat([[count], shape[1:]], axis=0))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)


def repeat_sums(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns a sparse gradient of the same rows, sorted, each with the sum of its repetitions.

    How many there are does not depend on which rows they are, as it does where each stands once:
    what XLA compiles, and TPUs need. Right for updates that write rows, not for those that add.
    """
    order = tf.argsort(gradient.indices, stable=True)
    rows = tf.gather(gradient.indices, order)
    begins = tf.cast(rows[1:] != rows[:-1], tf.int32)
    place = tf.cumsum(tf.concat([tf.zeros_like(rows[:1], tf.int32), begins], axis=0))
    values = tf.gather(gradient.values, order)
    summed = tf.math.unsorted_segment_sum(values, place, tf.size(rows))
    return tf.IndexedSlices(tf.gather(summed, place), rows, gradient.dense_shape)


def _can_multiply(values: tf.Tensor) -> bool:
    """Whether there is a kernel for the product: on CPUs, where XLA does not compile the step."""
    on_cpu = not tf.config.list_logical_devices("GPU") and not tf.config.list_logical_devices("TPU")
    return on_cpu and values.dtype in (tf.float32, tf.float64) and not compiled_by_xla()
