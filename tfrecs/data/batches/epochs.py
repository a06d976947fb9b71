"""Data sets whose iterations are epochs: another order each time, the same again after a resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from tfrecs._keras import tf
from tfrecs.data.log.histories import Histories

Features = dict[str, tf.Tensor]


class UserRows(Protocol):
    """What batches are made of, such as a `TrainSet`: one row a user, items in time order."""

    @property
    def histories(self) -> Histories:
        """Each user's items."""

    @property
    def user_ids(self) -> np.ndarray:
        """The user of each row, int32 `[U]`."""

    @property
    def weights(self) -> np.ndarray | None:
        """The weights of `histories.values`, float32 `[N]`, or None."""


def epochs(
    num_batches: int,
    make_batch: Callable[[tf.Tensor, tf.Tensor], Features],
    first_epoch: int = 0,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Returns a data set of `num_batches` batches that is another epoch each time it is iterated.

    Args:
        num_batches: Batches of an epoch.
        make_batch: Gives a batch from the epoch's and the batch's number, both int64 scalars, by
            graph operations. The order is thus a function of seed and epoch, which a resumed run
            repeats.
        first_epoch: Number of the first iteration's epoch.
        first_batch: Number of its first batch; the batches before are not made.

    Raises:
        ValueError: If the epoch has no such batch.
    """
    epoch = tf.Variable(first_epoch - 1, dtype=tf.int64, trainable=False)

    def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
        number = epoch.assign_add(1)
        start = tf.where(number == first_epoch, tf.constant(first_batch, tf.int64), 0)
        return tf.data.Dataset.range(start, num_batches).map(
            lambda batch: make_batch(number, batch), num_parallel_calls=2, deterministic=True
        )

    dataset = tf.data.Dataset.range(1).flat_map(one_epoch)
    return iterated_by_epoch(dataset, epoch, num_batches, first_batch)


def iterated_by_epoch(
    dataset: tf.data.Dataset, epoch: tf.Variable, num_batches: int, first_batch: int
) -> tf.data.Dataset:
    """Returns a data set with what all of them share whose iterations are epochs.

    Its attributes `num_batches` and `first_batch` tell `Model.fit` where a resumed epoch begins.

    Args:
        dataset: Batches, another epoch each time.
        epoch: The number of the epoch, which the graph of `dataset` counts up.
        num_batches: Batches of an epoch.
        first_batch: Batches that the first iteration leaves out.

    Raises:
        ValueError: If that leaves none.
    """
    if not 0 <= first_batch < num_batches:
        raise ValueError(
            f"first_batch must be in 0..{num_batches - 1}, as an epoch has {num_batches} batches, "
            f"not {first_batch}."
        )
    if not first_batch:  # else the first iteration is shorter than the others
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    dataset = dataset.prefetch(4)
    # Nothing here is left to tune, and an iterator whose tuning thread sleeps, which it does for up
    # to a minute, waits for it when it is deleted: `fit` would return that much later.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    # The graph holds a handle alone: without a reference the variable would be collected.
    dataset.epoch = epoch
    dataset.num_batches = num_batches
    dataset.first_batch = first_batch
    return dataset


def shuffled(
    index: tf.Tensor, size: tf.Tensor, seed: int, epoch: tf.Tensor, stream: int = 0
) -> tf.Tensor:
    """Returns where a random permutation of 0..size-1 puts each `index`, holding no permutation.

    Args:
        index: int64 scalar or vector, each in 0..size-1.
        size: int64, the size of the permutation; a vector has one for each index.
        seed: Seed of all permutations.
        epoch: int64 scalar, each epoch has its own permutation.
        stream: 0 or 1, for two independent permutations in an epoch.
    """
    seeds = tf.cast(tf.stack([tf.constant(seed, tf.int64), 2 * epoch + stream]), tf.uint32)
    return tf.random.experimental.index_shuffle(index, seeds, size - 1)


def count_batches(batch_size: int, size: int, static: bool) -> int:
    """Returns how many batches `size` rows make, with what is left over or, if `static`, without.

    Args:
        batch_size: Rows of a batch.
        size: Number of rows.
        static: As for `places_of`.
    """
    return max(1, size // batch_size) if static else -(-size // batch_size)


def places_of(number: tf.Tensor, batch_size: int, size: int, static: bool) -> tf.Tensor:
    """Returns the places, int64, of a batch's rows among all rows.

    Args:
        number: int64 scalar, which batch.
        batch_size: Rows of a batch; the last one has what is left over.
        size: Number of rows.
        static: Whether all batches have as many rows, which TensorFlow knows beforehand:
            `batch_size`, or `size` where that is less.
    """
    start = number * batch_size
    if static:
        return start + tf.range(min(batch_size, size), dtype=tf.int64)
    return tf.range(start, tf.minimum(start + batch_size, size))
