"""Data sets whose iterations are epochs: another order each time, the same again after a resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from tfrecs._keras import tf
from tfrecs.data.features.events import EventInputs
from tfrecs.data.log.histories import Histories

Features = dict[str, tf.Tensor]
# Whether batches have one shape; or "few": rows have one, and sequences at most four.
Static = bool | Literal["few"]


class UserRows(Protocol):
    """The source of batches, such as a `TrainSet`: one row a user, items in time order."""

    @property
    def histories(self) -> Histories:
        """Each user's items."""

    @property
    def user_ids(self) -> np.ndarray:
        """`[U]` int32, the user of each row."""

    @property
    def weights(self) -> np.ndarray | None:
        """`[N]` float32, the weights of `histories.values`, or None."""

    @property
    def disliked(self) -> np.ndarray | None:
        """`[N]` bool, which of `histories.values` are no targets, or None."""

    def event_columns(self, inputs: EventInputs) -> dict[str, np.ndarray]:
        """Returns what `inputs` ask for of the events of `histories.values`."""


def epochs(
    num_batches: int,
    make_batch: Callable[[tf.Tensor, tf.Tensor], Features],
    first_epoch: int = 0,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Returns a data set of `num_batches` batches that is another epoch each time it is iterated.

    `make_batch` makes a batch from the numbers of epoch and batch, int64 scalars, by graph
    operations. So the order is a function of seed and epoch, which a resumed run repeats. The first
    iteration is the epoch `first_epoch`, without the batches before `first_batch`.
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
    """Adds prefetching, options and attributes to a data set whose graph counts up `epoch`.

    The attributes `num_batches` and `first_batch` tell `Model.fit` where a resumed epoch begins.
    """
    if not 0 <= first_batch < num_batches:
        raise ValueError(
            f"first_batch must be in 0..{num_batches - 1}, as an epoch has {num_batches} batches, "
            f"not {first_batch}."
        )
    if not first_batch:  # Otherwise the first iteration is shorter than the others.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    dataset = dataset.prefetch(4)
    # Deleting an iterator waits for its tuning thread, which sleeps for up to a minute: `fit` would
    # return that much later, and there is nothing to tune.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    # The graph holds only a handle: without this reference the variable would be deleted.
    dataset.epoch = epoch
    dataset.num_batches = num_batches
    dataset.first_batch = first_batch
    return dataset


def shuffled(
    index: tf.Tensor, size: tf.Tensor, seed: int, epoch: tf.Tensor, stream: int = 0
) -> tf.Tensor:
    """Returns where a random permutation of 0..size-1 puts each `index`; stores no permutation.

    Args:
        index: int64 scalar or vector, each in 0..size-1.
        size: int64, the size of the permutation; a vector has one for each index.
        seed: Seed of all permutations.
        epoch: int64 scalar; each epoch has another permutation.
        stream: 0 or 1, for two independent permutations in an epoch.
    """
    seeds = tf.cast(tf.stack([tf.constant(seed, tf.int64), 2 * epoch + stream]), tf.uint32)
    return tf.random.experimental.index_shuffle(index, seeds, size - 1)


def epochs_of_rows(
    gather: Callable[[tf.Tensor], Features],
    num_rows: int,
    batch_size: int,
    seed: int | None,
    first_epoch: int,
    first_batch: int,
    static: Static,
) -> tf.data.Dataset:
    """Returns epochs of batches of rows, shuffled unless `seed` is None.

    `gather` makes a batch from the places of its rows, int64 `[B]`. With `static` all batches have
    as many rows, which TensorFlow knows beforehand: `batch_size`, or `num_rows` if that is less.
    Else the last batch holds the rest.
    """
    check_batch_size(batch_size, static)
    num_batches = max(1, num_rows // batch_size) if static else -(-num_rows // batch_size)
    size = tf.constant(num_rows, tf.int64)

    def make_batch(epoch: tf.Tensor, number: tf.Tensor) -> Features:
        start = number * batch_size
        if static:
            place = start + tf.range(min(batch_size, num_rows), dtype=tf.int64)
        else:
            place = tf.range(start, tf.minimum(start + batch_size, num_rows))
        return gather(place if seed is None else shuffled(place, size, seed, epoch))

    return epochs(num_batches, make_batch, first_epoch, first_batch)


def check_batch_size(batch_size: int, static: Static = False) -> None:
    """Refuses a batch size below 1, and shapes that there are not."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    if static not in (True, False, "few"):
        raise ValueError(f'static must be True, False or "few", not {static!r}.')
