"""The rows of all replicas of a `tf.distribute` strategy, for negatives that they share."""

from __future__ import annotations

from tfrecs._keras import tf


def all_gather(x: tf.Tensor) -> tf.Tensor:
    """Concatenates the rows of `x` of all replicas, in the replicas' order; differentiated.

    Returns `x` unchanged outside a strategy or with one replica. Except on TPUs, replicas may hold
    different numbers of rows, also none. The gradient of a row sums what all replicas did with it.

    Args:
        x: `[rows, ...]`, on every replica the same but for the number of rows.

    Returns:
        `[rows of all replicas, ...]`, on every replica the same.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tfrecs.negatives.all_gather(tf.constant([3, 5])).numpy().tolist()
        [3, 5]
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    devices = context.strategy.extended.worker_devices
    if len(devices) > 1:
        return context.all_gather(x, axis=0)
    # In a process with one of several replicas operations name no device, and TensorFlow asks for
    # it.
    with tf.device(devices[0]):
        return context.all_gather(tf.identity(x), axis=0)


def first_row(rows: tf.Tensor) -> tf.Tensor:
    """Returns where this replica's rows begin in what `all_gather` gives, from their number."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.zeros((), tf.int32)
    return tf.reduce_sum(all_gather(rows[tf.newaxis])[: context.replica_id_in_sync_group])
