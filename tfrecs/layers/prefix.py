"""A position before the first item of a history."""

from __future__ import annotations

from tfrecs._keras import tf


def prefixed(x: tf.Tensor, known: tf.Tensor, prefix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts a vector right before the first item of each history.

    There its distance to the items does not depend on the padding, which differs between batches.
    A row without items ends with the vector.

    Args:
        x: `[batch, length, dim]`, the vectors of items, padded on the left.
        known: `[batch, length]` bool, False at padding.
        prefix: `[batch, dim]`.

    Returns:
        `[batch, length + 1, dim]`, of which the last `length` positions are those of `x`; and
        `[batch, length + 1]` bool, True for the vector too.

    Example:
        >>> import tensorflow as tf
        >>> known = tf.constant([[False, True], [False, False]])
        >>> x, readable = prefixed(tf.ones([2, 2, 1]), known, 5 * tf.ones([2, 1]))
        >>> x[..., 0].numpy().tolist(), tf.cast(readable, tf.int32).numpy().tolist()
        ([[1.0, 5.0, 1.0], [1.0, 1.0, 5.0]], [[0, 1, 1], [0, 0, 1]])
    """
    length = tf.shape(known)[1]
    # In the result the item j stands at j + 1.
    first = tf.argmax(tf.cast(known, tf.int32), axis=1, output_type=tf.int32)
    place = tf.where(tf.reduce_any(known, axis=1), first, length)
    here = tf.range(length + 1) == place[:, tf.newaxis]
    moved = tf.concat([x[:, :1], x], axis=1)
    prefix = tf.cast(prefix, x.dtype)[:, tf.newaxis]
    readable = tf.pad(known, [[0, 0], [1, 0]]) | here
    return tf.where(here[..., tf.newaxis], prefix, moved), readable
